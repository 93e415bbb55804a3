/* SPDX-License-Identifier: Apache-2.0 */
/* The controller model as records, see carry.h. Allocates nothing: hosts wait. Everything is frozen, so that what belongs to reactors may be read. */
#include <string.h>

#include "base/check.h"
#include "nvme/carry_parts.h"

#define M TLV_MANDATORY

const uint16_t nvme_carry_mandatory[] = {
	NVME_CARRY_TARGET, NVME_CARRY_PORT,  NVME_CARRY_SUBSYSTEM, NVME_CARRY_NS,
	NVME_CARRY_RESV,   NVME_CARRY_CTRLR, NVME_CARRY_QUEUE,
};
const size_t nvme_carry_mandatory_n = ARRAY_LEN(nvme_carry_mandatory);

#define FIELD(type_, name, max_) {type_, offsetof(struct nvme_ctrlr, name), max_}
const struct carry_u32 nvme_carry_u32[] = {
	FIELD(NVME_CARRY_CC, cc, UINT32_MAX),
	FIELD(NVME_CARRY_CSTS, csts, UINT32_MAX),
	FIELD(NVME_CARRY_AEN_CONFIG, aen_config, UINT32_MAX),
	FIELD(NVME_CARRY_AEN_PENDING, aen_pending, UINT32_MAX),
	FIELD(NVME_CARRY_AEN_MASKED, aen_masked, UINT32_MAX),
	FIELD(NVME_CARRY_FEAT_ARBITRATION, feat_arbitration, UINT32_MAX),
	FIELD(NVME_CARRY_FEAT_TEMPERATURE, feat_temperature, UINT32_MAX),
	FIELD(NVME_CARRY_FEAT_ERROR_RECOVERY, feat_error_recovery, UINT32_MAX),
	FIELD(NVME_CARRY_FEAT_WRITE_ATOMICITY, feat_write_atomicity, UINT32_MAX),
	FIELD(NVME_CARRY_RESV_MASK, resv_mask, UINT32_MAX),
};
const size_t nvme_carry_u32_n = ARRAY_LEN(nvme_carry_u32);

static void save_port(const struct nvme_port *port, struct tlv_writer *w)
{
	tlv_begin(w, NVME_CARRY_PORT, M);
	tlv_put_u64(w, NVME_CARRY_PORT_INDEX, 0, port->index);
	tlv_put_str(w, NVME_CARRY_TRTYPE, 0, port->addr.trtype);
	tlv_put_str(w, NVME_CARRY_ADRFAM, 0, port->addr.adrfam);
	tlv_put_str(w, NVME_CARRY_TRADDR, 0, port->addr.traddr);
	tlv_put_str(w, NVME_CARRY_TRSVCID, 0, port->addr.trsvcid);
	tlv_end(w);
}

uint32_t nvme_port_number(const struct nvme_port *port)
{
	return port->index;
}

static void save_listener(const struct nvme_subsystem *ss, const struct nvme_listener *l,
			  struct tlv_writer *w)
{
	tlv_begin(w, NVME_CARRY_LISTENER, 0);
	tlv_put_u64(w, NVME_CARRY_PORT_INDEX, 0, l->port->index);
	tlv_put_u64(w, NVME_CARRY_CHANGES, 0, l->change_count);
	tlv_put(w, NVME_CARRY_ANA_STATES, 0, l->ana + 1, ss->nn);
	tlv_end(w);
}

static void save_resv(const struct resv *r, struct tlv_writer *w)
{
	uint8_t *at;

	if (!r->n && !r->generation)
		return;
	tlv_begin(w, NVME_CARRY_RESV, M);
	tlv_put_u64(w, NVME_CARRY_RESV_TYPE, 0, r->type);
	if (r->holder >= 0)
		tlv_put_u64(w, NVME_CARRY_RESV_HOLDER, 0, (uint64_t)r->holder);
	tlv_put_u64(w, NVME_CARRY_RESV_GENERATION, 0, r->generation);
	tlv_put_u64(w, NVME_CARRY_RESV_PTPL, 0, r->ptpl);
	at = tlv_reserve(w, NVME_CARRY_RESV_REGISTRANTS, 0, (size_t)r->n * CARRY_REGISTRANT_BYTES);
	for (unsigned i = 0; at && i < r->n; i++, at += CARRY_REGISTRANT_BYTES) {
		memcpy(at, r->reg[i].hostid, 16);
		put_le64(at + 16, r->reg[i].key);
	}
	tlv_end(w);
}

static void save_ns_counters(const struct nvme_ns *ns, struct tlv_writer *w)
{
	uint64_t sum[CARRY_NS_COUNTERS] = {0};
	uint8_t *at;

	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		const struct ns_stats *s = ns->stats[i];
		const counter *of[CARRY_NS_COUNTERS];

		if (!s)
			continue;
		memcpy(of,
		       ((const counter *[]){&s->reads, &s->writes, &s->others, &s->read_bytes,
					    &s->write_bytes, &s->errors, &s->compares_failed,
					    &s->media_errors}),
		       sizeof(of));
		for (unsigned k = 0; k < CARRY_NS_COUNTERS; k++)
			sum[k] += counter_get(of[k]);
	}
	at = tlv_reserve(w, NVME_CARRY_NS_COUNTERS, 0, sizeof(sum));
	for (unsigned k = 0; at && k < CARRY_NS_COUNTERS; k++)
		put_le64(at + 8 * (size_t)k, sum[k]);
}

static void save_ns(const struct nvme_ns *ns, struct tlv_writer *w)
{
	struct reactor *control = ns->ss->target->opts.control;
	uint64_t debt[CARRY_QOS_BUCKETS];
	uint8_t *at;

	tlv_begin(w, NVME_CARRY_NS, M);
	tlv_put_u64(w, NVME_CARRY_NSID, 0, ns->nsid);
	tlv_put(w, NVME_CARRY_UUID, 0, ns->uuid.b, 16);
	save_resv(&ns->resv, w);
	if (ns->qos) {
		nvme_qos_debt(ns->qos, reactor_now_exact(control), debt);
		at = tlv_reserve(w, NVME_CARRY_QOS_DEBT, 0, CARRY_QOS_BYTES);
		for (unsigned i = 0; at && i < CARRY_QOS_BUCKETS; i++)
			put_le64(at + 8 * (size_t)i, debt[i]);
	}
	save_ns_counters(ns, w);
	tlv_end(w);
}

static void save_resv_log(const struct resv_log *log, struct tlv_writer *w)
{
	uint8_t *at;

	if (!log->count)
		return;
	tlv_put_u64(w, NVME_CARRY_RESV_LOG_COUNT, 0, log->count);
	at = tlv_reserve(w, NVME_CARRY_RESV_LOG, 0, (size_t)log->n * CARRY_RESV_LOG_BYTES);
	for (unsigned i = 0; at && i < log->n; i++, at += CARRY_RESV_LOG_BYTES) {
		unsigned k = (log->head + i) % RESV_LOG_ENTRIES;

		put_le64(at, log->e[k].count);
		put_le32(at + 8, log->e[k].nsid);
		put_le32(at + 12, log->e[k].type);
	}
}

static void save_errors(const struct nvme_ctrlr *c, struct tlv_writer *w)
{
	const uint64_t n = MIN(c->error_count, (uint64_t)NVME_ERROR_LOG_ENTRIES);
	uint8_t *at;

	if (!n)
		return;
	tlv_put_u64(w, NVME_CARRY_ERROR_COUNT, 0, c->error_count);
	at = tlv_reserve(w, NVME_CARRY_ERRORS, 0, (size_t)n * CARRY_ERROR_BYTES);
	for (uint64_t i = c->error_count - n; at && i < c->error_count;
	     i++, at += CARRY_ERROR_BYTES) {
		const struct nvme_error_entry *e = &c->errors[i % NVME_ERROR_LOG_ENTRIES];

		memset(at, 0, CARRY_ERROR_BYTES);
		put_le64(at, e->count);
		put_le64(at + 8, e->lba);
		put_le32(at + 16, e->nsid);
		put_le16(at + 20, e->sqid);
		put_le16(at + 22, e->cid);
		put_le16(at + 24, e->status);
	}
}

static uint64_t state_flags(const struct nvme_ctrlr *c)
{
	return (c->state == NVME_CTRLR_DELETING ? CARRY_CTRLR_DELETING : 0) |
	       (c->resetting ? CARRY_CTRLR_RESETTING : 0) |
	       (c->shutting_down ? CARRY_CTRLR_SHUTTING_DOWN : 0);
}

static void save_ctrlr(const struct nvme_ctrlr *c, struct tlv_writer *w)
{
	ASSERT(!c->n_flushes); /* a freeze waits for them */
	tlv_begin(w, NVME_CARRY_CTRLR, M);
	tlv_put_u64(w, NVME_CARRY_CNTLID, 0, c->cntlid);
	tlv_put_u64(w, NVME_CARRY_PORT_INDEX, 0, c->port->index);
	tlv_put(w, NVME_CARRY_HOSTID, 0, c->hostid, 16);
	tlv_put_str(w, NVME_CARRY_HOSTNQN, 0, c->hostnqn);
	tlv_put_u64(w, NVME_CARRY_CTRLR_STATE, 0, state_flags(c));
	for (size_t i = 0; i < nvme_carry_u32_n; i++) {
		uint32_t v;

		memcpy(&v, (const uint8_t *)c + nvme_carry_u32[i].offset, sizeof(v));
		tlv_put_u64(w, nvme_carry_u32[i].type, 0, v);
	}
	tlv_put_u64(w, NVME_CARRY_KATO_MS, 0, c->kato_ms);
	tlv_put(w, NVME_CARRY_CHANGED_NS, 0, c->changed_ns, carry_changed_ns_bytes(c->ss));
	tlv_put_u64(w, NVME_CARRY_N_IOQ, 0, c->n_ioq_granted);
	tlv_put_u64(w, NVME_CARRY_CONNECTED, 0, c->connected_wall_ns);
	tlv_put(w, NVME_CARRY_HOST_BEHAVIOR, 0, c->host_behavior, sizeof(c->host_behavior));
	save_resv_log(&c->resv_log, w);
	save_errors(c, w);
	tlv_end(w);
}

static void save_subsystem(const struct nvme_subsystem *ss, struct tlv_writer *w)
{
	tlv_begin(w, NVME_CARRY_SUBSYSTEM, M);
	tlv_put_str(w, NVME_CARRY_NQN, 0, ss->nqn);
	tlv_put_u64(w, NVME_CARRY_NEXT_CNTLID, 0, ss->next_cntlid);
	tlv_put_u64(w, NVME_CARRY_ANA_CHANGES, 0, ss->ana_change_count);
	list_for_each (it, &ss->listeners)
		save_listener(ss, list_entry(it, struct nvme_listener, link), w);
	for (uint32_t i = 0; i < ss->nn; i++)
		if (ss->ns[i] && !ss->ns[i]->removing)
			save_ns(ss->ns[i], w);
	list_for_each (it, &ss->ctrlrs)
		save_ctrlr(list_entry(it, struct nvme_ctrlr, link), w);
	tlv_end(w);
}

void nvme_target_save(struct nvme_target *t, struct tlv_writer *w)
{
	tlv_begin(w, NVME_CARRY_TARGET, M);
	tlv_put_u64(w, NVME_CARRY_DISCOVERY_GEN, 0, t->discovery_gen);
	for (unsigned i = 0; i < NVME_PORTS_MAX; i++)
		if (t->ports[i])
			save_port(t->ports[i], w);
	save_subsystem(t->discovery, w); /* number 0 */
	list_for_each (it, &t->subsystems)
		save_subsystem(list_entry(it, struct nvme_subsystem, link), w);
	tlv_end(w);
}

#define PORT_BYTES_MAX  1024u
#define NS_BYTES_MAX    (512u + RESV_HOSTS_MAX * CARRY_REGISTRANT_BYTES)
#define CTRLR_BYTES_MAX (2048u + NVME_ERROR_LOG_ENTRIES * CARRY_ERROR_BYTES)

static size_t subsystem_size(const struct nvme_subsystem *ss)
{
	size_t bytes = 1024;

	list_for_each (it, &ss->listeners)
		bytes += 128 + ss->nn;
	for (uint32_t i = 0; i < ss->nn; i++)
		bytes += ss->ns[i] ? NS_BYTES_MAX : 0;
	list_for_each (it, &ss->ctrlrs)
		bytes += CTRLR_BYTES_MAX + carry_changed_ns_bytes(ss);
	return bytes;
}

size_t nvme_target_save_size(struct nvme_target *t)
{
	size_t bytes = (size_t)NVME_PORTS_MAX * PORT_BYTES_MAX + subsystem_size(t->discovery);

	list_for_each (it, &t->subsystems)
		bytes += subsystem_size(list_entry(it, struct nvme_subsystem, link));
	return bytes;
}

size_t nvme_target_heap_size(struct nvme_target *t)
{
	size_t bytes = 0;

	list_for_each (it, &t->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		list_for_each (at, &ss->ctrlrs)
			bytes += sizeof(struct nvme_ctrlr) + carry_changed_ns_bytes(ss);
	}
	return bytes;
}

void nvme_target_number(struct nvme_target *t)
{
	uint32_t n = 0;

	t->discovery->number = n++;
	list_for_each (it, &t->subsystems)
		list_entry(it, struct nvme_subsystem, link)->number = n++;
}

void nvme_qpair_save(const struct nvme_qpair *qp, struct tlv_writer *w)
{
	uint8_t *at = tlv_reserve(w, NVME_CARRY_QUEUE, M, CARRY_QUEUE_BYTES);

	if (!at)
		return;
	put_le32(at, qp->ctrlr->ss->number);
	put_le16(at + 4, qp->ctrlr->cntlid);
	put_le16(at + 6, qp->qid);
	put_le16(at + 8, qp->qsize);
	put_le16(at + 10, qp->sqhd);
	put_le32(at + 12, (qp->sqfc_disabled ? CARRY_QUEUE_SQFC_OFF : 0) |
				  (qp->state == NVME_QP_CLOSING ? CARRY_QUEUE_CLOSING : 0));
}
