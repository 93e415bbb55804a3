/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as records, by one table. A packet is: record TYPE (mandatory), then one record for each member that is not empty; the members that a type needs are mandatory
 * and must be there, the others may be skipped by who does not know them.
 */
#include "handover/message.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/tlv.h"

enum kind { KIND_TEXT, KIND_U32, KIND_CODE, KIND_U64, KIND_BOOL, KIND_TYPES, KIND_BEATS };

#define BIT(type) (1u << (type))

struct field {
	uint16_t id;
	enum kind kind;
	size_t offset, size;
	uint32_t needed; /* mask of BIT(type): the messages that are nothing without it */
};

#define FIELD(id, kind, member, needed)                                                            \
	{id, kind, offsetof(struct handover_message, member),                                      \
	 sizeof(((struct handover_message *)NULL)->member), needed}

#define RECORD_TYPE 1

/* Numbers are never used again for something else. */
static const struct field fields[] = {
	FIELD(2, KIND_TEXT, version,
	      BIT(HANDOVER_HELLO) | BIT(HANDOVER_OFFER) | BIT(HANDOVER_LINK)),
	FIELD(3, KIND_TEXT, state_dir, BIT(HANDOVER_OFFER)),
	FIELD(4, KIND_TEXT, path, BIT(HANDOVER_START)),
	FIELD(5, KIND_TEXT, step, 0),
	FIELD(6, KIND_TEXT, text, BIT(HANDOVER_REFUSE)),
	FIELD(7, KIND_CODE, code, 0),
	FIELD(8, KIND_U32, pid, BIT(HANDOVER_HELLO) | BIT(HANDOVER_OFFER) | BIT(HANDOVER_LINK)),
	FIELD(9, KIND_U32, format, BIT(HANDOVER_HELLO) | BIT(HANDOVER_OFFER)),
	FIELD(10, KIND_BOOL, dry_run, 0),
	FIELD(11, KIND_BOOL, serving, 0),
	FIELD(12, KIND_U32, bag, 0),
	FIELD(13, KIND_U32, bag_first, 0),
	FIELD(14, KIND_U32, bag_total, BIT(HANDOVER_FDS)),
	FIELD(15, KIND_U64, bytes,
	      BIT(HANDOVER_PREPARE) | BIT(HANDOVER_STATE) | BIT(HANDOVER_STATS)),
	FIELD(16, KIND_U64, warm_ns, 0),
	FIELD(17, KIND_U64, restore_ns, 0),
	FIELD(18, KIND_U64, stop_at_ns, 0),
	FIELD(19, KIND_U32, restarts, 0),
	FIELD(20, KIND_U32, conns, 0),
	FIELD(21, KIND_U32, ctrlrs, 0),
	FIELD(22, KIND_U32, bdevs, 0),
	FIELD(23, KIND_U32, pools, 0),
	FIELD(24, KIND_TYPES, types, 0),
	FIELD(25, KIND_BEATS, beats, BIT(HANDOVER_BEAT)),
	FIELD(26, KIND_U64, saved_at_ns, 0),
	FIELD(27, KIND_U64, sent_at_ns, 0),
	FIELD(28, KIND_U64, stop_cpu_ns, 0),
	FIELD(29, KIND_BOOL, wants_stats, 0),
};

#define BEAT_BYTES 24u

const char *const handover_type_name[HANDOVER_TYPE_END] = {
	[HANDOVER_HELLO] = "hello",     [HANDOVER_OFFER] = "offer",
	[HANDOVER_FDS] = "fds",         [HANDOVER_PREPARE] = "prepare",
	[HANDOVER_WARMED] = "warmed",   [HANDOVER_STATE] = "state",
	[HANDOVER_READY] = "ready",     [HANDOVER_GO] = "go",
	[HANDOVER_DONE] = "done",       [HANDOVER_REFUSE] = "refuse",
	[HANDOVER_LINK] = "link",       [HANDOVER_WELCOME] = "welcome",
	[HANDOVER_BEAT] = "beat",       [HANDOVER_START] = "start",
	[HANDOVER_STARTED] = "started", [HANDOVER_ENDED] = "ended",
	[HANDOVER_STOP] = "stop",       [HANDOVER_STATS] = "stats",
};

static void put_types(struct tlv_writer *w, const struct field *f, uint16_t flags,
		      const struct handover_message *msg)
{
	uint8_t *at = tlv_reserve(w, f->id, flags, (size_t)msg->n_types * 2);

	for (unsigned i = 0; at && i < msg->n_types; i++)
		put_le16(at + (size_t)i * 2, msg->types[i]);
}

static void put_beats(struct tlv_writer *w, const struct field *f, uint16_t flags,
		      const struct handover_message *msg)
{
	uint8_t *at = tlv_reserve(w, f->id, flags, (size_t)msg->n_beats * BEAT_BYTES);

	for (unsigned i = 0; at && i < msg->n_beats; i++, at += BEAT_BYTES) {
		const struct handover_beat *beat = &msg->beats[i];

		memset(at, 0, 16);
		memcpy(at, beat->name, strnlen(beat->name, 15));
		put_le32(at + 16, beat->tid);
		put_le32(at + 20, beat->age_ms);
	}
}

static void put_field(struct tlv_writer *w, const struct field *f,
		      const struct handover_message *msg)
{
	const void *at = (const uint8_t *)msg + f->offset;
	bool needed = f->needed & BIT(msg->type);
	uint16_t flags = needed ? TLV_MANDATORY : 0;
	uint64_t v = 0;

	switch (f->kind) {
	case KIND_TEXT:
		if (needed || *(const char *)at)
			tlv_put_str(w, f->id, flags, at);
		return;
	case KIND_TYPES:
		if (needed || msg->n_types)
			put_types(w, f, flags, msg);
		return;
	case KIND_BEATS:
		if (needed || msg->n_beats)
			put_beats(w, f, flags, msg);
		return;
	case KIND_U64:
		v = *(const uint64_t *)at;
		break;
	case KIND_CODE:
		v = (uint64_t)-*(const int32_t *)at; /* an errno is sent as what it is, positive */
		break;
	case KIND_BOOL:
		v = *(const bool *)at;
		break;
	case KIND_U32:
	default:
		v = *(const uint32_t *)at;
		break;
	}
	if (needed || v)
		tlv_put_u64(w, f->id, flags, v);
}

int handover_encode(const struct handover_message *msg, uint8_t *buf, size_t size)
{
	struct tlv_writer w;

	tlv_writer_fixed(&w, buf, size);
	tlv_put_u64(&w, RECORD_TYPE, TLV_MANDATORY, msg->type);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		put_field(&w, &fields[i], msg);
	return w.error ? w.error : (int)w.len;
}

static int get_types(const struct tlv *rec, struct handover_message *msg, struct err *err)
{
	if (rec->len % 2 || rec->len / 2 > HANDOVER_TYPES_MAX)
		return err_set(err, -EBADMSG, "a list of types of %u bytes", rec->len);
	msg->n_types = (uint16_t)(rec->len / 2);
	for (unsigned i = 0; i < msg->n_types; i++)
		msg->types[i] = get_le16(rec->value + (size_t)i * 2);
	return 0;
}

static int get_beats(const struct tlv *rec, struct handover_message *msg, struct err *err)
{
	if (rec->len % BEAT_BYTES || rec->len / BEAT_BYTES > HANDOVER_BEATS_MAX)
		return err_set(err, -EBADMSG, "a list of threads of %u bytes", rec->len);
	msg->n_beats = (uint16_t)(rec->len / BEAT_BYTES);
	for (unsigned i = 0; i < msg->n_beats; i++) {
		const uint8_t *at = rec->value + (size_t)i * BEAT_BYTES;
		struct handover_beat *beat = &msg->beats[i];

		for (size_t k = 0; k < sizeof(beat->name) - 1 && at[k]; k++) {
			beat->name[k] = (char)at[k];
			if (beat->name[k] <= ' ' || beat->name[k] > '~')
				beat->name[k] = '?';
		}
		beat->tid = get_le32(at + 16);
		beat->age_ms = get_le32(at + 20);
	}
	return 0;
}

static int get_field(const struct tlv *rec, const struct field *f, struct handover_message *msg,
		     struct err *err)
{
	void *at = (uint8_t *)msg + f->offset;
	uint64_t v = 0;
	int res;

	switch (f->kind) {
	case KIND_TEXT:
		return tlv_get_str(rec, at, f->size, err);
	case KIND_TYPES:
		return get_types(rec, msg, err);
	case KIND_BEATS:
		return get_beats(rec, msg, err);
	case KIND_U64:
		return tlv_get_uint(rec, UINT64_MAX, at, err);
	case KIND_BOOL:
		return tlv_get_bool(rec, at, err);
	case KIND_CODE:
		res = tlv_get_uint(rec, 4095, &v, err);
		if (res == 0)
			*(int32_t *)at = -(int32_t)v;
		return res;
	case KIND_U32:
	default:
		return tlv_get_u32(rec, UINT32_MAX, at, err);
	}
}

static const struct field *field_find(uint16_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].id == id)
			return &fields[i];
	return NULL;
}

static int decode_records(struct tlv_reader *r, struct handover_message *msg, uint64_t *ret_seen,
			  struct err *err)
{
	struct tlv rec;
	int res;

	while ((res = tlv_next(r, &rec)) > 0) {
		const struct field *f = field_find(rec.type);

		if (f && *ret_seen & (UINT64_C(1) << f->id))
			return err_set(err, -EBADMSG, "record %u is there twice", rec.type);
		res = f ? get_field(&rec, f, msg, err) : tlv_unknown(&rec, err);
		if (res < 0) {
			(void)err_prefix(err, "a %s message", handover_type_name[msg->type]);
			return res;
		}
		if (f)
			*ret_seen |= UINT64_C(1) << f->id;
	}
	return res < 0 ? err_set(err, res, "a %s message is cut or torn",
				 handover_type_name[msg->type])
		       : 0;
}

int handover_decode(const uint8_t *buf, size_t len, struct handover_message *ret, struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	uint64_t type = 0, seen = 0;
	int res;

	memset(ret, 0, sizeof(*ret));
	tlv_reader_init(&r, buf, len);
	if (tlv_next(&r, &rec) != 1 || rec.type != RECORD_TYPE ||
	    tlv_get_uint(&rec, UINT16_MAX, &type, NULL) < 0)
		return err_set(err, -EBADMSG, "the packet does not begin with its type");
	if (type == 0 || type >= HANDOVER_TYPE_END)
		return err_set(err, -EOPNOTSUPP,
			       "messages of type %llu are not known to this version",
			       (unsigned long long)type);
	ret->type = (enum handover_type)type;
	res = decode_records(&r, ret, &seen, err);
	if (res < 0)
		return res;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].needed & BIT(type) && !(seen & (UINT64_C(1) << fields[i].id)))
			return err_set(err, -EBADMSG, "a %s message lacks record %u",
				       handover_type_name[type], fields[i].id);
	return 0;
}
