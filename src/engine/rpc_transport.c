/* SPDX-License-Identifier: Apache-2.0 */
/* Methods on the transport. The configuration keeps what was asked for, not what was the default then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/rpc_nvmf.h"

struct transport_params {
	const char *trtype, *tgt_name, *congestion;
	uint32_t max_queue_depth, max_io_qpairs, max_qpairs, icd, max_io_size, io_unit_size,
		aq_depth;
	uint32_t num_shared, buf_cache, control_msg_num, abort_timeout, sock_priority, ack_timeout;
	uint32_t max_h2c, conns_max, stall_ms, icreq_ms, batch_commands, batch_bytes;
	bool c2h_success, dif, zcopy, header_digest, data_digest, disable_command_passthru;
};
#define AT(member) offsetof(struct transport_params, member)

/* Those without an "ours" remark are SPDK's; the last block is taken and has no meaning here: buffers are sized at start, c2h_success is always on. */
static const struct json_field create_fields[] = {
	{"trtype", JSON_KIND_STRING, AT(trtype), true},
	{"tgt_name", JSON_KIND_STRING, AT(tgt_name)},
	{"max_queue_depth", JSON_KIND_U32, AT(max_queue_depth), false, NVME_QUEUE_MIN,
	 NVME_QUEUE_MAX},
	{"max_io_qpairs_per_ctrlr", JSON_KIND_U32, AT(max_io_qpairs), false, 1, 1023},
	{"max_qpairs_per_ctrlr", JSON_KIND_U32, AT(max_qpairs), false, 2, 1024},
	{"in_capsule_data_size", JSON_KIND_U32, AT(icd), false, 8192, 16384},
	{"max_io_size", JSON_KIND_U32, AT(max_io_size), false, 4096, 1 << 20},
	{"max_h2c_data", JSON_KIND_U32, AT(max_h2c), false, 4096, 1 << 20}, /* ours, from here */
	{"max_connections", JSON_KIND_U32, AT(conns_max), false, 1, 65536},
	{"stall_timeout_ms", JSON_KIND_U32, AT(stall_ms), false, 100, 3600000},
	{"icreq_timeout_ms", JSON_KIND_U32, AT(icreq_ms), false, 100, 3600000},
	{"batch_commands", JSON_KIND_U32, AT(batch_commands), false, 1, 4096},
	{"batch_bytes", JSON_KIND_U32, AT(batch_bytes), false, 4096, 1 << 26},
	{"congestion", JSON_KIND_STRING, AT(congestion)},
	{"header_digest", JSON_KIND_BOOL, AT(header_digest)},
	{"data_digest", JSON_KIND_BOOL, AT(data_digest)}, /* ours, up to here */
	{"io_unit_size", JSON_KIND_U32, AT(io_unit_size)},
	{"max_aq_depth", JSON_KIND_U32, AT(aq_depth)},
	{"num_shared_buffers", JSON_KIND_U32, AT(num_shared)},
	{"buf_cache_size", JSON_KIND_U32, AT(buf_cache)},
	{"control_msg_num", JSON_KIND_U32, AT(control_msg_num)},
	{"abort_timeout_sec", JSON_KIND_U32, AT(abort_timeout)},
	{"sock_priority", JSON_KIND_U32, AT(sock_priority)},
	{"ack_timeout", JSON_KIND_U32, AT(ack_timeout)},
	{"c2h_success", JSON_KIND_BOOL, AT(c2h_success)},
	{"dif_insert_or_strip", JSON_KIND_BOOL, AT(dif)},
	{"zcopy", JSON_KIND_BOOL, AT(zcopy)},
	{"disable_command_passthru", JSON_KIND_BOOL, AT(disable_command_passthru)},
};

int rpc_tcp_only(const char *trtype, struct err *err)
{
	if (strcasecmp(trtype, "TCP") == 0)
		return 0;
	return err_set(err, -EINVAL, "trtype '%.16s' is not supported; this engine has TCP",
		       trtype);
}

static void transport_defaults(const struct tcp_transport_opts *tcp,
			       const struct nvme_target_opts *target, struct transport_params *p)
{
	memset(p, 0, sizeof(*p));
	p->max_queue_depth = target->queue_entries_max;
	p->max_io_qpairs = target->io_queues_max;
	p->icd = target->in_capsule_bytes;
	p->max_io_size = target->mdts_bytes;
	p->max_h2c = tcp->max_h2c_data;
	p->conns_max = tcp->conns_max;
	p->stall_ms = tcp->stall_timeout_ms;
	p->icreq_ms = tcp->icreq_timeout_ms;
	p->batch_commands = tcp->batch_commands;
	p->batch_bytes = tcp->batch_bytes;
	p->congestion = tcp->congestion;
	p->header_digest = tcp->header_digest;
	p->data_digest = tcp->data_digest;
	p->c2h_success = true;
}

static json_t *transport_json(const struct transport_params *p)
{
	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b}",
		"trtype", "TCP", "max_queue_depth", (json_int_t)p->max_queue_depth,
		"max_io_qpairs_per_ctrlr", (json_int_t)p->max_io_qpairs, "in_capsule_data_size",
		(json_int_t)p->icd, "max_io_size", (json_int_t)p->max_io_size, "max_h2c_data",
		(json_int_t)p->max_h2c, "max_connections", (json_int_t)p->conns_max,
		"stall_timeout_ms", (json_int_t)p->stall_ms, "icreq_timeout_ms",
		(json_int_t)p->icreq_ms, "batch_commands", (json_int_t)p->batch_commands,
		"batch_bytes", (json_int_t)p->batch_bytes, "congestion", p->congestion,
		"header_digest", p->header_digest, "data_digest", p->data_digest, "c2h_success",
		true);
}

static int transport_new(struct engine *e, const struct transport_params *p, const json_t *asked,
			 struct err *err)
{
	struct tcp_transport_opts tcp = tcp_transport_opts_default();
	struct nvme_target_opts target = nvme_target_opts_default();
	json_t *params, *config;
	int res;

	if (p->dif)
		return err_set(err, -EINVAL, "dif_insert_or_strip is not supported");
	if (!str_copy(tcp.congestion, sizeof(tcp.congestion), p->congestion))
		return err_set(err, -EINVAL, "congestion '%.32s' is not a name of at most 15 bytes",
			       p->congestion);
	target.queue_entries_max = (uint16_t)p->max_queue_depth;
	target.io_queues_max = (uint16_t)(p->max_qpairs ? p->max_qpairs - 1 : p->max_io_qpairs);
	target.in_capsule_bytes = p->icd;
	target.mdts_bytes = p->max_io_size;
	res = nvme_target_set_limits(e->target, &target, err);
	if (res < 0)
		return res;
	tcp.max_h2c_data = p->max_h2c;
	tcp.conns_max = p->conns_max;
	tcp.stall_timeout_ms = p->stall_ms;
	tcp.icreq_timeout_ms = p->icreq_ms;
	tcp.batch_commands = p->batch_commands;
	tcp.batch_bytes = p->batch_bytes;
	tcp.header_digest = p->header_digest;
	tcp.data_digest = p->data_digest;
	params = transport_json(p);
	config = json_deep_copy(asked);
	if (!params || !config) {
		json_decref(params);
		json_decref(config);
		return err_set(err, -ENOMEM, "out of memory");
	}
	res = tcp_transport_new(e->target, e->control, e->data, e->n_data, &tcp, &e->tcp, err);
	if (res < 0) {
		json_decref(params);
		json_decref(config);
		return res;
	}
	e->tcp_params = params;
	e->tcp_config = config;
	/* Of a successor that does not serve yet: its transport is not to, either. */
	return e->opts->take_over && e->state == ENGINE_CONFIG ? handover_net_transport(e, err) : 0;
}

void rpc_nvmf_create_transport(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct tcp_transport_opts tcp = tcp_transport_opts_default();
	struct nvme_target_opts target = nvme_target_opts_default();
	struct transport_params p;
	struct change *change;
	struct err err = {0};

	transport_defaults(&tcp, &target, &p);
	if (!RPC_PARAMS(call, params, create_fields, &p))
		return;
	change = change_begin(e, call);
	if (!change)
		return;
	if (rpc_tcp_only(p.trtype, &err) < 0) {
		change_fail(change, &err);
		return;
	}
	if (e->tcp) {
		/* SPDK's own code for it, which clients written for SPDK take as "is there already". */
		rpc_fail(call, RPC_ERR_INTERNAL, "Transport type 'TCP' already exists");
		free(change);
		return;
	}
	if (transport_new(e, &p, params, &err) < 0)
		change_fail(change, &err);
	else
		change_commit(change, NULL);
}

static const struct json_field get_transports_fields[] = {
	{"trtype", JSON_KIND_STRING, AT(trtype)},
	{"tgt_name", JSON_KIND_STRING, AT(tgt_name)},
};

void rpc_nvmf_get_transports(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct transport_params p = {0};

	if (!RPC_PARAMS(call, params, get_transports_fields, &p))
		return;
	if (p.trtype && (strcasecmp(p.trtype, "TCP") != 0 || !e->tcp)) {
		rpc_fail(call, -ENODEV, "no transport of type '%.16s'", p.trtype);
		return;
	}
	rpc_reply_json(call, e->tcp ? json_pack("[O]", e->tcp_params) : json_array());
}

static const struct json_field stats_fields[] = {
	{"tgt_name", JSON_KIND_STRING, AT(tgt_name)},
};

void rpc_nvmf_get_stats(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct transport_params p = {0};

	if (!RPC_PARAMS(call, params, stats_fields, &p))
		return;
	rpc_reply_json(call,
		       json_pack("{s:I, s:o}", "tick_rate", (json_int_t)1000000000, "poll_groups",
				 e->tcp ? tcp_transport_stats_json(e->tcp) : json_array()));
}
