/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods on listeners. A subsystem's listener is a use of a listening socket (transport/tcp.h counts them) and an entry in the
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
	res = rpc_tcp_only(p.trtype, err);
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
 *   add:    SOCKET -> LISTED -> commit                 remove:  SOCKET -> UNLISTED (socket given back) -> commit
 */
enum listener_state { LISTENER_SOCKET, LISTENER_LISTED, LISTENER_UNLISTED };

struct listener_op {
	struct change *change;
	struct engine_listener *listener;
	enum listener_state state;
};

static void listener_step(void *ctx, int res)
{
	struct listener_op *op = ctx;
	struct engine_listener *l = op->listener;

	switch (op->state) {
	case LISTENER_LISTED:
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
	res = nvme_subsystem_add_listener_as(ss, tcp_listener_port(l->tcp), ana, listener_step, op,
					     err);
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
