/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of keys ("kind/name") and who works on them: workers and a ticker on threads, or agent_turn() on its caller's. */
#include "agent/work.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/heartbeat.h"
#include "agent/watch.h"
#include "base/bytes.h"
#include "base/log.h"

#define SYNC_WAIT_MS 1000

static const struct {
	const char *kind;
	int (*reconcile)(struct agent *a, const char *name);
} kinds[] = {
	{"node", node_reconcile},     {"disks", disks_reconcile},       {"pool", pool_reconcile},
	{"volume", volume_reconcile}, {"snapshot", snapshot_reconcile}, {"sweep", sweep_reconcile},
};

void agent_enqueue_after(struct agent *a, const char *kind, const char *name, uint32_t delay_ms)
{
	char key[AGENT_KEY_MAX];
	int rc;

	(void)snprintf(key, sizeof(key), "%s/%s", kind, name);
	rc = delay_ms ? workqueue_add_after(a->queue, key, delay_ms) : workqueue_add(a->queue, key);
	if (rc)
		log_error("agent.queue.full", "key=%s error=%d", key,
			  rc); /* the next check finds it */
}

void agent_enqueue(struct agent *a, const char *kind, const char *name)
{
	agent_enqueue_after(a, kind, name, 0);
}

static int reconcile(struct agent *a, const char *key)
{
	const char *name = strchr(key, '/');

	for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++)
		if (!strncmp(key, kinds[i].kind, (size_t)(name - key)) &&
		    strlen(kinds[i].kind) == (size_t)(name - key))
			return kinds[i].reconcile(a, name + 1);
	return 0;
}

static void work_on(struct agent *a, const char *key)
{
	int rc = reconcile(a, key);

	if (rc < 0) {
		(void)workqueue_retry(a->queue, key);
	} else {
		workqueue_forget(a->queue, key);
		if (rc > 0)
			(void)workqueue_add_after(a->queue, key, (uint32_t)rc);
	}
	workqueue_done(a->queue, key);
}

bool work_synced(struct agent *a)
{
	return informer_synced(a->nodes) && informer_synced(a->pools) &&
	       informer_synced(a->volumes) && informer_synced(a->snapshots);
}

int work_run(void *ctx)
{
	struct agent *a = ctx;
	char key[KUBE_KEY_MAX + 1];
	int rc;

	if (!work_synced(a)) {
		(void)informer_wait(a->nodes, SYNC_WAIT_MS);
		rc = workqueue_get(a->queue, key, 0); /* only to learn whether it is shut */
		if (rc == -ESHUTDOWN)
			return -1;
		if (!rc) {
			(void)workqueue_add_after(a->queue, key, 100);
			workqueue_done(a->queue, key);
		}
		return 100;
	}
	while ((rc = workqueue_get(a->queue, key, -1)) != -ESHUTDOWN)
		if (!rc)
			work_on(a, key);
	return -1;
}

int work_tick(void *ctx)
{
	struct agent *a = ctx;

	agent_enqueue(a, "sweep", "all");
	agent_enqueue(a, "disks", "all");
	agent_enqueue(a, "node", a->node);
	a->ticked_ms = kube_mono_ms(a->env.clock);
	return (int)(a->opts->check_s * 1000);
}

/* ---- without threads ---- */

/* fn if it is due; it says after how many ms again, < 0: when there is news. */
static bool step_due(struct agent *a, uint64_t *due_ms, int (*fn)(void *ctx), void *ctx)
{
	uint64_t now_ms = kube_mono_ms(a->env.clock);
	int after;

	if (now_ms < *due_ms)
		return false;
	after = fn(ctx);
	*due_ms = now_ms + (after > 0 ? (uint64_t)after : 0);
	return after >= 0;
}

static int step_heartbeat(void *ctx)
{
	return heartbeat_step(ctx);
}

static int step_watch(void *ctx)
{
	return watch_step(ctx);
}

static int step_events(void *ctx)
{
	return events_step(ctx);
}

static bool step_informers(struct agent *a)
{
	struct informer *all[] = {a->nodes, a->pools, a->volumes, a->snapshots};
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		any |= informer_step(all[i]) == 0;
	return any;
}

/* What has a thread of its own beside the workers. */
static bool step_parts(struct agent *a)
{
	bool any;

	if (a->due.inside)
		return false;
	a->due.inside = true;
	any = step_due(a, &a->due.heartbeat_ms, step_heartbeat, a->heartbeat);
	any |= step_informers(a);
	any |= step_due(a, &a->due.watch_ms, step_watch, a->watch);
	any |= step_due(a, &a->due.tick_ms, work_tick, a);
	any |= step_due(a, &a->due.events_ms, step_events, a->events);
	a->due.inside = false;
	return any;
}

bool agent_turn(struct agent *a, unsigned keys_max)
{
	char key[KUBE_KEY_MAX + 1];
	bool any = step_parts(a);

	while (work_synced(a) && keys_max-- && !workqueue_get(a->queue, key, 0)) {
		any = true;
		work_on(a, key);
	}
	return any;
}
