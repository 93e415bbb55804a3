/* SPDX-License-Identifier: Apache-2.0 */
/* YAML that people read; and our kinds as CustomResourceDefinitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/crd.h"
#include "kube/text.h"
#include "kube/yaml_json.h"
#include "kube/yaml_text.h"

static void objects_and_lists_are_blocks(void **state)
{
	_cleanup_json_ json_t *json =
		json_pack("{s:s, s:i, s:{s:s, s:[]}, s:[s, {s:b, s:n}, [i, i]], s:s, s:s}", "name",
			  "pool-a", "size", 3, "meta", "1st", "two words", "none", "list", "x",
			  "on", 1, "b", 1, 2, "no", "no", "text", "a: b\n");
	_cleanup_free_ char *text = kube_yaml_text(json);

	assert_non_null(text);
	assert_string_equal(text, "name: pool-a\n"
				  "size: 3\n"
				  "meta:\n"
				  "  \"1st\": \"two words\"\n"
				  "  none: []\n"
				  "list:\n"
				  "  - x\n"
				  "  - \"on\": true\n"
				  "    b: null\n"
				  "  - - 1\n"
				  "    - 2\n"
				  "\"no\": \"no\"\n"
				  "text: \"a: b\\n\"\n");
}

/* Found by fuzzing: what JSON leaves as it is and YAML does not take, or takes for a line break. */
static void what_is_written_is_read_again(void **state)
{
	static const char *const texts[] = {
		"\x7f",
		"\xc2\x80",
		"\xc2\x85 next line",
		"\xe2\x80\xa8 line",
		"\xe2\x80\xa9 paragraph",
		"\xef\xbb\xbf",
		"\xef\xbf\xbf",
		"\xf0\x9f\x98\x80 grin",
		"\xc3\xa4\xc2\xa0",
		"\x01\x1b\r\n\t\b",
		"\"\\ ",
		" # - : ",
		"~",
		"1e9",
		"",
		"0x1f",
	};
	_cleanup_json_ json_t *all = json_object();
	_cleanup_json_ json_t *again = NULL;
	_cleanup_free_ char *text = NULL;
	struct err err = {0};
	char key[2048];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_json_ json_t *one = json_string(texts[i]);
		_cleanup_json_ json_t *one_again = NULL;
		_cleanup_free_ char *one_text = kube_yaml_text(one);

		assert_non_null(one_text);
		assert_int_equal(kube_yaml_parse(one_text, strlen(one_text), &one_again, &err), 0);
		assert_true(json_equal(one, one_again));
		json_object_set(all, texts[i], one);
	}
	for (size_t len = 100; len < sizeof(key); len += 100) {
		memset(key, len % 200 ? 'k' : '\x7f', len);
		key[len] = '\0';
		json_object_set_new(all, key,
				    json_pack("[{s:{s:i}, s:[s]}, s]", key, key, 1, "x", key, key));
	}
	text = kube_yaml_text(all);
	assert_non_null(text);
	assert_int_equal(kube_yaml_parse(text, strlen(text), &again, &err), 0);
	assert_true(json_equal(all, again));
}

static void what_is_too_deep_is_refused(void **state)
{
	json_t *json = json_integer(1);

	for (int i = 0; i < KUBE_DEPTH_MAX + 2; i++)
		json = json_pack("[o]", json);
	assert_null(kube_yaml_text(json));
	json_decref(json);
}

static void a_kind_says_what_it_is(void **state)
{
	_cleanup_json_ json_t *crd = kube_crd(kube_resource_by_kind("StorageVolume"));
	const json_t *version = json_array_get(kube_at(crd, "spec.versions"), 0);
	const json_t *spec = kube_at(version, "schema.openAPIV3Schema.properties.spec");

	assert_string_equal(kube_str(crd, "metadata.name"), "storagevolumes.litepool.io");
	assert_string_equal(kube_str(crd, "spec.scope"), "Cluster");
	assert_string_equal(
		json_string_value(json_array_get(kube_at(crd, "spec.names.shortNames"), 0)), "sv");
	assert_non_null(kube_at(version, "subresources.status"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "required"), 0)),
			    "size");
	/* Is a quantity, has a minimum; and grows, which is a rule of the whole, for it looks at the status too. */
	assert_int_equal(json_array_size(kube_at(spec, "properties.size.x-kubernetes-validations")),
			 2);
	assert_string_equal(kube_str(json_array_get(kube_at(version, "schema.openAPIV3Schema."
								     "x-kubernetes-validations"),
						    0),
				     "fieldPath"),
			    ".spec.size");
	assert_non_null(kube_at(spec, "properties.source.x-kubernetes-validations"));
	assert_int_equal(json_integer_value(kube_at(spec, "properties.allowedNodes.maxItems")),
			 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_and_lists_are_blocks),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(what_is_too_deep_is_refused),
		cmocka_unit_test(a_kind_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
