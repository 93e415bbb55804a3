/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of the tests' control plane. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/str.h"
#include "mem.h"
#include "mem_parts.h"
#include "rt/command.h"

#define SIZE_DEFAULT ((uint64_t)64 << 20)

void mem_file(const struct mem *mem, const char *id, char path[512])
{
	(void)snprintf(path, 512, "%s/%s", mem->folder, id);
}

bool mem_copy(const struct mem *mem, const char *from_id, const char *to_id)
{
	char from[512], to[512];
	const char *argv[] = {"cp", "--sparse=always", from, to, NULL};
	struct command_result result;
	struct err err;

	mem_file(mem, from_id, from);
	mem_file(mem, to_id, to);
	return command_run(argv, 60000, &result, &err) == 0 && result.status == 0;
}

static bool set_size(const struct mem *mem, const char *id, uint64_t size)
{
	char path[512];
	int fd, rc;

	mem_file(mem, id, path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	rc = fd < 0 ? -1 : ftruncate(fd, (off_t)size);
	if (fd >= 0)
		(void)close(fd);
	return rc == 0;
}

struct mem_volume *mem_volume_find(struct mem *mem, const char *id)
{
	for (size_t i = 0; i < MEM_MAX; i++)
		if (mem->volumes[i].used && strcmp(mem->volumes[i].id, id) == 0)
			return &mem->volumes[i];
	return NULL;
}

static struct mem_volume *volume_by_name(struct mem *mem, const char *name)
{
	for (size_t i = 0; i < MEM_MAX; i++)
		if (mem->volumes[i].used && strcmp(mem->volumes[i].name, name) == 0)
			return &mem->volumes[i];
	return NULL;
}

enum grpc_code mem_no_volume(struct csi_op *op, const char *id)
{
	return csi_fail(op, GRPC_NOT_FOUND, "there is no volume %s", id);
}

static void show(struct csi_op *op, const struct mem *mem, const struct mem_volume *from,
		 struct csi_volume *ret)
{
	struct csi_pair *pair = arena_zalloc(op->arena, sizeof(*pair));
	struct csi_map *map = arena_zalloc(op->arena, sizeof(*map));

	*ret = (struct csi_volume){
		.id = arena_strdup(op->arena, from->id),
		.capacity = from->capacity,
		.source = {from->source, arena_strdup(op->arena, from->source_id)}};
	if (!pair || !map)
		return;
	*pair = (struct csi_pair){"topology.litepool.io/node", mem->node_id};
	*map = (struct csi_map){pair, 1};
	ret->topology = (struct csi_topology){map, 1};
	if (from->node[0]) {
		ret->nodes.items = arena_zalloc(op->arena, sizeof(char *));
		ret->nodes.n = ret->nodes.items ? 1 : 0;
		if (ret->nodes.n)
			ret->nodes.items[0] = arena_strdup(op->arena, from->node);
	}
}

static enum grpc_code same_or_refuse(struct csi_op *op, struct mem *mem,
				     const struct mem_volume *volume,
				     const struct csi_create_volume *req, struct csi_volume *ret)
{
	bool same = volume->capacity >= req->range.required &&
		    (!req->range.limit || volume->capacity <= req->range.limit) &&
		    volume->source == req->source.kind &&
		    (req->source.kind == CSI_SOURCE_NONE ||
		     strcmp(volume->source_id, req->source.id) == 0);

	if (!same)
		return csi_fail(op, GRPC_ALREADY_EXISTS,
				"volume %s exists with another size or source", req->name);
	show(op, mem, volume, ret);
	return GRPC_OK;
}

static enum grpc_code check_parameters(struct csi_op *op, const struct csi_map *parameters)
{
	for (size_t i = 0; i < parameters->n; i++)
		if (strcmp(parameters->items[i].key, "class") != 0 &&
		    strncmp(parameters->items[i].key, "csi.storage.k8s.io/", 19) != 0)
			return csi_fail(op, GRPC_INVALID_ARGUMENT,
					"a parameter is not known; known is: class");
	return GRPC_OK;
}

/* Content and size of the source. */
static enum grpc_code take_source(struct csi_op *op, struct mem *mem,
				  const struct csi_source *source, struct mem_volume *volume)
{
	struct mem_volume *from;
	struct mem_snapshot *snapshot;

	if (source->kind == CSI_SOURCE_NONE)
		return GRPC_OK;
	volume->source = source->kind;
	(void)str_copy(volume->source_id, sizeof(volume->source_id), source->id);
	if (source->kind == CSI_SOURCE_VOLUME) {
		from = mem_volume_find(mem, source->id);
		if (!from)
			return mem_no_volume(op, source->id);
		volume->format = from->format;
		volume->capacity = MAX(volume->capacity, from->capacity);
	} else {
		snapshot = mem_snapshot_find(mem, source->id);
		if (!snapshot)
			return csi_fail(op, GRPC_NOT_FOUND, "there is no snapshot %s", source->id);
		volume->format = snapshot->format;
		volume->capacity = MAX(volume->capacity, snapshot->size);
	}
	volume->format.clone = true;
	return mem_copy(mem, source->id, volume->id)
		       ? GRPC_OK
		       : csi_fail(op, GRPC_INTERNAL, "the copy failed");
}

static enum grpc_code create_new(struct csi_op *op, struct mem *mem,
				 const struct csi_create_volume *req, struct csi_volume *ret)
{
	struct mem_volume volume = {.used = true, .capacity = req->range.required};
	enum grpc_code code;

	if (!volume.capacity)
		volume.capacity =
			req->range.limit ? MIN(SIZE_DEFAULT, req->range.limit) : SIZE_DEFAULT;
	if (volume.capacity > MEM_CAPACITY)
		return csi_fail(op, GRPC_OUT_OF_RANGE, "no pool is as large as %llu bytes",
				(unsigned long long)volume.capacity);
	(void)snprintf(volume.id, sizeof(volume.id), "vol-%u", ++mem->next_id);
	(void)str_copy(volume.name, sizeof(volume.name), req->name);
	code = take_source(op, mem, &req->source, &volume);
	if (code != GRPC_OK)
		return code;
	if (req->range.limit && volume.capacity > req->range.limit)
		return csi_fail(op, GRPC_OUT_OF_RANGE, "the source is larger than the limit");
	if (!set_size(mem, volume.id, volume.capacity))
		return csi_fail(op, GRPC_INTERNAL, "cannot make the file");
	for (size_t i = 0; i < MEM_MAX; i++) {
		if (mem->volumes[i].used)
			continue;
		mem->volumes[i] = volume;
		show(op, mem, &volume, ret);
		return GRPC_OK;
	}
	return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no room for another volume");
}

enum grpc_code mem_create_volume(void *ctx, struct csi_op *op, const struct csi_create_volume *req,
				 struct csi_volume *ret)
{
	struct mem *mem = ctx;
	struct mem_volume *there;
	enum grpc_code code = check_parameters(op, &req->parameters);

	if (code == GRPC_OK)
		code = check_parameters(op, &req->mutable_parameters);
	if (code != GRPC_OK)
		return code;
	lock_take(mem->lock);
	there = volume_by_name(mem, req->name);
	code = there ? same_or_refuse(op, mem, there, req, ret) : create_new(op, mem, req, ret);
	lock_drop(mem->lock);
	return code;
}

enum grpc_code mem_delete_volume(void *ctx, struct csi_op *op, const char *id)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;
	enum grpc_code code = GRPC_OK;
	char path[512];

	lock_take(mem->lock);
	volume = mem_volume_find(mem, id);
	if (volume && volume->node[0]) {
		code = csi_fail(op, GRPC_FAILED_PRECONDITION, "volume %s is attached to node %s",
				id, volume->node);
	} else if (volume) {
		mem_file(mem, id, path);
		(void)unlink(path);
		volume->used = false;
	}
	lock_drop(mem->lock);
	return code;
}

enum grpc_code mem_get_volume(void *ctx, struct csi_op *op, const char *id, struct csi_volume *ret)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, id);
	if (volume)
		show(op, mem, volume, ret);
	lock_drop(mem->lock);
	return volume ? GRPC_OK : mem_no_volume(op, id);
}

bool mem_page_start(struct csi_op *op, const struct csi_page *page, uint64_t *ret)
{
	*ret = 0;
	return page->token[0] == '\0' || str_to_u64(page->token, 0, MEM_MAX, ret);
}

enum grpc_code mem_list_volumes(void *ctx, struct csi_op *op, const struct csi_page *page,
				struct csi_volumes *ret)
{
	struct mem *mem = ctx;
	uint64_t i;

	if (!mem_page_start(op, page, &i))
		return csi_fail(op, GRPC_ABORTED, "the token is not one of ours");
	ret->items = arena_zalloc(op->arena, MEM_MAX * sizeof(*ret->items));
	if (!ret->items)
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory");
	lock_take(mem->lock);
	for (; i < MEM_MAX; i++) {
		if (!mem->volumes[i].used)
			continue;
		if (page->max && ret->n == page->max) {
			ret->next_token = arena_printf(op->arena, "%llu", (unsigned long long)i);
			break;
		}
		show(op, mem, &mem->volumes[i], &ret->items[ret->n++]);
	}
	lock_drop(mem->lock);
	return GRPC_OK;
}

enum grpc_code mem_publish(void *ctx, struct csi_op *op, const struct csi_publish *req,
			   struct csi_map *ret_context)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;
	enum grpc_code code = GRPC_OK;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, req->volume_id);
	if (!volume)
		code = mem_no_volume(op, req->volume_id);
	else if (strcmp(req->node_id, mem->node_id) != 0)
		code = csi_fail(op, GRPC_NOT_FOUND, "there is no node %s", req->node_id);
	else if (volume->node[0] && strcmp(volume->node, req->node_id) != 0)
		code = csi_fail(op, GRPC_FAILED_PRECONDITION, "attached to node %s", volume->node);
	else if (volume->node[0] && volume->readonly != req->readonly)
		code = csi_fail(op, GRPC_ALREADY_EXISTS, "attached %s",
				volume->readonly ? "read-only" : "for writing");
	else
		(void)str_copy(volume->node, sizeof(volume->node), req->node_id);
	if (code == GRPC_OK)
		volume->readonly = req->readonly;
	lock_drop(mem->lock);
	return code;
}

enum grpc_code mem_unpublish(void *ctx, struct csi_op *op, const char *volume_id,
			     const char *node_id)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, volume_id);
	if (volume && (!node_id[0] || strcmp(volume->node, node_id) == 0))
		volume->node[0] = '\0';
	lock_drop(mem->lock);
	return GRPC_OK;
}

enum grpc_code mem_get_capacity(void *ctx, struct csi_op *op,
				const struct csi_capabilities *capabilities,
				const struct csi_map *parameters, const struct csi_map *segments,
				struct csi_capacity *ret)
{
	*ret = (struct csi_capacity){MEM_CAPACITY, MEM_CAPACITY, 1 << 20};
	return GRPC_OK;
}

enum grpc_code mem_expand_volume(void *ctx, struct csi_op *op, const char *id,
				 struct csi_range range, uint64_t *ret_capacity, bool *ret_node)
{
	struct mem *mem = ctx;
	struct mem_volume *volume;
	enum grpc_code code = GRPC_OK;

	lock_take(mem->lock);
	volume = mem_volume_find(mem, id);
	if (!volume)
		code = mem_no_volume(op, id);
	else if (range.required > MEM_CAPACITY || (range.limit && range.limit < volume->capacity))
		code = csi_fail(op, GRPC_OUT_OF_RANGE, "the size is not possible");
	else if (!set_size(mem, id, MAX(volume->capacity, range.required)))
		code = csi_fail(op, GRPC_INTERNAL, "cannot grow the file");
	else
		volume->capacity = MAX(volume->capacity, range.required);
	if (code == GRPC_OK) {
		*ret_capacity = volume->capacity;
		*ret_node = true;
	}
	lock_drop(mem->lock);
	return code;
}

enum grpc_code mem_modify_volume(void *ctx, struct csi_op *op, const char *id,
				 const struct csi_map *parameters)
{
	struct csi_volume volume;
	enum grpc_code code = mem_get_volume(ctx, op, id, &volume);

	return code == GRPC_OK ? check_parameters(op, parameters) : code;
}
