/* SPDX-License-Identifier: Apache-2.0 */
/* The transport as a whole: options, its part in each reactor, the end, counters. Control thread. */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"

struct tcp_transport_opts tcp_transport_opts_default(void)
{
	return (struct tcp_transport_opts){
		.max_h2c_data = 128 * KIB,
		.conns_max = 4096,
		.icreq_timeout_ms = 10 * 1000,
		.stall_timeout_ms = 30 * 1000,
		.dead_peer_s = 60,
		.send_limit_bytes = 4 * MIB,
		.batch_commands = 64,
		.batch_bytes = 256 * KIB,
		.congestion = SOCK_CONGESTION_DEFAULT,
		.header_digest = true,
		.data_digest = true,
	};
}

static int check_opts(const struct tcp_transport_opts *o, struct err *err)
{
	const struct {
		const char *name;
		uint64_t value, min, max;
	} limits[] = {
		{"max_h2c_data", o->max_h2c_data, PDU_MAXH2CDATA_MIN, IOBUF_MAX_SIZE},
		{"conns_max", o->conns_max, 1, 1000000},
		{"icreq_timeout_ms", o->icreq_timeout_ms, 1, 3600000},
		{"stall_timeout_ms", o->stall_timeout_ms, 1, 3600000},
		{"dead_peer_s", o->dead_peer_s, 6, 3600},
		{"send_limit_bytes", o->send_limit_bytes, 1, GIB},
		{"batch_commands", o->batch_commands, 1, UINT32_MAX},
		{"batch_bytes", o->batch_bytes, 1, GIB},
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (limits[i].value < limits[i].min || limits[i].value > limits[i].max)
			return err_set(err, -EINVAL, "%s is %llu, it must be between %llu and %llu",
				       limits[i].name, (unsigned long long)limits[i].value,
				       (unsigned long long)limits[i].min,
				       (unsigned long long)limits[i].max);
	if (o->max_h2c_data % 4)
		return err_set(err, -EINVAL, "max_h2c_data is %u, it must be a multiple of 4",
			       o->max_h2c_data);
	if (!memchr(o->congestion, 0, sizeof(o->congestion)))
		return err_set(err, -EINVAL,
			       "the name of a congestion control has at most 15 characters");
	return 0;
}

static int add_reactor(struct tcp_transport *t, struct reactor *r)
{
	struct tcp_reactor **slot = &t->reactors[reactor_id(r)];

	if (*slot) /* control may be a data reactor as well, in tests */
		return 0;
	*slot = calloc(1, sizeof(**slot));
	if (!*slot)
		return -ENOMEM;
	(*slot)->transport = t;
	(*slot)->reactor = r;
	tcp_freeze_init(*slot);
	return 0;
}

int tcp_transport_new(struct nvme_target *target, struct reactor *control, struct reactor **data,
		      unsigned n_data, const struct tcp_transport_opts *opts,
		      struct tcp_transport **ret, struct err *err)
{
	struct tcp_transport *t;
	int res = check_opts(opts, err);

	if (res)
		return res;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, -ENOMEM, "no memory for the TCP transport");
	t->target = target;
	t->control = control;
	t->opts = *opts;
	t->in_capsule_bytes = nvme_target_opts(target)->in_capsule_bytes;
	ASSERT(t->in_capsule_bytes <= iobuf_class_size[IOBUF_CAPSULE]);
	list_init(&t->listeners);
	list_init(&t->imports);
	list_init(&t->conns);
	list_init(&t->strangers);
	res = add_reactor(t, control);
	for (unsigned i = 0; !res && i < n_data; i++)
		res = add_reactor(t, data[i]);
	if (res) {
		tcp_transport_free(t);
		return err_set(err, res, "no memory for the TCP transport");
	}
	*ret = t;
	return 0;
}

const struct tcp_transport_opts *tcp_transport_opts(const struct tcp_transport *t)
{
	return &t->opts;
}

uint32_t tcp_transport_conns(const struct tcp_transport *t)
{
	return t->n_conns;
}

static void stop_run(struct msg *msg)
{
	struct tcp_transport *t = container_of(msg, struct tcp_transport, stop_msg);

	t->stop_done(t->stop_ctx, 0);
}

static void maybe_stopped(struct tcp_transport *t)
{
	if (!t->stop_done || t->n_conns || t->stop_msg.run)
		return;
	t->stop_msg.run = stop_run;
	reactor_post(t->control, &t->stop_msg);
}

void tcp_transport_stop(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	ASSERT(!t->stopping);
	t->stopping = true;
	t->stop_done = done;
	t->stop_ctx = ctx;
	tcp_listeners_close(t);
	tcp_conns_close_unconnected(t, NULL);
	maybe_stopped(t);
}

void tcp_transport_conn_gone(struct tcp_transport *t)
{
	ASSERT(t->n_conns > 0);
	t->n_conns--;
	maybe_stopped(t);
}

void tcp_transport_free(struct tcp_transport *t)
{
	if (!t)
		return;
	ASSERT(t->n_conns == 0);
	ASSERT(t->n_strangers == 0);
	tcp_listeners_close(t);
	tcp_spares_free(t);
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		free(t->reactors[i]);
	free(t);
}

#define STAT(name, field) {name, offsetof(struct tcp_stats, field)}
const struct tcp_stat tcp_stat[TCP_STATS] = {
	STAT("accepted", accepted),
	STAT("refused", refused),
	STAT("evicted", evicted),
	STAT("connects", connects),
	STAT("closed", closed),
	STAT("commands", commands),
	STAT("r2ts", r2ts),
	STAT("data_in_bytes", data_in),
	STAT("data_out_bytes", data_out),
	STAT("term_sent", term_sent),
	STAT("term_received", term_received),
	STAT("digest_errors", digest_errors),
	STAT("cid_conflicts", cid_conflicts),
	STAT("timeouts", timeouts),
	STAT("stalls", stalls),
	STAT("careful_reads", careful_reads),
	STAT("ahead_taken", ahead_taken),
	STAT("ahead_copied", ahead_copied),
	STAT("sends", sends),
	STAT("sends_partial", sends_partial),
	STAT("loans_copied", loans_copied),
	STAT("loans_kept", loans_kept),
	STAT("capsules_lent", capsules_lent),
};

counter *tcp_stat_of(struct tcp_reactor *tr, unsigned i)
{
	return (counter *)(void *)((char *)&tr->stats + tcp_stat[i].offset);
}

static json_t *reactor_json(struct tcp_reactor *tr)
{
	json_t *obj = json_object();

	(void)json_object_set_new(obj, "name", json_string(reactor_name(tr->reactor)));
	for (unsigned i = 0; i < TCP_STATS; i++)
		(void)json_object_set_new(
			obj, tcp_stat[i].name,
			json_integer((json_int_t)counter_get(tcp_stat_of(tr, i))));
	return obj;
}

json_t *tcp_transport_stats_json(struct tcp_transport *t)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++)
		if (t->reactors[i])
			(void)json_array_append_new(array, reactor_json(t->reactors[i]));
	return array;
}
