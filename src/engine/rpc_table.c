/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of RPC methods, and what they share: parameters in, changes made durable, answers out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

#define RPC_ROW(name_, states_, summary_)                                                          \
	{.name = #name_, .states = (states_), .call = rpc_##name_, .summary = summary_},

const struct rpc_method engine_methods[] = {RPC_METHODS(RPC_ROW){.name = NULL}};

struct change *change_begin(struct engine *e, struct rpc_call *call)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		rpc_fail(call, -ENOMEM, "out of memory; nothing was changed");
		return NULL;
	}
	change->e = e;
	change->call = call;
	change->from_replay = e->in_replay;
	return change;
}

static void change_saved(void *ctx, const struct err *err)
{
	struct change *change = ctx;

	if (err) {
		log_error("engine.config.save_failed", "method=%s reason=\"%s\"",
			  rpc_call_method(change->call), err->text);
		rpc_fail(change->call, err->code,
			 "%s was carried out but could not be saved: %s. The engine works with the "
			 "change, and a restart would lose it; when the cause is gone call "
			 "save_config",
			 rpc_call_method(change->call), err->text);
		json_decref(change->result);
	} else {
		log_info("engine.changed", "method=%s", rpc_call_method(change->call));
		rpc_reply(change->call, change->result);
	}
	free(change);
}

static void change_synced(struct store_sync *sync, const struct err *err)
{
	struct change *change = container_of(sync, struct change, sync);

	if (err) {
		change_saved(change, err);
		return;
	}
	change->wait.done = change_saved;
	change->wait.ctx = change;
	saver_save(&change->e->config, &change->wait);
}

void change_commit(struct change *change, json_t *result)
{
	struct engine *e = change->e;

	change->result = result;
	if (change->from_replay || e->state != ENGINE_RUNNING) {
		/* Replay saves once at its end; after the start of a stop, the last save has everything. */
		rpc_reply(change->call, result);
		free(change);
		return;
	}
	change->sync.done = change_synced;
	store_sync_exports(e, &change->sync);
}

void change_fail(struct change *change, const struct err *err)
{
	ASSERT(err->code < 0);
	rpc_fail_err(change->call, err);
	json_decref(change->result);
	free(change);
}

void change_done(void *ctx, int res)
{
	struct change *change = ctx;
	struct err err;

	if (res == 0) {
		change_commit(change, change->result);
		return;
	}
	(void)err_set(&err, res, "%s: %s", rpc_call_method(change->call), strerror(-res));
	change_fail(change, &err);
}

bool rpc_params(struct rpc_call *call, const json_t *params, const struct json_field *fields,
		size_t n_fields, void *out)
{
	struct err err = {0};

	if (json_decode(params, fields, n_fields, out, &err) == 0)
		return true;
	rpc_fail(call, RPC_ERR_INVALID_PARAMS, "%s: %s", rpc_call_method(call), err.text);
	return false;
}

bool rpc_no_params(struct rpc_call *call, const json_t *params)
{
	if (!params || json_is_null(params) || json_object_size(params) == 0)
		return true;
	rpc_fail(call, RPC_ERR_INVALID_PARAMS, "%s takes no parameters", rpc_call_method(call));
	return false;
}

void rpc_reply_json(struct rpc_call *call, json_t *result)
{
	if (result)
		rpc_reply(call, result);
	else
		rpc_fail(call, -ENOMEM, "out of memory for the answer");
}
