/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/uevent.h"

#define EVENT(text) text, sizeof(text)

static void a_new_disk_is_read(void **state)
{
	struct uevent e;

	(void)state;
	assert_true(uevent_parse(EVENT("add@/devices/virtual/nvme0n1\0ACTION=add\0DEVPATH=/devices/"
				       "virtual/nvme0n1\0SUBSYSTEM=block\0"
				       "DEVNAME=nvme0n1\0DEVTYPE=disk"),
				 &e));
	assert_int_equal(e.action, UEVENT_ADD);
	assert_true(e.block_disk);
	assert_false(e.resize);
	assert_string_equal(e.name, "nvme0n1");
}

static void a_resize_is_told(void **state)
{
	struct uevent e;

	(void)state;
	assert_true(uevent_parse(EVENT("change@/d/nvme0n1\0ACTION=change\0DEVPATH=/d/"
				       "nvme0n1\0SUBSYSTEM=block\0RESIZE=1\0DEVTYPE=disk"),
				 &e));
	assert_int_equal(e.action, UEVENT_CHANGE);
	assert_true(e.resize);
}

static void partitions_and_controllers_are_no_disks(void **state)
{
	struct uevent e;

	(void)state;
	assert_true(uevent_parse(EVENT("add@/d/nvme0n1p1\0ACTION=add\0DEVPATH=/d/nvme0n1/"
				       "nvme0n1p1\0SUBSYSTEM=block\0DEVTYPE=partition"),
				 &e));
	assert_false(e.block_disk);
	assert_true(uevent_parse(
		EVENT("remove@/d/nvme0\0ACTION=remove\0DEVPATH=/d/nvme0\0SUBSYSTEM=nvme"), &e));
	assert_int_equal(e.action, UEVENT_REMOVE);
	assert_false(e.block_disk);
}

static void nonsense_is_refused(void **state)
{
	struct uevent e;

	(void)state;
	assert_false(uevent_parse("", 0, &e));
	assert_false(uevent_parse("add@/d/x", 8, &e)); /* not ended */
	assert_false(uevent_parse(EVENT("libudev\0ACTION=add\0DEVPATH=/d/x"), &e));
	assert_false(uevent_parse(EVENT("add@/d/x\0ACTION=add"), &e));
	assert_false(uevent_parse(EVENT("add@/d/x\0ACTION=add\0DEVPATH=x"), &e));
	assert_false(uevent_parse(EVENT("add@/d/x\0ACTION=add\0DEVPATH=/d/.."), &e));
	assert_false(uevent_parse(EVENT("add@/d/x\0ACTION=add\0DEVPATH=/d/"), &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_disk_is_read),
		cmocka_unit_test(a_resize_is_told),
		cmocka_unit_test(partitions_and_controllers_are_no_disks),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
