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
		cmocka_unit_test(what_is_too_deep_is_refused),
		cmocka_unit_test(a_kind_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
