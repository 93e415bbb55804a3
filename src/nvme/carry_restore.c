/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records into the controller model, see carry.h. What comes is another process's word, perhaps of another version: every number is checked against what is here. A
 * controller is built first and linked where it belongs when its record is whole; until nvme_carry_serve() nothing of it acts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "nvme/carry_parts.h"
#include "nvme/control.h"
#include "nvme/resv.h"

struct nvme_carry *nvme_carry_new(struct nvme_target *t)
{
	struct nvme_carry *carry = calloc(1, sizeof(*carry));

	if (carry)
		*carry = (struct nvme_carry){.target = t, .next = t->subsystems.next};
	return carry;
}

void nvme_carry_free(struct nvme_carry *carry)
{
	if (!carry)
		return;
	for (unsigned i = 0; i < NVME_PORTS_MAX; i++)
		nvme_port_put(carry->ports[i]);
	free(carry->subsystems);
	free(carry);
}

struct nvme_port *nvme_carry_port(struct nvme_carry *carry, uint32_t number)
{
	return number < NVME_PORTS_MAX ? carry->ports[number] : NULL;
}

int carry_get_port(struct nvme_carry *carry, const struct tlv *rec, struct nvme_port **ret,
		   struct err *err)
{
	uint32_t number = 0;
	int rc = tlv_get_u32(rec, NVME_PORTS_MAX - 1, &number, err);

	if (rc)
		return rc;
	if (!carry->ports[number])
		return err_set(err, -EBADMSG, "port %u is named but was not described", number);
	*ret = carry->ports[number];
	return 0;
}

/* Runs one() on each record of a nest, and stops at the first error. */
int carry_each(const struct tlv *nest,
	       int (*one)(void *ctx, const struct tlv *rec, struct err *err), void *ctx,
	       struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	int rc;

	tlv_enter(nest, &r);
	while ((rc = tlv_next(&r, &rec)) > 0) {
		rc = one(ctx, &rec, err);
		if (rc)
			return rc;
	}
	return rc ? err_set(err, rc, "record %u: its records do not fit into it", nest->type) : 0;
}

/* --- ports --- */

struct port_in {
	uint32_t index;
	struct nvme_port_addr addr;
};

static int port_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct port_in *in = ctx;
	struct nvme_port_addr *a = &in->addr;

	switch (rec->type) {
	case NVME_CARRY_PORT_INDEX:
		return tlv_get_u32(rec, NVME_PORTS_MAX - 1, &in->index, err);
	case NVME_CARRY_TRTYPE:
		return tlv_get_str(rec, a->trtype, sizeof(a->trtype), err);
	case NVME_CARRY_ADRFAM:
		return tlv_get_str(rec, a->adrfam, sizeof(a->adrfam), err);
	case NVME_CARRY_TRADDR:
		return tlv_get_str(rec, a->traddr, sizeof(a->traddr), err);
	case NVME_CARRY_TRSVCID:
		return tlv_get_str(rec, a->trsvcid, sizeof(a->trsvcid), err);
	default:
		return tlv_unknown(rec, err);
	}
}

static int restore_port(struct nvme_carry *carry, const struct tlv *rec, struct err *err)
{
	struct port_in in = {.index = UINT32_MAX};
	int rc = carry_each(rec, port_field, &in, err);

	if (rc)
		return rc;
	if (in.index == UINT32_MAX || carry->ports[in.index] || !in.addr.traddr[0])
		return err_set(err, -EBADMSG,
			       "a port has no number, one that is taken, or no address");
	carry->ports[in.index] = nvme_port_get(carry->target, &in.addr);
	if (!carry->ports[in.index])
		return err_set(err, -ENOSPC, "the target has no room for port %s:%s",
			       in.addr.traddr, in.addr.trsvcid);
	return 0;
}

/* --- listeners --- */

struct listener_in {
	struct nvme_carry *carry;
	struct nvme_subsystem *ss;
	struct nvme_port *port;
	uint64_t changes;
	const uint8_t *ana; /* ss->nn bytes */
};

static int ana_states(struct listener_in *in, const struct tlv *rec, struct err *err)
{
	if (rec->len != in->ss->nn)
		return err_set(err, -EBADMSG, "%u ANA states for %u groups of %s", rec->len,
			       in->ss->nn, in->ss->nqn);
	for (uint32_t i = 0; i < rec->len; i++)
		if (!nvme_ana_state_valid(rec->value[i]))
			return err_set(err, -EBADMSG, "%u is no ANA state", rec->value[i]);
	in->ana = rec->value;
	return 0;
}

static int listener_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct listener_in *in = ctx;

	switch (rec->type) {
	case NVME_CARRY_PORT_INDEX:
		return carry_get_port(in->carry, rec, &in->port, err);
	case NVME_CARRY_CHANGES:
		return tlv_get_uint(rec, UINT64_MAX, &in->changes, err);
	case NVME_CARRY_ANA_STATES:
		return ana_states(in, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

static int restore_listener(struct nvme_carry *carry, struct carried_subsystem *sub,
			    const struct tlv *rec, struct err *err)
{
	struct listener_in in = {.carry = carry, .ss = sub->ss};
	struct nvme_listener *l;
	int rc = carry_each(rec, listener_field, &in, err);

	if (rc)
		return rc;
	l = in.port ? nvme_listener_find(sub->ss, in.port) : NULL;
	if (!l)
		return err_set(err, -ENOENT, "%s does not listen where the running engine does",
			       sub->ss->nqn);
	l->change_count = in.changes;
	if (in.ana && memcmp(l->ana + 1, in.ana, sub->ss->nn) != 0) {
		memcpy(l->ana + 1, in.ana, sub->ss->nn);
		sub->publish = true;
	}
	return 0;
}

/* --- namespaces --- */

static int registrants(struct resv *r, const struct tlv *rec, struct err *err)
{
	const uint8_t *at = rec->value;

	if (rec->len % CARRY_REGISTRANT_BYTES || rec->len / CARRY_REGISTRANT_BYTES > RESV_HOSTS_MAX)
		return err_set(err, -EBADMSG, "%u bytes are no list of registrants", rec->len);
	for (r->n = 0; r->n < rec->len / CARRY_REGISTRANT_BYTES; at += CARRY_REGISTRANT_BYTES) {
		if (resv_find(r, at) >= 0)
			return err_set(err, -EBADMSG, "a registrant comes twice");
		memcpy(r->reg[r->n].hostid, at, 16);
		r->reg[r->n++].key = get_le64(at + 16);
	}
	return 0;
}

static int resv_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct resv *r = ctx;
	uint8_t type = 0;
	uint32_t holder = 0;
	int rc;

	switch (rec->type) {
	case NVME_CARRY_RESV_TYPE:
		rc = tlv_get_u8(rec, NVME_RESV_EXCL_ACCESS_ALL, &type, err);
		r->type = (enum nvme_resv_type)type;
		return rc;
	case NVME_CARRY_RESV_HOLDER:
		rc = tlv_get_u32(rec, RESV_HOSTS_MAX - 1, &holder, err);
		r->holder = (int)holder;
		return rc;
	case NVME_CARRY_RESV_GENERATION:
		return tlv_get_u32(rec, UINT32_MAX, &r->generation, err);
	case NVME_CARRY_RESV_PTPL:
		return tlv_get_bool(rec, &r->ptpl, err);
	case NVME_CARRY_RESV_REGISTRANTS:
		return registrants(r, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

/* resv_rules.c, invariant 1. */
static int check_resv(const struct resv *r, struct err *err)
{
	const bool single = r->type >= NVME_RESV_WRITE_EXCL && r->type <= NVME_RESV_EXCL_ACCESS_REG;

	if (single ? r->holder < 0 || r->holder >= (int)r->n : r->holder >= 0)
		return err_set(err, -EBADMSG, "the holder of a reservation of type %d is wrong",
			       (int)r->type);
	if (r->type > NVME_RESV_EXCL_ACCESS_REG && !r->n)
		return err_set(err, -EBADMSG, "a reservation of type %d has no registrant",
			       (int)r->type);
	return 0;
}

struct ns_in {
	uint32_t nsid;
	struct uuid uuid;
	struct resv resv;
	uint64_t debt[CARRY_QOS_BUCKETS], counters[CARRY_NS_COUNTERS];
};

static int get_u64s(const struct tlv *rec, uint64_t *ret, size_t n, struct err *err)
{
	if (rec->len != 8 * n)
		return err_set(err, -EBADMSG, "record %u: %u bytes instead of %zu", rec->type,
			       rec->len, 8 * n);
	for (size_t i = 0; i < n; i++)
		ret[i] = get_le64(rec->value + 8 * i);
	return 0;
}

static int ns_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct ns_in *in = ctx;
	int rc;

	switch (rec->type) {
	case NVME_CARRY_NSID:
		return tlv_get_u32(rec, UINT32_MAX, &in->nsid, err);
	case NVME_CARRY_UUID:
		return tlv_get_bytes(rec, in->uuid.b, 16, err);
	case NVME_CARRY_RESV:
		rc = carry_each(rec, resv_field, &in->resv, err);
		return rc ? rc : check_resv(&in->resv, err);
	case NVME_CARRY_QOS_DEBT:
		return get_u64s(rec, in->debt, CARRY_QOS_BUCKETS, err);
	case NVME_CARRY_NS_COUNTERS:
		return get_u64s(rec, in->counters, CARRY_NS_COUNTERS, err);
	default:
		return tlv_unknown(rec, err);
	}
}

/* To the control reactor's, which serves no I/O: nobody else writes them. */
static void add_counters(struct nvme_ns *ns, const uint64_t *n)
{
	struct ns_stats *s = ns->stats[reactor_id(ns->ss->target->opts.control)];
	counter *of[CARRY_NS_COUNTERS] = {&s->reads,           &s->writes,      &s->others,
					  &s->read_bytes,      &s->write_bytes, &s->errors,
					  &s->compares_failed, &s->media_errors};

	for (unsigned i = 0; i < CARRY_NS_COUNTERS; i++)
		counter_add(of[i], n[i]);
}

static int restore_ns(struct nvme_carry *carry, struct carried_subsystem *sub,
		      const struct tlv *rec, struct err *err)
{
	struct ns_in in = {.resv.holder = -1};
	struct resv_view before, after;
	struct nvme_ns *ns;
	int rc = carry_each(rec, ns_field, &in, err);

	if (rc)
		return rc;
	ns = nvme_ns_find(sub->ss, in.nsid);
	if (!ns)
		return err_set(err, -ENOENT, "%s lacks namespace %u, which the running engine has",
			       sub->ss->nqn, in.nsid);
	if (!uuid_equal(&ns->uuid, &in.uuid))
		return err_set(err, -ENOENT, "namespace %u of %s is another volume here", in.nsid,
			       sub->ss->nqn);
	nvme_resv_to_view(&ns->resv, &before);
	nvme_resv_to_view(&in.resv, &after);
	ns->resv = in.resv;
	sub->publish |= memcmp(&before, &after, sizeof(before)) != 0;
	if (ns->qos)
		nvme_qos_owe(ns->qos, reactor_now_exact(carry->target->opts.control), in.debt);
	add_counters(ns, in.counters);
	return 0;
}

/* --- subsystems --- */

struct subsystem_in {
	struct nvme_carry *carry;
	struct carried_subsystem *sub; /* its ss: once its name has come, which is first */
};

/* They come in the order in which they were made, which is mostly ours, too: a thousand are not searched for a thousand times. */
static struct nvme_subsystem *find_subsystem(struct nvme_carry *carry, const char *nqn)
{
	struct list *const end = &carry->target->subsystems;
	struct nvme_subsystem *ss = NULL;

	if (carry->next && carry->next != end)
		ss = list_entry(carry->next, struct nvme_subsystem, link);
	if (!ss || strcmp(ss->nqn, nqn) != 0)
		ss = nvme_subsystem_find(carry->target, nqn);
	if (ss && !ss->is_discovery)
		carry->next = ss->link.next;
	return ss;
}

static int subsystem_name(struct subsystem_in *in, const struct tlv *rec, struct err *err)
{
	char nqn[NVME_NQN_FIELD];
	int rc = tlv_get_str(rec, nqn, sizeof(nqn), err);

	if (rc)
		return rc;
	if (in->sub->ss)
		return err_set(err, -EBADMSG, "a subsystem has two names");
	in->sub->ss = find_subsystem(in->carry, nqn);
	if (!in->sub->ss || in->sub->ss->deleting)
		return err_set(err, -ENOENT, "there is no subsystem %s here", nqn);
	return 0;
}

static int next_cntlid(struct nvme_subsystem *ss, const struct tlv *rec, struct err *err)
{
	uint16_t next = 0;
	int rc = tlv_get_u16(rec, ss->max_cntlid, &next, err);

	if (!rc && next < ss->min_cntlid)
		rc = err_set(err, -EBADMSG, "controller id %u is not one of %s", next, ss->nqn);
	if (!rc)
		ss->next_cntlid = next;
	return rc;
}

static int subsystem_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct subsystem_in *in = ctx;
	struct nvme_subsystem *ss = in->sub->ss;

	if (!ss && rec->type != NVME_CARRY_NQN)
		return err_set(err, -EBADMSG, "a subsystem does not begin with its name");
	switch (rec->type) {
	case NVME_CARRY_NQN:
		return subsystem_name(in, rec, err);
	case NVME_CARRY_NEXT_CNTLID:
		return next_cntlid(ss, rec, err);
	case NVME_CARRY_ANA_CHANGES:
		return tlv_get_uint(rec, UINT64_MAX, &ss->ana_change_count, err);
	case NVME_CARRY_LISTENER:
		return restore_listener(in->carry, in->sub, rec, err);
	case NVME_CARRY_NS:
		return restore_ns(in->carry, in->sub, rec, err);
	case NVME_CARRY_CTRLR:
		return carry_restore_ctrlr(in->carry, ss, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

static int restore_subsystem(struct nvme_carry *carry, const struct tlv *rec, struct err *err)
{
	struct subsystem_in in = {.carry = carry};
	int rc;

	if (carry->n_subsystems == carry->cap_subsystems) {
		uint32_t cap = carry->cap_subsystems ? 2 * carry->cap_subsystems : 64;
		struct carried_subsystem *p =
			realloc(carry->subsystems, cap * sizeof(*carry->subsystems));

		if (!p)
			return err_set(err, -ENOMEM, "no memory for the state's subsystems");
		carry->subsystems = p;
		carry->cap_subsystems = cap;
	}
	in.sub = &carry->subsystems[carry->n_subsystems++];
	*in.sub = (struct carried_subsystem){0};
	rc = carry_each(rec, subsystem_field, &in, err);
	if (rc && in.sub->ss)
		(void)err_prefix(err, "%s", in.sub->ss->nqn);
	if (!rc && !in.sub->ss)
		rc = err_set(err, -EBADMSG, "a subsystem has no name");
	return rc;
}

static int target_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct nvme_carry *carry = ctx;

	switch (rec->type) {
	case NVME_CARRY_DISCOVERY_GEN:
		return tlv_get_uint(rec, UINT64_MAX, &carry->target->discovery_gen, err);
	case NVME_CARRY_PORT:
		return restore_port(carry, rec, err);
	case NVME_CARRY_SUBSYSTEM:
		return restore_subsystem(carry, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

int nvme_carry_restore(struct nvme_carry *carry, const struct tlv *rec, struct err *err)
{
	if (carry->n_subsystems)
		return err_set(err, -EBADMSG, "the target comes twice");
	return carry_each(rec, target_field, carry, err);
}

/* --- queue pairs --- */

struct queue_in {
	uint32_t subsystem, flags;
	uint16_t cntlid, qid, entries, sqhd;
};

static int queue_decode(const struct tlv *rec, struct queue_in *q, struct err *err)
{
	if (rec->len != CARRY_QUEUE_BYTES)
		return err_set(err, -EBADMSG, "a queue pair has %u bytes", rec->len);
	q->subsystem = get_le32(rec->value);
	q->cntlid = get_le16(rec->value + 4);
	q->qid = get_le16(rec->value + 6);
	q->entries = get_le16(rec->value + 8);
	q->sqhd = get_le16(rec->value + 10);
	q->flags = get_le32(rec->value + 12);
	return 0;
}

/* Queues of a controller come one after another, mostly: a thousand do not each search among a hundred. */
static struct nvme_ctrlr *find_ctrlr(struct nvme_carry *carry, const struct queue_in *q)
{
	const struct nvme_subsystem *ss;

	if (q->subsystem >= carry->n_subsystems)
		return NULL;
	ss = carry->subsystems[q->subsystem].ss;
	if (!carry->last || carry->last->ss != ss || carry->last->cntlid != q->cntlid)
		carry->last = nvme_ctrlr_find(carry->subsystems[q->subsystem].ss, q->cntlid);
	return carry->last;
}

int nvme_carry_qpair(struct nvme_carry *carry, struct nvme_qpair *qp, const struct tlv *rec,
		     struct reactor *home, struct err *err)
{
	struct queue_in q = {0};
	struct nvme_ctrlr *c;
	int rc = queue_decode(rec, &q, err);

	if (rc)
		return rc;
	c = find_ctrlr(carry, &q);
	if (!c || qp->ctrlr || q.qid >= ARRAY_LEN(c->ioq) || (q.qid ? c->ioq[q.qid] : c->admin))
		return err_set(err, -EBADMSG,
			       "queue %u of controller %u has no controller, or comes twice", q.qid,
			       q.cntlid);
	if (q.entries < 2 || q.entries > nvme_target_queue_max(carry->target, q.qid) ||
	    (q.qid && c->ss->is_discovery) || (q.flags & ~3u))
		return err_set(err, -EBADMSG, "queue %u of controller %u cannot have %u entries",
			       q.qid, q.cntlid, q.entries);
	qp->qid = q.qid;
	qp->qsize = q.entries;
	qp->sqfc_disabled = q.flags & CARRY_QUEUE_SQFC_OFF;
	qp->sqhd = q.sqhd;
	qp->state = q.flags & CARRY_QUEUE_CLOSING ? NVME_QP_CLOSING : NVME_QP_READY;
	nvme_ctrlr_add_qpair(c, qp);
	if (qp->qid)
		qp->home = nvme_target_take_home(carry->target, home);
	return 0;
}

int nvme_carry_check(struct nvme_carry *carry, struct err *err)
{
	for (uint32_t i = 0; i < carry->n_subsystems; i++) {
		list_for_each (it, &carry->subsystems[i].ss->ctrlrs) {
			const struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

			if (c->state == NVME_CTRLR_LIVE ? !c->admin : !c->n_qpairs)
				return err_set(err, -EBADMSG,
					       "controller %u of %s has lost its queues on the way",
					       c->cntlid, c->ss->nqn);
		}
	}
	return 0;
}

void nvme_carry_serve(struct nvme_carry *carry)
{
	for (uint32_t i = 0; i < carry->n_subsystems; i++) {
		struct carried_subsystem *sub = &carry->subsystems[i];

		if (sub->publish && !sub->ss->is_discovery)
			view_publish(sub->ss, NULL, NULL);
		list_for_each_safe (it, &sub->ss->ctrlrs) {
			struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

			if (c->state == NVME_CTRLR_LIVE)
				nvme_keepalive_restart(c);
			nvme_ctrlr_carry_on(c);
		}
	}
}

void nvme_carry_disarm(struct nvme_carry *carry)
{
	for (uint32_t i = 0; carry && i < carry->n_subsystems; i++) {
		if (!carry->subsystems[i].ss)
			continue;
		list_for_each (it, &carry->subsystems[i].ss->ctrlrs) {
			struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

			c->resetting = c->shutting_down = false;
		}
	}
}

void nvme_carry_forget(struct nvme_carry *carry)
{
	for (uint32_t i = 0; carry && i < carry->n_subsystems; i++) {
		if (!carry->subsystems[i].ss)
			continue;
		list_for_each_safe (it, &carry->subsystems[i].ss->ctrlrs)
			if (!list_entry(it, struct nvme_ctrlr, link)->n_qpairs)
				nvme_ctrlr_forget(list_entry(it, struct nvme_ctrlr, link));
	}
}
