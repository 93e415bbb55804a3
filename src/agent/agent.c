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
#include "agent/work.h"
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
#define LEASE_CALL_MS 3000

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

/* Over HTTP, unless there are some. */
static int new_clients(struct agent *a, struct err *err)
{
	_cleanup_kube_config_ struct kube_config config = {0};
	struct kube_http_options options = {.user_agent = "litepool-agent"};
	struct kube_http_options lease = {.user_agent = "litepool-agent-lease",
					  .timeout_ms = LEASE_CALL_MS};
	int rc;

	if (a->api)
		return 0;
	rc = find_api(a->opts, &config, err);
	if (!rc)
		rc = kube_client_http_new(&config, &options, &a->api, err);
	return rc ? rc : kube_client_http_new(&config, &lease, &a->lease_api, err);
}

static int new_events(struct agent *a, struct err *err)
{
	struct events_config config = {.client = a->api,
				       .component = "litepool-agent",
				       .instance = a->node,
				       .clock = a->env.clock};

	return events_new(&config, &a->events, err);
}

static int new_informer(struct agent *a, const char *kind, const char *fields,
			void (*changed)(void *, const json_t *, const json_t *),
			struct informer **ret, struct err *err)
{
	struct informer_config config = {.client = a->api,
					 .res = kube_resource_by_kind(kind),
					 .fields = fields,
					 .changed = changed,
					 .ctx = a,
					 .clock = a->env.clock,
					 .seed = a->env.seed,
					 .delay_max_ms = 5000};

	return informer_new(&config, ret, err);
}

static int new_informers(struct agent *a, struct err *err)
{
	int rc = new_informer(a, "StorageNode", NULL, node_changed, &a->nodes, err);

	if (!rc)
		rc = new_informer(a, "StoragePool", a->pool_fields, pool_changed, &a->pools, err);
	if (!rc)
		rc = new_informer(a, "StorageVolume", a->volume_fields, volume_changed, &a->volumes,
				  err);
	return rc ? rc
		  : new_informer(a, "StorageSnapshot", NULL, snapshot_changed, &a->snapshots, err);
}

static int start_informers(struct agent *a, struct err *err)
{
	int rc = informer_start(a->nodes, err);

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
		rc = background_new(work_run, a, &a->worker[a->n_workers], err);
		a->n_workers += rc == 0;
	}
	return rc ? rc : background_new(work_tick, a, &a->ticker, err);
}

static int new_engine(struct agent *a, struct err *err)
{
	struct watch_config config = {
		.opts = a->opts, .changed = engine_changed, .died = engine_died, .ctx = a};
	int rc = link_new(a->opts->engine_socket, a->env.engine, a->env.engine_ctx, &a->link, err);

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

static int new_parts(struct agent *a, struct err *err)
{
	struct workqueue_config queue = {
		.clock = a->env.clock, .delay_min_ms = RETRY_MIN_MS, .delay_max_ms = RETRY_MAX_MS};
	int rc = new_clients(a, err);

	if (!rc && workqueue_new(&queue, &a->queue) < 0)
		rc = err_set(err, -ENOMEM, "out of memory");
	if (!rc)
		rc = new_events(a, err);
	if (!rc)
		rc = heartbeat_new(a->lease_api, a->env.clock, a->node, a->opts->lease_s,
				   &a->heartbeat, err);
	if (!rc)
		rc = new_informers(a, err);
	return rc ? rc : new_engine(a, err);
}

int agent_new(const struct agent_opts *opts, const struct agent_env *env, struct agent **ret,
	      struct err *err)
{
	struct agent *a = calloc(1, sizeof(*a));
	int rc;

	if (!a) {
		if (env) {
			kube_client_free(env->lease_api);
			kube_client_free(env->api);
		}
		return err_set(err, -ENOMEM, "out of memory");
	}
	a->opts = opts;
	a->lock_fd = -1;
	if (env)
		a->env = *env;
	if (!a->env.clock)
		a->env.clock = kube_clock_host();
	a->api = TAKE_PTR(a->env.api);
	a->lease_api = TAKE_PTR(a->env.lease_api);
	a->host = (struct host_env){.root = opts->root, .cancel_fd = -1};
	for (size_t i = 0; i < AGENT_LVM_LOCKS; i++)
		if (lock_new(&a->lvm_lock[i]) < 0) {
			agent_stop(a);
			return err_set(err, -ENOMEM, "out of memory");
		}
	rc = set_names(a, err);
	if (!rc)
		rc = take_state_dir(a, err);
	if (!rc)
		rc = new_parts(a, err);
	if (rc) {
		agent_stop(a);
		return rc;
	}
	*ret = a;
	return 0;
}

/* All parts are there before the first begins: what one tells of is looked up in the others. */
int agent_start(struct agent *a, struct err *err)
{
	int rc = events_start(a->events, err);

	if (!rc)
		rc = heartbeat_start(a->heartbeat, err);
	if (!rc)
		rc = start_informers(a, err);
	if (!rc)
		rc = watch_start(a->watch, err);
	if (!rc)
		rc = start_workers(a, err);
	if (!rc)
		rc = metrics_start(a, &a->metrics, err);
	if (!rc)
		log_info("agent.started", "node=%s engine=%s socket=%s", a->node, a->opts->engine,
			 a->opts->engine_socket);
	return rc;
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
