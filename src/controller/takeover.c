/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first thing that a new leader does.
 *
 * 1. All objects are listed from the server itself, not from a copy that lags: what former leaders have promised is then known, but for writes that
 *    are still on their way.
 * 2. Those could only be about objects that had something to decide. Each of them is touched: a write that comes later was decided on a version that is
 *    gone, and is a conflict. One that came before is in the answer to the touch.
 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/client.h"
#include "kube/informer.h"
#include "kube/meta.h"
#include "kube/text.h"

static int list_kind(struct control *c, enum object_kind kind)
{
	struct kube_ref ref = {.res = object_resource(kind)};
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	int rc = kube_list(c->config.client, &ref, NULL, &list, &error);

	if (rc) {
		log_limited(LOG_LEVEL_WARN, "controller.takeover.failed", "kind=%s reason=\"%s\"",
			    ref.res->kind, error.err.text);
		return rc;
	}
	for (size_t i = 0; i < json_array_size(list.items); i++)
		control_learn(c, kind, json_array_get(list.items, i), true);
	return 0;
}

static bool undecided(enum object_kind kind, const json_t *obj)
{
	if (kube_deleting(obj))
		return false;
	if (kind == OBJECT_VOLUME)
		return !kube_str(obj, "status.poolName")[0] ||
		       object_size(obj, "spec.size") > object_size(obj, "status.promised");
	if (kind == OBJECT_RESERVATION)
		return strcmp(kube_str(obj, "status.phase"), "Reserved") != 0 ||
		       object_size(obj, "spec.size") != object_size(obj, "status.reserved");
	return false;
}

/* The names of what is undecided, apart from the objects, which change meanwhile. New reference. */
static json_t *undecided_names(const struct control *c, enum object_kind kind)
{
	json_t *names = json_array();
	struct strmap_iter it = {0};

	while (strmap_next(&c->objects.by_name[kind], &it))
		if (undecided(kind, it.value))
			(void)json_array_append_new(names, json_string(it.key));
	return names;
}

static int touch_undecided(struct control *c, enum object_kind kind)
{
	_cleanup_json_ json_t *names = undecided_names(c, kind);

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		enum write_result result = write_touch(c, kind, name);

		if (result != WRITE_DONE && result != WRITE_GONE)
			return -EAGAIN;
	}
	return 0;
}

/* A node whose Lease is there has it from now on; who renews is seen within its time. */
static void see_leases(struct control *c)
{
	_cleanup_json_ json_t *leases = informer_list(c->watches[OBJECT_LEASE].informer);

	for (size_t i = 0; i < json_array_size(leases); i++)
		control_learn_lease(c, json_array_get(leases, i));
}

int control_take_over(struct control *c)
{
	struct place_inventory *inv = place_inventory_new(c->config.seed);
	int rc = inv ? 0 : -ENOMEM;

	if (rc)
		return rc;
	place_inventory_free(c->inv);
	c->inv = inv;
	objects_clear(&c->objects);
	strmap_fini(&c->unsure);
	strmap_fini(&c->waiting);
	strmap_init(&c->unsure);
	strmap_init(&c->waiting);
	heartbeats_fini(&c->heartbeats);
	see_leases(c);
	for (int kind = 0; kind < OBJECT_KINDS && !rc; kind++)
		rc = list_kind(c, (enum object_kind)kind);
	if (!rc)
		rc = touch_undecided(c, OBJECT_VOLUME);
	if (!rc)
		rc = touch_undecided(c, OBJECT_RESERVATION);
	return rc;
}
