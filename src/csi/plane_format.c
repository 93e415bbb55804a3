/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what a volume holds (status.format; see node_format.c), from sources to their copies.
 *
 * A record is read after the cut, so it is never older than the content: a copy may be believed to hold a file system that it does not have yet, which
 * is refused when it is mounted; it is never believed empty while it holds one.
 */
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/meta.h"
#include "kube/text.h"

#define WRITE_TRIES 20

/* The record of a volume or a snapshot, or what is true of one without: a copy of something holds something. Borrowed: NULL, never formatted. */
static json_t *record_of(const json_t *object, bool *ret_unknown)
{
	json_t *record = kube_at(object, "status.format");

	*ret_unknown = !record && kube_at(object, "spec.source");
	return record;
}

/* The record that a copy gets of what it was made of, as a patch of its status. New reference, or NULL. */
static json_t *patch_of(const json_t *to, const json_t *record, bool unknown, bool clone)
{
	_cleanup_json_ json_t *copy = json_deep_copy(record);
	json_t *patch = plane_patch_of(to);

	if (!copy)
		copy = json_pack("{s:s}", "state", unknown ? "Done" : "Never");
	if (clone)
		(void)json_object_set_new(copy, "clone", json_true());
	(void)json_object_set_new(patch, "status", json_pack("{s:O}", "format", copy));
	return patch;
}

/*
 * Writes it unless there is one: whoever has formatted the copy meanwhile has the last word, so each patch carries the version that had none. The agent writes the same status: a
 * conflict is usual, and means that it has got through.
 */
static enum grpc_code write_record(struct csi_plane *plane, struct csi_op *op,
				   const struct kube_resource *res, const json_t *to,
				   const json_t *record, bool unknown, bool clone)
{
	enum grpc_code code =
		csi_fail(op, GRPC_ABORTED, "nobody waits for the record of %s", kube_name(to));

	for (unsigned i = 0; i < WRITE_TRIES && !csi_cancelled(op); i++) {
		_cleanup_json_ json_t *now = NULL, *patch = NULL;

		code = plane_get(plane, op, res, kube_name(to), &now);
		if (code != GRPC_OK || kube_at(now, "status.format") ||
		    strcmp(kube_uid(now), kube_uid(to)) != 0)
			return code;
		patch = patch_of(now, record, unknown, clone);
		code = plane_patch(plane, op, res, kube_name(now), "status", patch, NULL);
		if (code != GRPC_ABORTED)
			return code;
	}
	return code;
}

enum grpc_code plane_format_inherit(struct csi_plane *plane, struct csi_op *op,
				    const json_t *volume, const json_t *source)
{
	bool snapshot = strcmp(kube_str(source, "kind"), "StorageSnapshot") == 0, unknown;
	_cleanup_json_ json_t *now = NULL;
	const json_t *record;
	enum grpc_code code;

	if (kube_at(volume, "status.format"))
		return GRPC_OK;
	code = plane_get(plane, op, snapshot ? plane->snapshot : plane->volume, kube_name(source),
			 &now);
	if (code == GRPC_NOT_FOUND) /* its content is in the copy all the same */
		now = json_incref((json_t *)(uintptr_t)source);
	else if (code != GRPC_OK)
		return code;
	record = record_of(now, &unknown);
	/* A snapshot that others made has no record: what its volume's is nobody knows for the time of the cut. */
	return write_record(plane, op, plane->volume, volume, record,
			    unknown || (snapshot && !record), true);
}

enum grpc_code plane_format_snapshot(struct csi_plane *plane, struct csi_op *op,
				     const json_t *snapshot, const json_t *volume)
{
	const json_t *record;
	bool unknown;

	if (kube_at(snapshot, "status.format"))
		return GRPC_OK;
	record = record_of(volume, &unknown);
	return write_record(plane, op, plane->snapshot, snapshot, record, unknown, false);
}
