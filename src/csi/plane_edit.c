/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that grow, and volumes that change their class. */
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define SIZE_UNIT 4096u
#define SIZE_MAX_ ((uint64_t)INT64_MAX - SIZE_UNIT)

/*
 * Growing. spec.size is a wish until status.promised has as much. When there is no room for it, it is taken back, so that nothing is left of a growth that was refused: the
 * volume does not grow by itself later, to a size that its claim may not have any more, and a smaller or the same size can be asked for.
 */

/* The controller has found no room for the size that is asked for now. */
static bool no_room(const json_t *volume)
{
	const json_t *condition = kube_condition_get(volume, "Expanded");

	return strcmp(kube_str(condition, "status"), "False") == 0 &&
	       json_equal(json_object_get(condition, "observedGeneration"),
			  kube_at(volume, "metadata.generation")) == 1;
}

/* The size to be asked for; 0: it is as large already, or that is asked for. */
static enum grpc_code choose(struct csi_op *op, struct csi_range range, uint64_t now, uint64_t *ret)
{
	uint64_t size;

	if (range.limit && now > range.limit)
		return csi_fail(
			op, GRPC_OUT_OF_RANGE,
			"the volume has %llu bytes, more than the limit of %llu; volumes do "
			"not shrink",
			(unsigned long long)now, (unsigned long long)range.limit);
	if (range.required > SIZE_MAX_)
		return csi_fail(op, GRPC_OUT_OF_RANGE, "no volume can have %llu bytes",
				(unsigned long long)range.required);
	size = (range.required + SIZE_UNIT - 1) / SIZE_UNIT * SIZE_UNIT;
	if (range.limit && size > range.limit)
		return csi_fail(op, GRPC_OUT_OF_RANGE,
				"sizes are whole blocks of %u bytes: %llu is more than the limit",
				SIZE_UNIT, (unsigned long long)size);
	*ret = size > now ? size : 0;
	return GRPC_OK;
}

static enum grpc_code ask(struct csi_plane *plane, struct csi_op *op, const json_t *volume,
			  uint64_t size)
{
	_cleanup_json_ json_t *patch = plane_patch_of(volume);

	if (json_object_set_new(patch, "spec", json_pack("{s:I}", "size", (json_int_t)size)) < 0)
		return plane_no_memory(op);
	return plane_patch(plane, op, plane->volume, kube_name(volume), NULL, patch, NULL);
}

/* Never OK when the wish was this call's own. OUT_OF_RANGE is what makes the claim's size one that can be lowered (external-resizer); it asks again later by itself. */
static enum grpc_code take_back(struct csi_plane *plane, struct csi_op *op, const json_t *volume,
				struct csi_range range, uint64_t wanted)
{
	uint64_t promised = plane_size(volume, "status.promised");
	enum grpc_code code = GRPC_OK;

	/* A volume of a controller that promised nothing yet keeps its wish. */
	if (promised && promised < wanted)
		code = ask(plane, op, volume, promised);
	if (code != GRPC_OK || (promised && wanted - range.required >= SIZE_UNIT))
		return code;
	return csi_fail(op, GRPC_OUT_OF_RANGE, "volume %s cannot grow to %llu bytes now: %s",
			kube_name(volume), (unsigned long long)wanted,
			kube_str(kube_condition_get(volume, "Expanded"), "message"));
}

enum grpc_code plane_expand_volume(void *ctx, struct csi_op *op, const char *id,
				   struct csi_range range, uint64_t *ret_capacity, bool *ret_node)
{
	struct csi_plane *plane = ctx;
	struct plane_id parsed = {.name = ""};
	struct plane_wait wait;

	(void)plane_id_parse(id, &parsed);
	plane_wait_init(plane, op, &wait, parsed.name);
	for (;;) {
		_cleanup_json_ json_t *volume = NULL;
		uint64_t wanted, there, size = 0;
		enum grpc_code code;

		plane_wait_look(plane, &wait);
		code = plane_find(plane, op, plane->volume, id, &volume);
		if (code != GRPC_OK)
			return code;
		wanted = plane_size(volume, "spec.size");
		there = plane_size(volume, "status.size");
		code = choose(op, range, wanted, &size);
		if (code == GRPC_OK && size)
			code = ask(plane, op, volume, size);
		if (code != GRPC_OK && code != GRPC_ABORTED)
			return code;
		/* Someone may have asked for more, and not have got it: that is not this call's concern. */
		if (code == GRPC_OK && !size && there && there >= range.required) {
			*ret_capacity = there;
			*ret_node = true;
			return GRPC_OK;
		}
		if (code == GRPC_OK && !size && no_room(volume)) {
			code = take_back(plane, op, volume, range, wanted);
			if (code != GRPC_OK && code != GRPC_ABORTED)
				return code;
			/* It was another's wish, or has changed meanwhile: this call's own is next. */
		}
		if (!plane_wait_next(plane, op, &wait))
			return csi_fail(op, GRPC_DEADLINE_EXCEEDED,
					"volume %s has not grown to %llu bytes yet: %s",
					kube_name(volume), (unsigned long long)MAX(size, wanted),
					plane_trouble(volume));
	}
}

/* One patch: all of it or nothing. What a class does not name stays. */
enum grpc_code plane_modify_volume(void *ctx, struct csi_op *op, const char *id,
				   const struct csi_map *parameters)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *volume = NULL, *patch = json_object();
	_cleanup_class_ struct plane_class klass = {.spec = NULL};
	enum grpc_code code = plane_find(plane, op, plane->volume, id, &volume);

	if (code == GRPC_OK)
		code = plane_class_read(op, parameters, true, &klass);
	if (code != GRPC_OK)
		return code;
	if (json_object_set(patch, "spec", klass.spec) < 0 ||
	    (klass.labels && json_object_set_new(patch, "metadata",
						 json_pack("{s:O}", "labels", klass.labels)) < 0))
		return plane_no_memory(op);
	return plane_patch(plane, op, plane->volume, kube_name(volume), NULL, patch, NULL);
}
