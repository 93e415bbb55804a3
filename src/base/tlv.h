/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of type, flags, length and value: how one process tells another, perhaps of another version, what it
 * holds. Pure; a writer or reader belongs to one thread. All integers are little-endian.
 *
 *      type:16  flags:16  length:32   value (length bytes)   zeros up to a multiple of 8
 *
 * A nest is a record whose value is records. Rules of compatibility: a reader skips a record that it does not know,
 * unless TLV_MANDATORY is set: then it refuses the whole (tlv_unknown()). A type never changes its meaning; a value
 * that grows gets a new type. Integers are records of 8 bytes, so their width is not a question of versions.
 */
#ifndef LITEPOOL_BASE_TLV_H
#define LITEPOOL_BASE_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TLV_HEAD       8u
#define TLV_ALIGN      8u
#define TLV_DEPTH_MAX  8u /* nests within each other */

#define TLV_MANDATORY  1u /* flag: who does not know the type must not go on */

#define TLV_BLOB_MAGIC 0x424f4c42504f4f4cull /* bytes in memory: "LOOPBLOB" */
#define TLV_BLOB_HEAD  64u
#define TLV_BLOB_TEXT  32u /* the writer's version, with its NUL */

/* ---- writing ---- */

struct tlv_writer {
	uint8_t *buf;
	size_t len, cap;
	bool fixed; /* buf is the caller's and does not grow */
	unsigned depth;
	size_t open[TLV_DEPTH_MAX]; /* where the heads of the open nests are */
	int error; /* sticky: -ENOSPC (fixed), -ENOMEM, -E2BIG (a value of 4 GiB, nests too deep) */
};

/* Into caller's memory, which is kept until the end and never allocated: for the moment when all stands still. */
void tlv_writer_fixed(struct tlv_writer *w, void *buf, size_t cap);
/* Into memory of its own, which grows. */
void tlv_writer_init(struct tlv_writer *w);
void tlv_writer_fini(struct tlv_writer *w);

/* After an error nothing more is written; it is enough to look at w->error at the end. data may be NULL with len 0. */
void tlv_put(struct tlv_writer *w, uint16_t type, uint16_t flags, const void *data, size_t len);
void tlv_put_u64(struct tlv_writer *w, uint16_t type, uint16_t flags, uint64_t value);
void tlv_put_str(struct tlv_writer *w, uint16_t type, uint16_t flags,
		 const char *text); /* without its NUL */
/* Room for a value that the caller fills in at once; NULL after an error. Valid until the next call on w. */
void *tlv_reserve(struct tlv_writer *w, uint16_t type, uint16_t flags, size_t len);
/* The records between the two are the value of a nest. */
void tlv_begin(struct tlv_writer *w, uint16_t type, uint16_t flags);
void tlv_end(struct tlv_writer *w);
/* Bytes that a record with a value of len takes, for estimates. */
size_t tlv_size(size_t len);

/* ---- reading ---- */

struct tlv_reader {
	const uint8_t *p, *end;
};

struct tlv { /* value points into what is read */
	uint16_t type, flags;
	uint32_t len;
	const uint8_t *value;
};

void tlv_reader_init(struct tlv_reader *r, const void *buf, size_t len);
/* 1: the next record; 0: the end; -EBADMSG: a length beyond the end, flags that do not exist, padding that is not zero. */
int tlv_next(struct tlv_reader *r, struct tlv *ret);
/* For the default: of a switch over types: 0 when the record may be skipped, else -EOPNOTSUPP with its number in err. */
int tlv_unknown(const struct tlv *rec, struct err *err);
/* A nest's records. */
void tlv_enter(const struct tlv *rec, struct tlv_reader *ret);

/* 0, or -EBADMSG with err (which may be NULL) and *ret as it was: not 8 bytes, or beyond max. */
int tlv_get_uint(const struct tlv *rec, uint64_t max, uint64_t *ret, struct err *err);
int tlv_get_u8(const struct tlv *rec, uint8_t max, uint8_t *ret, struct err *err);
int tlv_get_u16(const struct tlv *rec, uint16_t max, uint16_t *ret, struct err *err);
int tlv_get_u32(const struct tlv *rec, uint32_t max, uint32_t *ret, struct err *err);
int tlv_get_bool(const struct tlv *rec, bool *ret, struct err *err);
/* Exactly len bytes. */
int tlv_get_bytes(const struct tlv *rec, void *ret, size_t len, struct err *err);
/* A text without NUL that fits into size with one. */
int tlv_get_str(const struct tlv *rec, char *ret, size_t size, struct err *err);

/* ---- a blob: a head with a checksum, then records ---- */

/*
 * magic:64 | format:32 | crc32c of all that follows the head:32 | length of all that follows:64 | text:32 bytes |
 * zero:32 | crc32c of the head before this:32. format changes only when the framing itself does; records are the way to
 * grow.
 */
#define TLV_BLOB_FORMAT 1u

struct tlv_blob {
	uint32_t format;
	char text[TLV_BLOB_TEXT]; /* version of the writing program */
};

/* Writes the head of a blob; w must be empty. text is cut to what fits. */
void tlv_blob_begin(struct tlv_writer *w, const char *text);
/* Fills in length and checksum; every nest must be closed. Returns w->error. */
int tlv_blob_end(struct tlv_writer *w);
/* Checks all of it once. 0, -EBADMSG (not a blob, cut, torn), -EOPNOTSUPP (another format); err says which. */
int tlv_blob_open(const void *buf, size_t len, struct tlv_blob *ret, struct tlv_reader *ret_records,
		  struct err *err);

/* ---- what one side writes and the other knows, compared before anything stops ---- */

/*
 * The first of want (types that will be written as mandatory) that is not in known, or 0. Neither has an order, so
 * type 0 must not be used. Numbers of types are unique over all records of a blob (src/handover/FORMAT.md).
 */
uint16_t tlv_missing(const uint16_t *want, size_t n_want, const uint16_t *known, size_t n_known);

#endif
