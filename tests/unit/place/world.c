/* SPDX-License-Identifier: Apache-2.0 */
/* Small clusters for the tests of placement; see world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "world.h"

__attribute__((format(printf, 1, 0))) static json_t *parse(const char *fmt, va_list ap)
{
	char text[2048];
	json_error_t where;
	json_t *json;

	assert_true(vsnprintf(text, sizeof(text), fmt, ap) < (int)sizeof(text));
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json = json_loads(text, 0, &where);
	if (!json)
		print_error("%s in %s\n", where.text, text);
	assert_non_null(json);
	return json;
}

json_t *world_json(const char *fmt, ...)
{
	va_list ap;
	json_t *json;

	va_start(ap, fmt);
	json = parse(fmt, ap);
	va_end(ap);
	return json;
}

void world_apply(struct place_inventory *inv, const char *fmt, ...)
{
	struct err err = {0};
	va_list ap;
	json_t *json;

	va_start(ap, fmt);
	json = parse(fmt, ap);
	va_end(ap);
	if (place_inventory_apply_object(inv, json, &err) != 0)
		fail_msg("%s", err.text);
	json_decref(json);
}

void world_node(struct place_inventory *inv, const char *name, const char *rack, const char *zone)
{
	world_apply(inv,
		    "{'kind': 'StorageNode', 'metadata': {'name': '%s', 'labels': {'host': '%s'}}, "
		    "'spec': {'topology': {'rack': '%s', 'zone': '%s'}}, "
		    "'status': {'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
		    name, name, rack, zone);
}

void world_pool(struct place_inventory *inv, const char *name, const char *node, uint64_t gib)
{
	world_apply(
		inv,
		"{'kind': 'StoragePool', 'metadata': {'name': '%s'}, 'spec': {'nodeName': '%s'}, "
		"'status': {'health': 'Healthy', 'capacity': '%" PRIu64 "Gi'}}",
		name, node, gib);
}

void world_volume(struct place_inventory *inv, const char *name, const char *pool, uint64_t gib)
{
	world_apply(inv,
		    "{'kind': 'StorageVolume', 'metadata': {'name': '%s'}, "
		    "'spec': {'size': '%" PRIu64 "Gi'}, 'status': {'poolName': '%s'}}",
		    name, gib, pool);
}

struct place_request world_request(const char *name, uint64_t gib)
{
	return (struct place_request){
		.name = name,
		.size = gib * TEST_GIB,
		.node = "",
		.group = "",
		.reservation = "",
		.only_pool = "",
		.only_node = "",
		.not_pool = "",
	};
}

const char *world_decide(const struct place_inventory *inv, const struct place_request *request,
			 const char **ret_summary)
{
	static char summary[512];
	struct placer *placer = placer_new();
	struct place_decision decision;
	struct place_config config;
	struct err err = {0};
	const char *pool;
	int res;

	place_config_default(&config);
	res = place_decide(placer, inv, &config, request, 0, &decision, &err);
	if (res < 0)
		fail_msg("%s", err.text);
	assert_int_equal(res, decision.pool ? 0 : 1);
	memcpy(summary, decision.summary, sizeof(summary));
	if (ret_summary)
		*ret_summary = summary;
	pool = decision.pool ? decision.pool : "";
	place_decision_fini(&decision);
	placer_free(placer);
	return pool;
}

uint64_t world_promised(const struct place_inventory *inv, const char *pool)
{
	struct place_space space;

	assert_int_equal(place_inventory_space(inv, pool, &space), 0);
	return space.promised / TEST_GIB;
}
