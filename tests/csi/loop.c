/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <string.h>

#include "base/str.h"

bool losetup(const char *a, const char *b, const char *c, struct command_result *result)
{
	const char *argv[] = {"losetup", a, b, c, NULL};
	struct err err;

	return command_run(argv, 20000, result, &err) == 0 && result->status == 0;
}

static void make_writable(const char *device)
{
	const char *argv[] = {"blockdev", "--setrw", device, NULL};
	struct command_result result;
	struct err err;

	(void)command_run(argv, 20000, &result, &err);
}

enum grpc_code loop_attach(struct csi_op *op, const char *path, char device[CSI_DEVICE_MAX])
{
	struct command_result result;

	if (!losetup("-f", "--show", path, &result))
		return csi_fail(op, GRPC_INTERNAL, "losetup: %s", result.output);
	result.output[strcspn(result.output, " ")] = '\0';
	(void)str_copy(device, CSI_DEVICE_MAX, result.output);
	make_writable(device);
	return GRPC_OK;
}
