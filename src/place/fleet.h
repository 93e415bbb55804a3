/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day of a fleet of database servers, with disks used only by their own node and with disks pooled: how much of CPU and disk is in use, how much is
 * stranded, what the loss of a node hits. The disks are placed by place_decide(), as in the real thing. Seeded: the same options give the same numbers.
 *
 * 1. Instances of cores and a disk arrive and leave; more is asked for than fits. What does not fit is refused, not queued.
 * 2. A server runs an instance whose cores fit; the disk is a volume: on that server (local), or preferably there and else anywhere (pooled).
 * 3. Stranded is what the demand could use of the whole fleet and does not get: the fleet as one big server of all cores and disks is 0 by definition, so that
 *    a demand that asks for less disk per core than the fleet has does not count as stranding.
 */
#ifndef LITEPOOL_PLACE_FLEET_H
#define LITEPOOL_PLACE_FLEET_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "place/config.h"

#define FLEET_MINUTES   1440
#define FLEET_STEP      10 /* minutes between two points of a series */
#define FLEET_POINTS    (FLEET_MINUTES / FLEET_STEP)
#define FLEET_NODES_MAX 20000

struct fleet_shape {
	uint32_t nodes, cores;
	uint64_t disk; /* bytes */
};

struct fleet_options {
	uint64_t seed;
	struct fleet_shape shape[2];
	uint32_t load_percent; /* cores asked for, of what the fleet could run */
};

struct fleet_run {
	double cpu_used, disk_used;         /* mean over the day, percent of all */
	double cpu_stranded, disk_stranded; /* percent of all */
	double refused;                     /* percent of what arrived during the day */
	double remote;                      /* percent of volumes at the end of the day */
	double blast_mean,
		blast_max;  /* percent of instances that the loss of a node hits, end of day */
	uint32_t instances; /* at the end of the day */
	float cpu[FLEET_POINTS], disk[FLEET_POINTS];
};

enum fleet_mode { FLEET_LOCAL, FLEET_POOLED, FLEET_MODES };

struct fleet_result {
	struct fleet_options options;
	double disk_per_core_gib; /* of the demand, mean */
	struct fleet_run run[FLEET_MODES];
};

/* 96 cores and 4 TB, 64 cores and 20 TB, as the LiteIO articles describe; 50 servers each. */
void fleet_options_default(struct fleet_options *options);
/* -EINVAL, -ENOMEM with err. */
int fleet_simulate(const struct fleet_options *options, const struct place_config *config,
		   struct fleet_result *ret, struct err *err);
/* New reference. */
json_t *fleet_json(const struct fleet_result *result);
/* An SVG document, malloc'ed; NULL without memory. */
char *fleet_svg(const struct fleet_result *result);
const char *fleet_mode_text(enum fleet_mode mode);

#endif
