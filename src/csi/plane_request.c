/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the API server, made again while it cannot answer them (tries.h), and what a call says when one has failed for good. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "csi/tries.h"
#include "kube/meta.h"

enum grpc_code plane_no_memory(struct csi_op *op)
{
	return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory for this call; try again");
}

/*
 * What leaves open whether something was made must not be a final answer: sidecars forget the volume after one. So all that is not the
 * request's own fault is UNAVAILABLE or ABORTED, and is tried again.
 */
static enum grpc_code failed(struct csi_op *op, const struct kube_error *error, const char *doing)
{
	enum grpc_code code = GRPC_UNAVAILABLE;
	const char *remedy = "";

	switch (error->reason) {
	case KUBE_NOT_FOUND:
		code = GRPC_NOT_FOUND;
		break;
	case KUBE_ALREADY_EXISTS:
		code = GRPC_ALREADY_EXISTS;
		break;
	case KUBE_CONFLICT:
		code = GRPC_ABORTED;
		break;
	case KUBE_INVALID:
		code = GRPC_INVALID_ARGUMENT;
		break;
	case KUBE_UNAUTHORIZED:
	case KUBE_FORBIDDEN:
		remedy = "; check the driver's service account and its roles";
		break;
	case KUBE_OK:
	case KUBE_BAD_REQUEST:
	case KUBE_METHOD_NOT_ALLOWED:
	case KUBE_NOT_ACCEPTABLE:
	case KUBE_EXPIRED:
	case KUBE_TOO_LARGE:
	case KUBE_UNSUPPORTED_MEDIA:
	case KUBE_TOO_MANY:
	case KUBE_INTERNAL:
	case KUBE_UNAVAILABLE:
	case KUBE_TIMEOUT:
	case KUBE_STORAGE_FULL:
	case KUBE_REASON_COUNT:
	default:
		break;
	}
	return csi_fail(op, code, "cannot %s: %s%s", doing, error->err.text, remedy);
}

static enum grpc_code failed_at(struct csi_op *op, const struct kube_error *error, const char *verb,
				const struct kube_resource *res, const char *name)
{
	char doing[320];

	(void)snprintf(doing, sizeof(doing), "%s %s %s", verb, res->singular, name);
	return failed(op, error, doing);
}

enum grpc_code plane_get(struct csi_plane *plane, struct csi_op *op,
			 const struct kube_resource *res, const char *name, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct kube_ref ref = {.res = res, .name = name};
	struct csi_tries tries = {.longest_ms = plane->wait_ms};

	do {
		if (kube_get(plane->client, &ref, ret, &error) == 0)
			return GRPC_OK;
	} while (csi_try_again(&tries, op, &error));
	return failed_at(op, &error, "read", res, name);
}

enum grpc_code plane_make(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const json_t *object, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct kube_ref ref = {.res = res};
	struct csi_tries tries = {.longest_ms = plane->wait_ms};

	if (!object)
		return plane_no_memory(op);
	do {
		if (kube_create(plane->client, &ref, object, ret, &error) == 0)
			return GRPC_OK;
	} while (csi_try_again(&tries, op, &error));
	return failed_at(op, &error, "make", res, kube_name(object));
}

enum grpc_code plane_find(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const char *id, json_t **ret)
{
	_cleanup_json_ json_t *object = NULL;
	struct plane_id parsed;
	char uid[UUID_TEXT_SIZE];
	enum grpc_code code = GRPC_NOT_FOUND;

	if (plane_id_parse(id, &parsed))
		code = plane_get(plane, op, res, parsed.name, &object);
	if (code == GRPC_OK && strcmp(kube_uid(object), uuid_format(&parsed.uid, uid)) != 0)
		code = GRPC_NOT_FOUND;
	if (code == GRPC_NOT_FOUND)
		return csi_fail(op, code, "there is no %s with the id %s", res->singular, id);
	if (code == GRPC_OK)
		*ret = json_incref(object);
	return code;
}

enum grpc_code plane_patch(struct csi_plane *plane, struct csi_op *op,
			   const struct kube_resource *res, const char *name, const char *sub,
			   const json_t *patch, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct kube_ref ref = {.res = res, .name = name, .sub = sub};
	struct csi_tries tries = {.longest_ms = plane->wait_ms};

	if (!patch)
		return plane_no_memory(op);
	do {
		if (kube_merge(plane->client, &ref, patch, ret, &error) == 0)
			return GRPC_OK;
	} while (csi_try_again(&tries, op, &error));
	return failed_at(op, &error, "change", res, name);
}

enum grpc_code plane_delete(struct csi_plane *plane, struct csi_op *op,
			    const struct kube_resource *res, const json_t *object,
			    const char *version)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct kube_ref ref = {.res = res, .name = kube_name(object)};
	struct kube_delete_options options = {.uid = kube_uid(object), .version = version};
	struct csi_tries tries = {.longest_ms = plane->wait_ms};

	do {
		if (kube_delete(plane->client, &ref, &options, NULL, &error) == 0 ||
		    error.reason == KUBE_NOT_FOUND)
			return GRPC_OK;
	} while (csi_try_again(&tries, op, &error));
	return failed_at(op, &error, "delete", res, ref.name);
}

enum grpc_code plane_list(struct csi_plane *plane, struct csi_op *op,
			  const struct kube_resource *res, const char *labels, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	_cleanup_kube_list_ struct kube_list list = {.items = NULL};
	struct kube_ref ref = {.res = res};
	struct kube_list_options options = {.labels = labels};
	struct csi_tries tries = {.longest_ms = plane->wait_ms};

	do {
		if (kube_list(plane->client, &ref, &options, &list, &error) == 0) {
			*ret = json_incref(list.items);
			return GRPC_OK;
		}
	} while (csi_try_again(&tries, op, &error));
	return failed_at(op, &error, "list", res, "objects");
}
