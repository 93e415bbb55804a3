/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "csi/node_priv.h"

static enum node_format_step decide(enum csi_format_state state, const char *fs,
				    enum node_probe probe, const char *probed, const char *wanted)
{
	struct csi_format record = {.state = state};
	const char *why = NULL;
	enum node_format_step step;

	memcpy(record.fs, fs, strlen(fs));
	step = node_format_decide(&record, probe, probed, wanted, &why);
	assert_true((step == NODE_FORMAT_STOP) == (why != NULL));
	return step;
}

static void only_what_was_never_formatted_and_shows_nothing_is_formatted(void **state)
{
	assert_int_equal(decide(CSI_FORMAT_NEVER, "", NODE_PROBE_EMPTY, "", "ext4"),
			 NODE_FORMAT_MAKE);
	assert_int_equal(decide(CSI_FORMAT_NEVER, "", NODE_PROBE_FS, "ext4", "ext4"),
			 NODE_FORMAT_STOP);
	assert_int_equal(decide(CSI_FORMAT_NEVER, "", NODE_PROBE_OTHER, "", "ext4"),
			 NODE_FORMAT_STOP);
}

static void a_format_that_was_cut_off_is_done_again(void **state)
{
	static const char *const fs[] = {"ext4", "xfs", "btrfs"};

	for (size_t i = 0; i < ARRAY_LEN(fs); i++) {
		assert_int_equal(decide(CSI_FORMAT_BEGUN, fs[i], NODE_PROBE_EMPTY, "", "ext4"),
				 NODE_FORMAT_MAKE);
		assert_int_equal(decide(CSI_FORMAT_BEGUN, fs[i], NODE_PROBE_FS, fs[i], "ext4"),
				 NODE_FORMAT_MAKE);
	}
	assert_int_equal(decide(CSI_FORMAT_BEGUN, "ext4", NODE_PROBE_FS, "ext2", "ext4"),
			 NODE_FORMAT_MAKE);
}

/* Somebody has attached the volume by hand meanwhile, and used it. */
static void what_somebody_else_put_there_after_a_format_was_cut_off_stays(void **state)
{
	assert_int_equal(decide(CSI_FORMAT_BEGUN, "xfs", NODE_PROBE_FS, "ext4", "xfs"),
			 NODE_FORMAT_STOP);
	assert_int_equal(decide(CSI_FORMAT_BEGUN, "ext4", NODE_PROBE_FS, "xfs", "xfs"),
			 NODE_FORMAT_STOP);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			decide(CSI_FORMAT_BEGUN, i ? "xfs" : "ext4", NODE_PROBE_OTHER, "", "ext4"),
			NODE_FORMAT_STOP);
}

static void what_was_formatted_is_never_formatted_again(void **state)
{
	static const char *const fs[] = {"ext4", "xfs", "btrfs", "", CSI_FS_RAW};

	for (unsigned probe = NODE_PROBE_EMPTY; probe <= NODE_PROBE_OTHER; probe++)
		for (size_t a = 0; a < ARRAY_LEN(fs); a++)
			for (size_t b = 0; b < ARRAY_LEN(fs); b++)
				assert_int_not_equal(
					decide(CSI_FORMAT_DONE, fs[a], probe, fs[b], "ext4"),
					NODE_FORMAT_MAKE);
	assert_int_equal(decide(CSI_FORMAT_DONE, "ext4", NODE_PROBE_FS, "ext4", "ext4"),
			 NODE_FORMAT_NONE);
	assert_int_equal(decide(CSI_FORMAT_DONE, "ext4", NODE_PROBE_EMPTY, "", "ext4"),
			 NODE_FORMAT_STOP);
}

static void what_was_a_raw_device_is_mounted_only_as_what_is_found(void **state)
{
	assert_int_equal(decide(CSI_FORMAT_DONE, CSI_FS_RAW, NODE_PROBE_FS, "xfs", "xfs"),
			 NODE_FORMAT_NONE);
	assert_int_equal(decide(CSI_FORMAT_DONE, CSI_FS_RAW, NODE_PROBE_FS, "xfs", "ext4"),
			 NODE_FORMAT_STOP);
	assert_int_equal(decide(CSI_FORMAT_DONE, CSI_FS_RAW, NODE_PROBE_EMPTY, "", "ext4"),
			 NODE_FORMAT_STOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_never_formatted_and_shows_nothing_is_formatted),
		cmocka_unit_test(a_format_that_was_cut_off_is_done_again),
		cmocka_unit_test(what_somebody_else_put_there_after_a_format_was_cut_off_stays),
		cmocka_unit_test(what_was_formatted_is_never_formatted_again),
		cmocka_unit_test(what_was_a_raw_device_is_mounted_only_as_what_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
