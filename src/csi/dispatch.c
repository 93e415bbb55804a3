/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is the same for all methods, in this order: the form of the request, whether there is somebody to answer it, one operation at a time for an
 * object, the handler.
 */
#include "csi/dispatch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "csi/check.h"
#include "rt/lock.h"

struct csi_holds {
	struct lock *lock; /* protects names */
	struct list names; /* hold.link; as many as there are calls at once */
};

struct hold {
	struct list link;
	const char *kind;
	char name[];
};

int csi_holds_new(struct csi_holds **ret)
{
	struct csi_holds *holds = calloc(1, sizeof(*holds));

	if (!holds || lock_new(&holds->lock) < 0) {
		free(holds);
		return -ENOMEM;
	}
	list_init(&holds->names);
	*ret = holds;
	return 0;
}

void csi_holds_free(struct csi_holds *holds)
{
	if (!holds)
		return;
	lock_free(holds->lock);
	free(holds);
}

static struct hold *hold_find(const struct csi_holds *holds, const char *kind, const char *name)
{
	list_for_each (it, &holds->names) {
		struct hold *hold = list_entry(it, struct hold, link);

		if (strcmp(hold->kind, kind) == 0 && strcmp(hold->name, name) == 0)
			return hold;
	}
	return NULL;
}

bool csi_hold(struct csi_holds *holds, const char *kind, const char *name)
{
	struct hold *hold = calloc(1, sizeof(*hold) + strlen(name) + 1);
	bool free_to_go;

	if (!hold)
		return false;
	hold->kind = kind;
	memcpy(hold->name, name, strlen(name) + 1);
	lock_take(holds->lock);
	free_to_go = !hold_find(holds, kind, name);
	if (free_to_go)
		list_push_back(&holds->names, &hold->link);
	lock_drop(holds->lock);
	if (!free_to_go)
		free(hold);
	return free_to_go;
}

void csi_release(struct csi_holds *holds, const char *kind, const char *name)
{
	struct hold *hold;

	lock_take(holds->lock);
	hold = hold_find(holds, kind, name);
	if (hold)
		list_remove(&hold->link);
	lock_drop(holds->lock);
	free(hold);
}

enum grpc_code csi_fail(struct csi_op *op, enum grpc_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(op->why, sizeof(op->why), fmt, args);
	va_end(args);
	return code;
}

bool csi_cancelled(const struct csi_op *op)
{
	return op->call && grpc_cancelled(op->call);
}

int64_t csi_remaining_ms(const struct csi_op *op)
{
	return op->call ? grpc_remaining_ms(op->call) : -1;
}

const char *csi_map_get(const struct csi_map *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key, key) == 0)
			return map->items[i].value;
	return NULL;
}

enum grpc_code csi_reply(struct csi_request *req, const void *message)
{
	int rc = message ? grpc_reply(req->call, message) : -ENOMEM;

	if (rc == -ECANCELED)
		return csi_fail(&req->op, GRPC_CANCELLED, "nobody waits for the answer");
	return rc ? csi_no_memory(req) : GRPC_OK;
}

enum grpc_code csi_no_memory(struct csi_request *req)
{
	return csi_fail(&req->op, GRPC_RESOURCE_EXHAUSTED,
			"the driver has no memory for the answer; try again later");
}

static bool backend_has(const struct csi_backend *backend, size_t at)
{
	void (*fn)(void);

	memcpy(&fn, (const char *)backend + at, sizeof(fn));
	return fn != NULL;
}

static enum grpc_code check_backend(struct csi_request *req, const struct csi_method *method)
{
	if (!method->backend_at)
		return GRPC_OK;
	if (!req->backend)
		return csi_fail(&req->op, GRPC_UNAVAILABLE, "%s",
				req->service->backend_missing ? req->service->backend_missing
							      : "the driver has no control plane");
	if (!backend_has(req->backend, method->backend_at))
		return csi_fail(&req->op, GRPC_UNIMPLEMENTED,
				"the control plane behind this driver has nothing that answers %s",
				method->path);
	return GRPC_OK;
}

static const char *string_field(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	return *(const char *const *)(const void *)((const char *)message + field->offset);
}

static enum grpc_code run_held(struct csi_request *req, const struct csi_method *method)
{
	const char *name = string_field(req->message, method->hold);
	enum grpc_code code;

	if (!csi_hold(req->service->holds, method->kind, name))
		return csi_fail(&req->op, GRPC_ABORTED,
				"another operation for %s %s is under way; try again later",
				method->kind, name);
	code = method->handler(req);
	csi_release(req->service->holds, method->kind, name);
	return code;
}

static enum grpc_code dispatch(struct grpc_call *call, const void *message, void *ctx)
{
	const struct csi_method *method = grpc_method_of(call)->user;
	struct csi_service *service = ctx;
	struct csi_request req = {.service = service,
				  .backend = service->backend,
				  .call = call,
				  .op = {.arena = grpc_arena(call), .call = call},
				  .arena = grpc_arena(call),
				  .message = message};
	struct err err = {0};
	enum grpc_code code;

	if (csi_check(message, method->required, &err) < 0)
		return grpc_fail(call, GRPC_INVALID_ARGUMENT, "%s", err.text);
	code = check_backend(&req, method);
	if (code == GRPC_OK)
		code = method->hold ? run_held(&req, method) : method->handler(&req);
	return code == GRPC_OK ? code : grpc_fail(call, code, "%s", req.op.why);
}

int csi_methods(enum csi_services services, struct grpc_method **ret, size_t *ret_n)
{
	struct grpc_method *table = calloc(csi_n_methods, sizeof(*table));
	size_t n = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < csi_n_methods; i++) {
		const struct csi_method *method = &csi_method_table[i];

		if (method->services && !(method->services & services))
			continue;
		table[n++] = (struct grpc_method){.path = method->path,
						  .request = method->request,
						  .handler = dispatch,
						  .inline_call = method->inline_call,
						  .streaming = method->streaming,
						  .user = method};
	}
	*ret = table;
	*ret_n = n;
	return 0;
}
