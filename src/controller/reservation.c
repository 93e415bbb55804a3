/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reservation's states, read off its object and the wall clock (its end is a point in time that people chose; that is the one use of that clock):
 *
 *   UNPLACED -space set aside and written-> HELD <-> RESIZED: spec.size is another one
 *   UNPLACED, HELD -expirationTime is over-> ENDED, phase Expired; volumes keep what they took of it
 *   ENDED -expirationTime was moved-> UNPLACED
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/control_priv.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

#define LOOK_AGAIN_MS                                                                              \
	3600000 /* wall clocks are set: the end is not waited for longer than that at once */

enum reservation_state {
	RESERVATION_LEAVING,
	RESERVATION_UNSURE,
	RESERVATION_EXPIRES,
	RESERVATION_EXPIRED,
	RESERVATION_UNPLACED,
	RESERVATION_RESIZED,
	RESERVATION_HELD,
};

/* UINT64_MAX: never. */
static uint64_t left_ms(const struct control *c, const json_t *obj)
{
	uint64_t end_ns, now_ns = control_wall_ns(c);

	if (!kube_time_parse(kube_str(obj, "spec.expirationTime"), &end_ns))
		return UINT64_MAX;
	return end_ns > now_ns ? (end_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC : 0;
}

static enum reservation_state state_of(const struct control *c, const json_t *obj)
{
	const char *phase = kube_str(obj, "status.phase");
	char key[CONTROL_KEY_SIZE];

	if (strmap_get(&c->unsure, control_key(OBJECT_RESERVATION, kube_name(obj), key)))
		return RESERVATION_UNSURE;
	if (kube_deleting(obj))
		return RESERVATION_LEAVING;
	if (!left_ms(c, obj))
		return strcmp(phase, "Expired") ? RESERVATION_EXPIRES : RESERVATION_EXPIRED;
	if (strcmp(phase, "Reserved") != 0)
		return RESERVATION_UNPLACED;
	if (object_size(obj, "spec.size") != object_size(obj, "status.reserved"))
		return RESERVATION_RESIZED;
	return RESERVATION_HELD;
}

static uint64_t used_of(const struct control *c, const json_t *obj)
{
	uint64_t held, used = 0;

	(void)place_inventory_reservation(c->inv, kube_name(obj), &held, &used); /* else 0 */
	return used;
}

static enum verdict pending(struct control *c, const json_t *obj, const char *reason,
			    const char *why)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	bool held = !strcmp(kube_str(obj, "status.phase"), "Reserved");
	bool changed = !held && edit_text(copy, "phase", "Pending");
	enum write_result result;

	changed |= edit_text(copy, "reason", why);
	changed |= edit_condition(c, copy, held ? "Resized" : "Scheduled", "False", reason, why);
	if (!changed)
		return VERDICT_WAIT;
	result = write_status(c, OBJECT_RESERVATION, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", held ? "NotResized" : "NotReserved", "%s", why);
	return VERDICT_WAIT;
}

static enum verdict expire(struct control *c, const json_t *obj)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;

	(void)edit_text(copy, "phase", "Expired");
	(void)edit_text(copy, "poolName", "");
	(void)edit_text(copy, "reason",
			"its expirationTime is over; volumes keep what they took of it");
	(void)edit_size(copy, "reserved", 0);
	(void)edit_size(copy, "used", 0);
	(void)edit_condition(c, copy, "Scheduled", "False", "Expired",
			     "its expirationTime is over");
	result = write_status(c, OBJECT_RESERVATION, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Normal", "Expired", "its expirationTime is over");
	return VERDICT_DONE;
}

/* ---- placing ---- */

static enum verdict hold(struct control *c, const json_t *obj, const struct place_request *request,
			 const char *pool)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	char text[KUBE_NAME_MAX + 32];
	enum write_result result;

	(void)snprintf(text, sizeof(text), "on pool %s", pool);
	(void)edit_text(copy, "phase", "Reserved");
	(void)edit_text(copy, "reason", "");
	(void)edit_text(copy, "poolName", pool);
	(void)edit_size(copy, "reserved", request->size);
	(void)edit_size(copy, "used", used_of(c, obj));
	(void)edit_condition(c, copy, "Scheduled", "True", "Placed", text);
	result = write_status(c, OBJECT_RESERVATION, copy);
	if (result == WRITE_DONE) {
		events_record(c->events, obj, "Normal", "Reserved", "%s", text);
		return VERDICT_AGAIN;
	}
	if (result != WRITE_UNKNOWN)
		(void)place_forget_reservation(c->inv, kube_name(obj));
	return write_verdict(result);
}

static enum verdict place(struct control *c, const json_t *obj)
{
	struct place_decision decision = {0};
	char pool[KUBE_NAME_MAX + 1] = "", why[sizeof(decision.summary)];
	struct place_request request;
	struct err err = {0};
	int rc = place_request_reservation(obj, &request, &err);

	if (!rc)
		rc = placement_decide(c->placement, c->inv, &request, &decision, &err);
	if (rc < 0)
		return pending(c, obj, rc == -EAGAIN ? "ExtenderFailed" : "BadRequest", err.text);
	(void)str_copy(why, sizeof(why), decision.summary);
	if (!rc)
		(void)str_copy(pool, sizeof(pool), decision.pool);
	place_decision_fini(&decision);
	if (rc)
		return pending(c, obj, "NoPoolFits", why);
	if (place_assume_reservation(c->inv, &request, pool, &err) < 0)
		return pending(c, obj, "NoSpace", err.text);
	return hold(c, obj, &request, pool);
}

static enum verdict resize(struct control *c, const json_t *obj)
{
	uint64_t size = object_size(obj, "spec.size");
	_cleanup_json_ json_t *copy = NULL;
	enum write_result result;
	struct err err = {0};
	int rc = place_check_resize(c->inv, kube_name(obj), size, &err);

	if (rc < 0)
		return pending(c, obj, rc == -EINVAL ? "InUse" : "NoSpace", err.text);
	copy = json_deep_copy(obj);
	(void)edit_size(copy, "reserved", size);
	(void)edit_text(copy, "reason", "");
	(void)kube_condition_remove(copy, "Resized");
	result = write_status(c, OBJECT_RESERVATION, copy);
	/* Perhaps it is larger now: until that is known it counts as larger. */
	if (result == WRITE_UNKNOWN && size > object_size(obj, "status.reserved"))
		(void)place_inventory_apply_object(c->inv, copy, NULL);
	return write_verdict(result);
}

static enum verdict resolve(struct control *c, const json_t *obj)
{
	enum write_result result = write_touch(c, OBJECT_RESERVATION, kube_name(obj));

	if (result == WRITE_DONE)
		(void)place_forget_reservation(c->inv, kube_name(obj));
	return write_verdict(result);
}

static enum verdict count_used(struct control *c, const json_t *obj)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	uint64_t left = left_ms(c, obj);
	enum write_result result;

	if (left != UINT64_MAX)
		control_enqueue_after(c, OBJECT_RESERVATION, kube_name(obj),
				      MIN(left, LOOK_AGAIN_MS));
	if (!edit_size(copy, "used", used_of(c, obj)))
		return VERDICT_DONE;
	result = write_status(c, OBJECT_RESERVATION, copy);
	return result == WRITE_DONE ? VERDICT_DONE : write_verdict(result);
}

enum verdict reconcile_reservation(struct control *c, const json_t *obj)
{
	switch (state_of(c, obj)) {
	case RESERVATION_LEAVING:
	case RESERVATION_EXPIRED:
		return VERDICT_DONE;
	case RESERVATION_UNSURE:
		return resolve(c, obj);
	case RESERVATION_EXPIRES:
		return expire(c, obj);
	case RESERVATION_UNPLACED:
		return place(c, obj);
	case RESERVATION_RESIZED:
		return resize(c, obj);
	case RESERVATION_HELD:
		return count_used(c, obj);
	}
	return VERDICT_DONE;
}
