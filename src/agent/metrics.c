/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus sees. Numbers of the engine under the names of objects: volume, namespace and PVC (out of the annotation that litepool-csi writes), pool, host.
 * Counters begin again when the engine does, as Prometheus expects. One scrape is one call to the engine and one for each attached volume.
 */
#include "agent/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine.h"
#include "agent/pool.h"
#include "agent/watch.h"
#include "agent/work.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/pages.h"

#define LABELS_SIZE 1400
#define STUCK_MS    60000 /* more than --check without a look at everything is not healthy */
#define NOTE_CLAIM  "csi.litepool.io/claim" /* NAMESPACE/NAME of the claim, by litepool-csi */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* As Prometheus wants label values: backslash, quote and newline escaped. */
static void put_label(char *labels, const char *name, const char *value)
{
	size_t n = strlen(labels);

	n += (size_t)snprintf(labels + n, LABELS_SIZE - n, "%s%s=\"", n ? "," : "", name);
	for (; *value && n < LABELS_SIZE - 4; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			labels[n++] = '\\';
		labels[n++] = *value;
		if (*value == '\n')
			labels[n - 1] = 'n';
	}
	labels[n] = '\0';
	(void)snprintf(labels + n, LABELS_SIZE - n, "\"");
}

static double number_at(const json_t *obj, const char *path)
{
	const json_t *value = kube_at(obj, path);
	uint64_t bytes = 0;
	const char *why;

	if (json_is_number(value))
		return json_number_value(value);
	return value && kube_size_parse(value, &bytes, &why) ? (double)bytes : 0;
}

static void put(FILE *out, const char *name, const char *labels, double value)
{
	(void)fprintf(out, "%s{%s} %.17g\n", name, labels, value);
}

static void volume_labels(const struct agent *a, const json_t *volume, char *labels)
{
	const char *claim = json_string_value(
		json_object_get(kube_at(volume, "metadata.annotations"), NOTE_CLAIM));
	const char *slash = claim ? strchr(claim, '/') : NULL;
	char namespace[KUBE_NAME_MAX + 1] = "";

	if (slash)
		(void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - claim), claim);
	labels[0] = '\0';
	put_label(labels, "node", a->node);
	put_label(labels, "pool", kube_str(volume, "status.poolName"));
	put_label(labels, "volume", kube_name(volume));
	put_label(labels, "namespace", namespace);
	put_label(labels, "persistentvolumeclaim", slash ? slash + 1 : "");
}

/* ---- agent and engine ---- */

static void node_metrics(struct agent *a, FILE *out)
{
	char labels[LABELS_SIZE] = "";
	struct watch_state engine;
	size_t ready, delayed;

	watch_get(a->watch, &engine);
	workqueue_counts(a->queue, &ready, &delayed);
	put_label(labels, "node", a->node);
	head(out, "litepool_engine_up", "gauge", "Whether the engine of the node answers.");
	put(out, "litepool_engine_up", labels, engine.up);
	head(out, "litepool_engine_crashes_total", "counter",
	     "Ends of the engine that nobody asked for, since the agent started.");
	put(out, "litepool_engine_crashes_total", labels, engine.crashes);
	head(out, "litepool_agent_queue_length", "gauge", "Objects that wait to be looked at.");
	put(out, "litepool_agent_queue_length", labels, (double)ready);
	put_label(labels, "version", LITEPOOL_VERSION);
	put_label(labels, "engine_version", engine.version);
	head(out, "litepool_build_info", "gauge", "Versions, as labels.");
	put(out, "litepool_build_info", labels, 1);
}

/* ---- pools: out of their objects, which are at most seconds old ---- */

static void pool_metric(struct agent *a, FILE *out, const json_t *pools, const char *name,
			const char *path, const char *help)
{
	const json_t *one;
	size_t i;

	head(out, name, "gauge", help);
	json_array_foreach (pools, i, one) {
		char labels[LABELS_SIZE] = "";

		put_label(labels, "node", a->node);
		put_label(labels, "pool", kube_name(one));
		put(out, name, labels,
		    path ? number_at(one, path) : kube_condition_is(one, "Ready", "True"));
	}
}

static void pool_metrics(struct agent *a, FILE *out)
{
	_cleanup_json_ json_t *pools = informer_list(a->pools);

	pool_metric(a, out, pools, "litepool_pool_ready", NULL,
		    "Whether the pool is open and good.");
	pool_metric(a, out, pools, "litepool_pool_capacity_bytes", "status.capacity",
		    "Bytes that the pool can hold.");
	pool_metric(a, out, pools, "litepool_pool_allocated_bytes", "status.allocated",
		    "Bytes of the pool that are used.");
	pool_metric(a, out, pools, "litepool_pool_free_bytes", "status.free",
		    "Bytes of the pool that are free.");
	pool_metric(a, out, pools, "litepool_pool_committed_bytes", "status.committed",
		    "Sum of the sizes of the pool's volumes.");
	pool_metric(a, out, pools, "litepool_pool_commit_limit_percent", "spec.commitLimitPercent",
		    "How much may be committed, of the capacity.");
}

/* ---- volumes ---- */

struct volume_row {
	const char *name, *type, *help;
	const char *path;   /* of the object; NULL: of the namespace's counters */
	const char *member; /* there */
	const char *op;     /* a label; NULL: none */
};

static const struct volume_row rows[] = {
	{"litepool_volume_ready", "gauge", "Whether the volume is served.", NULL, NULL, NULL},
	{"litepool_volume_size_bytes", "gauge", "Size of the volume.", "status.size", NULL, NULL},
	{"litepool_volume_allocated_bytes", "gauge", "Bytes that it takes in its pool.",
	 "status.allocated", NULL, NULL},
	{"litepool_volume_ops_total", "counter", "Commands of hosts that were carried out.", NULL,
	 "reads", "read"},
	{"litepool_volume_ops_total", NULL, NULL, NULL, "writes", "write"},
	{"litepool_volume_ops_total", NULL, NULL, NULL, "others", "other"},
	{"litepool_volume_bytes_total", "counter", "Bytes that hosts read and wrote.", NULL,
	 "read_bytes", "read"},
	{"litepool_volume_bytes_total", NULL, NULL, NULL, "write_bytes", "write"},
	{"litepool_volume_errors_total", "counter", "Commands that failed.", NULL, "errors", NULL},
};

/* The counters of the volume's namespace, by its subsystem's name; NULL: not exported. */
static const json_t *namespace_of(const json_t *engine, const json_t *volume)
{
	const json_t *one;
	char nqn[224];
	size_t i;

	engine_nqn(kube_uid(volume), nqn);
	json_array_foreach (json_object_get(engine, "namespaces"), i, one)
		if (!strcmp(kube_str(one, "nqn"), nqn))
			return one;
	return NULL;
}

static void volume_row(struct agent *a, FILE *out, const struct volume_row *row,
		       const json_t *volume, const json_t *ns)
{
	char labels[LABELS_SIZE];

	if (row->member && !ns)
		return;
	volume_labels(a, volume, labels);
	if (row->op)
		put_label(labels, "op", row->op);
	put(out, row->name, labels,
	    row->member ? number_at(ns, row->member)
	    : row->path ? number_at(volume, row->path)
			: kube_condition_is(volume, "Ready", "True"));
}

/*
 * The engine's buckets have powers of two (ns) among their borders; those from 8 us to 17 s are Prometheus' buckets, so that each is exact. The sum
 * is that of the buckets' middles, at most 6 % off.
 */
#define BOUND_FIRST 13u
#define BOUND_LAST  34u

static void put_histogram(FILE *out, const char *name, const char *labels, const json_t *hist)
{
	double sum_ns = 0;
	uint64_t total = 0;
	const json_t *one;
	size_t i;

	for (unsigned k = BOUND_FIRST; k <= BOUND_LAST; k++) {
		uint64_t n = 0;

		json_array_foreach (hist, i, one)
			if (json_integer_value(json_array_get(one, 0)) < (json_int_t)1 << k)
				n += (uint64_t)json_integer_value(json_array_get(one, 1));
		(void)fprintf(out, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", name, labels,
			      ldexp(1e-9, (int)k), n);
	}
	json_array_foreach (hist, i, one) {
		double n = (double)json_integer_value(json_array_get(one, 1));

		total += (uint64_t)n;
		sum_ns += n * (double)json_integer_value(json_array_get(one, 0)) * 1.0625;
	}
	(void)fprintf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
	(void)fprintf(out, "%s_sum{%s} %.9g\n%s_count{%s} %" PRIu64 "\n", name, labels,
		      sum_ns / 1e9, name, labels, total);
}

static void latency(struct agent *a, FILE *out, const json_t *volumes, const json_t *engine)
{
	static const char *const ops[][2] = {{"read", "read_latency_ns"},
					     {"write", "write_latency_ns"}};
	const json_t *one;
	size_t i;

	head(out, "litepool_volume_latency_seconds", "histogram",
	     "Time from a command's arrival to its answer.");
	json_array_foreach (volumes, i, one) {
		const json_t *ns = namespace_of(engine, one);

		for (size_t k = 0; ns && k < ARRAY_LEN(ops); k++) {
			char labels[LABELS_SIZE];

			volume_labels(a, one, labels);
			put_label(labels, "op", ops[k][0]);
			put_histogram(out, "litepool_volume_latency_seconds", labels,
				      json_object_get(ns, ops[k][1]));
		}
	}
}

static void volume_metrics(struct agent *a, FILE *out, const json_t *volumes, const json_t *engine)
{
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		const json_t *one;
		size_t i;

		if (rows[r].type)
			head(out, rows[r].name, rows[r].type, rows[r].help);
		json_array_foreach (volumes, i, one)
			volume_row(a, out, &rows[r], one, namespace_of(engine, one));
	}
	latency(a, out, volumes, engine);
}

/* ---- hosts ---- */

static void host_metrics(struct agent *a, FILE *out, const json_t *volumes)
{
	const json_t *one;
	size_t i;

	head(out, "litepool_host_controllers", "gauge", "Connected controllers of a host.");
	json_array_foreach (volumes, i, one) {
		_cleanup_json_ json_t *list = NULL;
		const json_t *ctrlr;
		char nqn[224];
		size_t k;

		engine_nqn(kube_uid(one), nqn);
		if (!json_array_size(kube_at(one, "status.attachedNodes")) ||
		    engine_call(a, "nvmf_subsystem_get_controllers", json_pack("{s:s}", "nqn", nqn),
				&list, NULL))
			continue;
		json_array_foreach (list, k, ctrlr) {
			char labels[LABELS_SIZE];

			volume_labels(a, one, labels);
			put_label(labels, "host", kube_str(ctrlr, "hostnqn"));
			(void)snprintf(
				nqn, sizeof(nqn), "%lld",
				(long long)json_integer_value(json_object_get(ctrlr, "cntlid")));
			put_label(labels, "controller", nqn);
			put(out, "litepool_host_controllers", labels, 1);
		}
	}
}

void metrics_write(struct agent *a, FILE *out)
{
	_cleanup_json_ json_t *volumes = informer_list(a->volumes), *engine = NULL;

	node_metrics(a, out);
	pool_metrics(a, out);
	/* Without the engine its numbers are missing, and litepool_engine_up says why. */
	(void)engine_call(a, "litepool_metrics", NULL, &engine, NULL);
	volume_metrics(a, out, volumes, engine);
	if (engine)
		host_metrics(a, out, volumes);
}

/* ---- serving ---- */

struct metrics {
	struct pages *socket, *tcp;
};

/* Whatever engine and API answer: an agent that waits for them is in order. */
static bool page_alive(struct agent *a, FILE *out)
{
	uint64_t ticked_ms = a->ticked_ms;
	bool good = !ticked_ms ||
		    kube_mono_ms(a->env.clock) < ticked_ms + a->opts->check_s * 1000ull + STUCK_MS;

	(void)fputs(good ? "ok\n" : "its work has not been looked through for a minute too long\n",
		    out);
	return good;
}

static bool page_ready(struct agent *a, FILE *out)
{
	bool good = work_synced(a);

	(void)fputs(good ? "ok\n" : "not all kinds have been listed yet: is the API there?\n", out);
	return good;
}

static int page(void *ctx, const char *path, FILE *out)
{
	if (!strcmp(path, "/metrics")) {
		metrics_write(ctx, out);
		return 200;
	}
	if (!strcmp(path, "/healthz"))
		return page_alive(ctx, out) ? 200 : 503;
	if (!strcmp(path, "/readyz"))
		return page_ready(ctx, out) ? 200 : 503;
	(void)fputs("there are /metrics, /healthz and /readyz\n", out);
	return 404;
}

int metrics_start(struct agent *a, struct metrics **ret, struct err *err)
{
	struct metrics *m = calloc(1, sizeof(*m));
	char address[256];
	int rc = 0;

	if (!m)
		return err_set(err, -ENOMEM, "out of memory");
	*ret = m; /* agent_stop() ends it */
	if (a->opts->metrics_socket) {
		(void)snprintf(address, sizeof(address), "unix:%s", a->opts->metrics_socket);
		rc = pages_start(address, page, a, &m->socket, err);
	}
	if (!rc && a->opts->metrics_listen) {
		rc = pages_start(a->opts->metrics_listen, page, a, &m->tcp, err);
		if (!rc)
			log_info("agent.metrics.serves", "port=%u", pages_port(m->tcp));
	}
	return rc;
}

void metrics_stop(struct metrics *m)
{
	if (!m)
		return;
	pages_stop(m->socket);
	pages_stop(m->tcp);
	free(m);
}
