/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's command line: what is taken, and what is said of what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/options.h"

#define PARSE(opts, err, ...)                                                                      \
	({                                                                                         \
		const char *args_[] = {"litepool-engine", ##__VA_ARGS__};                          \
		char *argv_[sizeof(args_) / sizeof(args_[0])];                                     \
		memcpy(argv_, args_, sizeof(args_));                                               \
		engine_opts_parse((int)(sizeof(args_) / sizeof(args_[0])), argv_, opts, err);      \
	})

static void defaults_need_no_option(void **state)
{
	struct engine_opts opts;

	assert_int_equal(PARSE(&opts, NULL), 0);
	assert_string_equal(opts.state_dir, ENGINE_STATE_DIR);
	assert_string_equal(opts.rpc_socket, ENGINE_RPC_SOCKET);
	assert_int_equal(opts.n_data, 1);
	assert_int_equal(opts.data_cpu[0], -1);
	assert_int_equal(opts.control_cpu, -1);
	assert_int_equal(opts.poll_us, POLL_US_DEFAULT);
	assert_false(opts.wait_for_rpc);
}

static void values_come_after_blank_or_equals(void **state)
{
	struct engine_opts opts;

	assert_int_equal(PARSE(&opts, NULL, "--state-dir", "/s", "--rpc-socket=/r", "--poll-us",
			       "-1", "--control-cpu=3", "--iobuf-large", "7", "--wait-for-rpc"),
			 0);
	assert_string_equal(opts.state_dir, "/s");
	assert_string_equal(opts.rpc_socket, "/r");
	assert_int_equal(opts.poll_us, POLL_US_ALWAYS);
	assert_int_equal(opts.control_cpu, 3);
	assert_int_equal(opts.iobuf[IOBUF_LARGE], 7);
	assert_true(opts.wait_for_rpc);
}

static void bad_options_are_refused_by_name(void **state)
{
	static const char *const bad[][3] = {
		{"--nonsense", NULL, "--nonsense"},
		{"state", NULL, "state"},
		{"--poll-us", "-2", "--poll-us"},
		{"--poll-us", "1.5", "--poll-us"},
		{"--iobuf-rx", "0", "--iobuf-rx"},
		{"--log-level", "loud", "--log-level"},
		{"--control-cpu", "x", "--control-cpu"},
		{"--state-dir", NULL, "--state-dir"},
		{"--state-dir=", NULL, "--state-dir"},
		{"--wait-for-rpc=1", NULL, "--wait-for-rpc"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *argv[] = {strdup("litepool-engine"), strdup(bad[i][0]),
				bad[i][1] ? strdup(bad[i][1]) : NULL};
		struct engine_opts opts;
		struct err err = {0};

		assert_int_equal(engine_opts_parse(bad[i][1] ? 3 : 2, argv, &opts, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i][2]));
		free(argv[0]);
		free(argv[1]);
		free(argv[2]);
	}
}

static void cores_are_a_count_or_cpus(void **state)
{
	int cpu[ENGINE_DATA_MAX];
	unsigned n;

	assert_int_equal(engine_cores_parse("3", cpu, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(cpu[2], -1);
	assert_int_equal(engine_cores_parse("0,4-6", cpu, &n, NULL), 0);
	assert_int_equal(n, 4);
	assert_int_equal(cpu[0], 0);
	assert_int_equal(cpu[3], 6);
	assert_int_equal(engine_cores_parse("[2]", cpu, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(cpu[0], 2);
}

static void bad_cores_are_refused(void **state)
{
	static const char *const bad[] = {"0",
					  "64",
					  "x",
					  "1,",
					  ",1",
					  "3-1",
					  "1,1",
					  "-1",
					  "[]",
					  "[1",
					  "1-",
					  "0-9999",
					  "99999999999999999,1"};
	int cpu[ENGINE_DATA_MAX];
	unsigned n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		assert_int_equal(engine_cores_parse(bad[i], cpu, &n, &err), -EINVAL);
		assert_non_null(strstr(err.text, "--cores"));
	}
}

static void help_ends_parsing(void **state)
{
	struct engine_opts opts;

	assert_int_equal(PARSE(&opts, NULL, "--help", "--nonsense"), 0);
	assert_true(opts.help);
	assert_int_equal(PARSE(&opts, NULL, "-V"), 0);
	assert_true(opts.version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_need_no_option),
		cmocka_unit_test(values_come_after_blank_or_equals),
		cmocka_unit_test(bad_options_are_refused_by_name),
		cmocka_unit_test(cores_are_a_count_or_cpus),
		cmocka_unit_test(bad_cores_are_refused),
		cmocka_unit_test(help_ends_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
