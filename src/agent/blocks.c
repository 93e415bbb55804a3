/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot holds, or where it differs from an earlier one: asked for by the annotation AGENT_NOTE_BLOCKS, answered in status.blocks.
 *
 * 1. An answer names the request that it answers; each request is answered once, also with a failure. Whoever wants it tried again writes another request.
 * 2. It is one page of bounded size. Without a request there is no answer: an API object is no place to keep lists.
 * 3. A snapshot does not change, so an answer is right whenever it is read.
 */
#include "agent/blocks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine.h"
#include "agent/lvm.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rpc/rpc.h"

#define ITEM_SIZE 48 /* "OFFSET+LENGTH " with two numbers of 20 digits */

struct blocks_request {
	const char *id, *base; /* base: UID of a snapshot, or NULL; in json */
	uint64_t offset;
	uint32_t max;
};
#define AT(member) offsetof(struct blocks_request, member)

static const struct json_field request_fields[] = {
	{"id", JSON_KIND_STRING, AT(id), true},
	{"base", JSON_KIND_STRING, AT(base)},
	{"offset", JSON_KIND_U64, AT(offset), true, 0, INT64_MAX},
	{"max", JSON_KIND_U32, AT(max), true, 1, BLOCKS_MAX},
};

static json_t *failed(const char *request, const char *reason, const char *message)
{
	log_warn("agent.snapshot.blocks_failed", "step=%s reason=\"%s\"", reason, message);
	return json_pack("{s:s, s:s, s:s}", "request", request, "reason", reason, "message",
			 message);
}

/* "OFFSET+LENGTH OFFSET+LENGTH": a tenth of what it is as JSON objects. Without a base, what reads as zeros is left out. NULL without memory. */
static char *list_of(const json_t *extents, bool zeros)
{
	size_t n = json_array_size(extents), used = 0, size = n * ITEM_SIZE + 1;
	char *text = calloc(1, size);

	for (size_t i = 0; text && i < n; i++) {
		const json_t *one = json_array_get(extents, i);

		if (!zeros && json_is_true(json_object_get(one, "zero")))
			continue;
		used += (size_t)snprintf(
			text + used, size - used, "%s%" PRIu64 "+%" PRIu64, used ? " " : "",
			(uint64_t)json_integer_value(json_object_get(one, "offset")),
			(uint64_t)json_integer_value(json_object_get(one, "length")));
	}
	return text;
}

static json_t *listed(const char *request, const json_t *page, bool zeros)
{
	char *list = list_of(json_object_get(page, "extents"), zeros);
	json_t *answer = NULL;

	if (list)
		answer = json_pack("{s:s, s:s, s:O, s:O}", "request", request, "list", list, "next",
				   json_object_get(page, "next_offset"), "end",
				   json_object_get(page, "done"));
	free(list);
	return answer ? answer : failed(request, "EngineFailed", "no memory for the list");
}

static const char *reason_of(int rc)
{
	if (rc ==
	    RPC_ERR_INVALID_PARAMS) /* what we ask for is well formed: base is none of its ancestors */
		return "NotComparable";
	return rc == -ENODEV || rc == -ENOENT ? "NotFound" : "EngineFailed";
}

static json_t *ask(struct agent *a, const char *uid, const char *note,
		   const struct blocks_request *r)
{
	_cleanup_json_ json_t *page = NULL;
	struct err err = {0};
	int rc = engine_call(a, "litepool_volume_extents",
			     json_pack("{s:s, s:s*, s:I, s:I}", "name", uid, "base", r->base,
				       "offset", (json_int_t)r->offset, "max", (json_int_t)r->max),
			     &page, &err);

	return rc ? failed(note, reason_of(rc), err.text) : listed(note, page, r->base != NULL);
}

json_t *blocks_answer(struct agent *a, const json_t *snapshot, const json_t *pool)
{
	const char *note = json_string_value(
		json_object_get(kube_at(snapshot, "metadata.annotations"), AGENT_NOTE_BLOCKS));
	json_t *before = kube_at(snapshot, "status.blocks");
	_cleanup_json_ json_t *json = NULL;
	struct blocks_request r = {0};
	struct err err = {0};

	if (!note || strlen(note) > BLOCKS_REQUEST_MAX)
		return NULL;
	if (!strcmp(kube_str(before, "request"), note))
		return json_incref(before);
	json = json_loads(note, 0, NULL);
	if (!json)
		return failed(note, "BadRequest",
			      "the annotation " AGENT_NOTE_BLOCKS " is no JSON");
	if (json_decode(json, request_fields, ARRAY_LEN(request_fields), &r, &err) < 0)
		return failed(note, "BadRequest", err.text);
	if (pool_is_lvm(pool))
		return failed(note, "NotSupported",
			      "a pool of LVM does not tell which blocks have changed");
	return ask(a, kube_uid(snapshot), note, &r);
}
