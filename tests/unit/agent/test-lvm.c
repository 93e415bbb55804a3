/* SPDX-License-Identifier: Apache-2.0 */
/* lvm's reports, whatever they say, and what is asked of lvm: by a script in its place that answers from files and keeps what it was told. The real one runs in tests/guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lvm.h"
#include "base/bytes.h"
#include "base/json.h"

#define EXTENT (4 * MIB)

static char dir[] = "/tmp/litepool-lvm.XXXXXX";

static json_t *rows_of(const char *text, const char *what)
{
	json_t *rows = NULL;
	struct err err = {0};

	assert_int_equal(lvm_rows_parse(text, what, &rows, &err), 0);
	return rows;
}

/* ---- reading ---- */

static void a_report_is_rows(void **state)
{
	_cleanup_json_ json_t *rows =
		rows_of("{\"report\": [{\"lv\": [{\"lv_name\":\"vol-1\", \"lv_size\":\"4194304\", "
			"\"lv_attr\":\"Vwi-aotz--\", \"data_percent\":\"12.34\", "
			"\"lv_tags\":\"x,litepool.size=4000000,litepool.name=db-0,y\"}, "
			"{\"lv_name\":\"thin\"}]}]}",
			"lv");
	const json_t *row = lvm_row(rows, "vol-1");
	char name[16];

	assert_int_equal(json_array_size(rows), 2);
	assert_null(lvm_row(rows, "vol-2"));
	assert_int_equal(lvm_number(row, "lv_size"), 4194304);
	assert_int_equal(lvm_number(row, "lv_name"), 0);
	assert_int_equal(lvm_number(row, "none"), 0);
	assert_int_equal(lvm_percent(row, "data_percent"), 1234);
	assert_true(lvm_is_thin(row) && lvm_is_active(row) && lvm_is_open(row));
	assert_int_equal(lvm_allocated(row), 4194304 / 10000 * 1234);
	assert_string_equal(lvm_tag_name(row, name, sizeof(name)), "db-0");
	assert_string_equal(lvm_tag_name(row, name, 4), "");
	assert_int_equal(lvm_declared(row), 4000000);
	row = lvm_row(rows, "thin");
	assert_false(lvm_is_thin(row) || lvm_is_active(row) || lvm_is_open(row));
	assert_string_equal(lvm_tag_name(row, name, sizeof(name)), "");
}

static void a_thick_snapshot_is_as_large_as_its_origin(void **state)
{
	_cleanup_json_ json_t *row =
		json_pack("{s:s, s:s, s:s, s:s}", "lv_attr", "sri-a-s---", "lv_size", "113246208",
			  "origin_size", "109051904", "lv_tags", "litepool.size=104857600");

	assert_int_equal(lvm_size(row), 109051904);
	assert_int_equal(lvm_declared(row), 104857600);
	assert_int_equal(lvm_allocated(row), 113246208);
}

static void percents_are_read_to_the_second_digit(void **state)
{
	static const struct {
		const char *text;
		unsigned want;
	} cases[] = {{"", 0},      {"0.00", 0}, {"100.00", 10000}, {"7", 700},
		     {"7.5", 750}, {"0.01", 1}, {"999.99", 10000}, {"99999.99", 10000},
		     {"-1.00", 0}, {"1.", 100}, {"1,50", 100},     {"x", 0}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ json_t *row = json_pack("{s:s}", "p", cases[i].text);

		assert_int_equal(lvm_percent(row, "p"), cases[i].want);
	}
}

static void what_is_no_report_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "{\"report\": 7}",
					  "{\"report\": [{\"lv\": 7}]}",
					  "{\"report\": [{\"pv\": []}]}",
					  "{\"report\": [{\"lv\": [7]}]}",
					  "{\"report\": [{\"lv\": [], \"lv\": []}]}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *rows = NULL;
		struct err err = {0};

		assert_int_equal(lvm_rows_parse(bad[i], "lv", &rows, &err), -EPROTO);
		assert_null(rows);
		assert_non_null(strstr(err.text, "lvm's report"));
	}
}

/* ---- a script in lvm's place: answers to COMMAND are in the file COMMAND; what it is told goes to the file log ---- */

static void put(const char *name, const char *text, mode_t mode)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static const char *told(void)
{
	static char text[4096];
	char path[64];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "r");
	if (!f)
		return "";
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	(void)unlink(path);
	return text;
}

static int set_up(void **state)
{
	static const char script[] =
		"#!/bin/sh\n"
		"d=${0%/*}; c=$1\n"
		"case $c in lvs | pvs) cat \"$d/$c\" ;; *) echo \"$@\" >> \"$d/log\" ;; esac\n"
		"[ ! -e \"$d/fails\" ] || { echo 'it does not like it' >&2; exit 5; }\n";
	char path[4096];

	assert_non_null(mkdtemp(dir));
	put("lvm", script, 0700);
	put("lvs", "{\"report\": [{\"lv\": []}]}", 0600);
	put("pvs", "{\"report\": [{\"pv\": []}]}", 0600);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
	return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
	static const char *const names[] = {"lvm", "lvs", "pvs", "log", "fails"};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

static const struct lvm group = {.device = "/dev/test", .vg = "litepool-u", .extent = EXTENT};

static void every_command_is_told_the_one_disk(void **state)
{
	const char *const args[] = {"lvremove", "-f", "a/b", NULL};
	struct err err = {0};

	assert_int_equal(lvm_do(&group, args, &err), 0);
	assert_string_equal(told(), "lvremove --devices /dev/test -f a/b\n");
}

static void what_lvm_says_against_it_is_the_error(void **state)
{
	const char *const args[] = {"lvremove", "-f", "a/b", NULL};
	struct err err = {0};
	json_t *row = NULL;

	put("fails", "", 0600);
	assert_int_equal(lvm_do(&group, args, &err), -EIO);
	assert_non_null(strstr(err.text, "status 5"));
	assert_non_null(strstr(err.text, "it does not like it"));
	assert_int_equal(lvm_pv(&group, &row, &err), -EIO);
	assert_null(row);
	(void)tear_down(state);
	assert_int_equal(lvm_do(&group, args, &err), -ENOENT);
	assert_non_null(strstr(err.text, "lvm2"));
	(void)memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	(void)set_up(state);
}

static void a_disk_without_a_physical_volume_is_no_error(void **state)
{
	struct err err = {0};
	json_t *row = NULL;

	assert_int_equal(lvm_pv(&group, &row, &err), 0);
	assert_null(row);
}

/* ---- the thin pool ---- */

static void group_has(uint64_t size, uint64_t left)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
		       "{\"report\": [{\"pv\": [{\"vg_size\":\"%llu\", \"vg_free\":\"%llu\"}]}]}",
		       (unsigned long long)size, (unsigned long long)left);
	put("pvs", text, 0600);
}

static void the_thin_pool_is_as_large_as_all_that_is_in_it(void **state)
{
	_cleanup_json_ json_t *none = json_array();
	_cleanup_json_ json_t *one =
		json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "lv_name", "thin", "lv_attr",
			  "twi-aotz--", "lv_size", "104857600", "lv_name", "vol-1", "lv_attr",
			  "Vwi-aotz--", "lv_size", "104857600");
	struct err err = {0};

	group_has(GIB, GIB);
	assert_int_equal(lvm_thin_reserve(&group, none, 100 * MIB, &err), 0);
	assert_string_equal(told(),
			    "lvcreate --devices /dev/test -y --type thin-pool -L 104857600b -n "
			    "thin --discards passdown litepool-u\n"
			    "lvchange --devices /dev/test --errorwhenfull y litepool-u/thin\n");
	assert_int_equal(lvm_thin_reserve(&group, one, 1, &err), 0); /* whole extents */
	assert_string_equal(told(),
			    "lvextend --devices /dev/test -y -L 109051904b litepool-u/thin\n");
	assert_int_equal(lvm_thin_reserve(&group, one, 0, &err), 0);
	assert_string_equal(told(), "");
}

static void it_ends_where_the_space_does(void **state)
{
	_cleanup_json_ json_t *none = json_array();
	_cleanup_json_ json_t *full = json_pack("[{s:s, s:s, s:s}]", "lv_name", "thin", "lv_attr",
						"twi-aotz--", "lv_size", "1048576000");
	uint64_t keep = lvm_thin_keep(GIB, EXTENT);
	char want[40];
	struct err err = {0};

	assert_true(keep % EXTENT == 0 && keep < GIB / 16);
	group_has(GIB, GIB);
	assert_int_equal(lvm_thin_reserve(&group, none, TIB, &err), 0);
	(void)snprintf(want, sizeof(want), "-L %llub", (unsigned long long)(GIB - keep));
	assert_non_null(strstr(told(), want));
	group_has(GIB, 0);
	assert_int_equal(lvm_thin_reserve(&group, full, TIB, &err), 0); /* promised beyond it */
	assert_string_equal(told(), "");
	assert_int_equal(lvm_thin_reserve(&group, none, MIB, &err), -ENOSPC);
	assert_string_equal(told(), "");
}

static void it_goes_with_the_last_volume_and_not_before(void **state)
{
	_cleanup_json_ json_t *rows =
		json_pack("[{s:s, s:s, s:s, s:s}]", "lv_name", "thin", "lv_attr", "twi-aotz--",
			  "lv_metadata_size", "4194304", "metadata_percent", "80.00");
	struct err err = {0};

	assert_int_equal(lvm_thin_tend(&group, rows, &err), 0);
	assert_string_equal(told(), "lvremove --devices /dev/test -f litepool-u/thin\n");
	(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "lv_name", "snap-1",
						    "lv_attr", "Vri---tz-k", "lv_size", "4194304"));
	assert_int_equal(lvm_thin_tend(&group, rows, &err), 0);
	assert_string_equal(told(), "lvextend --devices /dev/test -y --poolmetadatasize +4194304b "
				    "litepool-u/thin\n");
}

static void a_thin_pool_that_lets_writes_wait_is_changed(void **state)
{
	_cleanup_json_ json_t *rows =
		json_pack("[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s}]", "lv_name", "thin",
			  "lv_attr", "twi-aotzD-", "lv_metadata_size", "4194304",
			  "metadata_percent", "10.00", "lv_when_full", "queue", "lv_name", "vol-1",
			  "lv_attr", "Vwi-aotz--", "lv_size", "4194304");
	struct err err = {0};

	assert_int_equal(lvm_thin_tend(&group, rows, &err), 0);
	assert_string_equal(told(),
			    "lvchange --devices /dev/test --errorwhenfull y litepool-u/thin\n");
	(void)json_object_set_new(json_array_get(rows, 0), "lv_when_full", json_string("error"));
	assert_int_equal(lvm_thin_tend(&group, rows, &err), 0);
	assert_string_equal(told(), "");
}

/* ---- filling ---- */

static void a_fill_ends_with_the_agent(void **state)
{
	struct agent a = {.stopping = true};
	struct err err = {0};
	char path[64];

	put("log", "data", 0600);
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	assert_int_equal(lvm_fill(&a, path, NULL, 4096, &err), -ECANCELED);
	a.stopping = false;
	assert_int_equal(lvm_fill(&a, path, NULL, 4096, &err), -ENOTTY); /* a file is no device */
	assert_int_equal(lvm_fill(&a, "/nonexistent", NULL, 4096, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_is_rows),
		cmocka_unit_test(a_thick_snapshot_is_as_large_as_its_origin),
		cmocka_unit_test(percents_are_read_to_the_second_digit),
		cmocka_unit_test(what_is_no_report_is_refused),
		cmocka_unit_test(every_command_is_told_the_one_disk),
		cmocka_unit_test(a_disk_without_a_physical_volume_is_no_error),
		cmocka_unit_test(the_thin_pool_is_as_large_as_all_that_is_in_it),
		cmocka_unit_test(it_ends_where_the_space_does),
		cmocka_unit_test(it_goes_with_the_last_volume_and_not_before),
		cmocka_unit_test(a_thin_pool_that_lets_writes_wait_is_changed),
		cmocka_unit_test(what_lvm_says_against_it_is_the_error),
		cmocka_unit_test(a_fill_ends_with_the_agent),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
