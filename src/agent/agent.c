/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/heartbeat.h"
#include "agent/link.h"
#include "agent/metrics.h"
#include "agent/watch.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client_http.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/fs.h"
#include "rt/lock.h"
#include "rt/process.h"

#define RETRY_MIN_MS  50
#define RETRY_MAX_MS  15000
#define SYNC_WAIT_MS  1000
#define LEASE_CALL_MS 3000

/* ---- keys: kind/name ---- */

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

static bool synced(struct agent *a)
{
	return informer_synced(a->nodes) && informer_synced(a->pools) &&
	       informer_synced(a->volumes) && informer_synced(a->snapshots);
}

/* Each worker runs this once, until the queue is shut. Nothing is decided before all lists are there. */
static int worker_run(void *ctx)
{
	struct agent *a = ctx;
	char key[KUBE_KEY_MAX + 1];
	int rc;

	if (!synced(a)) {
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

/* ---- what comes in ---- */

static void node_changed(void *ctx, const json_t *old, const json_t *obj)
{
	struct agent *a = ctx;
	const char *name = kube_name(obj ? obj : old);

	if (!strcmp(name, a->node))
		agent_enqueue(a, "node", name);
	/* A host that got, lost or changed its name is in the lists of volumes. */
	if (strcmp(kube_str(old, "spec.hostNQN"), kube_str(obj, "spec.hostNQN")) != 0 ||
	    (!strcmp(name, a->node) &&
	     !json_equal(kube_at(old, "spec.addresses"), kube_at(obj, "spec.addresses"))))
		agent_enqueue_after(a, "sweep", "all", 100);
}

static void pool_changed(void *ctx, const json_t *old, const json_t *obj)
{
	agent_enqueue(ctx, "pool", kube_name(obj ? obj : old));
}

static void volume_changed(void *ctx, const json_t *old, const json_t *obj)
{
	agent_enqueue(ctx, "volume", kube_name(obj ? obj : old));
}

static void snapshot_changed(void *ctx, const json_t *old, const json_t *obj)
{
	agent_enqueue(ctx, "snapshot", kube_name(obj ? obj : old));
}

static void engine_changed(void *ctx, const struct watch_state *state)
{
	struct agent *a = ctx;

	agent_enqueue(a, "node", a->node);
	agent_enqueue(a, "sweep", "all");
}

static void engine_died(void *ctx, const char *how)
{
	struct agent *a = ctx;
	_cleanup_json_ json_t *node = informer_get(a->nodes, "", a->node);

	if (node)
		events_record(
			a->events, node, "Warning", "EngineDied",
			"the engine ended with %s and is started again; its hosts reconnect by "
			"themselves. Its last words are in the journal of litepool-agent",
			how);
}

static int tick(void *ctx)
{
	struct agent *a = ctx;

	agent_enqueue(a, "sweep", "all");
	agent_enqueue(a, "disks", "all");
	agent_enqueue(a, "node", a->node);
	return (int)(a->opts->check_s * 1000);
}

/* ---- start and end ---- */

static int find_api(const struct agent_opts *opts, struct kube_config *ret, struct err *err)
{
	struct err why = {0};

	if (opts->server || opts->kubeconfig || getenv("KUBECONFIG"))
		return kube_config_find(opts->server, opts->kubeconfig, ret, err);
	if (getenv("LITEPOOL_SERVER"))
		return kube_config_server(getenv("LITEPOOL_SERVER"), ret, err);
	if (kube_config_find(NULL, NULL, ret, &why) == 0)
		return 0;
	return kube_config_server(AGENT_API_SOCKET, ret, err);
}

static int start_clients(struct agent *a, struct err *err)
{
	_cleanup_kube_config_ struct kube_config config = {0};
	struct kube_http_options options = {.user_agent = "litepool-agent"};
	struct kube_http_options lease = {.user_agent = "litepool-agent-lease",
					  .timeout_ms = LEASE_CALL_MS};
	int rc = find_api(a->opts, &config, err);

	if (!rc)
		rc = kube_client_http_new(&config, &options, &a->api, err);
	if (!rc)
		rc = kube_client_http_new(&config, &lease, &a->lease_api, err);
	if (!rc)
		rc = events_new(&(struct events_config){.client = a->api,
							.component = "litepool-agent",
							.instance = a->node},
				&a->events, err);
	return rc ? rc : events_start(a->events, err);
}

static int start_informer(struct agent *a, const char *kind, const char *fields,
			  void (*changed)(void *, const json_t *, const json_t *),
			  struct informer **ret, struct err *err)
{
	struct informer_config config = {.client = a->api,
					 .res = kube_resource_by_kind(kind),
					 .fields = fields,
					 .changed = changed,
					 .ctx = a,
					 .delay_max_ms = 5000};

	return informer_new(&config, ret, err);
}

/* All are there before the first begins: what one tells of is looked up in the others. */
static int start_informers(struct agent *a, struct err *err)
{
	int rc = start_informer(a, "StorageNode", NULL, node_changed, &a->nodes, err);

	if (!rc)
		rc = start_informer(a, "StoragePool", a->pool_fields, pool_changed, &a->pools, err);
	if (!rc)
		rc = start_informer(a, "StorageVolume", a->volume_fields, volume_changed,
				    &a->volumes, err);
	if (!rc)
		rc = start_informer(a, "StorageSnapshot", NULL, snapshot_changed, &a->snapshots,
				    err);
	if (!rc)
		rc = informer_start(a->nodes, err);
	if (!rc)
		rc = informer_start(a->pools, err);
	if (!rc)
		rc = informer_start(a->volumes, err);
	return rc ? rc : informer_start(a->snapshots, err);
}

static int start_workers(struct agent *a, struct err *err)
{
	int rc = 0;

	while (!rc && a->n_workers < a->opts->workers) {
		rc = background_new(worker_run, a, &a->worker[a->n_workers], err);
		a->n_workers += rc == 0;
	}
	return rc ? rc : background_new(tick, a, &a->ticker, err);
}

static int start_engine(struct agent *a, struct err *err)
{
	struct watch_config config = {
		.opts = a->opts, .changed = engine_changed, .died = engine_died, .ctx = a};
	int rc = link_new(a->opts->engine_socket, &a->link, err);

	config.link = a->link;
	return rc ? rc : watch_new(&config, &a->watch, err);
}

static int take_state_dir(struct agent *a, struct err *err)
{
	char path[4096];
	int rc = fs_make_dir(a->opts->state_dir, 0700, err);

	if (rc)
		return rc;
	if (snprintf(path, sizeof(path), "%s/lock", a->opts->state_dir) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "--state-dir is too long");
	rc = fs_lock(path, &a->lock_fd, err);
	return rc == -EBUSY
		       ? err_set(err, rc,
				 "another litepool-agent uses the state directory %s; stop it, "
				 "or choose another one with --state-dir",
				 a->opts->state_dir)
		       : rc;
}

/* "node-1.example.org" stays whole; capitals become small, as names of objects are. */
static int set_names(struct agent *a, struct err *err)
{
	char host[256] = "";
	const char *name = a->opts->node;

	if (!name) {
		if (gethostname(host, sizeof(host) - 1) < 0)
			return err_set(err, -errno, "the host has no name; give one by --node");
		for (char *c = host; *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
		name = host;
	}
	if (!kube_name_valid(name) || !str_copy(a->node, sizeof(a->node), name))
		return err_set(err, -EINVAL,
			       "%.128s is no name for a node: small letters, digits, - and . only; "
			       "give one by --node",
			       name);
	(void)snprintf(a->pool_fields, sizeof(a->pool_fields), "spec.nodeName=%s", a->node);
	(void)snprintf(a->volume_fields, sizeof(a->volume_fields), "status.nodeName=%s", a->node);
	return 0;
}

int agent_start(const struct agent_opts *opts, struct agent **ret, struct err *err)
{
	struct agent *a = calloc(1, sizeof(*a));
	struct workqueue_config queue = {.delay_min_ms = RETRY_MIN_MS,
					 .delay_max_ms = RETRY_MAX_MS};
	int rc;

	if (!a)
		return err_set(err, -ENOMEM, "out of memory");
	a->opts = opts;
	a->lock_fd = -1;
	a->host = (struct host_env){.root = opts->root, .cancel_fd = -1};
	for (size_t i = 0; i < AGENT_LVM_LOCKS; i++)
		if (lock_new(&a->lvm_lock[i]) < 0) {
			agent_stop(a);
			return err_set(err, -ENOMEM, "out of memory");
		}
	rc = set_names(a, err);
	if (!rc)
		rc = take_state_dir(a, err);
	if (!rc && workqueue_new(&queue, &a->queue) < 0)
		rc = err_set(err, -ENOMEM, "out of memory");
	if (!rc)
		rc = start_clients(a, err);
	if (!rc)
		rc = heartbeat_new(a->lease_api, a->node, opts->lease_s, &a->heartbeat, err);
	if (!rc)
		rc = start_informers(a, err);
	if (!rc)
		rc = start_engine(a, err);
	if (!rc)
		rc = start_workers(a, err);
	if (!rc)
		rc = metrics_start(a, &a->metrics, err);
	if (rc) {
		agent_stop(a);
		return rc;
	}
	log_info("agent.started", "node=%s engine=%s socket=%s", a->node, opts->engine,
		 opts->engine_socket);
	*ret = a;
	return 0;
}

void agent_stop(struct agent *a)
{
	if (!a)
		return;
	a->stopping = true;
	metrics_stop(a->metrics);
	background_free(a->ticker);
	if (a->queue)
		workqueue_shut(a->queue);
	for (unsigned i = 0; i < a->n_workers; i++)
		background_free(a->worker[i]);
	watch_free(a->watch);
	informer_free(a->snapshots);
	informer_free(a->volumes);
	informer_free(a->pools);
	informer_free(a->nodes);
	heartbeat_free(a->heartbeat);
	events_free(a->events);
	kube_client_free(a->lease_api);
	kube_client_free(a->api);
	link_free(a->link);
	workqueue_free(a->queue);
	sweep_fini(a);
	for (size_t i = 0; i < AGENT_LVM_LOCKS; i++)
		lock_free(a->lvm_lock[i]);
	if (a->lock_fd >= 0)
		(void)close(a->lock_fd);
	free(a);
}
