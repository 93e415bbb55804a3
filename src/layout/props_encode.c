/* SPDX-License-Identifier: Apache-2.0 */
/* Properties to TLVs, always in the same order: fixed ones, exports with what is theirs, labels, unknown ones. */
#include "base/check.h"
#include "layout/props_format.h"

struct out {
	uint8_t *p;
	uint32_t len;
	uint32_t tlv; /* where the TLV begins that is being written */
};

static void put(struct out *o, const void *data, size_t len)
{
	ASSERT(len <= PROPS_BLOB_MAX - o->len);
	memcpy(o->p + o->len, data, len);
	o->len += (uint32_t)len;
}

static void tlv_begin(struct out *o, unsigned tag)
{
	struct tlv_format head = {0};

	o->tlv = o->len;
	put_le16(&head.tag, (uint16_t)tag);
	put(o, &head, sizeof(head));
}

static void tlv_end(struct out *o)
{
	static const uint8_t zero[TLV_ALIGN];
	uint32_t len = o->len - o->tlv - (uint32_t)sizeof(struct tlv_format);

	put_le16(o->p + o->tlv + offsetof(struct tlv_format, len), (uint16_t)len);
	put(o, zero, align_up(len, TLV_ALIGN) - len);
}

static void put_tlv(struct out *o, unsigned tag, const void *data, size_t len)
{
	tlv_begin(o, tag);
	put(o, data, len);
	tlv_end(o);
}

static void put_u32(struct out *o, unsigned tag, uint32_t value)
{
	le32 v;

	put_le32(&v, value);
	put_tlv(o, tag, &v, sizeof(v));
}

static void put_fixed(struct out *o, const struct props *p)
{
	static const struct props_qos no_limits;
	struct qos_format qos;
	le64 created;

	put_tlv(o, PROPS_NAME, p->name, strlen(p->name));
	put_tlv(o, PROPS_UUID, p->uuid.b, sizeof(p->uuid.b));
	put_u32(o, PROPS_FLAGS, p->flags);
	put_u32(o, PROPS_BLOCK_SIZE, p->block_size);
	put_tlv(o, PROPS_NGUID, p->nguid, sizeof(p->nguid));
	put_tlv(o, PROPS_EUI64, p->eui64, sizeof(p->eui64));
	if (p->serial[0])
		put_tlv(o, PROPS_SERIAL, p->serial, strlen(p->serial));
	put_le64(&created, p->created_s);
	put_tlv(o, PROPS_CREATED, &created, sizeof(created));
	if (!uuid_is_null(&p->snapshot_of))
		put_tlv(o, PROPS_SNAPSHOT_OF, p->snapshot_of.b, sizeof(p->snapshot_of.b));
	if (memcmp(&p->qos, &no_limits, sizeof(no_limits)) == 0)
		return;
	put_le64(&qos.rw_ios, p->qos.rw_ios);
	put_le64(&qos.r_ios, p->qos.r_ios);
	put_le64(&qos.w_ios, p->qos.w_ios);
	put_le64(&qos.rw_bytes, p->qos.rw_bytes);
	put_le64(&qos.r_bytes, p->qos.r_bytes);
	put_le64(&qos.w_bytes, p->qos.w_bytes);
	put_tlv(o, PROPS_QOS, &qos, sizeof(qos));
}

static void put_reservation(struct out *o, uint8_t export_no, const struct props_reservation *r)
{
	struct reservation_format f = {.export_no = export_no, .type = r->type};

	tlv_begin(o, PROPS_RESERVATION);
	put_le16(&f.n, (uint16_t)r->n);
	put_le32(&f.holder, r->holder);
	put_le32(&f.generation, r->generation);
	put(o, &f, sizeof(f));
	for (unsigned i = 0; i < r->n; i++) {
		struct registrant_format reg;

		memcpy(reg.hostid, r->reg[i].hostid, sizeof(reg.hostid));
		put_le64(&reg.key, r->reg[i].key);
		put(o, &reg, sizeof(reg));
	}
	tlv_end(o);
}

static void put_export(struct out *o, uint8_t export_no, const struct props_export *e)
{
	struct export_format f;

	put_le32(&f.nsid, e->nsid);
	put_le32(&f.anagrpid, e->anagrpid);
	put_le32(&f.flags, e->flags);
	tlv_begin(o, PROPS_EXPORT);
	put(o, &f, sizeof(f));
	put(o, e->nqn, strlen(e->nqn));
	tlv_end(o);
	if (e->has_reservation)
		put_reservation(o, export_no, &e->reservation);
}

static void put_host(struct out *o, const struct props_host *h)
{
	struct host_format f = {h->export_no};

	tlv_begin(o, PROPS_HOST);
	put(o, &f, sizeof(f));
	put(o, h->nqn, strlen(h->nqn));
	tlv_end(o);
}

static void put_listener(struct out *o, const struct props_listener *l)
{
	struct listener_format f = {l->export_no, l->ana, l->trtype, l->adrfam,
				    (uint8_t)strlen(l->traddr)};

	tlv_begin(o, PROPS_LISTENER);
	put(o, &f, sizeof(f));
	put(o, l->traddr, strlen(l->traddr));
	put(o, l->trsvcid, strlen(l->trsvcid));
	tlv_end(o);
}

static void put_label(struct out *o, const struct props_label *l)
{
	struct label_format f;

	put_le16(&f.key_len, (uint16_t)strlen(l->key));
	tlv_begin(o, PROPS_LABEL);
	put(o, &f, sizeof(f));
	put(o, l->key, strlen(l->key));
	put(o, l->value, strlen(l->value));
	tlv_end(o);
}

uint32_t props_encode(const struct props *p, uint8_t *out)
{
	struct out o = {.p = out};

	ASSERT(props_check(p, NULL) == 0);
	put_fixed(&o, p);
	for (unsigned i = 0; i < p->n_exports; i++)
		put_export(&o, (uint8_t)i, &p->export[i]);
	for (unsigned i = 0; i < p->n_hosts; i++)
		put_host(&o, &p->host[i]);
	for (unsigned i = 0; i < p->n_listeners; i++)
		put_listener(&o, &p->listener[i]);
	for (unsigned i = 0; i < p->n_labels; i++)
		put_label(&o, &p->label[i]);
	put(&o, p->unknown, p->unknown_len);
	return o.len;
}
