/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of hot upgrade. start answers when the upgrade has begun; its end is told by status, of whichever engine serves then. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/rpc_call.h"

struct start_params {
	const char *binary, *fail_at;
	uint32_t deadline_ms;
	bool dry_run;
};
#define AT(member) offsetof(struct start_params, member)

static const struct json_field start_fields[] = {
	{"binary", JSON_KIND_STRING, AT(binary)},
	{"deadline_ms", JSON_KIND_U32, AT(deadline_ms), false, 0, HANDOVER_DEADLINE_MS_MAX},
	{"dry_run", JSON_KIND_BOOL, AT(dry_run)},
	{"fail_at", JSON_KIND_STRING, AT(fail_at)},
};

void rpc_litepool_upgrade_start(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct start_params p = {.deadline_ms = HANDOVER_DEADLINE_AUTO, .binary = ""};
	struct handover_start start;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, start_fields, &p))
		return;
	if (p.binary[0] && p.binary[0] != '/') {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "binary '%.200s' must be an absolute path: the supervisor may have been "
			 "started from anywhere",
			 p.binary);
		return;
	}
	if (strlen(p.binary) >= sizeof(((struct handover_message *)NULL)->path)) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "the path of the binary has more than 255 bytes");
		return;
	}
	start = (struct handover_start){.binary = p.binary,
					.deadline_ms = p.deadline_ms,
					.dry_run = p.dry_run,
					.fail_at = p.fail_at};
	if (handover_old_start(ctx, &start, &err) < 0)
		rpc_fail_err(call, &err);
	else
		rpc_reply(call, NULL);
}

void rpc_litepool_upgrade_status(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;

	if (rpc_no_params(call, params))
		rpc_reply_json(call, e->upgrade.json ? json_deep_copy(e->upgrade.json)
						     : json_pack("{s:s}", "state", "none"));
}

void rpc_litepool_upgrade_abort(struct rpc_call *call, const json_t *params, void *ctx)
{
	int res;

	if (!rpc_no_params(call, params))
		return;
	res = handover_old_abort(ctx, "it was given up by litepool_upgrade_abort");
	if (res == -ENOENT)
		rpc_fail(call, res, "no upgrade is under way");
	else if (res < 0)
		rpc_fail(call, res, "it is too late: the new engine has been given everything");
	else
		rpc_reply(call, NULL);
}
