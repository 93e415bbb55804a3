/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is taken, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "place/config.h"

static int parse(const char *text, struct place_config *config, struct err *err)
{
	return place_config_parse("place.yaml", text, strlen(text), config, err);
}

static void an_empty_file_is_the_default(void **state)
{
	struct place_config config, def;
	struct err err = {0};

	place_config_default(&def);
	memset(&config, 0, sizeof(config));
	assert_int_equal(parse("", &config, &err), 0);
	assert_memory_equal(&config.weights, &def.weights, sizeof(def.weights));
	assert_int_equal(parse("# nothing\nplugins:\n", &config, &err), 0);
	assert_int_equal(config.group_max.node, 1);
}

static void all_members_are_read_and_written(void **state)
{
	static const char text[] =
		"version: 1\n"
		"priorities: {leastAllocated: 0, binPack: 3, locality: 4, spread: 5}\n"
		"limits: {remoteVolumesPerNode: 7, localReservePercent: 20, "
		"allowDegraded: true}\n"
		"antiAffinity: {node: 2, rack: 3, accessPoint: 4, zone: 5}\n"
		"plugins:\n"
		"- {path: /p.so, config: x=1, weight: 2, filter: false, failure: "
		"Ignore}\n"
		"extenders:\n"
		"- name: e\n"
		"  url: http://localhost/x\n"
		"  timeoutMs: 50\n"
		"  weight: 9\n"
		"  candidates: 10\n"
		"  failure: Refuse\n";
	struct place_config config, again;
	struct err err = {0};
	char *first, *second;
	json_t *json;

	if (parse(text, &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(config.weights.bin_pack, 3);
	assert_int_equal(config.group_max.zone, 5);
	assert_true(config.plugins[0].ignore);
	assert_false(config.plugins[0].filter);
	assert_int_equal(config.extenders[0].candidates_max, 10);
	/* JSON is YAML: what is written can be read. */
	json = place_config_json(&config);
	first = json_text(json);
	json_decref(json);
	if (parse(first, &again, &err) != 0)
		fail_msg("%s", err.text);
	json = place_config_json(&again);
	second = json_text(json);
	json_decref(json);
	assert_string_equal(first, second);
	free(first);
	free(second);
	place_config_fini(&config);
	place_config_fini(&again);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"version: 2", "place.yaml:1: version: expected a number from 1 to 1, got 2"},
		{"\npriorities:\n  spraed: 1\n",
		 "place.yaml:3: priorities: there is no member spraed"},
		{"priorities:\n  spread: 1\n  spread: 2\n",
		 "place.yaml:3: priorities.spread: is given twice"},
		{"priorities:\n  spread: -1\n",
		 "place.yaml:2: priorities.spread: expected a number from 0 to 1000, got -1"},
		{"limits: [1]", "place.yaml:1: limits: expected a mapping (name: value)"},
		{"limits:\n  allowDegraded: yes",
		 "place.yaml:2: limits.allowDegraded: expected true or false, got yes"},
		{"plugins:\n- weight: 1\n", "place.yaml:2: plugins[0]: path is missing"},
		{"plugins:\n-\n", "place.yaml:2: plugins[0]: path is missing"},
		{"plugins:\n- path: p.so\n",
		 "place.yaml: plugins[0].path: expected an absolute path"},
		{"plugins:\n- path: /p.so\n  failure: maybe\n",
		 "place.yaml:3: plugins[0].failure: expected Refuse or Ignore, got maybe"},
		{"extenders:\n- {name: e, url: gopher://x}\n",
		 "place.yaml: extenders[0].url: expected http://... or https://..."},
		{"a: [", "place.yaml:2: did not find expected node content"},
		{"--- {}\n--- {}\n", "place.yaml:2: a second document; one is expected"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct place_config config = {.n_plugins = 77};
		struct err err = {0};

		assert_int_equal(parse(cases[i].text, &config, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].error);
		assert_int_equal(config.n_plugins, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_the_default),
		cmocka_unit_test(all_members_are_read_and_written),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
