/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/selector.h"
#include "kube/text.h"

static bool label_match(const char *text, const json_t *obj)
{
	_cleanup_fail_ struct kube_fail fail = {0};
	struct kube_selector *sel;
	bool match;

	assert_int_equal(kube_label_selector_new(text, &sel, &fail), 0);
	match = kube_selector_match(sel, obj);
	kube_selector_free(sel);
	return match;
}

static void label_operators_are_those_of_kubernetes(void **state)
{
	_cleanup_json_ json_t *obj = json_pack("{s:{s:{s:s, s:s}}}", "metadata", "labels", "app",
					       "db", "x.io/tier", "a");

	assert_true(label_match("", obj));
	assert_true(label_match("app=db", obj));
	assert_true(label_match("app==db , x.io/tier!=b", obj));
	assert_false(label_match("app!=db", obj));
	assert_true(label_match("app in (web, db)", obj));
	assert_false(label_match("app notin (web,db)", obj));
	assert_true(label_match("none notin (web)", obj));
	assert_true(label_match("none!=x", obj));
	assert_true(label_match("app,!none", obj));
	assert_false(label_match("!app", obj));
	assert_false(label_match("app=db,none", obj));
	assert_false(label_match("app=", obj));
}

static void malformed_selectors_are_refused(void **state)
{
	static const char *const bad[] = {"=",       "a=b,", ",",     "a in",  "a in (",
					  "a in (b", "a b",  "a=b c", "a==!b", "-a=b",
					  "a=-b",    "a>1",  "!",     "a in b"};
	_cleanup_fail_ struct kube_fail fail = {0};
	struct kube_selector *sel;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(kube_label_selector_new(bad[i], &sel, &fail) < 0);
		assert_int_equal(fail.reason, KUBE_BAD_REQUEST);
		assert_true(strlen(fail.message) > 0);
	}
}

static void too_many_terms_are_refused(void **state)
{
	_cleanup_fail_ struct kube_fail fail = {0};
	struct kube_selector *sel;
	char text[2 * (KUBE_TERMS_MAX + 1) + 1] = "";

	for (size_t i = 0; i <= KUBE_TERMS_MAX; i++)
		memcpy(text + 2 * i, i == KUBE_TERMS_MAX ? "a" : "a,", i == KUBE_TERMS_MAX ? 2 : 3);
	assert_true(kube_label_selector_new(text, &sel, &fail) < 0);
}

static void fields_are_only_those_of_the_kind(void **state)
{
	_cleanup_fail_ struct kube_fail fail = {0};
	_cleanup_json_ json_t *obj =
		json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "v", "status", "poolName", "p");
	const struct kube_resource *res = kube_resource_by_kind("StorageVolume");
	struct kube_selector *sel;

	assert_int_equal(
		kube_field_selector_new(
			res, "metadata.name=v,status.poolName!=q,spec.nodeName=", &sel, &fail),
		0);
	assert_true(kube_selector_match(sel, obj));
	assert_string_equal(kube_selector_name(sel), "v");
	kube_selector_free(sel);
	assert_true(kube_field_selector_new(res, "spec.size=1", &sel, &fail) < 0);
	assert_non_null(strstr(fail.message, "field label not supported: spec.size"));
	assert_true(kube_field_selector_new(res, "metadata.name", &sel, &fail) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(label_operators_are_those_of_kubernetes),
		cmocka_unit_test(malformed_selectors_are_refused),
		cmocka_unit_test(too_many_terms_are_refused),
		cmocka_unit_test(fields_are_only_those_of_the_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
