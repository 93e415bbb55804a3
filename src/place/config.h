/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of placement. A file in YAML (of which JSON is a part), read whole: it is good, or it is refused with line and
 * member and the old one stays. YAML rather than JSON, because it carries comments, because libyaml tells the line of every value and not only of
 * syntax errors, and because what is in a ConfigMap is edited by hand.
 *
 * Live reload is the owner's: read the file, place_config_parse(), and use the new one from the next decision on.
 */
#ifndef LITEPOOL_PLACE_CONFIG_H
#define LITEPOOL_PLACE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PLACE_CONFIG_VERSION  1
#define PLACE_CONFIG_MAX      ((size_t)256 << 10) /* bytes of text */
#define PLACE_WEIGHT_MAX      1000
#define PLACE_PLUGINS_MAX     8
#define PLACE_EXTENDERS_MAX   4
#define PLACE_CONFIG_TEXT_MAX 1024

struct place_plugin_config {
	char *path;      /* of the shared object */
	char *config;    /* given to it as it is */
	uint32_t weight; /* of its priority; 0: not asked */
	bool filter;     /* its filter is asked */
	bool ignore;     /* a failure of it is as if it were not there; else the pool is refused */
};

struct place_extender_config {
	char *name, *url;
	uint32_t timeout_ms;
	uint32_t weight;         /* of its scores; 0: they are not used */
	uint32_t candidates_max; /* the best so many are sent */
	bool ignore; /* a failure of it is as if it were not there; else the decision fails and is tried again */
};

/* The scores of a pool are 0..PLACE_SCALE each, times these weights. */
struct place_weights {
	uint32_t least_allocated, bin_pack, locality, spread;
};

/* Of volumes of one anti-affinity group, on one node, in one rack, ...; 0: no limit. */
struct place_group_limits {
	uint32_t node, rack, access_point, zone;
};

struct place_config {
	struct place_weights weights;
	struct place_group_limits group_max;
	uint32_t remote_volumes_max;    /* of one node, used by others; 0: no limit */
	uint32_t local_reserve_percent; /* of a node's capacity that remote volumes leave alone */
	bool allow_degraded;
	struct place_plugin_config plugins[PLACE_PLUGINS_MAX];
	uint32_t n_plugins;
	struct place_extender_config extenders[PLACE_EXTENDERS_MAX];
	uint32_t n_extenders;
};

void place_config_default(struct place_config *config);
void place_config_fini(struct place_config *config);
/* -EINVAL with "NAME:LINE: member: what is wrong"; *ret is then untouched. An empty text is the default. */
int place_config_parse(const char *name, const char *text, size_t len, struct place_config *ret,
		       struct err *err);
/* All members, as the file would have them. New reference; NULL without memory. */
json_t *place_config_json(const struct place_config *config);

#endif
