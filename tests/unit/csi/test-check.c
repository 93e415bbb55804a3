/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "csi/check.h"
#include "csi/csi.pb-c.h"
#include "csi/service.h"

static char long_text[600];

static int check(const void *message, const char *required, const char *want)
{
	struct err err = {0};
	int rc = csi_check(message, required, &err);

	if (rc)
		assert_non_null(strstr(err.text, want));
	/* What came is never shown: it may be a secret. */
	assert_null(strstr(err.text, "xxxx"));
	return rc;
}

static void what_a_method_needs_must_be_there(void **state)
{
	Csi__V1__CreateVolumeRequest r = CSI__V1__CREATE_VOLUME_REQUEST__INIT;

	assert_int_equal(check(&r, "name volume_capabilities", "name is missing"), -EINVAL);
	r.name = long_text + 500;
	long_text[500] = 'n';
	assert_int_equal(check(&r, "name volume_capabilities", "volume_capabilities is missing"),
			 -EINVAL);
	assert_int_equal(check(&r, "name", ""), 0);
	long_text[500] = 'x';
}

static void strings_have_the_length_that_csi_allows(void **state)
{
	Csi__V1__ControllerPublishVolumeRequest r =
		CSI__V1__CONTROLLER_PUBLISH_VOLUME_REQUEST__INIT;

	r.volume_id = long_text + 599 - 128;
	r.node_id = long_text + 599 - 256;
	assert_int_equal(check(&r, "volume_id node_id", ""), 0);
	r.volume_id--;
	assert_int_equal(check(&r, "", "volume_id has 129 bytes"), -EINVAL);
	r.volume_id++;
	r.node_id--;
	assert_int_equal(check(&r, "", "node_id has 257 bytes"), -EINVAL);
}

static void maps_have_a_sum(void **state)
{
	Csi__V1__DeleteVolumeRequest r = CSI__V1__DELETE_VOLUME_REQUEST__INIT;
	Csi__V1__DeleteVolumeRequest__SecretsEntry entry =
		CSI__V1__DELETE_VOLUME_REQUEST__SECRETS_ENTRY__INIT;
	Csi__V1__DeleteVolumeRequest__SecretsEntry *list[9];

	entry.key = long_text + 599 - 12;
	entry.value = long_text + 599 - 500;
	for (size_t i = 0; i < 9; i++)
		list[i] = &entry;
	r.secrets = list;
	r.n_secrets = 8;
	assert_int_equal(check(&r, "", ""), 0);
	r.n_secrets = 9;
	assert_int_equal(check(&r, "", "secrets has 4608 bytes"), -EINVAL);
	r.n_secrets = 1;
	entry.value = (char *)(uintptr_t)"\xff";
	assert_int_equal(check(&r, "", "secrets holds"), -EINVAL);
}

static void a_capability_says_how_and_from_where(void **state)
{
	Csi__V1__VolumeCapability cap = CSI__V1__VOLUME_CAPABILITY__INIT, *list[] = {&cap};
	Csi__V1__VolumeCapability__BlockVolume block =
		CSI__V1__VOLUME_CAPABILITY__BLOCK_VOLUME__INIT;
	Csi__V1__VolumeCapability__AccessMode mode = CSI__V1__VOLUME_CAPABILITY__ACCESS_MODE__INIT;
	Csi__V1__GetCapacityRequest r = CSI__V1__GET_CAPACITY_REQUEST__INIT;

	r.volume_capabilities = list;
	r.n_volume_capabilities = 1;
	assert_int_equal(check(&r, "", "no access type"), -EINVAL);
	cap.access_type_case = CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK;
	cap.block = &block;
	assert_int_equal(check(&r, "", "no access mode"), -EINVAL);
	cap.access_mode = &mode;
	assert_int_equal(check(&r, "", "no access mode"), -EINVAL);
	mode.mode = 99;
	assert_int_equal(check(&r, "", "mode 99"), -EINVAL);
	mode.mode = 1;
	assert_int_equal(check(&r, "", ""), 0);
}

static void a_range_is_one(void **state)
{
	Csi__V1__CapacityRange range = CSI__V1__CAPACITY_RANGE__INIT;
	Csi__V1__ControllerExpandVolumeRequest r = CSI__V1__CONTROLLER_EXPAND_VOLUME_REQUEST__INIT;

	r.capacity_range = &range;
	range.required_bytes = -1;
	assert_int_equal(check(&r, "", "negative"), -EINVAL);
	range.required_bytes = 10;
	range.limit_bytes = 9;
	assert_int_equal(check(&r, "", "at most"), -EINVAL);
	range.limit_bytes = 10;
	assert_int_equal(check(&r, "", ""), 0);
}

static void utf8_is_that_of_rfc_3629(void **state)
{
	assert_true(csi_utf8_ok("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	assert_false(csi_utf8_ok("\x80"));
	assert_false(csi_utf8_ok("\xc0\xaf"));
	assert_false(csi_utf8_ok("\xe0\x80\xaf"));
	assert_false(csi_utf8_ok("\xed\xa0\x80"));
	assert_false(csi_utf8_ok("\xf4\x90\x80\x80"));
	assert_false(csi_utf8_ok("\xe2\x82"));
}

static void a_second_operation_for_the_same_is_turned_away(void **state)
{
	struct csi_holds *holds;

	assert_int_equal(csi_holds_new(&holds), 0);
	assert_true(csi_hold(holds, "volume", "a"));
	assert_false(csi_hold(holds, "volume", "a"));
	assert_true(csi_hold(holds, "volume", "b"));
	assert_true(csi_hold(holds, "snapshot", "a"));
	csi_release(holds, "volume", "a");
	assert_true(csi_hold(holds, "volume", "a"));
	csi_release(holds, "volume", "a");
	csi_release(holds, "volume", "b");
	csi_release(holds, "snapshot", "a");
	csi_holds_free(holds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_method_needs_must_be_there),
		cmocka_unit_test(strings_have_the_length_that_csi_allows),
		cmocka_unit_test(maps_have_a_sum),
		cmocka_unit_test(a_capability_says_how_and_from_where),
		cmocka_unit_test(a_range_is_one),
		cmocka_unit_test(utf8_is_that_of_rfc_3629),
		cmocka_unit_test(a_second_operation_for_the_same_is_turned_away),
	};

	memset(long_text, 'x', sizeof(long_text) - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
