/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, little-endian loads and stores, arithmetic that cannot overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/list.h"

struct item {
	int value;
	struct list link;
};

static int take(struct list *head)
{
	struct list *node = list_pop_front(head);

	return node ? list_entry(node, struct item, link)->value : -1;
}

static void nodes_come_out_in_order(void **state)
{
	struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	list_push_back(&head, &b.link);
	list_push_back(&head, &c.link);
	list_push_front(&head, &a.link);
	assert_true(list_linked(&b.link));
	for (int i = 1; i <= 3; i++)
		assert_int_equal(take(&head), i);
	assert_int_equal(take(&head), -1);
	assert_false(list_linked(&b.link));
	list_remove(&b.link);
}

static void current_node_may_be_removed(void **state)
{
	struct item items[10] = {0};
	struct list head;
	int sum = 0;

	list_init(&head);
	for (int i = 0; i < 10; i++) {
		items[i].value = i;
		list_push_back(&head, &items[i].link);
	}
	list_for_each_safe (it, &head) {
		if (list_entry(it, struct item, link)->value % 2)
			list_remove(it);
	}
	list_for_each (it, &head) {
		sum += list_entry(it, struct item, link)->value;
	}
	assert_int_equal(sum, 0 + 2 + 4 + 6 + 8);
}

static void splice_moves_all(void **state)
{
	struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
	struct list from, to;

	list_init(&from);
	list_init(&to);
	list_splice_back(&to, &from);
	assert_true(list_empty(&to));
	list_push_back(&to, &a.link);
	list_push_back(&from, &b.link);
	list_push_back(&from, &c.link);
	list_splice_back(&to, &from);
	assert_true(list_empty(&from));
	for (int i = 1; i <= 3; i++)
		assert_int_equal(take(&to), i);
	assert_true(list_empty(&to));
}

static void stores_are_little_endian_at_any_alignment(void **state)
{
	uint8_t buf[9] = {0};

	put_le64(buf + 1, 0x0102030405060708);
	assert_int_equal(buf[1], 8);
	assert_int_equal(buf[8], 1);
	assert_true(get_le64(buf + 1) == 0x0102030405060708);
	assert_int_equal(get_le32(buf + 1), 0x05060708);
	assert_int_equal(get_le16(buf + 1), 0x0708);
	put_le32(buf + 1, 0xa0b0c0d0);
	assert_true(get_le32(buf + 1) == 0xa0b0c0d0);
	put_le16(buf + 3, 0x1234);
	assert_int_equal(buf[3], 0x34);
}

static void ranges_do_not_overflow(void **state)
{
	assert_true(range_within(0, 0, 0));
	assert_true(range_within(8, 8, 16));
	assert_false(range_within(8, 9, 16));
	assert_false(range_within(17, 0, 16));
	assert_false(range_within(8, UINT64_MAX, 16));
	assert_false(range_within(UINT64_MAX, 2, 16));
	assert_true(range_within(UINT64_MAX, 0, UINT64_MAX));
}

static void alignment_rounds_both_ways(void **state)
{
	assert_int_equal(align_up(4097, 4096), 8192);
	assert_int_equal(align_up(4096, 4096), 4096);
	assert_int_equal(align_down(4097, 4096), 4096);
	assert_true(is_pow2(4096));
	assert_false(is_pow2(0));
	assert_false(is_pow2(12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_come_out_in_order),
		cmocka_unit_test(current_node_may_be_removed),
		cmocka_unit_test(splice_moves_all),
		cmocka_unit_test(stores_are_little_endian_at_any_alignment),
		cmocka_unit_test(ranges_do_not_overflow),
		cmocka_unit_test(alignment_rounds_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
