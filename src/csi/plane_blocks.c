/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changed blocks, page by page. Only its node reaches an engine, so a page is asked for by an annotation of the StorageSnapshot and answered by the agent in status.blocks
 * (src/agent/blocks.c). One list of a snapshot at a time: another driver's request for the same snapshot takes the place of ours, which is then told to come again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/process.h"

#define NOTE       "litepool.io/blocks"
#define ANSWER     "status.blocks"
#define PAGE_MAX   2048u /* extents that an agent tells at once */
#define BLOCK_SIZE 4096u

static bool same_origin(const json_t *base, const json_t *target)
{
	return strcmp(kube_str(base, "spec.volumeName"), kube_str(target, "spec.volumeName")) ==
		       0 &&
	       strcmp(plane_note(base, PLANE_NOTE_VOLUME), plane_note(target, PLANE_NOTE_VOLUME)) ==
		       0;
}

static enum grpc_code find_ready(struct csi_plane *plane, struct csi_op *op, const char *id,
				 json_t **ret)
{
	enum grpc_code code = plane_find(plane, op, plane->snapshot, id, ret);

	if (code != GRPC_OK)
		return code;
	if (kube_deleting(*ret))
		return csi_fail(op, GRPC_NOT_FOUND, "snapshot %s is being deleted",
				kube_name(*ret));
	if (!json_is_true(kube_at(*ret, "status.readyToUse")))
		return csi_fail(op, GRPC_UNAVAILABLE, "snapshot %s is not ready: %s",
				kube_name(*ret), plane_trouble(*ret));
	return GRPC_OK;
}

/* The request as the annotation's text; NULL without memory. */
static char *request_text(const char *base_uid, uint64_t offset, uint32_t max)
{
	/* The moment tells it from requests before, which may have failed. */
	_cleanup_json_ json_t *id = json_sprintf("%" PRIx64, process_wall_ns());
	_cleanup_json_ json_t *json =
		json_pack("{s:O, s:s*, s:I, s:I}", "id", id, "base", base_uid, "offset",
			  (json_int_t)offset, "max", (json_int_t)(max < PAGE_MAX ? max : PAGE_MAX));

	return json ? json_text(json) : NULL;
}

/* text NULL: takes the request away, and with it the answer. */
static enum grpc_code write_note(struct csi_plane *plane, struct csi_op *op, const char *name,
				 const char *text)
{
	_cleanup_json_ json_t *patch =
		json_pack("{s:{s:{s:s?}}}", "metadata", "annotations", NOTE, text);

	return patch ? plane_patch(plane, op, plane->snapshot, name, NULL, patch, NULL)
		     : plane_no_memory(op);
}

/* Number, separator (0: none); false: it is something else. */
static bool take_number(const char **text, char separator, uint64_t *ret)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*ret = strtoull(*text, &end, 10);
	if (errno || *ret > INT64_MAX || (separator && *end != separator))
		return false;
	*text = end + (separator != '\0');
	return true;
}

bool plane_blocks_parse(const char *list, uint64_t from, uint64_t size, uint32_t max,
			struct csi_extents *ret)
{
	uint64_t at = from / BLOCK_SIZE * BLOCK_SIZE;

	ret->n = 0;
	while (*list) {
		struct csi_extent e;

		if (ret->n == max || !take_number(&list, '+', &e.offset) ||
		    !take_number(&list, '\0', &e.len) || (*list && *list != ' '))
			return false;
		list += *list == ' ';
		if (!e.len || e.offset < at || e.offset > size || e.len > size - e.offset)
			return false;
		ret->items[ret->n++] = e;
		at = e.offset + e.len;
	}
	return true;
}

static enum grpc_code code_of(const char *reason)
{
	static const struct {
		const char *reason;
		enum grpc_code code;
	} codes[] = {{"NotComparable", GRPC_INVALID_ARGUMENT},
		     {"NotFound", GRPC_NOT_FOUND},
		     {"NotSupported", GRPC_FAILED_PRECONDITION},
		     {"BadRequest", GRPC_INTERNAL}};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].reason, reason) == 0)
			return codes[i].code;
	return GRPC_UNAVAILABLE;
}

static enum grpc_code read_answer(struct csi_op *op, const json_t *snapshot, uint64_t offset,
				  uint32_t max, struct csi_extents *ret)
{
	const json_t *answer = kube_at(snapshot, ANSWER);
	const char *reason = kube_str(answer, "reason");
	uint64_t next = plane_size(answer, "next");

	if (reason[0])
		return csi_fail(op, code_of(reason), "snapshot %s: %s", kube_name(snapshot),
				kube_str(answer, "message"));
	if (!plane_blocks_parse(kube_str(answer, "list"), offset, ret->capacity, max, ret))
		return csi_fail(
			op, GRPC_INTERNAL,
			"snapshot %s: status.blocks.list is no list of blocks within %" PRIu64
			" bytes, from %" PRIu64 " on",
			kube_name(snapshot), ret->capacity, offset);
	ret->next = next;
	ret->end = json_is_true(json_object_get(answer, "end"));
	return GRPC_OK;
}

static enum grpc_code wait_answer(struct csi_plane *plane, struct csi_op *op, const char *id,
				  const char *request, uint64_t offset, uint32_t max,
				  struct csi_extents *ret)
{
	struct plane_id parsed = {.name = ""};
	struct plane_wait wait;

	(void)plane_id_parse(id, &parsed);
	plane_wait_init(plane, op, &wait, parsed.name);
	for (;;) {
		_cleanup_json_ json_t *now = NULL;
		enum grpc_code code;

		plane_wait_look(plane, &wait);
		code = find_ready(plane, op, id, &now);
		if (code != GRPC_OK)
			return code;
		if (strcmp(kube_str(kube_at(now, ANSWER), "request"), request) == 0)
			return read_answer(op, now, offset, max, ret);
		if (strcmp(plane_note(now, NOTE), request) != 0)
			return csi_fail(op, GRPC_ABORTED,
					"another list of the blocks of snapshot %s was asked for "
					"meanwhile; ask again, from %" PRIu64 " on",
					parsed.name, offset);
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(op, GRPC_DEADLINE_EXCEEDED,
					"the agent of the node that has snapshot %s has not listed "
					"its blocks yet: ask again, from %" PRIu64 " on",
					parsed.name, offset);
	}
}

/* That both are there and belong together; the answer's capacity; base_uid: NULL without base, else in the arena. */
static enum grpc_code look(struct csi_plane *plane, struct csi_op *op, const char *base_id,
			   const char *id, const char **base_uid, struct csi_extents *ret)
{
	_cleanup_json_ json_t *base = NULL, *target = NULL;
	enum grpc_code code = find_ready(plane, op, id, &target);

	if (code == GRPC_OK && base_id)
		code = find_ready(plane, op, base_id, &base);
	if (code != GRPC_OK)
		return code;
	if (base && !same_origin(base, target))
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"snapshots %s and %s are not of the same volume", kube_name(base),
				kube_name(target));
	ret->capacity = plane_size(target, "status.size");
	*base_uid = base ? arena_strdup(op->arena, kube_uid(base)) : NULL;
	return base && !*base_uid ? plane_no_memory(op) : GRPC_OK;
}

enum grpc_code plane_extents(void *ctx, struct csi_op *op, const char *base_id, const char *id,
			     uint64_t offset, uint32_t max, struct csi_extents *ret)
{
	struct csi_plane *plane = ctx;
	struct plane_id parsed = {.name = ""};
	_cleanup_free_ char *request = NULL;
	const char *base_uid = NULL;
	enum grpc_code code = look(plane, op, base_id, id, &base_uid, ret);

	if (code == GRPC_OK && offset > ret->capacity)
		code = csi_fail(op, GRPC_OUT_OF_RANGE,
				"the snapshot ends at %" PRIu64 ", before %" PRIu64, ret->capacity,
				offset);
	if (code != GRPC_OK)
		return code;
	request = request_text(base_uid, offset, max);
	if (!request)
		return plane_no_memory(op);
	(void)plane_id_parse(id, &parsed);
	code = write_note(plane, op, parsed.name, request);
	if (code == GRPC_OK)
		code = wait_answer(plane, op, id, request, offset, max, ret);
	/* What stays behind when this fails, or the client goes away, is one page; the next list takes its place. */
	if (code == GRPC_OK && ret->end)
		(void)write_note(plane, op, parsed.name, NULL);
	return code;
}
