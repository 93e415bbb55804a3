/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods on the transport and on listeners. A subsystem's listener is a use of a listening socket (transport/tcp.h counts them) and an entry in the
 * subsystem; the socket is taken first and given back last.
 */
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
	{"max_queue_depth", JSON_KIND_U32, AT(max_queue_depth), false, 2, 4096},
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

static int tcp_only(const char *trtype, struct err *err)
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
	p->congestion = "";
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
	return 0;
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
	if (tcp_only(p.trtype, &err) < 0) {
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

struct listener_params {
	const char *nqn, *tgt_name, *ana_state, *sock_impl, *congestion;
	json_t *address;
	uint32_t anagrpid;
	bool secure_channel;
};
#define L_AT(member) offsetof(struct listener_params, member)

struct address_params {
	const char *trtype, *adrfam, *traddr, *trsvcid;
};
#define A_AT(member) offsetof(struct address_params, member)

static const struct json_field address_fields[] = {
	{"trtype", JSON_KIND_STRING, A_AT(trtype)},
	{"adrfam", JSON_KIND_STRING, A_AT(adrfam)},
	{"traddr", JSON_KIND_STRING, A_AT(traddr), true},
	{"trsvcid", JSON_KIND_STRING, A_AT(trsvcid)},
};

static int address_decode(const json_t *json, struct sock_addr *ret, struct err *err)
{
	struct address_params p = {.trtype = "TCP", .trsvcid = "4420"};
	uint64_t port;
	int res = json_decode(json, address_fields,
			      sizeof(address_fields) / sizeof(address_fields[0]), &p, err);

	if (res < 0)
		return err_prefix(err, "listen_address");
	res = tcp_only(p.trtype, err);
	if (res < 0)
		return res;
	if (!str_to_u64(p.trsvcid, 0, UINT16_MAX, &port))
		return err_set(
			err, -EINVAL,
			"listen_address: trsvcid '%.32s' must be a port from 0 (any free one) "
			"to 65535",
			p.trsvcid);
	if (sock_addr_ip(p.traddr, (uint16_t)port, ret) < 0)
		return err_set(err, -EINVAL,
			       "listen_address: traddr '%.64s' must be an IPv4 or IPv6 address",
			       p.traddr);
	if (p.adrfam && strcasecmp(p.adrfam, ret->ss.ss_family == AF_INET6 ? "IPv6" : "IPv4") != 0)
		return err_set(err, -EINVAL,
			       "listen_address: adrfam '%.16s' does not fit traddr %.64s", p.adrfam,
			       p.traddr);
	return 0;
}

static struct engine_listener *listener_find(struct engine *e, const char *nqn,
					     const struct sock_addr *addr)
{
	char traddr[SOCK_ADDR_TEXT], trsvcid[8];
	uint16_t port;

	if (!sock_addr_host(addr, traddr, &port))
		return NULL;
	snprintf(trsvcid, sizeof(trsvcid), "%u", port);
	list_for_each (it, &e->listeners) {
		struct engine_listener *l = list_entry(it, struct engine_listener, link);
		const struct nvme_port_addr *at = nvme_port_addr(tcp_listener_port(l->tcp));

		if (!l->removing && strcmp(l->nqn, nqn) == 0 && strcmp(at->traddr, traddr) == 0 &&
		    strcmp(at->trsvcid, trsvcid) == 0)
			return l;
	}
	return NULL;
}

static void listener_drop(struct engine_listener *l)
{
	list_remove(&l->link);
	tcp_unlisten(l->tcp);
	free(l);
}

void rpc_listeners_drop(struct engine *e, const char *nqn)
{
	list_for_each_safe (it, &e->listeners) {
		struct engine_listener *l = list_entry(it, struct engine_listener, link);

		if (strcmp(l->nqn, nqn) == 0 && !l->removing)
			listener_drop(l);
	}
}

void rpc_listeners_free(struct engine *e)
{
	struct list *link;

	/* The sockets are the transport's and were closed by its stop. */
	while ((link = list_pop_front(&e->listeners)))
		free(list_entry(link, struct engine_listener, link));
}

static bool ana_parse(const char *text, enum nvme_ana_state *ret)
{
	static const struct {
		const char *name;
		enum nvme_ana_state state;
	} rows[] = {{"optimized", NVME_ANA_OPTIMIZED},
		    {"non_optimized", NVME_ANA_NON_OPTIMIZED},
		    {"inaccessible", NVME_ANA_INACCESSIBLE}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, text) == 0) {
			*ret = rows[i].state;
			return true;
		}
	}
	return false;
}

/*
 * One listener call from the socket to the answer. Each state names what has been done when it is entered.
 *
 *   add:    SOCKET -> LISTED -> (ana) -> commit        remove:  SOCKET -> UNLISTED (socket given back) -> commit
 */
enum listener_state { LISTENER_SOCKET, LISTENER_LISTED, LISTENER_ANA, LISTENER_UNLISTED };

struct listener_op {
	struct change *change;
	struct engine_listener *listener;
	enum listener_state state;
	enum nvme_ana_state ana;
};

static void listener_step(void *ctx, int res)
{
	struct listener_op *op = ctx;
	struct engine_listener *l = op->listener;
	struct nvme_subsystem *ss = nvme_subsystem_find(op->change->e->target, l->nqn);
	struct err err = {0};

	switch (op->state) {
	case LISTENER_LISTED:
		op->state = LISTENER_ANA;
		if (res == 0 && ss && op->ana != NVME_ANA_OPTIMIZED) {
			res = nvme_subsystem_set_ana_state(ss, tcp_listener_port(l->tcp), 0,
							   op->ana, listener_step, op, &err);
			if (res == 0)
				return;
		}
		__attribute__((fallthrough));
	case LISTENER_ANA:
		if (res < 0)
			listener_drop(l);
		break;
	case LISTENER_UNLISTED:
		/* Also after a failure: what can fail here is only memory, and the use has ended. */
		listener_drop(l);
		break;
	case LISTENER_SOCKET:
	default:
		break;
	}
	change_done(op->change, res);
	free(op);
}

static struct listener_op *listener_op_new(struct change *change, struct engine_listener *l,
					   enum listener_state state)
{
	struct listener_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->change = change;
	op->listener = l;
	op->state = state;
	op->ana = NVME_ANA_OPTIMIZED;
	return op;
}

static const struct json_field listener_fields[] = {
	{"nqn", JSON_KIND_STRING, L_AT(nqn), true},
	{"tgt_name", JSON_KIND_STRING, L_AT(tgt_name)},
	{"listen_address", JSON_KIND_OBJECT, L_AT(address), true},
	{"ana_state", JSON_KIND_STRING, L_AT(ana_state)},
	{"secure_channel", JSON_KIND_BOOL, L_AT(secure_channel)},
	{"sock_impl", JSON_KIND_STRING, L_AT(sock_impl)},
	{"congestion", JSON_KIND_STRING, L_AT(congestion)},
};

static int listener_open(struct engine *e, const struct listener_params *p,
			 const struct sock_addr *addr, struct engine_listener **ret,
			 struct err *err)
{
	struct engine_listener *l = NULL;
	int res;

	if (!e->tcp)
		return err_set(err, -EINVAL,
			       "there is no transport; call nvmf_create_transport {\"trtype\": "
			       "\"TCP\"} first");
	if (listener_find(e, p->nqn, addr))
		return err_set(err, -EEXIST, "%s listens there already", p->nqn);
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	res = tcp_listen(e->tcp, addr, p->congestion, &l->tcp, err);
	if (res < 0) {
		free(l);
		return res;
	}
	snprintf(l->nqn, sizeof(l->nqn), "%s", p->nqn);
	list_push_back(&e->listeners, &l->link);
	*ret = l;
	return 0;
}

static int listener_add(struct engine *e, const struct listener_params *p, struct change *change,
			struct err *err)
{
	enum nvme_ana_state ana = NVME_ANA_OPTIMIZED;
	struct nvme_subsystem *ss = rpc_subsystem(e, p->nqn, err);
	struct engine_listener *l = NULL;
	struct listener_op *op;
	struct sock_addr addr;
	int res;

	if (!ss)
		return err->code;
	if (p->secure_channel)
		return err_set(err, -EINVAL, "secure_channel (TLS) is not supported yet");
	if (p->ana_state && !ana_parse(p->ana_state, &ana))
		return err_set(
			err, -EINVAL,
			"ana_state '%.32s': expected optimized, non_optimized or inaccessible",
			p->ana_state);
	res = address_decode(p->address, &addr, err);
	if (res == 0)
		res = listener_open(e, p, &addr, &l, err);
	if (res < 0)
		return res;
	op = listener_op_new(change, l, LISTENER_LISTED);
	if (!op) {
		listener_drop(l);
		return err_set(err, -ENOMEM, "out of memory");
	}
	op->ana = ana;
	res = nvme_subsystem_add_listener(ss, tcp_listener_port(l->tcp), listener_step, op, err);
	if (res < 0) {
		listener_drop(l);
		free(op);
	}
	return res;
}

void rpc_nvmf_subsystem_add_listener(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct listener_params p = {0};
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, listener_fields, &p))
		return;
	change = change_begin(e, call);
	if (change && listener_add(e, &p, change, &err) < 0)
		change_fail(change, &err);
}

/* The subsystem and its listener at the address of p. */
static int listener_lookup(struct engine *e, const struct listener_params *p,
			   struct nvme_subsystem **ret_ss, struct engine_listener **ret_listener,
			   struct err *err)
{
	struct sock_addr addr;
	int res;

	*ret_ss = rpc_subsystem(e, p->nqn, err);
	if (!*ret_ss)
		return err->code;
	res = address_decode(p->address, &addr, err);
	if (res < 0)
		return res;
	*ret_listener = listener_find(e, p->nqn, &addr);
	if (!*ret_listener) {
		char text[SOCK_ADDR_TEXT];

		return err_set(err, -EINVAL,
			       "%s has no listener at %s; nvmf_subsystem_get_listeners lists them",
			       p->nqn, sock_addr_format(&addr, text));
	}
	return 0;
}

static int listener_remove(struct engine *e, const struct listener_params *p, struct change *change,
			   struct err *err)
{
	struct nvme_subsystem *ss;
	struct engine_listener *l = NULL;
	struct listener_op *op;
	int res = listener_lookup(e, p, &ss, &l, err);

	if (res < 0)
		return res;
	op = listener_op_new(change, l, LISTENER_UNLISTED);
	if (!op)
		return err_set(err, -ENOMEM, "out of memory");
	res = nvme_subsystem_remove_listener(ss, tcp_listener_port(l->tcp), listener_step, op, err);
	if (res < 0)
		free(op);
	else
		l->removing = true;
	return res;
}

void rpc_nvmf_subsystem_remove_listener(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct listener_params p = {0};
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, listener_fields, &p))
		return;
	change = change_begin(e, call);
	if (change && listener_remove(e, &p, change, &err) < 0)
		change_fail(change, &err);
}

static const struct json_field ana_fields[] = {
	{"nqn", JSON_KIND_STRING, L_AT(nqn), true},
	{"tgt_name", JSON_KIND_STRING, L_AT(tgt_name)},
	{"listen_address", JSON_KIND_OBJECT, L_AT(address), true},
	{"ana_state", JSON_KIND_STRING, L_AT(ana_state), true},
	{"anagrpid", JSON_KIND_U32, L_AT(anagrpid)},
};

void rpc_nvmf_subsystem_listener_set_ana_state(struct rpc_call *call, const json_t *params,
					       void *ctx)
{
	struct engine *e = ctx;
	struct listener_params p = {0};
	enum nvme_ana_state ana = NVME_ANA_OPTIMIZED;
	struct nvme_subsystem *ss;
	struct engine_listener *l = NULL;
	struct change *change;
	struct err err = {0};
	int res;

	if (!RPC_PARAMS(call, params, ana_fields, &p))
		return;
	change = change_begin(e, call);
	if (!change)
		return;
	res = listener_lookup(e, &p, &ss, &l, &err);
	if (res == 0 && !ana_parse(p.ana_state, &ana))
		res = err_set(
			&err, -EINVAL,
			"ana_state '%.32s': expected optimized, non_optimized or inaccessible",
			p.ana_state);
	if (res == 0)
		res = nvme_subsystem_set_ana_state(ss, tcp_listener_port(l->tcp), p.anagrpid, ana,
						   change_done, change, &err);
	if (res < 0)
		change_fail(change, &err);
}
