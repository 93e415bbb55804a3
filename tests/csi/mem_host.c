/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the tests' host: a loop device for each volume, by losetup. */
#include <string.h>

#include "base/str.h"
#include "loop.h"
#include "mem_parts.h"

static enum grpc_code attach_locked(struct csi_op *op, struct mem *mem, const char *volume_id,
				    char device[CSI_DEVICE_MAX])
{
	struct mem_volume *volume = mem_volume_find(mem, volume_id);
	enum grpc_code code;
	char path[512];

	if (!volume)
		return mem_no_volume(op, volume_id);
	mem_file(mem, volume_id, path);
	if (!volume->device[0]) {
		code = loop_attach(op, path, volume->device);
		if (code != GRPC_OK)
			return code;
	}
	(void)str_copy(device, CSI_DEVICE_MAX, volume->device);
	return GRPC_OK;
}

static enum grpc_code attach(void *ctx, struct csi_op *op, const char *volume_id,
			     const struct csi_map *publish_context,
			     const struct csi_map *volume_context, char device[CSI_DEVICE_MAX])
{
	struct mem *mem = ctx;
	enum grpc_code code;

	lock_take(mem->lock);
	code = attach_locked(op, mem, volume_id, device);
	lock_drop(mem->lock);
	return code;
}

static enum grpc_code find(void *ctx, struct csi_op *op, const char *volume_id,
			   char device[CSI_DEVICE_MAX])
{
	struct mem *mem = ctx;
	struct mem_volume *volume;
	enum grpc_code code = GRPC_OK;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, volume_id);
	if (volume && volume->device[0])
		(void)str_copy(device, CSI_DEVICE_MAX, volume->device);
	else
		code = csi_fail(op, GRPC_NOT_FOUND, "not attached");
	lock_drop(mem->lock);
	return code;
}

/* As a namespace, it has grown when its host has heard of it, and not before. */
static enum grpc_code grown(void *ctx, struct csi_op *op, const char *volume_id, const char *device,
			    uint64_t bytes)
{
	struct command_result result;

	(void)losetup("-c", device, NULL, &result);
	return GRPC_OK;
}

static enum grpc_code detach(void *ctx, struct csi_op *op, const char *volume_id)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;
	struct command_result result;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, volume_id);
	if (volume && volume->device[0]) {
		(void)losetup("-d", volume->device, NULL, &result);
		volume->device[0] = '\0';
	}
	lock_drop(mem->lock);
	return GRPC_OK;
}

static enum grpc_code format_get(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_map *volume_context, struct csi_format *ret)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, volume_id);
	if (volume)
		*ret = volume->format;
	lock_drop(mem->lock);
	return volume ? GRPC_OK : mem_no_volume(op, volume_id);
}

static enum grpc_code format_set(void *ctx, struct csi_op *op, const char *volume_id,
				 const struct csi_format *format)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, volume_id);
	if (volume)
		volume->format = *format;
	lock_drop(mem->lock);
	return volume ? GRPC_OK : mem_no_volume(op, volume_id);
}

const struct csi_host mem_host = {.attach = attach,
				  .find = find,
				  .grown = grown,
				  .detach = detach,
				  .format_get = format_get,
				  .format_set = format_set};
