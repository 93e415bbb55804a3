/* SPDX-License-Identifier: Apache-2.0 */
/* What is attached, for people and programs. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "host/attach.h"
#include "host/hold.h"

#define MODEL "LitePool"

static json_t *path_json(const struct host_ctrl *ctrl)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s*}", "controller", ctrl->name, "traddr",
			 ctrl->traddr, "trsvcid", ctrl->trsvcid, "state", ctrl->state, "ana_state",
			 ctrl->ana_state[0] ? ctrl->ana_state : NULL);
}

json_t *host_device_json(const struct host_device *device)
{
	json_t *paths = json_array(), *states = json_array();

	for (unsigned i = 0; i < device->ctrls.n; i++) {
		const struct host_ctrl *ctrl = &device->ctrls.at[i];

		(void)json_array_append_new(paths, path_json(ctrl));
		(void)json_array_append_new(
			states,
			json_sprintf(strchr(ctrl->traddr, ':') ? "[%s]:%s=%s%s%s" : "%s:%s=%s%s%s",
				     ctrl->traddr, ctrl->trsvcid, ctrl->state,
				     ctrl->ana_state[0] ? "/" : "", ctrl->ana_state));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:o, s:o}", "device", device->path,
			 "nqn", device->nqn, "nguid", device->nguid, "uuid", device->uuid, "nsid",
			 (int)device->nsid, "size", (json_int_t)device->size_bytes, "block_size",
			 (int)device->block_size, "path_states", states, "paths", paths);
}

struct listing {
	const struct host_env *env;
	bool all;
	json_t *rows;
};

static bool list_one(void *ctx, const struct host_device *device)
{
	struct listing *l = ctx;
	char use[256];
	json_t *row;

	if (!l->all && strncmp(device->model, MODEL, strlen(MODEL)) != 0)
		return true;
	row = host_device_json(device);
	if (hold_quick(l->env, device->name, use, sizeof(use)))
		(void)json_object_set_new(row, "use", json_string(use));
	(void)json_array_append_new(l->rows, row);
	return true;
}

json_t *host_list(const struct host_env *env, bool all)
{
	struct listing l = {.env = env, .all = all, .rows = json_array()};

	if (l.rows)
		host_device_each(env, true, list_one, &l);
	return l.rows;
}
