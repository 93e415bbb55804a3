/* SPDX-License-Identifier: Apache-2.0 */
/* The record of what a volume holds (node.h) as status.format of its StorageVolume. */
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/str.h"
#include "csi/nvme_host.h"
#include "csi/plane_priv.h"
#include "csi/tries.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "kube/text.h"

/* The agent writes the same status: conflicts are usual, and each means that it has got through. */
#define TRIES 20

static const char *const states[] = {
	[CSI_FORMAT_NEVER] = "Never", [CSI_FORMAT_BEGUN] = "Begun", [CSI_FORMAT_DONE] = "Done"};

static enum grpc_code read_volume(struct kube_client *client, struct csi_op *op,
				  const char *volume_id, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct plane_id id = {.name = ""};
	struct kube_ref ref = {.res = kube_resource_by_kind("StorageVolume"), .name = id.name};
	_cleanup_json_ json_t *volume = NULL;
	char uid[UUID_TEXT_SIZE];
	struct csi_tries tries = {0};
	int rc;

	if (!plane_id_parse(volume_id, &id))
		return csi_fail(op, GRPC_NOT_FOUND, "there is no volume %s", volume_id);
	do
		rc = kube_get(client, &ref, &volume, &error);
	while (rc < 0 && csi_try_again(&tries, op, &error));
	if (rc < 0)
		return csi_fail(op,
				error.reason == KUBE_NOT_FOUND ? GRPC_NOT_FOUND : GRPC_UNAVAILABLE,
				"cannot read the record of volume %s: %s", id.name, error.err.text);
	if (strcmp(kube_uid(volume), uuid_format(&id.uid, uid)) != 0)
		return csi_fail(op, GRPC_NOT_FOUND, "there is no volume %s any more", volume_id);
	*ret = json_incref(volume);
	return GRPC_OK;
}

enum grpc_code record_lets_in(struct kube_client *client, struct csi_op *op, const char *volume_id,
			      const char *node, bool *ret)
{
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code = read_volume(client, op, volume_id, &volume);

	*ret = plane_lists(volume, "status.attachedNodes", node);
	return code == GRPC_NOT_FOUND ? GRPC_OK
				      : code; /* of a volume that is gone nobody has anything */
}

enum grpc_code record_get(struct kube_client *client, struct csi_op *op, const char *volume_id,
			  struct csi_format *ret)
{
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code = read_volume(client, op, volume_id, &volume);
	const json_t *record = kube_at(volume, "status.format");
	const char *state = kube_str(record, "state");
	struct csi_format format = {.state = CSI_FORMAT_DONE};

	if (code != GRPC_OK)
		return code;
	/* A copy without a record holds something, nobody knows what. */
	if (!record && kube_at(volume, "spec.source"))
		format.clone = true;
	else if (!record)
		format.state = CSI_FORMAT_NEVER;
	for (size_t i = 0; record && i < ARRAY_LEN(states); i++)
		if (strcmp(states[i], state) == 0)
			format.state = (enum csi_format_state)i;
	if (record)
		format.clone = json_is_true(json_object_get(record, "clone"));
	if (!str_copy(format.fs, sizeof(format.fs), kube_str(record, "fs")))
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"the record of volume %s names a file system that this version "
				"does not know: %s",
				kube_name(volume), kube_str(record, "fs"));
	*ret = format;
	return GRPC_OK;
}

static json_t *patch_of(const json_t *volume, const struct csi_format *format)
{
	return json_pack("{s:{s:s}, s:{s:{s:s, s:s, s:b}}}", "metadata", "resourceVersion",
			 kube_str(volume, "metadata.resourceVersion"), "status", "format", "state",
			 states[format->state], "fs", format->fs, "clone", (int)format->clone);
}

enum grpc_code record_set(struct kube_client *client, struct csi_op *op, const char *volume_id,
			  const struct csi_format *format)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct csi_tries tries = {0};

	for (int i = 0; i < TRIES && !csi_cancelled(op); i++) {
		_cleanup_json_ json_t *volume = NULL, *patch = NULL;
		enum grpc_code code = read_volume(client, op, volume_id, &volume);
		struct kube_ref ref = {.res = kube_resource_by_kind("StorageVolume"),
				       .sub = "status"};

		if (code != GRPC_OK)
			return code;
		/* It was decided on what was read before; meanwhile another node may have been let in. */
		if (format->state == CSI_FORMAT_BEGUN &&
		    strcmp(kube_str(volume, "status.format.state"), states[CSI_FORMAT_DONE]) == 0)
			return csi_fail(op, GRPC_ABORTED,
					"volume %s was formatted meanwhile by another node",
					kube_name(volume));
		ref.name = kube_name(volume);
		patch = patch_of(volume, format);
		if (kube_merge(client, &ref, patch, NULL, &error) == 0)
			return GRPC_OK;
		/* An answer that was lost may have been a success: what is there is read again, and written again. */
		if (error.reason != KUBE_CONFLICT && !csi_try_again(&tries, op, &error))
			break;
	}
	return csi_fail(op, GRPC_UNAVAILABLE, "cannot write the record of volume %s: %s", volume_id,
			error.err.text);
}
