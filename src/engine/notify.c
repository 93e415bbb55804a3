/* SPDX-License-Identifier: Apache-2.0 */
/* Events, and the RPC methods that give them out. */
#include "engine/notify.h"

#include <string.h>

#include "base/check.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

const char *const notify_types[] = {
	"bdev_register",    "bdev_unregister",  "pool_open",   "pool_closed", "pool_destroyed",
	"pool_space_above", "pool_space_below", "pool_failed", NULL,
};

static const char *type_of(const char *name)
{
	for (unsigned i = 0; notify_types[i]; i++)
		if (strcmp(notify_types[i], name) == 0)
			return notify_types[i];
	return NULL;
}

void notify_add(struct notify *n, const char *type, const char *ctx)
{
	struct notify_event *event = &n->event[n->next % NOTIFY_KEEP];

	event->type = type_of(type);
	ASSERT(event->type);
	(void)snprintf(event->ctx, sizeof(event->ctx), "%s", ctx);
	n->next++;
}

void rpc_notify_get_types(struct rpc_call *call, const json_t *params, void *ctx)
{
	json_t *types;

	if (!rpc_no_params(call, params))
		return;
	types = json_array();
	for (unsigned i = 0; notify_types[i]; i++)
		(void)json_array_append_new(types, json_string(notify_types[i]));
	rpc_reply_json(call, types);
}

struct notify_params {
	uint64_t id, max;
};
static const struct json_field notify_fields[] = {
	{"id", JSON_KIND_U64, offsetof(struct notify_params, id)},
	{"max", JSON_KIND_U64, offsetof(struct notify_params, max)},
};

void rpc_notify_get_notifications(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	const struct notify *n = &e->notify;
	struct notify_params p = {.max = UINT64_MAX};
	uint64_t id = n->next > NOTIFY_KEEP ? n->next - NOTIFY_KEEP : 0;
	json_t *events;

	if (!RPC_PARAMS(call, params, notify_fields, &p))
		return;
	events = json_array();
	for (id = p.id > id ? p.id : id; id < n->next && json_array_size(events) < p.max; id++) {
		const struct notify_event *event = &n->event[id % NOTIFY_KEEP];

		(void)json_array_append_new(events,
					    json_pack("{s:s, s:s, s:I}", "type", event->type, "ctx",
						      event->ctx, "id", (json_int_t)id));
	}
	rpc_reply_json(call, events);
}
