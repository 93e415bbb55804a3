/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "csi/options.h"

static int parse(struct csi_opts *opts, const char *want, int argc, const char *const *args)
{
	char *argv[8];
	struct err err = {0};
	int rc;

	memcpy(argv, args, (size_t)argc * sizeof(argv[0]));
	rc = csi_opts_parse(argc, argv, opts, &err);
	if (rc)
		assert_non_null(strstr(err.text, want));
	return rc;
}
#define PARSE(opts, want, ...)                                                                     \
	parse(opts, want, (int)(sizeof((const char *[]){"csi", ##__VA_ARGS__}) / sizeof(char *)),  \
	      (const char *const[]){"csi", ##__VA_ARGS__})

static void forms_of_an_endpoint(void **state)
{
	struct csi_opts opts;

	assert_int_equal(PARSE(&opts, "", "--mode=controller", "--endpoint", "unix:///run/c"), 0);
	assert_string_equal(opts.socket_path, "/run/c");
	assert_int_equal(opts.services, CSI_CONTROLLER);
	assert_int_equal(PARSE(&opts, "", "--mode=controller", "--endpoint=unix:/run/c"), 0);
	assert_string_equal(opts.socket_path, "/run/c");
	assert_int_equal(PARSE(&opts, "", "--mode=controller", "--endpoint=/run/c"), 0);
	assert_string_equal(opts.socket_path, "/run/c");
	assert_int_equal(PARSE(&opts, "unix sockets only", "--mode=controller",
			       "--endpoint=tcp://1.2.3.4:5"),
			 -EINVAL);
	assert_int_equal(PARSE(&opts, "no endpoint", "--mode=controller"), -EINVAL);
}

static void the_environment_fills_what_is_not_given(void **state)
{
	struct csi_opts opts;

	assert_int_equal(setenv("CSI_ENDPOINT", "unix:///run/env", 1), 0);
	assert_int_equal(setenv("NODE_ID", "n7", 1), 0);
	assert_int_equal(PARSE(&opts, ""), 0);
	assert_string_equal(opts.socket_path, "/run/env");
	assert_string_equal(opts.node_id, "n7");
	assert_int_equal(PARSE(&opts, "", "--endpoint", "/run/arg"), 0);
	assert_string_equal(opts.socket_path, "/run/arg");
	assert_int_equal(unsetenv("CSI_ENDPOINT"), 0);
	assert_int_equal(unsetenv("NODE_ID"), 0);
}

static void a_probe_wants_the_endpoint_alone(void **state)
{
	struct csi_opts opts;

	assert_int_equal(PARSE(&opts, "", "--mode=node", "--probe", "--endpoint=/run/c"), 0);
	assert_true(opts.probe);
	assert_string_equal(opts.socket_path, "/run/c");
	assert_int_equal(PARSE(&opts, "no endpoint", "--probe"), -EINVAL);
	assert_int_equal(PARSE(&opts, "", "--mode=controller", "--endpoint=/run/c"), 0);
	assert_false(opts.probe);
}

static void bad_ones_are_named(void **state)
{
	struct csi_opts opts;

	assert_int_equal(PARSE(&opts, "--mode both", "--mode", "both", "--endpoint=/c"), -EINVAL);
	assert_int_equal(PARSE(&opts, "--node-id", "--endpoint=/c"), -EINVAL);
	assert_int_equal(PARSE(&opts, "--nope", "--nope"), -EINVAL);
	assert_int_equal(PARSE(&opts, "--mode needs a value", "--mode"), -EINVAL);
	assert_int_equal(PARSE(&opts, "--driver-name", "--mode=controller", "--endpoint=/c",
			       "--driver-name=a_b"),
			 -EINVAL);
	assert_int_equal(
		PARSE(&opts, "--workers", "--mode=controller", "--endpoint=/c", "--workers=0"),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_an_endpoint),
		cmocka_unit_test(the_environment_fills_what_is_not_given),
		cmocka_unit_test(a_probe_wants_the_endpoint_alone),
		cmocka_unit_test(bad_ones_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
