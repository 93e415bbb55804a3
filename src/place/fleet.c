/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet simulator; see fleet.h. */
#include "place/fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/rng.h"
#include "place/assume.h"
#include "place/place.h"

#define LIFE_MINUTES 720 /* mean of an instance */
#define NAME_SIZE    24
#define TB           ((uint64_t)1000000000000) /* as disks are sold */

/* What instances are: cores, and GiB of disk for each core. The products' mean is 100 GiB a core. */
static const uint32_t cores_of[] = {2, 4, 4, 8, 8, 16};
static const uint32_t disk_gib_of[] = {60, 80, 90, 110, 120, 140};
#define CORES_MEAN 7.0
#define DISK_MEAN  100.0

struct server {
	uint32_t cores, free_cores;
	uint32_t hit; /* instances that its loss hits; used at the end */
	char node[NAME_SIZE], pool[NAME_SIZE];
	uint64_t disk, free_disk;
};

struct instance {
	uint64_t id;
	uint32_t cores, server, disk_server;
	uint64_t disk;
};

struct fleet {
	const struct place_config *config;
	struct place_inventory *inv;
	struct placer *placer;
	struct rng rng;
	enum fleet_mode mode;
	struct server *servers;
	uint32_t n_servers;
	struct instance *instances;
	size_t n_instances, instances_max;
	uint64_t next_id, arrived, refused;
	uint64_t cores_all, cores_used, disk_all, disk_used;
	double cores_could, disk_could; /* the most that the demand can use of the whole */
	struct err *err;
};

void fleet_options_default(struct fleet_options *options)
{
	*options = (struct fleet_options){
		.seed = 1,
		.shape = {{50, 96, 4 * TB}, {50, 64, 20 * TB}},
		.load_percent = 150,
	};
}

const char *fleet_mode_text(enum fleet_mode mode)
{
	return mode == FLEET_LOCAL ? "local-only" : "pooled";
}

static int server_add(struct fleet *f, const struct fleet_shape *shape)
{
	struct server *s = &f->servers[f->n_servers];
	struct place_node_info node = {.name = s->node, .ready = true};
	struct place_pool_info pool = {.name = s->pool,
				       .node = s->node,
				       .ready = true,
				       .capacity = shape->disk,
				       .commit_limit_percent = 100,
				       .full_percent = 100};

	*s = (struct server){.cores = shape->cores,
			     .free_cores = shape->cores,
			     .disk = shape->disk,
			     .free_disk = shape->disk};
	(void)snprintf(s->node, sizeof(s->node), "node-%u", f->n_servers);
	(void)snprintf(s->pool, sizeof(s->pool), "%u", f->n_servers);
	f->n_servers++;
	f->cores_all += shape->cores;
	f->disk_all += shape->disk;
	if (place_inventory_put_node(f->inv, &node) < 0 ||
	    place_inventory_put_pool(f->inv, &pool) < 0)
		return -ENOMEM;
	return 0;
}

/* The server with the most free cores that can run it: servers fill evenly. UINT32_MAX: none. */
static uint32_t server_for(const struct fleet *f, uint32_t cores, uint64_t disk, bool with_disk)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < f->n_servers; i++) {
		const struct server *s = &f->servers[i];

		if (s->free_cores < cores || (with_disk && s->free_disk < disk))
			continue;
		if (best == UINT32_MAX || s->free_cores > f->servers[best].free_cores)
			best = i;
	}
	return best;
}

/* 0, 1: it does not fit, or negative. */
static int disk_place(struct fleet *f, struct instance *it)
{
	char name[NAME_SIZE];
	struct place_request request = {.name = name,
					.size = it->disk,
					.group = "",
					.reservation = "",
					.only_pool = "",
					.only_node = "",
					.not_pool = "",
					.node = f->servers[it->server].node,
					.position = f->mode == FLEET_LOCAL ? PLACE_MUST_LOCAL
									   : PLACE_PREFER_LOCAL};
	struct place_decision decision;
	int res;

	(void)snprintf(name, sizeof(name), "v-%" PRIu64, it->id);
	res = place_decide(f->placer, f->inv, f->config, &request, 0, &decision, f->err);
	if (res != 0)
		return res;
	it->disk_server = (uint32_t)strtoul(decision.pool, NULL, 10);
	res = place_assume_volume(f->inv, &request, decision.pool, f->err);
	place_decision_fini(&decision);
	return res;
}

static void use(struct fleet *f, const struct instance *it, bool more)
{
	struct server *s = &f->servers[it->server], *d = &f->servers[it->disk_server];

	s->free_cores += more ? -it->cores : it->cores;
	d->free_disk += more ? -it->disk : it->disk;
	f->cores_used += more ? it->cores : -(uint64_t)it->cores;
	f->disk_used += more ? it->disk : -it->disk;
}

static int arrive(struct fleet *f, bool counted)
{
	uint32_t cores = cores_of[rng_below(&f->rng, ARRAY_LEN(cores_of))];
	uint64_t disk = cores * GIB * disk_gib_of[rng_below(&f->rng, ARRAY_LEN(disk_gib_of))];
	struct instance it = {.id = f->next_id++, .cores = cores, .disk = disk};
	int res = 1;

	it.server = server_for(f, cores, disk, f->mode == FLEET_LOCAL);
	if (it.server != UINT32_MAX && f->n_instances < f->instances_max)
		res = disk_place(f, &it);
	if (res < 0)
		return res;
	f->arrived += counted;
	if (res > 0) {
		f->refused += counted;
		return 0;
	}
	use(f, &it, true);
	f->instances[f->n_instances++] = it;
	return 0;
}

static void depart(struct fleet *f, size_t i)
{
	char name[NAME_SIZE];

	(void)snprintf(name, sizeof(name), "v-%" PRIu64, f->instances[i].id);
	ASSERT(place_forget_volume(f->inv, name));
	use(f, &f->instances[i], false);
	f->instances[i] = f->instances[--f->n_instances];
}

static int minute(struct fleet *f, double arrivals)
{
	uint64_t n =
		(uint64_t)arrivals + rng_chance(&f->rng, arrivals - (double)(uint64_t)arrivals);
	int res = 0;

	for (size_t i = f->n_instances; i-- > 0;)
		if (rng_chance(&f->rng, 1.0 / LIFE_MINUTES))
			depart(f, i);
	for (uint64_t i = 0; i < n && res == 0; i++)
		res = arrive(f, true);
	return res;
}

static void blast(struct fleet *f, struct fleet_run *run)
{
	uint64_t sum = 0;
	uint32_t max = 0, remote = 0;

	for (size_t i = 0; i < f->n_instances; i++) {
		const struct instance *it = &f->instances[i];

		f->servers[it->server].hit++;
		if (it->disk_server != it->server)
			f->servers[it->disk_server].hit++;
		remote += it->disk_server != it->server;
	}
	for (uint32_t i = 0; i < f->n_servers; i++) {
		sum += f->servers[i].hit;
		max = MAX(max, f->servers[i].hit);
	}
	run->instances = (uint32_t)f->n_instances;
	if (!f->n_instances)
		return;
	run->remote = 100.0 * remote / (double)f->n_instances;
	run->blast_mean = 100.0 * (double)sum / f->n_servers / (double)f->n_instances;
	run->blast_max = 100.0 * max / (double)f->n_instances;
}

/* The day begins with a fleet that has been in use for long: all that are asked for at once have tried. */
static int day(struct fleet *f, uint32_t load_percent, struct fleet_run *run)
{
	double wanted = f->cores_could * load_percent / 100 / CORES_MEAN;
	int res = 0;

	for (uint64_t i = 0; i < (uint64_t)wanted && res == 0; i++)
		res = arrive(f, false);
	for (int m = 0; m < FLEET_MINUTES && res == 0; m++) {
		double cpu = 100.0 * (double)f->cores_used / (double)f->cores_all;
		double disk = 100.0 * (double)f->disk_used / (double)f->disk_all;

		run->cpu_used += cpu / FLEET_MINUTES;
		run->disk_used += disk / FLEET_MINUTES;
		if (m % FLEET_STEP == 0) {
			run->cpu[m / FLEET_STEP] = (float)cpu;
			run->disk[m / FLEET_STEP] = (float)disk;
		}
		res = minute(f, wanted / LIFE_MINUTES);
	}
	if (res < 0)
		return res;
	run->cpu_stranded = MAX(0.0, 100.0 * f->cores_could / (double)f->cores_all - run->cpu_used);
	run->disk_stranded = MAX(0.0, 100.0 * f->disk_could / (double)f->disk_all - run->disk_used);
	run->refused = f->arrived ? 100.0 * (double)f->refused / (double)f->arrived : 0;
	blast(f, run);
	return 0;
}

static void fleet_fini(struct fleet *f)
{
	place_inventory_free(f->inv);
	placer_free(f->placer);
	free(f->servers);
	free(f->instances);
}

static int one(const struct fleet_options *options, const struct place_config *config,
	       enum fleet_mode mode, struct fleet_run *run, struct err *err)
{
	_cleanup_(fleet_fini) struct fleet f = {.config = config, .mode = mode, .err = err};
	uint32_t nodes = options->shape[0].nodes + options->shape[1].nodes;
	int res = 0;

	rng_seed(&f.rng, options->seed);
	f.inv = place_inventory_new(options->seed);
	f.placer = placer_new();
	f.servers = calloc(nodes, sizeof(*f.servers));
	for (int s = 0; s < 2; s++)
		f.instances_max += (size_t)options->shape[s].nodes * options->shape[s].cores;
	f.instances = calloc(f.instances_max + 1, sizeof(*f.instances));
	if (!f.inv || !f.placer || !f.servers || !f.instances)
		return err_set(err, -ENOMEM, "out of memory");
	for (int s = 0; s < 2; s++)
		for (uint32_t i = 0; i < options->shape[s].nodes && res == 0; i++)
			res = server_add(&f, &options->shape[s]);
	if (res < 0)
		return err_set(err, res, "out of memory");
	f.cores_could = MIN((double)f.cores_all, (double)f.disk_all / (DISK_MEAN * (double)GIB));
	f.disk_could = f.cores_could * DISK_MEAN * (double)GIB;
	return day(&f, options->load_percent, run);
}

int fleet_simulate(const struct fleet_options *options, const struct place_config *config,
		   struct fleet_result *ret, struct err *err)
{
	struct fleet_result result = {.options = *options, .disk_per_core_gib = DISK_MEAN};
	uint64_t nodes = (uint64_t)options->shape[0].nodes + options->shape[1].nodes;

	if (!nodes || nodes > FLEET_NODES_MAX)
		return err_set(err, -EINVAL, "%" PRIu64 " servers: expected 1 to %d", nodes,
			       FLEET_NODES_MAX);
	if (!options->load_percent || options->load_percent > 1000)
		return err_set(err, -EINVAL, "a load of %u %%: expected 1 to 1000",
			       options->load_percent);
	for (int mode = 0; mode < FLEET_MODES; mode++) {
		int res = one(options, config, mode, &result.run[mode], err);

		if (res < 0)
			return res;
	}
	*ret = result;
	return 0;
}
