/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, fields, help and completion as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"

static void table_columns_are_as_wide_as_they_need(void **state)
{
	static const struct cli_column columns[] = {{"NAME", "name", CLI_AS_TEXT},
						    {"SIZE", "size", CLI_AS_SIZE},
						    {"N", "list[]", CLI_AS_COUNT},
						    {NULL}};
	_cleanup_json_ json_t *rows = json_loads(
		"[{\"name\": \"a\", \"size\": 1048576, \"list\": [1, 2]}, {\"name\": \"longer\"}]",
		0, NULL);
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cli_print_table(out, rows, columns);
	fclose(out);
	assert_non_null(strstr(text, "NAME    SIZE"));
	assert_non_null(strstr(text, "a       "));
	assert_non_null(strstr(text, "longer  "));
	assert_non_null(strstr(text, "  2\n"));
}

static void say(const char *text, const char *expected)
{
	_cleanup_free_ char *said = NULL;
	size_t len;
	FILE *out = open_memstream(&said, &len);

	cli_say_commands(text, out);
	fclose(out);
	assert_string_equal(said, expected);
}

static void methods_in_an_error_are_told_as_commands(void **state)
{
	say("no pool 'x'; bdev_lvol_get_lvstores lists them",
	    "no pool 'x'; 'litepool engine pool list' lists them");
	say("in use; remove it first (nvmf_subsystem_remove_ns)",
	    "in use; remove it first ('litepool engine ns remove')");
	say("bdev_lvol_create: size: 0", "'litepool engine volume create': size: 0");
	say("no volume is named 'save_config'", "no volume is named 'save_config'");
	say("/srv/save_config does not exist", "/srv/save_config does not exist");
	say("lvs_name is no method", "lvs_name is no method");
	say("", "");
}

static void control_bytes_do_not_reach_the_terminal(void **state)
{
	_cleanup_json_ json_t *json = json_pack("{s:s}", "name", "a\x1b[31mb\n");
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cli_print_fields(out, json, 0);
	fclose(out);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "a?[31mb?"));
}

static int run(char **ret_text, int argc, char *const *argv)
{
	size_t len;
	FILE *out = open_memstream(ret_text, &len);
	int status = cli_main(argc, argv, out, out);

	fclose(out);
	return status;
}

#define RUN(text, ...)                                                                             \
	({                                                                                         \
		const char *args_[] = {"litepool", ##__VA_ARGS__};                                 \
		char *argv_[sizeof(args_) / sizeof(args_[0])];                                     \
		memcpy(argv_, args_, sizeof(args_));                                               \
		run(text, (int)(sizeof(args_) / sizeof(args_[0])), argv_);                         \
	})

static void every_command_has_help_with_its_example(void **state)
{
	const struct cli_cmd *cmd;

	for (size_t i = 0; (cmd = cli_nth(i)); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		cli_help_cmd(out, cmd);
		fclose(out);
		assert_non_null(strstr(text, cmd->words));
		assert_non_null(strstr(text, cmd->example));
	}
}

static void help_of_a_group_shows_only_the_group(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, "engine", "bdev", "--help"), 0);
	assert_non_null(strstr(text, "engine bdev create-ram"));
	assert_null(strstr(text, "engine subsystem create"));
}

static void an_unknown_command_is_named(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, "engine", "bdevs"), 2);
	assert_string_equal(
		text, "litepool: no such command: engine bdevs; see litepool engine --help\n");
}

static void a_group_alone_is_not_unknown(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, "engine", "bdev"), 2);
	assert_string_equal(text, "litepool: a word is missing behind: engine bdev; see litepool "
				  "engine bdev --help\n");
}

static void no_engine_says_how_to_start_one(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, "-s", "/nonexistent/engine.sock", "engine", "status"), 1);
	assert_non_null(strstr(text, "systemctl start litepool-engine"));
	assert_non_null(strstr(text, "--socket"));
}

static void completion_names_every_command(void **state)
{
	_cleanup_free_ char *text = NULL;
	const struct cli_cmd *cmd;

	assert_int_equal(RUN(&text, "completion", "bash"), 0);
	for (size_t i = 0; (cmd = cli_nth(i)); i++)
		assert_non_null(strstr(text, cmd->words));
	assert_non_null(strstr(text, "complete "));
}

static void export_without_hosts_is_refused(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, "engine", "export", "/d0"), 1);
	assert_non_null(strstr(text, "--any-host"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_columns_are_as_wide_as_they_need),
		cmocka_unit_test(methods_in_an_error_are_told_as_commands),
		cmocka_unit_test(control_bytes_do_not_reach_the_terminal),
		cmocka_unit_test(every_command_has_help_with_its_example),
		cmocka_unit_test(help_of_a_group_shows_only_the_group),
		cmocka_unit_test(an_unknown_command_is_named),
		cmocka_unit_test(a_group_alone_is_not_unknown),
		cmocka_unit_test(no_engine_says_how_to_start_one),
		cmocka_unit_test(completion_names_every_command),
		cmocka_unit_test(export_without_hosts_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
