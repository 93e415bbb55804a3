/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties from untrusted TLVs. Each tag has a row: how long its value can be, whether it may come more than
 * once, and a function that takes the value. props_check() then judges the whole.
 */
#include <errno.h>

#include "layout/props_format.h"

struct value {
	const uint8_t *p;
	uint32_t len;
};

/* False: impossible. */
typedef bool (*take_fn)(const struct value *v, struct props *p);

/* Bytes as a string: too long, or with a NUL inside, is refused. */
static bool take_text(const uint8_t *in, size_t len, char *out, size_t size)
{
	if (len >= size || memchr(in, 0, len))
		return false;
	memcpy(out, in, len);
	memset(out + len, 0, size - len);
	return true;
}

static bool take_name(const struct value *v, struct props *p)
{
	return take_text(v->p, v->len, p->name, sizeof(p->name));
}

static bool take_serial(const struct value *v, struct props *p)
{
	return take_text(v->p, v->len, p->serial, sizeof(p->serial));
}

static bool take_uuid(const struct value *v, struct props *p)
{
	memcpy(p->uuid.b, v->p, sizeof(p->uuid.b));
	return true;
}

static bool take_snapshot_of(const struct value *v, struct props *p)
{
	memcpy(p->snapshot_of.b, v->p, sizeof(p->snapshot_of.b));
	return !uuid_is_null(&p->snapshot_of);
}

static bool take_flags(const struct value *v, struct props *p)
{
	p->flags = get_le32(v->p);
	return true;
}

static bool take_block_size(const struct value *v, struct props *p)
{
	p->block_size = get_le32(v->p);
	return true;
}

static bool take_nguid(const struct value *v, struct props *p)
{
	memcpy(p->nguid, v->p, sizeof(p->nguid));
	return true;
}

static bool take_eui64(const struct value *v, struct props *p)
{
	memcpy(p->eui64, v->p, sizeof(p->eui64));
	return true;
}

static bool take_created(const struct value *v, struct props *p)
{
	p->created_s = get_le64(v->p);
	return true;
}

static bool take_qos(const struct value *v, struct props *p)
{
	const struct qos_format *f = (const struct qos_format *)v->p;

	p->qos = (struct props_qos){
		get_le64(&f->rw_ios),   get_le64(&f->r_ios),   get_le64(&f->w_ios),
		get_le64(&f->rw_bytes), get_le64(&f->r_bytes), get_le64(&f->w_bytes),
	};
	return true;
}

static bool take_export(const struct value *v, struct props *p)
{
	const struct export_format *f = (const struct export_format *)v->p;
	struct props_export *e = &p->export[p->n_exports];

	if (p->n_exports == PROPS_EXPORTS_MAX)
		return false;
	p->n_exports++;
	e->nsid = get_le32(&f->nsid);
	e->anagrpid = get_le32(&f->anagrpid);
	e->flags = get_le32(&f->flags);
	return take_text(v->p + sizeof(*f), v->len - sizeof(*f), e->nqn, sizeof(e->nqn));
}

static bool take_host(const struct value *v, struct props *p)
{
	const struct host_format *f = (const struct host_format *)v->p;
	struct props_host *h = &p->host[p->n_hosts];

	if (p->n_hosts == PROPS_HOSTS_MAX)
		return false;
	p->n_hosts++;
	h->export_no = f->export_no;
	return take_text(v->p + sizeof(*f), v->len - sizeof(*f), h->nqn, sizeof(h->nqn));
}

static bool take_listener(const struct value *v, struct props *p)
{
	const struct listener_format *f = (const struct listener_format *)v->p;
	struct props_listener *l = &p->listener[p->n_listeners];
	const uint8_t *text = v->p + sizeof(*f);
	uint32_t rest = v->len - (uint32_t)sizeof(*f);

	if (p->n_listeners == PROPS_LISTENERS_MAX || f->traddr_len > rest)
		return false;
	p->n_listeners++;
	l->export_no = f->export_no;
	l->ana = f->ana;
	l->trtype = f->trtype;
	l->adrfam = f->adrfam;
	return take_text(text, f->traddr_len, l->traddr, sizeof(l->traddr)) &&
	       take_text(text + f->traddr_len, rest - f->traddr_len, l->trsvcid,
			 sizeof(l->trsvcid));
}

/* Comes behind its export. */
static bool take_reservation(const struct value *v, struct props *p)
{
	const struct reservation_format *f = (const struct reservation_format *)v->p;
	uint32_t n = get_le16(&f->n);
	struct props_export *e;

	if (f->export_no >= p->n_exports || n > PROPS_REGISTRANTS_MAX ||
	    v->len != sizeof(*f) + n * sizeof(struct registrant_format))
		return false;
	e = &p->export[f->export_no];
	if (e->has_reservation)
		return false;
	e->has_reservation = true;
	e->reservation.type = f->type;
	e->reservation.holder = get_le32(&f->holder);
	e->reservation.generation = get_le32(&f->generation);
	e->reservation.n = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct registrant_format *r =
			(const struct registrant_format *)(v->p + sizeof(*f)) + i;

		memcpy(e->reservation.reg[i].hostid, r->hostid, sizeof(r->hostid));
		e->reservation.reg[i].key = get_le64(&r->key);
	}
	return true;
}

static bool take_label(const struct value *v, struct props *p)
{
	const struct label_format *f = (const struct label_format *)v->p;
	struct props_label *l = &p->label[p->n_labels];
	const uint8_t *text = v->p + sizeof(*f);
	uint32_t key_len = get_le16(&f->key_len), rest = v->len - (uint32_t)sizeof(*f);

	if (p->n_labels == PROPS_LABELS_MAX || key_len > rest)
		return false;
	p->n_labels++;
	return take_text(text, key_len, l->key, sizeof(l->key)) &&
	       take_text(text + key_len, rest - key_len, l->value, sizeof(l->value));
}

static const struct tag_rule {
	unsigned tag;
	uint32_t min, max; /* bytes of value */
	bool repeats;
	take_fn take;
} tag_rules[] = {
	{PROPS_NAME, 1, LAYOUT_NAME_MAX, false, take_name},
	{PROPS_UUID, 16, 16, false, take_uuid},
	{PROPS_FLAGS, 4, 4, false, take_flags},
	{PROPS_BLOCK_SIZE, 4, 4, false, take_block_size},
	{PROPS_NGUID, 16, 16, false, take_nguid},
	{PROPS_EUI64, 8, 8, false, take_eui64},
	{PROPS_SERIAL, 1, PROPS_SERIAL_MAX, false, take_serial},
	{PROPS_EXPORT, 13, 12 + PROPS_NQN_MAX, true, take_export},
	{PROPS_HOST, 2, 1 + PROPS_NQN_MAX, true, take_host},
	{PROPS_LISTENER, 6, 5 + PROPS_ADDR_MAX + PROPS_PORT_MAX, true, take_listener},
	{PROPS_RESERVATION, 12, 12 + 24 * PROPS_REGISTRANTS_MAX, true, take_reservation},
	{PROPS_CREATED, 8, 8, false, take_created},
	{PROPS_QOS, 48, 48, false, take_qos},
	{PROPS_LABEL, 3, 2 + PROPS_KEY_MAX + PROPS_VALUE_MAX, true, take_label},
	{PROPS_SNAPSHOT_OF, 16, 16, false, take_snapshot_of},
};
static_assert(ARRAY_LEN(tag_rules) <= 32, "seen is 32 bits");

static int keep_unknown(const uint8_t *tlv, uint32_t size, struct props *p, struct err *err)
{
	unsigned tag = get_le16(tlv);

	if (!(tag & PROPS_OPTIONAL))
		return err_set(err, -EOPNOTSUPP,
			       "there is a property %u that this program does not know and may not "
			       "ignore; use a newer one",
			       tag);
	if (size > PROPS_UNKNOWN_MAX - p->unknown_len)
		return err_set(
			err, -EOPNOTSUPP,
			"there are more than %u bytes of properties that this program does not "
			"know; use a newer one",
			PROPS_UNKNOWN_MAX);
	memcpy(p->unknown + p->unknown_len, tlv, size);
	p->unknown_len += size;
	return 0;
}

static int take_tlv(const uint8_t *tlv, uint32_t size, uint32_t *seen, struct props *p,
		    struct err *err)
{
	const struct tlv_format *head = (const struct tlv_format *)tlv;
	struct value v = {tlv + sizeof(*head), get_le16(&head->len)};
	unsigned tag = get_le16(&head->tag), i;

	for (i = 0; i < ARRAY_LEN(tag_rules) && tag_rules[i].tag != tag;)
		i++;
	if (i == ARRAY_LEN(tag_rules))
		return keep_unknown(tlv, size, p, err);
	if ((*seen >> i & 1) && !tag_rules[i].repeats)
		return err_set(err, -EUCLEAN, "property %u is there twice", tag);
	*seen |= 1u << i;
	if (v.len < tag_rules[i].min || v.len > tag_rules[i].max || !tag_rules[i].take(&v, p))
		return err_set(err, -EUCLEAN, "property %u is not possible", tag);
	return 0;
}

/* Each TLV to take, until it says no. */
static int walk(const uint8_t *in, uint32_t len, struct props *ret, struct err *err,
		int (*take)(const uint8_t *tlv, uint32_t size, uint32_t *seen, struct props *p,
			    struct err *err))
{
	const struct tlv_format *head;
	uint32_t at = 0, size, seen = 0;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (len > PROPS_BLOB_MAX)
		return err_set(err, -EUCLEAN, "the properties are longer than is possible");
	for (; at < len; at += size) {
		if (len - at < sizeof(*head))
			return err_set(err, -EUCLEAN, "a property is cut off");
		head = (const struct tlv_format *)(in + at);
		size = (uint32_t)sizeof(*head) +
		       (uint32_t)align_up(get_le16(&head->len), TLV_ALIGN);
		if (size > len - at)
			return err_set(err, -EUCLEAN, "a property is cut off");
		if (!layout_is_zero(in + at + sizeof(*head) + get_le16(&head->len),
				    size - sizeof(*head) - get_le16(&head->len)))
			return err_set(err, -EUCLEAN, "the padding of a property is not zero");
		rc = take(in + at, size, &seen, ret, err);
		if (rc)
			return rc;
	}
	return 0;
}

int props_decode(const uint8_t *in, uint32_t len, struct props *ret, struct err *err)
{
	int rc = walk(in, len, ret, err, take_tlv);

	if (rc)
		return rc;
	rc = props_check(ret, err);
	return rc ? -EUCLEAN : 0;
}

static int take_identity(const uint8_t *tlv, uint32_t size, uint32_t *seen, struct props *p,
			 struct err *err)
{
	switch (get_le16(tlv)) {
	case PROPS_NAME:
	case PROPS_UUID:
	case PROPS_FLAGS:
	case PROPS_BLOCK_SIZE:
	case PROPS_SNAPSHOT_OF:
		return take_tlv(tlv, size, seen, p, err);
	default:
		return 0;
	}
}

int props_decode_identity(const uint8_t *in, uint32_t len, struct props *ret, struct err *err)
{
	int rc = walk(in, len, ret, err, take_identity);

	if (rc)
		return rc;
	if (!layout_name_valid(ret->name, sizeof(ret->name), LAYOUT_NAME_MAX) ||
	    uuid_is_null(&ret->uuid))
		return err_set(err, -EUCLEAN, "the properties have no name or no UUID");
	return 0;
}
