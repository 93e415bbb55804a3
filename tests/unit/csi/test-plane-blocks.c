/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csi/plane_priv.h"

#define SIZE (UINT64_C(1) << 30)
#define MAX  4

static struct csi_extent items[MAX];

static bool parse(const char *list, uint64_t from, struct csi_extents *ret)
{
	*ret = (struct csi_extents){.items = items};
	return plane_blocks_parse(list, from, SIZE, MAX, ret);
}

static void a_list_is_read(void **state)
{
	struct csi_extents e;

	assert_true(parse("", 0, &e));
	assert_int_equal(e.n, 0);
	assert_true(parse("4096+8192 1048576+4096 1073737728+4096", 0, &e));
	assert_int_equal(e.n, 3);
	assert_int_equal(items[0].offset, 4096);
	assert_int_equal(items[0].len, 8192);
	assert_int_equal(items[2].offset + items[2].len, SIZE);
}

/* The block in which it begins is told whole. */
static void it_begins_at_the_block_of_the_offset(void **state)
{
	struct csi_extents e;

	assert_true(parse("4096+4096", 5000, &e));
	assert_false(parse("4096+4096", 8192, &e));
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = {"x",
					  "1",
					  "1+",
					  "+1",
					  "-1+1",
					  "0+0",
					  "0+1,2+1",
					  "0x10+1",
					  " 0+1",
					  "0+1  2+1",
					  "8192+1 0+1",
					  "0+8192 4096+4096",
					  "0+1073741825",
					  "1073741824+1",
					  "9223372036854775808+1",
					  "0+99999999999999999999",
					  "0+1 1+1 2+1 3+1 4+1"};
	struct csi_extents e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], 0, &e))
			fail_msg("taken: %s", bad[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read),
		cmocka_unit_test(it_begins_at_the_block_of_the_offset),
		cmocka_unit_test(what_is_no_list_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
