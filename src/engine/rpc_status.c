/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine says of itself: status for people, metrics for exporters. Reading them disturbs no data reactor. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "rt/iobuf.h"

static json_t *buffers_json(struct engine *e, struct reactor *r)
{
	json_t *classes = json_object();

	for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++) {
		struct iobuf_usage u = iobuf_usage(reactor_iobufs(r), (enum iobuf_class)cls);

		(void)json_object_set_new(
			classes, iobuf_class_name[cls],
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "size",
				  (json_int_t)iobuf_class_size[cls], "total", (json_int_t)u.total,
				  "in_use", (json_int_t)u.in_use, "in_use_max",
				  (json_int_t)u.in_use_max, "waiting", (json_int_t)u.waiting,
				  "waits", (json_int_t)u.waits));
	}
	return classes;
}

static json_t *reactor_metrics_json(struct engine *e, struct reactor *r, int cpu)
{
	const struct reactor_stats *s = reactor_stats(r);
	const struct {
		const char *name;
		const counter *value;
	} rows[] = {
		{"passes", &s->passes},         {"busy_passes", &s->busy_passes},
		{"sleeps", &s->sleeps},         {"busy_ns", &s->busy_ns},
		{"sleep_ns", &s->sleep_ns},     {"enters", &s->enters},
		{"recv_calls", &s->recv_calls}, {"send_calls", &s->send_calls},
		{"recv_bytes", &s->recv_bytes}, {"file_ops", &s->file_ops},
		{"messages", &s->messages},     {"timers_fired", &s->timers_fired},
	};
	json_t *one = json_pack("{s:i, s:s, s:i}", "id", (int)reactor_id(r), "name",
				reactor_name(r), "cpu", cpu);

	for (size_t i = 0; one && i < sizeof(rows) / sizeof(rows[0]); i++)
		(void)json_object_set_new(one, rows[i].name,
					  json_integer((json_int_t)counter_get(rows[i].value)));
	if (one)
		(void)json_object_set_new(one, "buffers", buffers_json(e, r));
	return one;
}

static json_t *reactors_json(struct engine *e)
{
	json_t *reactors = json_array();

	for (unsigned i = 0; i < e->n_data; i++)
		(void)json_array_append_new(
			reactors, reactor_metrics_json(e, e->data[i], e->opts->data_cpu[i]));
	(void)json_array_append_new(reactors, reactor_metrics_json(e, e->pools, -1));
	(void)json_array_append_new(reactors,
				    reactor_metrics_json(e, e->control, e->opts->control_cpu));
	return reactors;
}

static json_t *saver_json(const struct saver *s)
{
	return json_pack("{s:s, s:I, s:I, s:s}", "path", s->path, "writes", (json_int_t)s->writes,
			 "failures", (json_int_t)s->failures, "last_error",
			 s->last_err.code ? s->last_err.text : "");
}

void rpc_litepool_engine_status(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	json_t *buffers, *status;

	if (!rpc_no_params(call, params))
		return;
	buffers = json_object();
	for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++)
		(void)json_object_set_new(buffers, iobuf_class_name[cls],
					  json_integer(e->iobufs.n[cls]));
	status = json_pack(
		"{s:s, s:s, s:I, s:f, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "version",
		LITEPOOL_VERSION, "state", engine_state_name[e->state], "pid", (json_int_t)getpid(),
		"uptime_s", (double)(reactor_now(e->control) - e->start_ns) / 1e9, "rpc_socket",
		e->opts->rpc_socket, "state_dir", e->opts->state_dir, "log_level",
		log_level_name(log_level_get()), "poll_us", (json_int_t)e->opts->poll_us, "bdevs",
		(json_int_t)e->bdevs.count, "config", saver_json(&e->config), "problems",
		config_problems_json(&e->problems), "pool_problems", store_problems_json(e),
		"buffers", buffers, "reactors", reactors_json(e));
	if (status && e->opts->supervisor)
		(void)json_object_set_new(
			status, "supervisor",
			json_pack("{s:b, s:I, s:i, s:s}", "connected", e->link.wire.sock != NULL,
				  "pid", (json_int_t)e->link.wire.pid, "restarts",
				  (int)e->link.restarts, "last_end", e->link.last_end));
	rpc_reply_json(call, status);
}

void rpc_litepool_metrics(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	json_t *bdevs, *transports;

	if (!rpc_no_params(call, params))
		return;
	bdevs = json_array();
	list_for_each (it, &e->bdevs.list)
		(void)json_array_append_new(bdevs,
					    bdev_metrics_json(list_entry(it, struct bdev, link)));
	transports = e->tcp ? tcp_transport_stats_json(e->tcp) : json_array();
	rpc_reply_json(call, json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "uptime_s",
				       (double)(reactor_now(e->control) - e->start_ns) / 1e9,
				       "reactors", reactors_json(e), "bdevs", bdevs, "namespaces",
				       nvme_target_stats_json(e->target), "tcp", transports,
				       "config", saver_json(&e->config), "reservations",
				       saver_json(&e->resv.saver)));
}

struct log_params {
	const char *level;
};
static const struct json_field log_fields[] = {
	{"level", JSON_KIND_STRING, offsetof(struct log_params, level), true},
};

void rpc_litepool_log_set_level(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct log_params p = {0};
	enum log_level level;

	if (!RPC_PARAMS(call, params, log_fields, &p))
		return;
	if (!log_level_parse(p.level, &level)) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "level '%.32s': expected error, warn, info or debug", p.level);
		return;
	}
	log_set_level(level);
	rpc_reply(call, NULL);
}
