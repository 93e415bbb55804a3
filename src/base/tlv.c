/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and reading of TLV records, see tlv.h. The writer keeps: len is a multiple of TLV_ALIGN between calls; every
 * byte up to len is initialized; nothing is written after the first error.
 */
#include "base/tlv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

enum {
	BLOB_FORMAT = 8,
	BLOB_CRC = 12,
	BLOB_LEN = 16,
	BLOB_TEXT = 24,
	BLOB_ZERO = 56,
	BLOB_HEAD_CRC = 60
};

#define WRITER_FIRST_CAP 4096u

static_assert(BLOB_TEXT + TLV_BLOB_TEXT == BLOB_ZERO && BLOB_HEAD_CRC + 4 == TLV_BLOB_HEAD,
	      "the blob's head has no holes");

/* ---- writing ---- */

void tlv_writer_fixed(struct tlv_writer *w, void *buf, size_t cap)
{
	*w = (struct tlv_writer){.buf = buf, .cap = cap, .fixed = true};
}

void tlv_writer_init(struct tlv_writer *w)
{
	*w = (struct tlv_writer){0};
}

void tlv_writer_fini(struct tlv_writer *w)
{
	if (!w->fixed)
		free(w->buf);
	*w = (struct tlv_writer){0};
}

static void fail(struct tlv_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

/* Room for more bytes at the end, or NULL with the error set. */
static uint8_t *grow(struct tlv_writer *w, size_t more)
{
	uint8_t *at;

	if (w->error)
		return NULL;
	if (more > w->cap - w->len) {
		size_t cap = MAX(MAX(w->cap * 2, w->len + more), WRITER_FIRST_CAP);
		uint8_t *buf = w->fixed ? NULL : realloc(w->buf, cap);

		if (!buf) {
			fail(w, w->fixed ? -ENOSPC : -ENOMEM);
			return NULL;
		}
		w->buf = buf;
		w->cap = cap;
	}
	at = w->buf + w->len;
	w->len += more;
	return at;
}

size_t tlv_size(size_t len)
{
	return TLV_HEAD + (size_t)align_up(len, TLV_ALIGN);
}

void *tlv_reserve(struct tlv_writer *w, uint16_t type, uint16_t flags, size_t len)
{
	uint8_t *at;

	ASSERT(type != 0);
	if (len > UINT32_MAX - TLV_ALIGN) {
		fail(w, -E2BIG);
		return NULL;
	}
	at = grow(w, tlv_size(len));
	if (!at)
		return NULL;
	put_le16(at, type);
	put_le16(at + 2, flags);
	put_le32(at + 4, (uint32_t)len);
	memset(at + TLV_HEAD + len, 0, tlv_size(len) - TLV_HEAD - len);
	return at + TLV_HEAD;
}

void tlv_put(struct tlv_writer *w, uint16_t type, uint16_t flags, const void *data, size_t len)
{
	void *at = tlv_reserve(w, type, flags, len);

	if (at && len)
		memcpy(at, data, len);
}

void tlv_put_u64(struct tlv_writer *w, uint16_t type, uint16_t flags, uint64_t value)
{
	void *at = tlv_reserve(w, type, flags, sizeof(value));

	if (at)
		put_le64(at, value);
}

void tlv_put_str(struct tlv_writer *w, uint16_t type, uint16_t flags, const char *text)
{
	tlv_put(w, type, flags, text, strlen(text));
}

void tlv_begin(struct tlv_writer *w, uint16_t type, uint16_t flags)
{
	size_t at = w->len;

	if (w->depth == TLV_DEPTH_MAX)
		fail(w, -E2BIG);
	(void)tlv_reserve(w, type, flags, 0); /* without room the sticky error says so */
	if (!w->error)
		w->open[w->depth++] = at;
}

void tlv_end(struct tlv_writer *w)
{
	size_t at, len;

	if (w->error)
		return;
	ASSERT(w->depth > 0);
	at = w->open[--w->depth];
	len = w->len - at - TLV_HEAD;
	if (len > UINT32_MAX - TLV_ALIGN)
		fail(w, -E2BIG);
	else
		put_le32(w->buf + at + 4, (uint32_t)len);
}

/* ---- reading ---- */

void tlv_reader_init(struct tlv_reader *r, const void *buf, size_t len)
{
	*r = (struct tlv_reader){.p = buf, .end = (const uint8_t *)buf + len};
}

int tlv_next(struct tlv_reader *r, struct tlv *ret)
{
	size_t left = (size_t)(r->end - r->p);
	struct tlv rec;

	if (left == 0)
		return 0;
	if (left < TLV_HEAD)
		return -EBADMSG;
	rec.type = get_le16(r->p);
	rec.flags = get_le16(r->p + 2);
	rec.len = get_le32(r->p + 4);
	rec.value = r->p + TLV_HEAD;
	if (rec.type == 0 || (rec.flags & ~TLV_MANDATORY) || tlv_size(rec.len) > left)
		return -EBADMSG;
	for (size_t i = rec.len; i < align_up(rec.len, TLV_ALIGN); i++)
		if (rec.value[i])
			return -EBADMSG;
	r->p += tlv_size(rec.len);
	*ret = rec;
	return 1;
}

int tlv_unknown(const struct tlv *rec, struct err *err)
{
	if (!(rec->flags & TLV_MANDATORY))
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "the state has a record of type %u that this version does not know and must "
		       "not ignore; "
		       "use a version that is as new as the one that runs",
		       rec->type);
}

void tlv_enter(const struct tlv *rec, struct tlv_reader *ret)
{
	tlv_reader_init(ret, rec->value, rec->len);
}

int tlv_get_uint(const struct tlv *rec, uint64_t max, uint64_t *ret, struct err *err)
{
	uint64_t v;

	if (rec->len != sizeof(v))
		return err_set(err, -EBADMSG, "record %u: %u bytes where an integer has 8",
			       rec->type, rec->len);
	v = get_le64(rec->value);
	if (v > max)
		return err_set(err, -EBADMSG, "record %u: %" PRIu64 " is beyond the limit %" PRIu64,
			       rec->type, v, max);
	*ret = v;
	return 0;
}

int tlv_get_u8(const struct tlv *rec, uint8_t max, uint8_t *ret, struct err *err)
{
	uint64_t v;
	int rc = tlv_get_uint(rec, max, &v, err);

	if (rc == 0)
		*ret = (uint8_t)v;
	return rc;
}

int tlv_get_u16(const struct tlv *rec, uint16_t max, uint16_t *ret, struct err *err)
{
	uint64_t v;
	int rc = tlv_get_uint(rec, max, &v, err);

	if (rc == 0)
		*ret = (uint16_t)v;
	return rc;
}

int tlv_get_u32(const struct tlv *rec, uint32_t max, uint32_t *ret, struct err *err)
{
	uint64_t v;
	int rc = tlv_get_uint(rec, max, &v, err);

	if (rc == 0)
		*ret = (uint32_t)v;
	return rc;
}

int tlv_get_bool(const struct tlv *rec, bool *ret, struct err *err)
{
	uint64_t v;
	int rc = tlv_get_uint(rec, 1, &v, err);

	if (rc == 0)
		*ret = v != 0;
	return rc;
}

int tlv_get_bytes(const struct tlv *rec, void *ret, size_t len, struct err *err)
{
	if (rec->len != len)
		return err_set(err, -EBADMSG, "record %u: %u bytes instead of %zu", rec->type,
			       rec->len, len);
	if (len)
		memcpy(ret, rec->value, len);
	return 0;
}

int tlv_get_str(const struct tlv *rec, char *ret, size_t size, struct err *err)
{
	if (rec->len >= size)
		return err_set(err, -EBADMSG, "record %u: a text of %u bytes, at most %zu fit",
			       rec->type, rec->len, size - 1);
	if (rec->len && memchr(rec->value, 0, rec->len))
		return err_set(err, -EBADMSG, "record %u: a NUL within a text", rec->type);
	if (rec->len)
		memcpy(ret, rec->value, rec->len);
	ret[rec->len] = '\0';
	return 0;
}

/* ---- a blob ---- */

void tlv_blob_begin(struct tlv_writer *w, const char *text)
{
	uint8_t *head;

	ASSERT(w->len == 0);
	head = grow(w, TLV_BLOB_HEAD);
	if (!head)
		return;
	memset(head, 0, TLV_BLOB_HEAD);
	put_le64(head, TLV_BLOB_MAGIC);
	put_le32(head + BLOB_FORMAT, TLV_BLOB_FORMAT);
	memcpy(head + BLOB_TEXT, text, strnlen(text, TLV_BLOB_TEXT - 1));
}

int tlv_blob_end(struct tlv_writer *w)
{
	if (w->error)
		return w->error;
	ASSERT(w->depth == 0);
	ASSERT(w->len >= TLV_BLOB_HEAD);
	put_le64(w->buf + BLOB_LEN, w->len - TLV_BLOB_HEAD);
	put_le32(w->buf + BLOB_CRC, crc32c(w->buf + TLV_BLOB_HEAD, w->len - TLV_BLOB_HEAD));
	put_le32(w->buf + BLOB_HEAD_CRC, crc32c(w->buf, BLOB_HEAD_CRC));
	return 0;
}

int tlv_blob_open(const void *buf, size_t len, struct tlv_blob *ret, struct tlv_reader *ret_records,
		  struct err *err)
{
	const uint8_t *head = buf;

	if (len < TLV_BLOB_HEAD || get_le64(head) != TLV_BLOB_MAGIC)
		return err_set(err, -EBADMSG, "the state is not a LitePool state (%zu bytes)", len);
	if (get_le32(head + BLOB_FORMAT) != TLV_BLOB_FORMAT)
		return err_set(err, -EOPNOTSUPP, "the state has format %u, this version reads %u",
			       get_le32(head + BLOB_FORMAT), TLV_BLOB_FORMAT);
	if (get_le32(head + BLOB_HEAD_CRC) != crc32c(head, BLOB_HEAD_CRC) || head[BLOB_ZERO - 1])
		return err_set(err, -EBADMSG, "the head of the state is damaged");
	if (get_le64(head + BLOB_LEN) != len - TLV_BLOB_HEAD)
		return err_set(err, -EBADMSG, "the state has %zu bytes, its head says %" PRIu64,
			       len - TLV_BLOB_HEAD, get_le64(head + BLOB_LEN));
	if (get_le32(head + BLOB_CRC) != crc32c(head + TLV_BLOB_HEAD, len - TLV_BLOB_HEAD))
		return err_set(err, -EBADMSG, "the state is damaged: its checksum is wrong");
	ret->format = TLV_BLOB_FORMAT;
	memcpy(ret->text, head + BLOB_TEXT, TLV_BLOB_TEXT);
	tlv_reader_init(ret_records, head + TLV_BLOB_HEAD, len - TLV_BLOB_HEAD);
	return 0;
}

uint16_t tlv_missing(const uint16_t *want, size_t n_want, const uint16_t *known, size_t n_known)
{
	for (size_t i = 0; i < n_want; i++) {
		size_t k = 0;

		while (k < n_known && known[k] != want[i])
			k++;
		if (k == n_known)
			return want[i];
	}
	return 0;
}
