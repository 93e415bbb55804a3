/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises: decide, assume, write, learn the answer. Between deciding and learning nothing else is decided (one thread). A write that was refused is
 * forgotten; one without an answer stays assumed until the volume has been touched (volume.c, UNSURE).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "controller/control_priv.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

#define WHY_SIZE 1024

/* Not now: says why, once, and waits. */
static enum verdict pending(struct control *c, const json_t *obj, const char *reason,
			    const char *why)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	bool changed = edit_text(copy, "phase", "Pending");
	enum write_result result;

	changed |= edit_condition(c, copy, "Scheduled", "False", reason, why);
	if (!changed)
		return VERDICT_WAIT;
	c->stats.unplaced++;
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "NotScheduled", "%s", why);
	return VERDICT_WAIT;
}

/* ---- sources ---- */

/* Whether the source can be used, in words when it cannot; NULL when it can. */
static const char *source_problem(const json_t *obj, const json_t *source, const char *kind,
				  const char *name, char *why)
{
	char have[32], want[32];
	uint64_t size = object_size(source, "status.size");

	if (!source) {
		(void)snprintf(why, WHY_SIZE, "its source, %s %s, does not exist", kind, name);
		return "SourceNotFound";
	}
	if (object_lost(source)) {
		(void)snprintf(why, WHY_SIZE, "the data of its source, %s %s, are lost", kind,
			       name);
		return "SourceLost";
	}
	if (kube_deleting(source)) {
		(void)snprintf(why, WHY_SIZE, "its source, %s %s, is being deleted", kind, name);
		return "SourceDeleting";
	}
	if (size > object_size(obj, "spec.size")) {
		(void)snprintf(why, WHY_SIZE,
			       "its source, %s %s, has %s: make spec.size at least that, not %s",
			       kind, name, str_size(size, have, sizeof(have)),
			       str_size(object_size(obj, "spec.size"), want, sizeof(want)));
		return "SourceLarger";
	}
	return NULL;
}

/* NULL: there is none, or it is fine; *ret_pool is that of a snapshot. */
static const char *check_source(const struct control *c, const json_t *obj, const char **ret_pool,
				char *why)
{
	const char *snapshot = kube_str(obj, "spec.source.snapshotName");
	const char *volume = kube_str(obj, "spec.source.volumeName"), *problem;
	const json_t *source;

	*ret_pool = NULL;
	if (volume[0]) {
		source = objects_get(&c->objects, OBJECT_VOLUME, volume);
		return source_problem(obj, source, "volume", volume, why);
	}
	if (!snapshot[0])
		return NULL;
	source = objects_get(&c->objects, OBJECT_SNAPSHOT, snapshot);
	problem = source_problem(obj, source, "snapshot", snapshot, why);
	if (problem)
		return problem;
	if (!json_is_true(kube_at(source, "status.readyToUse"))) {
		(void)snprintf(why, WHY_SIZE, "its source, snapshot %s, is not ready yet",
			       snapshot);
		return "SourceNotReady";
	}
	*ret_pool = kube_str(source, "status.poolName");
	return NULL;
}

/* ---- placing ---- */

/* The promise in the API. obj is as it was when the decision was made: another version is a conflict. */
static enum verdict promise(struct control *c, const json_t *obj,
			    const struct place_request *request, const char *pool, const char *node)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;
	char text[2 * KUBE_NAME_MAX + 64];

	(void)snprintf(text, sizeof(text), "placed on pool %s of node %s", pool, node);
	(void)edit_text(copy, "phase", "Bound");
	(void)edit_text(copy, "poolName", pool);
	(void)edit_text(copy, "nodeName", node);
	(void)edit_size(copy, "promised", request->size);
	(void)edit_condition(c, copy, "Scheduled", "True", "Placed", text);
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result == WRITE_DONE) {
		c->stats.placed++;
		events_record(c->events, obj, "Normal", "Scheduled", "%s", text);
		return VERDICT_AGAIN;
	}
	if (result != WRITE_UNKNOWN)
		(void)place_forget_volume(c->inv, kube_name(obj));
	return write_verdict(result);
}

static enum verdict decided(struct control *c, const json_t *obj,
			    const struct place_request *request,
			    const struct place_decision *decision)
{
	char pool[KUBE_NAME_MAX + 1], node[KUBE_NAME_MAX + 1];
	struct err err = {0};

	/* The names are the inventory's, which changes now. */
	if (!str_copy(pool, sizeof(pool), decision->pool) ||
	    !str_copy(node, sizeof(node), decision->node))
		return pending(c, obj, "BadName", "the name of its pool or node is too long");
	if (place_assume_volume(c->inv, request, pool, &err) < 0)
		return pending(c, obj, "NoSpace", err.text);
	return promise(c, obj, request, pool, node);
}

static enum verdict refused(struct control *c, const json_t *obj,
			    const struct place_request *request,
			    const struct place_decision *decision)
{
	char why[WHY_SIZE];

	(void)snprintf(why, sizeof(why), "%s%s%s%s", decision->summary,
		       request->only_pool[0] ? "; it has to be on pool " : "", request->only_pool,
		       request->only_pool[0]
			       ? ", where its source is: copying between pools is not built"
			       : "");
	return pending(c, obj, "NoPoolFits", why);
}

enum verdict volume_place(struct control *c, const json_t *obj)
{
	struct place_decision decision = {0};
	struct place_request request;
	const char *snapshot_pool, *problem;
	struct err err = {0};
	char why[WHY_SIZE];
	enum verdict verdict;
	int rc;

	problem = check_source(c, obj, &snapshot_pool, why);
	if (problem)
		return pending(c, obj, problem, why);
	rc = place_request_volume(c->inv, obj, snapshot_pool, &request, &err);
	if (rc)
		return pending(c, obj, rc == -ENOENT ? "SourceNotPlaced" : "BadRequest", err.text);
	rc = placement_decide(c->placement, c->inv, &request, &decision, &err);
	if (rc < 0)
		return pending(c, obj, rc == -EAGAIN ? "ExtenderFailed" : "BadRequest", err.text);
	verdict = rc ? refused(c, obj, &request, &decision) : decided(c, obj, &request, &decision);
	place_decision_fini(&decision);
	return verdict;
}

/* ---- growing ---- */

static enum verdict not_grown(struct control *c, const json_t *obj, const char *why)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	const json_t *told = kube_condition_get(obj, "Expanded");
	enum write_result result;

	/* The same words about an earlier wish are no answer to this one, for which the CSI driver waits. Status does not move the generation: it is one write a wish. */
	if (!json_equal(json_object_get(told, "observedGeneration"),
			kube_at(obj, "metadata.generation")))
		(void)kube_condition_remove(copy, "Expanded");
	if (!edit_condition(c, copy, "Expanded", "False", "NoSpace", why))
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "NotExpanded", "%s", why);
	return VERDICT_WAIT;
}

/* Sizes are absolute: twice to the same size is once, and of two wishes the larger is what is left. */
enum verdict volume_grow(struct control *c, const json_t *obj)
{
	uint64_t size = object_size(obj, "spec.size"), had = object_size(obj, "status.promised");
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;
	struct err err = {0};
	char text[64], bytes[32];
	int rc = place_assume_grow(c->inv, kube_name(obj), size, &err);

	/* -EINVAL: it is larger already than is asked for. */
	if (rc < 0 && rc != -EINVAL)
		return not_grown(c, obj, err.text);
	(void)snprintf(text, sizeof(text), "it may grow to %s",
		       str_size(size, bytes, sizeof(bytes)));
	(void)edit_size(copy, "promised", size);
	if (had)
		(void)edit_condition(c, copy, "Expanded", "True", "Granted", text);
	result = write_status(c, OBJECT_VOLUME, copy);
	if (result == WRITE_DONE && had)
		events_record(c->events, obj, "Normal", "Expanded", "%s", text);
	if (result != WRITE_DONE && result != WRITE_UNKNOWN)
		(void)place_forget_volume(c->inv, kube_name(obj));
	return write_verdict(result);
}
