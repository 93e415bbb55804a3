/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's heartbeat.
 *
 *   ALIVE -its Lease has not changed for as long as it promises, and the API itself says so-> LOST
 *   LOST -its Lease changes-> ALIVE; that it is ready again its agent says
 *
 * Lost means: condition Ready is Unknown, and so is the health of its pools (pool.c). Nothing else: nothing is destroyed by silence.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/meta.h"
#include "kube/text.h"

#define LEASE_GET_MS 4000

bool node_is_lost(struct control *c, const char *name)
{
	const struct heartbeat *beat = strmap_get(&c->heartbeats.by_node, name);

	return beat && beat->lost;
}

/* Its pools, with references of their own: writing changes the map. New reference. */
static json_t *pools_of(struct control *c, const char *node)
{
	struct strmap_iter it = {0};
	json_t *pools = json_array();

	while (strmap_next(&c->objects.by_name[OBJECT_POOL], &it))
		if (!strcmp(kube_str(it.value, "spec.nodeName"), node))
			(void)json_array_append(pools, it.value);
	return pools;
}

static bool silence_pools(struct control *c, const char *node)
{
	_cleanup_json_ json_t *pools = pools_of(c, node);
	bool good = true;

	for (size_t i = 0; i < json_array_size(pools); i++) {
		enum write_result result = pool_silence(c, json_array_get(pools, i));

		good &= result == WRITE_DONE || result == WRITE_GONE;
	}
	return good;
}

/* A watch may be late, and so may we be: the API is asked before anybody is called lost. 0: it has not changed; 1: it has; negative. */
static int lease_changed(struct control *c, struct heartbeat *beat, const char *name)
{
	struct kube_ref ref = {.res = object_resource(OBJECT_LEASE),
			       .ns = KUBE_NS_NODES,
			       .name = name,
			       .timeout_ms = LEASE_GET_MS};
	_cleanup_json_ json_t *lease = NULL;
	int rc = kube_get(c->config.client, &ref, &lease, NULL);

	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	return heartbeat_see(beat, lease, control_now_ms(c));
}

static enum verdict mark_lost(struct control *c, const json_t *obj, const struct heartbeat *beat)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	enum write_result result;
	char why[256];

	if (beat->version[0])
		(void)snprintf(why, sizeof(why),
			       "its Lease was not renewed for %" PRIu32
			       " s: is litepool-agent running there, and does it reach the API?",
			       beat->holds_ms / 1000);
	else
		(void)snprintf(why, sizeof(why),
			       "it has no Lease %s in %s: is litepool-agent running there?",
			       kube_name(obj), KUBE_NS_NODES);
	if (!edit_condition(c, copy, "Ready", "Unknown", "NodeLost", why))
		return VERDICT_DONE;
	result = write_status(c, OBJECT_NODE, copy);
	if (result != WRITE_DONE)
		return write_verdict(result);
	events_record(c->events, obj, "Warning", "NodeLost", "%s", why);
	log_warn("controller.node.lost", "node=%s", kube_name(obj));
	return VERDICT_DONE;
}

static enum verdict check_lost(struct control *c, const json_t *obj, struct heartbeat *beat)
{
	const char *name = kube_name(obj);
	enum verdict verdict = VERDICT_DONE;
	int rc = lease_changed(c, beat, name);

	if (rc < 0)
		return VERDICT_RETRY;
	if (rc) {
		control_enqueue_after(c, OBJECT_NODE, name,
				      heartbeat_left_ms(beat, control_now_ms(c)));
		return VERDICT_DONE;
	}
	beat->lost = true;
	/* An agent that says it is ready while its Lease runs out is contradicted once a Lease, not at once. */
	control_enqueue_after(c, OBJECT_NODE, name, beat->holds_ms);
	if (kube_condition_is(obj, "Ready", "True"))
		verdict = mark_lost(c, obj, beat);
	if (!silence_pools(c, name))
		verdict = VERDICT_RETRY;
	if (verdict == VERDICT_DONE)
		beat->accused_ms = control_now_ms(c);
	return verdict;
}

enum verdict reconcile_node(struct control *c, const json_t *obj)
{
	uint64_t now_ms = control_now_ms(c), left_ms;
	struct heartbeat *beat = heartbeat_of(&c->heartbeats, kube_name(obj), now_ms);

	if (!beat)
		return VERDICT_RETRY;
	left_ms = heartbeat_left_ms(beat, now_ms);
	if (left_ms) {
		control_enqueue_after(c, OBJECT_NODE, kube_name(obj), left_ms);
		return VERDICT_DONE;
	}
	/* Whom nobody ever called ready nobody has to call lost. */
	if (!kube_condition_get(obj, "Ready"))
		return VERDICT_DONE;
	/* Its agent contradicts: that is heard, and answered at the next time. */
	if (beat->lost && now_ms < beat->accused_ms + beat->holds_ms &&
	    kube_condition_is(obj, "Ready", "True"))
		return VERDICT_DONE;
	return check_lost(c, obj, beat);
}
