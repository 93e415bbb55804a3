/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "csi/plane_names.h"

#define UID "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

static void an_id_has_a_name_and_a_uid(void **state)
{
	struct plane_id id;
	char nqn[PLANE_NQN_SIZE];

	assert_true(plane_id_parse("pvc-1:" UID, &id));
	assert_string_equal(id.name, "pvc-1");
	assert_string_equal(plane_volume_nqn(&id.uid, nqn), "nqn.2026-11.io.litepool:volume:" UID);
}

static void what_is_no_id_of_ours_names_nothing(void **state)
{
	static const char *const bad[] = {
		"",         "fake-vol-id", "pvc-1",    "pvc-1:",   ":" UID, "pvc-1:" UID "0",
		"PVC:" UID, "../x:" UID,   "a/b:" UID, "a:b:" UID, NULL};
	struct plane_id id;

	for (size_t i = 0; bad[i]; i++)
		assert_false(plane_id_parse(bad[i], &id));
}

static void a_fit_name_is_kept_and_others_are_hashed(void **state)
{
	char a[PLANE_NAME_SIZE], b[PLANE_NAME_SIZE], c[PLANE_NAME_SIZE];

	plane_object_name("pvc-" UID, a);
	assert_string_equal(a, "pvc-" UID);
	plane_object_name("sanity-1A2B", a);
	plane_object_name("sanity-1a2B", b);
	assert_int_equal(strlen(a), 4 + 32);
	assert_string_not_equal(a, b);
	/* Nobody can choose the name that another's hash has. */
	plane_object_name(a, c);
	assert_string_not_equal(a, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_has_a_name_and_a_uid),
		cmocka_unit_test(what_is_no_id_of_ours_names_nothing),
		cmocka_unit_test(a_fit_name_is_kept_and_others_are_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
