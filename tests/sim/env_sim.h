/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seeded world for the real code: many reactors in one thread, one virtual clock, one generator of random numbers. Sockets
 * are streams in memory with latency, partial sends and receives, bounded buffers and resets; files are sparse disks in memory
 * with reordering, a volatile write cache, power cuts and errors. The same seed and the same calls give the same run, byte for
 * byte; sim_hash() tells two runs apart.
 *
 * The scheduler lets a reactor chosen at random run one pass. When nobody has work it moves the clock to the next event.
 */
#ifndef LITEPOOL_TESTS_SIM_ENV_SIM_H
#define LITEPOOL_TESTS_SIM_ENV_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "rt/env.h"

struct sim_world;

struct sim_opts {
	uint64_t seed;
	uint64_t pass_cost_ns; /* a pass takes 1 .. that much */
	uint64_t net_latency_min_ns, net_latency_max_ns;
	double net_spike;    /* probability of a latency 100 times as long */
	double net_partial;  /* probability that a send or receive moves less than it could */
	uint32_t pipe_bytes; /* a direction of a connection holds at most that */
	uint64_t disk_latency_min_ns, disk_latency_max_ns;
};
/* Sound values, some of them drawn by the seed. */
struct sim_opts sim_opts_default(uint64_t seed);

struct sim_world *sim_world_new(const struct sim_opts *opts);
/* After all its reactors are freed. */
void sim_world_free(struct sim_world *w);

/* A reactor in this world that the scheduler knows. */
struct reactor *sim_reactor_new(struct sim_world *w, unsigned id, const char *name);
void sim_reactor_free(struct sim_world *w, struct reactor *r);

/* One pass, or one move of the clock. False: nothing is left that could ever happen. */
bool sim_step(struct sim_world *w);
/* Steps until cond(ctx) holds. False: it does not within virtual_ns, or nothing is left to happen. */
bool sim_run_until(struct sim_world *w, bool (*cond)(void *ctx), void *ctx, uint64_t virtual_ns);
/* Steps for virtual_ns of virtual time or until nothing is left to happen. */
void sim_run_for(struct sim_world *w, uint64_t virtual_ns);

uint64_t sim_now(const struct sim_world *w);
struct rng *sim_rng(struct sim_world *w);
/* Of all that happened so far. */
uint64_t sim_hash(const struct sim_world *w);
/* Adds something of the test's own to the history. Printed when SIM_TRACE is set in the environment. */
void sim_trace(struct sim_world *w, const char *what, uint64_t a, uint64_t b);

/* --- network --- */

/* Established connections with at least one end open. */
unsigned sim_net_conns(const struct sim_world *w);
/* A random connection breaks: both ends get -ECONNRESET, what is under way is lost. False: there is none. */
bool sim_net_reset_one(struct sim_world *w);
/* Nothing arrives at one end of a random connection for that long; its sender fills the pipe and then waits. */
bool sim_net_stall_one(struct sim_world *w, uint64_t virtual_ns);
/* Connects are refused (-ECONNREFUSED) while set. */
void sim_net_refuse(struct sim_world *w, bool refuse);

/* --- disks --- */

/* A disk of zeroes. path names it for file_open(). */
void sim_file_create(struct sim_world *w, const char *path, uint64_t size_bytes,
		     uint32_t block_size);
/* From its next opening on it is a block device. */
void sim_file_is_device(struct sim_world *w, const char *path);
void sim_file_resize(struct sim_world *w, const char *path, uint64_t size_bytes); /* only grows */
/* Each I/O of the ops in mask (1 << enum file_op) fails with error by that probability. 0: none. */
void sim_file_fail(struct sim_world *w, const char *path, unsigned mask, double probability,
		   int error);
/*
 * The power goes and comes back. Of every write that no sync and no FUA made durable, under way ones too, each 512 bytes are old
 * or new; the I/O under way ends with -EIO.
 */
void sim_file_power_cut(struct sim_world *w, const char *path);
/* What a read would give now. */
void sim_file_peek(struct sim_world *w, const char *path, uint64_t offset, void *buf, uint64_t len);

#endif
