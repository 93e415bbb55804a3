/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateVolume and DeleteVolume.
 *
 *   create  READ (parameters, source) -> MAKE the object, or find it and compare -> WAIT until an agent serves it -> note what it inherits
 *
 * A volume for which there is no room is taken away again: the sidecars may ask for it elsewhere under the same name, and after RESOURCE_EXHAUSTED
 * believe that there is none.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "csi/plane_priv.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define SIZE_DEFAULT ((uint64_t)1 << 30)
#define SIZE_MIN     ((uint64_t)1 << 20)
#define SIZE_UNIT    4096u
#define SIZE_MAX_    ((uint64_t)INT64_MAX - SIZE_UNIT)

struct creation {
	struct csi_plane *plane;
	struct csi_op *op;
	const struct csi_create_volume *req;
	char name[PLANE_NAME_SIZE];
	struct plane_class klass;
	json_t *source; /* object, or NULL */
	uint64_t size;
};

static enum grpc_code read_source(struct creation *c)
{
	const struct csi_source *source = &c->req->source;
	bool snapshot = source->kind == CSI_SOURCE_SNAPSHOT;
	enum grpc_code code;

	if (source->kind == CSI_SOURCE_NONE)
		return GRPC_OK;
	code = plane_find(c->plane, c->op, snapshot ? c->plane->snapshot : c->plane->volume,
			  source->id, &c->source);
	if (code == GRPC_OK && kube_deleting(c->source))
		return csi_fail(c->op, GRPC_NOT_FOUND, "the source %s is being deleted",
				source->id);
	return code;
}

/* What is asked for is what is made, in whole blocks. */
static enum grpc_code choose_size(struct creation *c)
{
	const struct csi_range *range = &c->req->range;
	uint64_t least = SIZE_MIN, size = range->required;

	if (c->source)
		least = MAX(plane_size(c->source, "status.size"),
			    plane_size(c->source, "spec.size"));
	if (!size)
		size = c->source       ? least
		       : !range->limit ? SIZE_DEFAULT
				       : MIN(SIZE_DEFAULT, range->limit / SIZE_UNIT * SIZE_UNIT);
	size = MAX(size, least);
	if (size > SIZE_MAX_)
		return csi_fail(c->op, GRPC_OUT_OF_RANGE, "no volume can have %llu bytes",
				(unsigned long long)size);
	size = (size + SIZE_UNIT - 1) / SIZE_UNIT * SIZE_UNIT;
	if (range->limit && size > range->limit)
		return csi_fail(
			c->op, GRPC_OUT_OF_RANGE,
			"the volume needs %llu bytes (whole blocks of %u, at least 1 MiB, and not "
			"less than its source), more than the limit of %llu",
			(unsigned long long)size, SIZE_UNIT, (unsigned long long)range->limit);
	c->size = size;
	return GRPC_OK;
}

/* The node that the first pod is to run on, as far as the request tells. */
static const char *user_node(const struct csi_create_volume *req)
{
	const struct csi_topology *where = req->preferred.n ? &req->preferred : &req->requisite;
	const char *node = where->n ? csi_map_get(&where->items[0], PLANE_TOPOLOGY_NODE) : NULL;

	return node ? node : "";
}

static bool set_text(json_t *object, const char *key, const char *text)
{
	return !text || !text[0] || json_object_set_new(object, key, json_string(text)) == 0;
}

static json_t *notes_of(struct creation *c)
{
	const struct csi_map *p = &c->req->parameters;
	const char *claim = csi_map_get(p, "csi.storage.k8s.io/pvc/name");
	const char *ns = csi_map_get(p, "csi.storage.k8s.io/pvc/namespace");
	json_t *notes = json_pack("{s:s}", PLANE_NOTE_NAME, c->req->name);
	bool ok = notes && set_text(notes, PLANE_NOTE_ACCESS, c->klass.only_node ? "node" : "");

	if (ok && c->source)
		ok = set_text(notes, PLANE_NOTE_SOURCE, c->req->source.id);
	if (ok && claim && ns)
		ok = json_object_set_new(notes, PLANE_NOTE_CLAIM,
					 json_sprintf("%s/%s", ns, claim)) == 0;
	if (ok)
		return notes;
	json_decref(notes);
	return NULL;
}

static bool finish_spec(struct creation *c, json_t *spec)
{
	const char *node = user_node(c->req);
	bool ok = json_object_set_new(spec, "size", json_integer((json_int_t)c->size)) == 0 &&
		  (kube_name_valid(node) ? set_text(spec, "nodeName", node) : true);

	if (ok && c->source)
		ok = json_object_set_new(spec, "source",
					 json_pack("{s:s}",
						   c->req->source.kind == CSI_SOURCE_SNAPSHOT
							   ? "snapshotName"
							   : "volumeName",
						   kube_name(c->source))) == 0;
	return ok;
}

static json_t *object_of(struct creation *c)
{
	json_t *labels = json_object(), *label, *object;
	const char *key;

	json_object_foreach (c->klass.labels, key, label)
		if (json_is_string(label))
			(void)json_object_set(labels, key, label);
	object = json_pack("{s:s, s:s, s:{s:s, s:o, s:o}, s:O}", "apiVersion",
			   KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageVolume", "metadata", "name",
			   c->name, "labels", labels, "annotations", notes_of(c), "spec",
			   c->klass.spec);
	return object;
}

/* Whether two members say the same, for those that a request decides; what a class leaves out is the API's default. */
static bool same_member(const json_t *there, const json_t *wanted, const char *key,
			const char *fallback)
{
	const json_t *a = json_object_get(there, key), *b = json_object_get(wanted, key);

	if (fallback)
		return strcmp(a ? kube_str(there, key) : fallback,
			      b ? kube_str(wanted, key) : fallback) == 0;
	if (!a || !b)
		return json_object_size(a) == 0 && json_object_size(b) == 0;
	return json_equal(a, b) == 1;
}

static enum grpc_code compare(struct creation *c, const json_t *object)
{
	const json_t *there = kube_at(object, "spec"), *wanted = c->klass.spec;
	uint64_t size = plane_size(object, "spec.size");
	const char *what = NULL;

	if (strcmp(plane_note(object, PLANE_NOTE_NAME), c->req->name) != 0)
		what = "was not made by this driver for that name";
	else if (size < c->size || (c->req->range.limit && size > c->req->range.limit))
		what = "has another size";
	else if (!same_member(there, wanted, "source", NULL) ||
		 strcmp(plane_note(object, PLANE_NOTE_SOURCE),
			c->source ? c->req->source.id : "") != 0)
		what = "has another source";
	else if (!same_member(there, wanted, "provisioning", "Thin") ||
		 !same_member(there, wanted, "engine", "native") ||
		 !same_member(there, wanted, "position", "Any") ||
		 !same_member(there, wanted, "antiAffinityGroup", "") ||
		 !same_member(there, wanted, "reservationName", "") ||
		 !same_member(there, wanted, "nodeSelector", NULL) ||
		 !same_member(there, wanted, "poolSelector", NULL))
		what = "was made with other parameters";
	return what ? csi_fail(c->op, GRPC_ALREADY_EXISTS, "storagevolume %s exists and %s",
			       c->name, what)
		    : GRPC_OK;
}

/* The object, if it is there and as it should be; GRPC_NOT_FOUND: it is not there, or not any more. */
static enum grpc_code find(struct creation *c, json_t **ret)
{
	_cleanup_json_ json_t *object = NULL;
	enum grpc_code code = plane_get(c->plane, c->op, c->plane->volume, c->name, &object);

	if (code == GRPC_OK && kube_deleting(object)) {
		code = plane_wait_gone(c->plane, c->op, c->plane->volume, object);
		return code == GRPC_OK ? GRPC_NOT_FOUND : code;
	}
	if (code == GRPC_OK)
		code = compare(c, object);
	if (code == GRPC_OK)
		*ret = json_incref(object);
	return code;
}

static enum grpc_code find_or_make(struct creation *c, json_t **ret)
{
	_cleanup_json_ json_t *object = NULL;
	enum grpc_code code = find(c, ret);

	if (code != GRPC_NOT_FOUND)
		return code;
	object = object_of(c);
	code = plane_make(c->plane, c->op, c->plane->volume, object, ret);
	if (code != GRPC_ALREADY_EXISTS)
		return code;
	/* Another instance of the driver was faster, or the answer to this very request was lost. */
	code = find(c, ret);
	return code == GRPC_NOT_FOUND
		       ? csi_fail(c->op, GRPC_ABORTED, "volume %s was made and deleted meanwhile",
				  c->name)
		       : code;
}

/* Nothing has been made for it: the object goes, unless it was placed meanwhile (GRPC_ABORTED). */
static enum grpc_code give_back(struct creation *c, const json_t *object)
{
	enum grpc_code code = plane_delete(c->plane, c->op, c->plane->volume, object,
					   kube_str(object, "metadata.resourceVersion"));

	return code == GRPC_OK ? plane_wait_gone(c->plane, c->op, c->plane->volume, object) : code;
}

static bool served(const json_t *volume)
{
	return strcmp(kube_str(volume, "status.phase"), "Ready") == 0 &&
	       plane_size(volume, "status.size") >= plane_size(volume, "spec.size");
}

/* The controller has decided, and only other pools would change that. Other reasons pass by themselves: a source that is not ready yet, an extender. */
static bool no_room(const json_t *volume)
{
	const json_t *condition = kube_condition_get(volume, "Scheduled");
	const char *reason = kube_str(condition, "reason");

	return strcmp(kube_str(condition, "status"), "False") == 0 &&
	       !kube_str(volume, "status.poolName")[0] &&
	       (strcmp(reason, "NoPoolFits") == 0 || strcmp(reason, "NoSpace") == 0);
}

/* Waits until an agent serves it; *volume is replaced by what it is then. */
static enum grpc_code wait_served(struct creation *c, json_t **volume)
{
	struct plane_wait wait;
	enum grpc_code code;

	plane_wait_init(c->plane, c->op, &wait, c->name);
	for (;;) {
		_cleanup_json_ json_t *now = NULL;

		plane_wait_look(c->plane, &wait);
		code = plane_get(c->plane, c->op, c->plane->volume, c->name, &now);
		if (code != GRPC_OK)
			return code == GRPC_NOT_FOUND
				       ? csi_fail(c->op, GRPC_ABORTED,
						  "volume %s was deleted meanwhile", c->name)
				       : code;
		if (served(now)) {
			json_decref(*volume);
			*volume = TAKE_PTR(now);
			return GRPC_OK;
		}
		if (no_room(now)) {
			code = give_back(c, now);
			if (code == GRPC_OK)
				return csi_fail(c->op, GRPC_RESOURCE_EXHAUSTED,
						"there is no room for the volume: %s",
						plane_trouble(now));
			if (code != GRPC_ABORTED)
				return code;
		}
		if (!plane_wait_next(c->plane, c->op, &wait))
			return csi_fail(c->op, GRPC_DEADLINE_EXCEEDED,
					"volume %s is not ready yet (phase %s): %s", c->name,
					kube_str(now, "status.phase"), plane_trouble(now));
	}
}

/* Nobody says where pods will be: those of a volume that only its own node may use go where it is. */
static bool follow_data(struct creation *c)
{
	if (!c->klass.only_node || c->req->preferred.n || c->req->requisite.n)
		return true;
	return json_object_set_new(c->klass.spec, "position", json_string("Any")) == 0;
}

static enum grpc_code prepare(struct creation *c)
{
	enum grpc_code code = plane_class_read(c->op, &c->req->parameters, false, &c->klass);
	const char *position;

	if (code == GRPC_OK)
		code = plane_class_read(c->op, &c->req->mutable_parameters, true, &c->klass);
	if (code == GRPC_OK)
		code = read_source(c);
	if (code == GRPC_OK)
		code = choose_size(c);
	if (code != GRPC_OK)
		return code;
	if (!follow_data(c))
		return plane_no_memory(c->op);
	position = kube_str(c->klass.spec, "position");
	if (strncmp(position, "Must", 4) == 0 && !user_node(c->req)[0])
		return csi_fail(c->op, GRPC_INVALID_ARGUMENT,
				"position %s is relative to the pod's node, which the request does "
				"not tell: use volumeBindingMode WaitForFirstConsumer",
				position);
	return finish_spec(c, c->klass.spec) ? GRPC_OK : plane_no_memory(c->op);
}

static enum grpc_code create(struct creation *c, struct csi_volume *ret)
{
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code = prepare(c);

	if (code == GRPC_OK)
		code = find_or_make(c, &volume);
	if (code == GRPC_OK)
		code = wait_served(c, &volume);
	if (code == GRPC_OK && c->source)
		code = plane_format_inherit(c->plane, c->op, volume, c->source);
	return code == GRPC_OK ? plane_show_volume(c->op, volume, ret) : code;
}

enum grpc_code plane_create_volume(void *ctx, struct csi_op *op,
				   const struct csi_create_volume *req, struct csi_volume *ret)
{
	struct creation c = {.plane = ctx, .op = op, .req = req};
	enum grpc_code code;

	plane_object_name(req->name, c.name);
	code = create(&c, ret);
	plane_class_fini(&c.klass);
	json_decref(c.source);
	return code;
}

static enum grpc_code check_unused(struct csi_op *op, const json_t *volume)
{
	const json_t *wanted = kube_at(volume, "spec.attachedNodes");
	const json_t *there = kube_at(volume, "status.attachedNodes");
	const json_t *nodes = json_array_size(wanted) ? wanted : there;

	if (!json_array_size(nodes))
		return GRPC_OK;
	return csi_fail(op, GRPC_FAILED_PRECONDITION,
			"volume %s is attached to node %s; it can be deleted when it is detached",
			kube_name(volume), json_string_value(json_array_get(nodes, 0)));
}

enum grpc_code plane_delete_volume(void *ctx, struct csi_op *op, const char *id)
{
	struct csi_plane *plane = ctx;
	_cleanup_json_ json_t *volume = NULL;
	enum grpc_code code = plane_find(plane, op, plane->volume, id, &volume);

	if (code == GRPC_NOT_FOUND)
		return GRPC_OK;
	if (code == GRPC_OK)
		code = check_unused(op, volume);
	if (code == GRPC_OK)
		code = plane_delete(plane, op, plane->volume, volume, NULL);
	return code == GRPC_OK ? plane_wait_gone(plane, op, plane->volume, volume) : code;
}
