/* SPDX-License-Identifier: Apache-2.0 */
/* TLV records and blobs: what is written is read, what is damaged is refused, and versions that differ understand each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/tlv.h"

enum { T_NUMBER = 1, T_TEXT = 2, T_NEST = 3, T_BYTES = 4, T_NEW = 77 };

static void write_sample(struct tlv_writer *w)
{
	tlv_put_u64(w, T_NUMBER, TLV_MANDATORY, 0x1122334455667788);
	tlv_begin(w, T_NEST, 0);
	tlv_put_str(w, T_TEXT, 0, "hello");
	tlv_begin(w, T_NEST, 0);
	tlv_end(w);
	tlv_end(w);
	tlv_put(w, T_BYTES, 0, "123456789", 9);
}

static void written_is_read(void **state)
{
	struct tlv_reader r, nest, empty;
	struct tlv_writer w;
	struct tlv rec;
	uint64_t v = 0;
	char text[6];
	uint8_t bytes[9];

	tlv_writer_init(&w);
	write_sample(&w);
	assert_int_equal(w.error, 0);
	tlv_reader_init(&r, w.buf, w.len);
	assert_int_equal(tlv_next(&r, &rec), 1);
	assert_int_equal(rec.flags, TLV_MANDATORY);
	assert_int_equal(tlv_get_uint(&rec, UINT64_MAX, &v, NULL), 0);
	assert_true(v == 0x1122334455667788);
	assert_int_equal(tlv_next(&r, &rec), 1);
	tlv_enter(&rec, &nest);
	assert_int_equal(tlv_next(&r, &rec), 1);
	assert_int_equal(tlv_get_bytes(&rec, bytes, 9, NULL), 0);
	assert_memory_equal(bytes, "123456789", 9);
	assert_int_equal(tlv_next(&r, &rec), 0);
	assert_int_equal(tlv_next(&nest, &rec), 1);
	assert_int_equal(tlv_get_str(&rec, text, sizeof(text), NULL), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(tlv_next(&nest, &rec), 1);
	tlv_enter(&rec, &empty);
	assert_int_equal(tlv_next(&empty, &rec), 0);
	assert_int_equal(tlv_next(&nest, &rec), 0);
	tlv_writer_fini(&w);
}

/* The bytes are a promise to other versions. */
static void bytes_are_as_documented(void **state)
{
	static const uint8_t golden[] = {
		1,    0,    1,    0,    8,   0,   0,   0,   0x88, 0x77, 0x66, 0x55,
		0x44, 0x33, 0x22, 0x11, /**/
		3,    0,    0,    0,    24,  0,   0,   0,   2,    0,    0,    0,
		5,    0,    0,    0,    'h', 'e', 'l', 'l', 'o',  0,    0,    0,
		3,    0,    0,    0,    0,   0,   0,   0, /**/
		4,    0,    0,    0,    9,   0,   0,   0,   '1',  '2',  '3',  '4',
		'5',  '6',  '7',  '8',  '9', 0,   0,   0,   0,    0,    0,    0};
	uint8_t buf[sizeof(golden)];
	struct tlv_writer w;

	tlv_writer_fixed(&w, buf, sizeof(buf));
	write_sample(&w);
	assert_int_equal(w.error, 0);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(buf, golden, sizeof(golden));
}

static void fixed_writer_stops_at_its_end(void **state)
{
	uint8_t buf[256];
	struct tlv_writer w;
	size_t whole;

	tlv_writer_fixed(&w, buf, sizeof(buf));
	write_sample(&w);
	whole = w.len;
	for (size_t cap = 0; cap < whole; cap++) {
		memset(buf, 0xee, sizeof(buf));
		tlv_writer_fixed(&w, buf, cap);
		write_sample(&w);
		assert_int_equal(w.error, -ENOSPC);
		for (size_t i = cap; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xee);
	}
}

static void too_many_nests_are_an_error(void **state)
{
	struct tlv_writer w;

	tlv_writer_init(&w);
	for (unsigned i = 0; i < TLV_DEPTH_MAX; i++)
		tlv_begin(&w, T_NEST, 0);
	assert_int_equal(w.error, 0);
	tlv_begin(&w, T_NEST, 0);
	assert_int_equal(w.error, -E2BIG);
	tlv_end(&w);
	tlv_writer_fini(&w);
}

static int read_all(const uint8_t *buf, size_t len)
{
	struct tlv_reader r;
	struct tlv rec;
	int rc;

	tlv_reader_init(&r, buf, len);
	do
		rc = tlv_next(&r, &rec);
	while (rc > 0);
	return rc;
}

static void bad_framing_is_refused(void **state)
{
	static const uint8_t good[16] = {1, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
	static const struct {
		unsigned at;
		uint8_t value;
	} bad[] = {{0, 0}, {2, 2}, {4, 9}, {7, 0x80}, {15, 1}, {11, 1}};
	uint8_t buf[16];

	assert_int_equal(read_all(good, 16), 0);
	for (unsigned i = 1; i < 16; i++)
		assert_int_equal(read_all(good, i), -EBADMSG);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(buf, good, sizeof(buf));
		buf[bad[i].at] = bad[i].value;
		assert_int_equal(read_all(buf, 16), -EBADMSG);
	}
	assert_int_equal(read_all(NULL, 0), 0);
}

static void getters_refuse_and_leave_the_result(void **state)
{
	static const uint8_t three[8] = {3}, big[8] = {0, 1};
	const struct tlv number = {.type = 5, .len = 8, .value = three};
	const struct tlv wide = {.type = 5, .len = 8, .value = big};
	const struct tlv shorter = {.type = 5, .len = 7, .value = three};
	const struct tlv text = {.type = 6, .len = 3, .value = (const uint8_t *)"a\0b"};
	struct err err = {0};
	uint64_t v = 42;
	uint32_t v32 = 42;
	uint16_t v16 = 42;
	uint8_t v8 = 42;
	bool b = true;
	char s[4] = "old";

	assert_int_equal(tlv_get_uint(&number, 2, &v, &err), -EBADMSG);
	assert_string_equal(err.text, "record 5: 3 is beyond the limit 2");
	assert_int_equal(tlv_get_uint(&shorter, 9, &v, &err), -EBADMSG);
	assert_int_equal(tlv_get_u8(&wide, UINT8_MAX, &v8, &err), -EBADMSG);
	assert_int_equal(tlv_get_bool(&number, &b, &err), -EBADMSG);
	assert_int_equal(tlv_get_str(&text, s, sizeof(s), &err), -EBADMSG);
	assert_int_equal(tlv_get_str(&text, s, 3, &err), -EBADMSG);
	assert_int_equal(tlv_get_bytes(&text, s, 4, &err), -EBADMSG);
	assert_true(v == 42 && v8 == 42 && b);
	assert_string_equal(s, "old");
	assert_int_equal(tlv_get_u16(&wide, UINT16_MAX, &v16, &err), 0);
	assert_int_equal(tlv_get_u32(&wide, 256, &v32, &err), 0);
	assert_int_equal(v16, 256);
	assert_int_equal(v32, 256);
}

static void blob_is_opened_and_every_damaged_byte_refused(void **state)
{
	struct tlv_reader r;
	struct tlv_writer w;
	struct tlv_blob blob;
	struct err err = {0};

	tlv_writer_init(&w);
	tlv_blob_begin(&w, "litepool 1.2.3 and a text that is much too long for the head");
	write_sample(&w);
	assert_int_equal(tlv_blob_end(&w), 0);
	assert_int_equal(tlv_blob_open(w.buf, w.len, &blob, &r, &err), 0);
	assert_int_equal(strlen(blob.text), TLV_BLOB_TEXT - 1);
	assert_int_equal(read_all(r.p, (size_t)(r.end - r.p)), 0);
	for (size_t i = 0; i < w.len; i++) {
		w.buf[i] ^= 0x10;
		assert_true(tlv_blob_open(w.buf, w.len, &blob, &r, &err) < 0);
		w.buf[i] ^= 0x10;
		assert_int_equal(tlv_blob_open(w.buf, i, &blob, &r, &err), -EBADMSG);
	}
	tlv_writer_fini(&w);
}

/* A reader of version N, over what N-1, N and N+1 write. */
static int reader_n(const struct tlv_writer *w, uint64_t *ret, struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	int rc;

	tlv_reader_init(&r, w->buf, w->len);
	while ((rc = tlv_next(&r, &rec)) > 0) {
		switch (rec.type) {
		case T_NUMBER:
			rc = tlv_get_uint(&rec, UINT64_MAX, ret, err);
			break;
		default:
			rc = tlv_unknown(&rec, err);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

static void versions_understand_each_other(void **state)
{
	static const uint16_t known[] = {T_NUMBER, T_TEXT}, want[] = {T_TEXT, T_NEW};
	struct tlv_writer w;
	struct err err = {0};
	uint64_t v = 0;

	tlv_writer_init(&w); /* N+1 adds an optional record */
	tlv_put(&w, T_NEW, 0, "x", 1);
	tlv_put_u64(&w, T_NUMBER, TLV_MANDATORY, 7);
	assert_int_equal(reader_n(&w, &v, &err), 0);
	assert_true(v == 7);
	tlv_put(&w, T_NEW, TLV_MANDATORY, "x", 1); /* and a mandatory one */
	assert_int_equal(reader_n(&w, &v, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "type 77"));
	tlv_writer_fini(&w);
	tlv_writer_init(&w); /* N-1 lacks the record: the reader keeps its default */
	v = 5;
	assert_int_equal(reader_n(&w, &v, &err), 0);
	assert_true(v == 5);
	assert_int_equal(tlv_missing(want, 2, known, 2), T_NEW);
	assert_int_equal(tlv_missing(want, 1, known, 2), 0);
	assert_int_equal(tlv_missing(want, 1, NULL, 0), T_TEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_is_read),
		cmocka_unit_test(bytes_are_as_documented),
		cmocka_unit_test(fixed_writer_stops_at_its_end),
		cmocka_unit_test(too_many_nests_are_an_error),
		cmocka_unit_test(bad_framing_is_refused),
		cmocka_unit_test(getters_refuse_and_leave_the_result),
		cmocka_unit_test(blob_is_opened_and_every_damaged_byte_refused),
		cmocka_unit_test(versions_understand_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
