/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration text: what is refused and how; and entries that could not be carried out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/configfile.h"
#include "engine/resv_store.h"

static const char good[] =
	"{\"version\": 1, \"subsystems\": ["
	"{\"subsystem\": \"bdev\", \"config\": [{\"method\": \"bdev_aio_create\", \"params\": "
	"{\"name\": \"d0\", \"filename\": \"/d0\"}}]},"
	"{\"subsystem\": \"nvmf\", \"config\": [{\"method\": \"nvmf_subsystem_add_ns\", "
	"\"params\": "
	"{\"nqn\": \"nqn.a\", \"namespace\": {\"bdev_name\": \"d0\", \"nsid\": 3}}}]},"
	"{\"subsystem\": \"sock\", \"config\": null}]}";

static void entries_come_flat_and_in_order(void **state)
{
	_cleanup_json_ json_t *entries = NULL;

	assert_int_equal(config_parse(good, strlen(good), &entries, NULL), 0);
	assert_int_equal(json_array_size(entries), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(entries, 0), "method")),
		"bdev_aio_create");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(entries, 1), "subsystem")),
		"nvmf");
}

static void bad_text_is_refused_with_its_place(void **state)
{
	static const char *const bad[][2] = {
		{"", "line"},
		{"{", "line 1"},
		{"[]", "object"},
		{"{}", "subsystems"},
		{"{\"subsystems\": 1}", "subsystems"},
		{"{\"version\": \"1\", \"subsystems\": []}", "version"},
		{"{\"version\": 2, \"subsystems\": []}", "newer"},
		{"{\"subsystems\": [{}]}", "subsystems[0]"},
		{"{\"subsystems\": [{\"subsystem\": \"bdev\", \"config\": 1}]}", "array"},
		{"{\"subsystems\": [{\"subsystem\": \"bdev\", \"config\": [1]}]}", "config[0]"},
		{"{\"subsystems\": [{\"subsystem\": \"bdev\", \"config\": [{\"method\": \"m\", "
		 "\"params\": 3}]}]}",
		 "params"},
		{"{\"subsystems\": [], \"subsystems\": []}", "duplicate"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};
		json_t *entries;

		assert_int_equal(config_parse(bad[i][0], strlen(bad[i][0]), &entries, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, bad[i][1]));
	}
}

static void every_cut_of_good_text_is_refused(void **state)
{
	for (size_t len = 0; len < strlen(good); len++) {
		json_t *entries;

		assert_int_equal(config_parse(good, len, &entries, NULL), -EINVAL);
	}
}

static void problems_are_found_by_what_they_are_about(void **state)
{
	_cleanup_json_ json_t *entries = NULL;
	_cleanup_json_ json_t *array = json_array();
	struct config_problems problems;

	config_problems_init(&problems);
	assert_int_equal(config_parse(good, strlen(good), &entries, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(config_problems_add(&problems, json_array_get(entries, i), "why"),
				 0);
	assert_true(config_problems_has_ns(&problems, "nqn.a", 3));
	assert_false(config_problems_has_ns(&problems, "nqn.a", 4));
	assert_false(config_problems_has_ns(&problems, "nqn.b", 3));
	assert_int_equal(config_problems_append(&problems, "bdev", array), 0);
	assert_int_equal(json_array_size(array), 1);
	assert_int_equal(config_problems_drop_bdev(&problems, "other"), 0);
	assert_int_equal(config_problems_drop_bdev(&problems, "d0"), 1);
	assert_int_equal(config_problems_drop_ns(&problems, "nqn.a", 0), 1);
	assert_int_equal(problems.count, 0);
	config_problems_fini(&problems);
}

static void a_problem_is_removed_by_its_id_once(void **state)
{
	_cleanup_json_ json_t *entries = NULL;
	struct config_problems problems;

	config_problems_init(&problems);
	assert_int_equal(config_parse(good, strlen(good), &entries, NULL), 0);
	assert_int_equal(config_problems_add(&problems, json_array_get(entries, 0), "why"), 0);
	assert_true(config_problems_remove(&problems, 1));
	assert_false(config_problems_remove(&problems, 1));
	assert_int_equal(config_problems_add(&problems, json_array_get(entries, 0), "why"), 0);
	assert_false(config_problems_remove(&problems, 1));
	config_problems_fini(&problems);
	assert_int_equal(problems.count, 0);
}

static void reservations_need_every_member(void **state)
{
	static const char one[] =
		"{\"version\": 1, \"reservations\": [{\"nqn\": \"n\", \"nsid\": 1, "
		"\"uuid\": \"u\", \"reservation\": {}}]}";
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"version\": 9, \"reservations\": []}",
		"{\"version\": 1, \"reservations\": [{\"nqn\": \"n\", \"nsid\": 1, \"uuid\": "
		"\"u\"}]}",
		"{\"version\": 1, \"reservations\": [{\"nqn\": 1, \"nsid\": 1, \"uuid\": \"u\", "
		"\"reservation\": {}}]}"};
	json_t *entries;

	assert_int_equal(resv_store_parse(one, strlen(one), &entries, NULL), 0);
	json_decref(entries);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(resv_store_parse(bad[i], strlen(bad[i]), &entries, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_flat_and_in_order),
		cmocka_unit_test(bad_text_is_refused_with_its_place),
		cmocka_unit_test(every_cut_of_good_text_is_refused),
		cmocka_unit_test(problems_are_found_by_what_they_are_about),
		cmocka_unit_test(a_problem_is_removed_by_its_id_once),
		cmocka_unit_test(reservations_need_every_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
