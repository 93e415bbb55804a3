/* SPDX-License-Identifier: Apache-2.0 */
/* Properties: round trips up to every limit, every cut, unknown tags, impossible values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "layout/props_format.h"
#include "samples.h"

static uint8_t blob[PROPS_BLOB_MAX + 8], again[PROPS_BLOB_MAX];
static struct props got, p;
static struct err err;
static uint32_t len;

static int setup(void **state)
{
	p = *sample_props();
	len = props_encode(&p, blob);
	return 0;
}

static void add_tlv(unsigned tag, const void *data, uint16_t n)
{
	put_le16(blob + len, (uint16_t)tag);
	put_le16(blob + len + 2, n);
	memset(blob + len + 4, 0, align_up(n, 4));
	memcpy(blob + len + 4, data, n);
	len += 4 + (uint32_t)align_up(n, 4);
}

static void what_is_written_is_read(void **state)
{
	assert_int_equal(props_decode(blob, len, &got, &err), 0);
	assert_memory_equal(&got, &p, sizeof(p));
}

static void everything_at_its_limit_fits(void **state)
{
	len = props_encode(sample_props_full(), blob);
	assert_true(len <= PROPS_BLOB_MAX);
	assert_int_equal(props_decode(blob, len, &got, &err), 0);
	assert_int_equal(props_encode(&got, again), len);
	assert_memory_equal(blob, again, len);
	assert_memory_equal(&got, sample_props_full(), sizeof(got));
}

/* Behind the fixed properties a cut between two TLVs leaves fewer of them, which is why a blob has a length and a checksum. */
static void a_cut_inside_a_tlv_is_refused(void **state)
{
	uint32_t whole = 0;

	for (uint32_t cut = 0; cut < len; cut++) {
		if (cut == whole) {
			whole += 4 + (uint32_t)align_up(get_le16(blob + whole + 2), 4);
			continue;
		}
		assert_int_equal(props_decode(blob, cut, &got, &err), -EUCLEAN);
	}
	assert_int_equal(props_decode(blob, 0, &got, &err), -EUCLEAN);
	assert_int_equal(props_decode(blob, PROPS_BLOB_MAX + 1, &got, &err), -EUCLEAN);
}

static void unknown_tags_are_kept_or_refused(void **state)
{
	uint8_t many[PROPS_UNKNOWN_MAX] = {0};

	add_tlv(PROPS_OPTIONAL | 0x123, "future", 6);
	assert_int_equal(props_decode(blob, len, &got, &err), 0);
	assert_int_equal(got.unknown_len, 12);
	assert_int_equal(props_encode(&got, again), len);
	assert_memory_equal(blob, again, len);
	add_tlv(PROPS_OPTIONAL | 0x124, many, sizeof(many) - 4);
	assert_int_equal(props_decode(blob, len, &got, &err), -EOPNOTSUPP);
	setup(NULL);
	add_tlv(0x123, "future", 6);
	assert_int_equal(props_decode(blob, len, &got, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "291"));
}

static void a_single_property_may_not_come_twice(void **state)
{
	add_tlv(PROPS_NAME, "other", 5);
	assert_int_equal(props_decode(blob, len, &got, &err), -EUCLEAN);
}

static void impossible_values_are_refused(void **state)
{
	static const struct {
		unsigned tag;
		const char *value;
		uint16_t n;
	} rows[] = {
		{PROPS_HOST, "\2nqn.x", 6},          /* no such export */
		{PROPS_HOST, "\0nqn x", 6},          /* a blank */
		{PROPS_HOST, "\0nq\0x", 5},          /* a NUL */
		{PROPS_HOST, "\0", 1},               /* empty */
		{PROPS_LISTENER, "\0\5\3\1\1x", 6},  /* ANA state 5 */
		{PROPS_LISTENER, "\0\1\3\1\2x", 6},  /* address longer than what is there */
		{PROPS_LISTENER, "\0\1\3\1\0xx", 7}, /* no address */
		{PROPS_EXPORT, "\0\0\0\0\1\0\0\0\0\0\0\0nqn", 15},
		{PROPS_EXPORT, "\1\0\0\0\0\0\0\0\0\0\0\0nqn", 15},
		{PROPS_EXPORT, "\1\0\0\0\1\0\0\0\2\0\0\0nqn", 15},
		{PROPS_EXPORT, "\11\0\0\0\3\0\0\0\0\0\0\0nqn.2024-01.io.litepool:backup", 42},
		{PROPS_RESERVATION, "\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 12}, /* a second one */
		{PROPS_RESERVATION, "\5\0\0\0\xff\xff\xff\xff\0\0\0\0", 12},
		{PROPS_RESERVATION, "\1\1\0\0\0\0\0\0\0\0\0\0", 12}, /* holder is no registrant */
		{PROPS_RESERVATION, "\1\5\0\0\xff\xff\xff\xff\0\0\0\0", 12},
		{PROPS_RESERVATION, "\1\0\1\0\xff\xff\xff\xff\0\0\0\0", 12},
		{PROPS_LABEL, "\0\0x", 3},
		{PROPS_SNAPSHOT_OF, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16}, /* null */
		{PROPS_SNAPSHOT_OF, "0123456789abcde", 15},
		{PROPS_LABEL, "\5\0x", 3},
		{PROPS_LABEL, "\26\0app.kubernetes.io/nameagain", 29},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		setup(NULL);
		add_tlv(rows[i].tag, rows[i].value, rows[i].n);
		if (props_decode(blob, len, &got, &err) != -EUCLEAN)
			fail_msg("row %u was taken", i);
	}
}

static void a_check_names_what_a_user_did_wrong(void **state)
{
	p.block_size = 1024;
	assert_int_equal(props_check(&p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "neither 512 nor 4096"));
	p = *sample_props();
	p.name[2] = '/';
	assert_int_equal(props_check(&p, &err), -EINVAL);
	p = *sample_props();
	memset(p.name, 'x', sizeof(p.name));
	assert_int_equal(props_check(&p, &err), -EINVAL);
	p = *sample_props();
	p.flags = 8;
	assert_int_equal(props_check(&p, &err), -EINVAL);
	p = *sample_props();
	memcpy(p.export[0].reservation.reg[1].hostid, p.export[0].reservation.reg[0].hostid, 16);
	assert_int_equal(props_check(&p, &err), -EINVAL);
}

static void chunks_put_together_are_the_blob(void **state)
{
	struct props_chunk chunk;
	uint32_t at = 0, i;

	len = props_encode(sample_props_full(), blob);
	for (i = 0; props_cut(blob, len, 5, i, &chunk); i++) {
		assert_int_equal(chunk.index, i);
		memcpy(again + at, chunk.data, chunk.len);
		at += chunk.len;
	}
	assert_int_equal(i, (len + PROPS_CHUNK - 1) / PROPS_CHUNK);
	assert_int_equal(at, len);
	assert_memory_equal(again, blob, len);
	assert_false(props_cut(blob, PROPS_BLOB_MAX, 5, PROPS_CHUNKS, &chunk));
	assert_false(props_cut(blob, len, 5, UINT32_MAX, &chunk));
}

static void padding_is_zero(void **state)
{
	assert_int_equal(get_le16(blob + 2), 9); /* the name: 3 bytes of padding behind it */
	blob[4 + 9] = 1;
	assert_int_equal(props_decode(blob, len, &got, &err), -EUCLEAN);
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(everything_at_its_limit_fits),
		T(a_cut_inside_a_tlv_is_refused),
		T(unknown_tags_are_kept_or_refused),
		T(a_single_property_may_not_come_twice),
		T(impossible_values_are_refused),
		T(a_check_names_what_a_user_did_wrong),
		T(chunks_put_together_are_the_blob),
		T(padding_is_zero),
	};

	return cmocka_run_group_tests_name("props", tests, NULL, NULL);
}
