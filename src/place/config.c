/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's table, defaults and what no table can say. */
#include "place/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place/config_yaml.h"

#define AT(type, member) offsetof(struct type, member)
#define U32(text, type, member, lo, hi)                                                            \
	{.name = (text), .kind = YAML_U32, .offset = AT(type, member), .min = (lo), .max = (hi)}
#define TEXT(text, type, member, lo, need)                                                         \
	{.name = (text),                                                                           \
	 .kind = YAML_TEXT,                                                                        \
	 .offset = AT(type, member),                                                               \
	 .min = (lo),                                                                              \
	 .max = PLACE_CONFIG_TEXT_MAX,                                                             \
	 .required = (need)}

static const char *const failures[] = {"Refuse", "Ignore", NULL};
#define FAILURE(type)                                                                              \
	{.name = "failure", .kind = YAML_CHOICE, .offset = AT(type, ignore), .choices = failures}

static const struct yaml_field weights[] = {
	U32("leastAllocated", place_weights, least_allocated, 0, PLACE_WEIGHT_MAX),
	U32("binPack", place_weights, bin_pack, 0, PLACE_WEIGHT_MAX),
	U32("locality", place_weights, locality, 0, PLACE_WEIGHT_MAX),
	U32("spread", place_weights, spread, 0, PLACE_WEIGHT_MAX),
	{NULL},
};

static const struct yaml_field limits[] = {
	U32("remoteVolumesPerNode", place_config, remote_volumes_max, 0, 1000000),
	U32("localReservePercent", place_config, local_reserve_percent, 0, 100),
	{.name = "allowDegraded", .kind = YAML_BOOL, .offset = AT(place_config, allow_degraded)},
	{NULL},
};

static const struct yaml_field group_max[] = {
	U32("node", place_group_limits, node, 0, 1000000),
	U32("rack", place_group_limits, rack, 0, 1000000),
	U32("accessPoint", place_group_limits, access_point, 0, 1000000),
	U32("zone", place_group_limits, zone, 0, 1000000),
	{NULL},
};

static const struct yaml_field plugin[] = {
	TEXT("path", place_plugin_config, path, 1, true),
	TEXT("config", place_plugin_config, config, 0, false),
	U32("weight", place_plugin_config, weight, 0, PLACE_WEIGHT_MAX),
	{.name = "filter", .kind = YAML_BOOL, .offset = AT(place_plugin_config, filter)},
	FAILURE(place_plugin_config),
	{NULL},
};

static const struct yaml_field extender[] = {
	TEXT("name", place_extender_config, name, 1, true),
	TEXT("url", place_extender_config, url, 8, true),
	U32("timeoutMs", place_extender_config, timeout_ms, 1, 30000),
	U32("weight", place_extender_config, weight, 0, PLACE_WEIGHT_MAX),
	U32("candidates", place_extender_config, candidates_max, 1, 10000),
	FAILURE(place_extender_config),
	{NULL},
};

static void plugin_preset(void *element)
{
	((struct place_plugin_config *)element)->filter = true;
}

static void extender_preset(void *element)
{
	struct place_extender_config *e = element;

	e->timeout_ms = 1000;
	e->candidates_max = 100;
}

struct file {
	uint32_t version;
	struct place_config config;
};

static const struct yaml_field file_table[] = {
	{.name = "version",
	 .kind = YAML_U32,
	 .offset = AT(file, version),
	 .min = PLACE_CONFIG_VERSION,
	 .max = PLACE_CONFIG_VERSION},
	{.name = "priorities",
	 .kind = YAML_MAP,
	 .offset = AT(file, config.weights),
	 .table = weights},
	{.name = "limits", .kind = YAML_MAP, .offset = AT(file, config), .table = limits},
	{.name = "antiAffinity",
	 .kind = YAML_MAP,
	 .offset = AT(file, config.group_max),
	 .table = group_max},
	{.name = "plugins",
	 .kind = YAML_LIST,
	 .offset = AT(file, config.plugins),
	 .table = plugin,
	 .max = PLACE_PLUGINS_MAX,
	 .size = sizeof(struct place_plugin_config),
	 .count_offset = AT(file, config.n_plugins),
	 .preset = plugin_preset},
	{.name = "extenders",
	 .kind = YAML_LIST,
	 .offset = AT(file, config.extenders),
	 .table = extender,
	 .max = PLACE_EXTENDERS_MAX,
	 .size = sizeof(struct place_extender_config),
	 .count_offset = AT(file, config.n_extenders),
	 .preset = extender_preset},
	{NULL},
};

/*
 * A local pool wins over one that is emptier, whatever the difference (1 x PLACE_SCALE at most): who prefers local means it. Spreading a group comes before
 * balance for the same reason.
 */
void place_config_default(struct place_config *config)
{
	*config = (struct place_config){
		.weights = {.least_allocated = 1, .bin_pack = 0, .locality = 10, .spread = 10},
		.group_max = {.node = 1},
	};
}

void place_config_fini(struct place_config *config)
{
	for (uint32_t i = 0; i < config->n_plugins; i++) {
		free(config->plugins[i].path);
		free(config->plugins[i].config);
	}
	for (uint32_t i = 0; i < config->n_extenders; i++) {
		free(config->extenders[i].name);
		free(config->extenders[i].url);
	}
	config->n_plugins = config->n_extenders = 0;
}

static int config_check(const char *name, const struct place_config *config, struct err *err)
{
	for (uint32_t i = 0; i < config->n_plugins; i++)
		if (config->plugins[i].path[0] != '/')
			return err_set(err, -EINVAL,
				       "%s: plugins[%u].path: expected an absolute path", name, i);
	for (uint32_t i = 0; i < config->n_extenders; i++)
		if (strncmp(config->extenders[i].url, "http://", 7) != 0 &&
		    strncmp(config->extenders[i].url, "https://", 8) != 0)
			return err_set(err, -EINVAL,
				       "%s: extenders[%u].url: expected http://... or https://...",
				       name, i);
	return 0;
}

int place_config_parse(const char *name, const char *text, size_t len, struct place_config *ret,
		       struct err *err)
{
	struct file file = {0};
	int res;

	if (len > PLACE_CONFIG_MAX)
		return err_set(err, -EINVAL, "%s: %zu bytes; at most %zu are read", name, len,
			       PLACE_CONFIG_MAX);
	place_config_default(&file.config);
	res = yaml_decode(name, text, len, file_table, &file, err);
	if (res == 0)
		res = config_check(name, &file.config, err);
	if (res < 0) {
		place_config_fini(&file.config);
		return res;
	}
	*ret = file.config;
	return 0;
}

static json_t *plugins_json(const struct place_config *config)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < config->n_plugins; i++) {
		const struct place_plugin_config *p = &config->plugins[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:b, s:s}", "path", p->path, "config",
					p->config ? p->config : "", "weight", (int)p->weight,
					"filter", p->filter, "failure", failures[p->ignore]));
	}
	return list;
}

static json_t *extenders_json(const struct place_config *config)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < config->n_extenders; i++) {
		const struct place_extender_config *e = &config->extenders[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:i, s:i, s:s}", "name", e->name, "url",
					e->url, "timeoutMs", (int)e->timeout_ms, "weight",
					(int)e->weight, "candidates", (int)e->candidates_max,
					"failure", failures[e->ignore]));
	}
	return list;
}

json_t *place_config_json(const struct place_config *config)
{
	const struct place_weights *w = &config->weights;
	const struct place_group_limits *g = &config->group_max;

	return json_pack("{s:i, s:{s:i, s:i, s:i, s:i}, s:{s:i, s:i, s:b}, s:{s:i, s:i, s:i, s:i}, "
			 "s:o, s:o}",
			 "version", PLACE_CONFIG_VERSION, "priorities", "leastAllocated",
			 (int)w->least_allocated, "binPack", (int)w->bin_pack, "locality",
			 (int)w->locality, "spread", (int)w->spread, "limits",
			 "remoteVolumesPerNode", (int)config->remote_volumes_max,
			 "localReservePercent", (int)config->local_reserve_percent, "allowDegraded",
			 config->allow_degraded, "antiAffinity", "node", (int)g->node, "rack",
			 (int)g->rack, "accessPoint", (int)g->access_point, "zone", (int)g->zone,
			 "plugins", plugins_json(config), "extenders", extenders_json(config));
}
