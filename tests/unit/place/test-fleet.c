/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: the same seed is the same day, and pooling does what it is there for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "place/fleet.h"

static void pooling_uses_what_is_stranded(void **state)
{
	struct fleet_options options;
	struct fleet_result a, b;
	struct place_config config;
	struct err err = {0};
	char *text[2], *svg;
	json_t *json;

	fleet_options_default(&options);
	place_config_default(&config);
	assert_int_equal(fleet_simulate(&options, &config, &a, &err), 0);
	assert_int_equal(fleet_simulate(&options, &config, &b, &err), 0);
	json = fleet_json(&a);
	text[0] = json_text(json);
	json_decref(json);
	json = fleet_json(&b);
	text[1] = json_text(json);
	json_decref(json);
	assert_string_equal(text[0], text[1]);
	assert_true(a.run[FLEET_LOCAL].disk_used < 50);
	assert_true(a.run[FLEET_POOLED].disk_used > 65);
	assert_true(a.run[FLEET_POOLED].cpu_stranded <= 5);
	assert_true(a.run[FLEET_POOLED].disk_stranded <= 5);
	assert_true(a.run[FLEET_LOCAL].remote == 0);
	svg = fleet_svg(&a);
	assert_true(!strncmp(svg, "<svg ", 5));
	free(svg);
	free(text[0]);
	free(text[1]);
	options.shape[0].nodes = options.shape[1].nodes = 0;
	assert_int_equal(fleet_simulate(&options, &config, &a, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pooling_uses_what_is_stranded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
