/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement's input: a configuration, an extender's answer, and objects into an inventory, decided on both ways after each. The inventory's sums must
 * come back to nothing when all objects are gone.
 */
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "place/extender.h"
#include "place/place.h"
#include "place/request.h"

#include "fuzz.h"

#define OBJECTS_MAX 64

static void configuration(const char *text, size_t size)
{
	struct place_config config;
	struct err err = {0};
	int res = place_config_parse("fuzz", text, size, &config, &err);

	ASSERT(res == 0 || err.text[0]);
	if (res == 0) {
		json_t *json = place_config_json(&config);

		ASSERT(json);
		json_decref(json);
		place_config_fini(&config);
	}
}

static void answer(const char *text, size_t size)
{
	struct place_extender_answer a = {0};
	struct err err = {0};

	if (place_extender_decode(text, size, &a, &err) == 0)
		(void)place_extender_score(&a, "p");
	place_extender_answer_fini(&a);
}

static void both_ways(struct place_inventory *inv, struct placer *placer, const json_t *object)
{
	struct place_decision search, scan;
	struct place_config config;
	struct place_request request;
	struct err err = {0};
	int a, b;

	if (place_request_volume(inv, object, "p", &request, &err) < 0)
		return;
	place_config_default(&config);
	a = place_decide(placer, inv, &config, &request, 0, &search, &err);
	b = place_decide(placer, inv, &config, &request, PLACE_EXPLAIN, &scan, &err);
	ASSERT(a == b);
	if (a < 0)
		return;
	ASSERT(!search.pool == !scan.pool);
	ASSERT(!search.pool || !strcmp(search.pool, scan.pool));
	place_decision_fini(&search);
	place_decision_fini(&scan);
}

static void objects(const json_t *list)
{
	struct place_inventory *inv = place_inventory_new(1);
	struct placer *placer = placer_new();
	struct place_inventory_count count;
	struct err err = {0};

	for (size_t i = 0; i < json_array_size(list) && i < OBJECTS_MAX; i++) {
		const json_t *one = json_array_get(list, i);
		int res = place_inventory_apply_object(inv, one, &err);

		ASSERT(res == 0 || err.text[0]);
		both_ways(inv, placer, one);
	}
	for (size_t i = 0; i < json_array_size(list) && i < OBJECTS_MAX; i++)
		(void)place_inventory_remove_object(inv, json_array_get(list, i));
	place_inventory_count(inv, &count);
	ASSERT(count.nodes + count.pools + count.volumes + count.reservations == 0);
	place_inventory_free(inv);
	placer_free(placer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_error_t where;
	json_t *json;

	configuration((const char *)data, size);
	answer((const char *)data, size);
	json = json_loadb((const char *)data, size, JSON_DECODE_ANY, &where);
	if (json_is_array(json))
		objects(json);
	json_decref(json);
	return 0;
}
