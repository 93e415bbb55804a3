/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins, by the example that is built beside this test, and extenders, by a call that answers from a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "place/explain.h"
#include "place/plugin.h"
#include "world.h"

static struct place_inventory *cluster(void)
{
	struct place_inventory *inv = place_inventory_new(1);

	for (int i = 1; i <= 3; i++) {
		char node[8] = "n1", pool[8] = "p1";

		node[1] = pool[1] = (char)('0' + i);
		world_node(inv, node, "", "");
		world_pool(inv, pool, node, 100);
	}
	world_volume(inv, "a", "p1", 1);
	world_volume(inv, "b", "p1", 1);
	world_volume(inv, "c", "p2", 1);
	return inv;
}

static int decide(const struct place_inventory *inv, const struct place_config *config,
		  const struct place_hooks *hooks, struct place_decision *ret, struct err *err)
{
	struct place_request request = world_request("v", 1);
	struct placer *placer = placer_new();
	int res;

	placer_use(placer, hooks);
	res = place_decide(placer, inv, config, &request, PLACE_EXPLAIN, ret, err);

	placer_free(placer);
	return res;
}

static const struct place_candidate *candidate(const struct place_decision *decision,
					       const char *pool)
{
	for (size_t i = 0; i < decision->n_candidates; i++)
		if (!strcmp(decision->candidates[i].pool, pool))
			return &decision->candidates[i];
	fail_msg("no candidate %s", pool);
	return NULL;
}

static struct place_config with_plugin(const char *text)
{
	struct place_config config;

	place_config_default(&config);
	config.n_plugins = 1;
	config.plugins[0] = (struct place_plugin_config){.path = strdup(getenv("PLACE_PLUGIN")),
							 .config = strdup(text),
							 .weight = 5,
							 .filter = true};
	return config;
}

static void a_plugin_filters_and_scores(void **state)
{
	struct place_config config = with_plugin("2");
	struct place_inventory *inv = cluster();
	struct place_decision decision;
	struct place_plugins plugins;
	struct err err = {0};

	if (place_plugins_open(&config, &plugins, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(decide(inv, &config, &plugins.hooks, &decision, &err), 0);
	assert_string_equal(decision.pool, "p3");
	assert_int_equal(candidate(&decision, "p1")->filter, PLACE_HOOK);
	assert_string_equal(candidate(&decision, "p1")->why, "2 volumes, 2 at most");
	assert_int_equal(candidate(&decision, "p2")->part[PLACE_PRIORITIES], 500);
	assert_string_equal(decision.part_name[PLACE_PRIORITIES], "fewVolumes");
	place_decision_fini(&decision);
	place_plugins_close(&plugins);
	place_config_fini(&config);
	place_inventory_free(inv);
}

static void a_plugin_that_cannot_be_used_is_told(void **state)
{
	struct place_config config = with_plugin("many");
	struct place_plugins plugins;
	struct err err = {0};

	assert_int_equal(place_plugins_open(&config, &plugins, &err), -EINVAL);
	assert_non_null(strstr(err.text, "refuses its configuration: expected a number"));
	free(config.plugins[0].path);
	config.plugins[0].path = strdup("/nowhere/x.so");
	assert_int_equal(place_plugins_open(&config, &plugins, &err), -ENOENT);
	place_config_fini(&config);
}

static int answer(void *ctx, const struct place_extender_config *extender, const char *body,
		  size_t len, char **ret_body, size_t *ret_len, struct err *err)
{
	_cleanup_json_ json_t *asked = json_loadb(body, len, 0, NULL);

	assert_string_equal(
		json_string_value(json_object_get(json_object_get(asked, "volume"), "name")), "v");
	if (!ctx)
		return err_set(err, -ETIMEDOUT, "no answer within %u ms", extender->timeout_ms);
	*ret_body = strdup(ctx);
	*ret_len = strlen(ctx);
	return 0;
}

static struct place_config with_extender(bool ignore)
{
	struct place_config config;

	place_config_default(&config);
	config.n_extenders = 1;
	config.extenders[0] = (struct place_extender_config){.name = strdup("ext"),
							     .url = strdup("http://x/"),
							     .timeout_ms = 5,
							     .weight = 100,
							     .candidates_max = 2,
							     .ignore = ignore};
	return config;
}

static void an_extender_is_asked_about_the_best(void **state)
{
	struct place_config config = with_extender(false);
	char text[] = "{\"refused\": {\"p3\": \"maintenance tonight\"}, \"scores\": {\"p2\": 7}}";
	struct place_hooks hooks = {.call = answer, .call_ctx = text};
	struct place_inventory *inv = cluster();
	struct place_decision decision;
	struct err err = {0};

	assert_int_equal(decide(inv, &config, &hooks, &decision, &err), 0);
	assert_string_equal(decision.pool, "p2");
	assert_string_equal(candidate(&decision, "p3")->why, "maintenance tonight");
	assert_int_equal(candidate(&decision, "p1")->filter, PLACE_HOOK); /* third of two */
	place_decision_fini(&decision);
	place_config_fini(&config);
	place_inventory_free(inv);
}

static void a_silent_or_wrong_extender_follows_its_policy(void **state)
{
	struct place_config refuse = with_extender(false), ignore = with_extender(true);
	struct place_hooks silent = {.call = answer}, none = {0};
	char text[] = "{\"scores\": {\"p2\": 1001}}";
	struct place_hooks wrong = {.call = answer, .call_ctx = text};
	struct place_inventory *inv = cluster();
	struct place_decision decision;
	struct err err = {0};

	assert_int_equal(decide(inv, &refuse, &silent, &decision, &err), -EAGAIN);
	assert_string_equal(err.text, "placement extender ext failed: no answer within 5 ms");
	assert_int_equal(decide(inv, &refuse, &none, &decision, &err), -EAGAIN);
	assert_int_equal(decide(inv, &refuse, &wrong, &decision, &err), -EAGAIN);
	assert_int_equal(decide(inv, &ignore, &wrong, &decision, &err), 0);
	assert_string_equal(decision.pool, "p3");
	place_decision_fini(&decision);
	place_config_fini(&refuse);
	place_config_fini(&ignore);
	place_inventory_free(inv);
}

static void an_explanation_names_every_pool(void **state)
{
	struct place_request request = world_request("v", 100);
	struct place_inventory *inv = cluster();
	struct placer *placer = placer_new();
	struct place_decision decision;
	struct place_config config;
	struct err err = {0};
	json_t *json;
	char *text;

	place_config_default(&config);
	assert_int_equal(
		place_decide(placer, inv, &config, &request, PLACE_EXPLAIN, &decision, &err), 0);
	text = place_explain_text(&request, &decision, 1);
	assert_non_null(strstr(text, "volume v (100 GiB, thin): placed on pool p3 of node n3"));
	assert_non_null(strstr(text, "CommitLimit"));
	assert_non_null(strstr(text, "... and 1 more"));
	json = place_explain_json(&request, &decision);
	assert_int_equal(json_array_size(json_object_get(json, "pools")), 3);
	json_decref(json);
	free(text);
	place_decision_fini(&decision);
	placer_free(placer);
	place_inventory_free(inv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plugin_filters_and_scores),
		cmocka_unit_test(a_plugin_that_cannot_be_used_is_told),
		cmocka_unit_test(an_extender_is_asked_about_the_best),
		cmocka_unit_test(a_silent_or_wrong_extender_follows_its_policy),
		cmocka_unit_test(an_explanation_names_every_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
