/* SPDX-License-Identifier: Apache-2.0 */
/* Words to commands and parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

#define ARGV_MAX 12

/* Splits words at blanks; runs cli_find() and cli_parse(). */
static int parse(const char *words, struct cli *cli, json_t **ret_params, struct err *err)
{
	char *copy = strdup(words), *rest = copy, *argv[ARGV_MAX];
	const struct cli_cmd *cmd;
	int argc = 0, used, res;

	while ((argv[argc] = strsep(&rest, " ")))
		argc++;
	memset(cli, 0, sizeof(*cli));
	cli->values = json_object();
	*ret_params = NULL;
	cmd = cli_find(argc, argv, &used);
	res = cmd ? cli_parse(cli, cmd, argc - used, argv + used, ret_params, err) : -ENOENT;
	json_decref(cli->values);
	cli->values = NULL;
	free(copy);
	return res;
}

static void check(const char *words, const char *expected)
{
	_cleanup_json_ json_t *params = NULL, *want = json_loads(expected, 0, NULL);
	struct cli cli;

	assert_non_null(want);
	assert_int_equal(parse(words, &cli, &params, NULL), 0);
	assert_true(json_equal(params, want));
}

static void arguments_become_parameters(void **state)
{
	check("engine bdev create-file d0 /d0 --block-size=512 --readonly",
	      "{\"name\": \"d0\", \"filename\": \"/d0\", \"block_size\": 512, \"readonly\": true}");
	check("engine ns add nqn.a d0 --nsid 3",
	      "{\"nqn\": \"nqn.a\", \"namespace\": {\"bdev_name\": \"d0\", \"nsid\": 3}}");
	check("engine host allow-any nqn.a off", "{\"nqn\": \"nqn.a\", \"allow_any_host\": false}");
	check("engine fault add f0 delay --ops read,write --probability 0.5",
	      "{\"name\": \"f0\", \"kind\": \"delay\", \"ops\": [\"read\", \"write\"], "
	      "\"probability\": 0.5}");
}

static void members_of_members_are_made(void **state)
{
	check("pool create p --node n --file /f --size 1G --full 90",
	      "{\"metadata\": {\"name\": \"p\"}, \"spec\": {\"nodeName\": \"n\", \"device\": "
	      "{\"file\": \"/f\"}, \"size\": 1073741824, \"watermarks\": {\"fullPercent\": "
	      "90}}}");
}

static void addresses_are_ipv4_or_ipv6(void **state)
{
	check("engine listener remove nqn.a 192.0.2.1:4421",
	      "{\"nqn\": \"nqn.a\", \"listen_address\": {\"trtype\": \"TCP\", \"adrfam\": "
	      "\"IPv4\", "
	      "\"traddr\": \"192.0.2.1\", \"trsvcid\": \"4421\"}}");
	check("engine listener remove nqn.a [2001:db8::1]:4420",
	      "{\"nqn\": \"nqn.a\", \"listen_address\": {\"trtype\": \"TCP\", \"adrfam\": "
	      "\"IPv6\", "
	      "\"traddr\": \"2001:db8::1\", \"trsvcid\": \"4420\"}}");
	check("engine listener remove nqn.a 192.0.2.1",
	      "{\"nqn\": \"nqn.a\", \"listen_address\": {\"trtype\": \"TCP\", \"adrfam\": "
	      "\"IPv4\", "
	      "\"traddr\": \"192.0.2.1\", \"trsvcid\": \"4420\"}}");
}

static void wrong_words_are_refused_by_name(void **state)
{
	static const char *const bad[][2] = {
		{"engine bdev create-file d0", "FILE"},
		{"engine bdev delete a b", "'b'"},
		{"engine bdev delete a --force", "--force"},
		{"engine bdev create-null n 10X", "SIZE"},
		{"engine ns remove nqn.a one", "NSID"},
		{"engine host allow-any nqn.a maybe", "STATE"},
		{"engine listener add nqn.a 192.0.2.1:99999", "ADDR:PORT"},
		{"engine listener add nqn.a 2001:db8::1:4420", "ADDR:PORT"},
		{"engine listener add nqn.a [2001:db8::1", "ADDR:PORT"},
		{"engine ns add nqn.a d0 --nsid", "--nsid"},
		{"engine ns add nqn.a d0 --nsid 1 --nsid 2", "twice"},
		{"engine fault add f0 delay --probability x", "--probability"},
		{"engine bdev qos d0", "at least one of --iops, --mbps, "},
		{"engine rpc m [1]", "PARAMS"},
		{"engine status -o xml", "table, wide, json"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};
		struct cli cli;
		json_t *params;

		assert_int_equal(parse(bad[i][0], &cli, &params, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i][1]));
	}
}

static void global_options_stand_anywhere(void **state)
{
	_cleanup_json_ json_t *params = NULL;
	struct cli cli;

	assert_int_equal(
		parse("engine bdev list -o json --socket /s --timeout 5", &cli, &params, NULL), 0);
	assert_true(cli.json);
	assert_int_equal(cli.timeout_ms, 5000);
}

static void help_is_asked_for_anywhere(void **state)
{
	struct cli cli;
	json_t *params;

	assert_int_equal(parse("engine bdev delete --help", &cli, &params, NULL), 1);
	assert_int_equal(parse("engine bdev delete d0 -h", &cli, &params, NULL), 1);
}

static void the_longest_command_wins(void **state)
{
	char *argv[] = {strdup("engine"), strdup("bdev"), strdup("list"), strdup("x")};
	int used;

	assert_string_equal(cli_find(4, argv, &used)->words, "engine bdev list");
	assert_int_equal(used, 3);
	assert_null(cli_find(2, argv, &used));
	for (size_t i = 0; i < 4; i++)
		free(argv[i]);
}

static void the_table_is_complete(void **state)
{
	const struct cli_cmd *cmd;

	for (size_t i = 0; (cmd = cli_nth(i)); i++) {
		assert_non_null(cmd->summary);
		assert_true(strncmp(cmd->example, "litepool ", 9) == 0 ||
			    strstr(cmd->example, "litepool "));
		assert_true(cmd->method || cmd->run);
		for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++)
			assert_non_null(arg->help);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_become_parameters),
		cmocka_unit_test(members_of_members_are_made),
		cmocka_unit_test(addresses_are_ipv4_or_ipv6),
		cmocka_unit_test(wrong_words_are_refused_by_name),
		cmocka_unit_test(global_options_stand_anywhere),
		cmocka_unit_test(help_is_asked_for_anywhere),
		cmocka_unit_test(the_longest_command_wins),
		cmocka_unit_test(the_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
