/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock, the event heap and the scheduler of the simulated world.
 *
 * Invariants:
 *   1. Time moves only here: a little with each pass (work costs time, so that a loop that polls does not stop the clock), and
 *      to the next event when every reactor in turn had nothing to do.
 *   2. Events of the same time happen in the order in which they were made.
 *   3. Nothing outside the seed decides anything: no addresses, no clock, no order of allocation.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "sim/sim_int.h"

#define WALL_START_NS (1700000000 * NSEC_PER_SEC)

void *sim_alloc(size_t size)
{
	void *p = calloc(1, size);

	ASSERT(p);
	return p;
}

uint64_t sim_between(struct sim_world *w, uint64_t min, uint64_t max)
{
	ASSERT(min <= max);
	return min + rng_below(&w->rng, max - min + 1);
}

struct sim_opts sim_opts_default(uint64_t seed)
{
	struct rng rng;

	rng_seed(&rng, seed ^ 0x5eed);
	return (struct sim_opts){
		.seed = seed,
		.pass_cost_ns = 2000,
		.net_latency_min_ns = 5 * NSEC_PER_USEC,
		.net_latency_max_ns = (20 + rng_below(&rng, 500)) * NSEC_PER_USEC,
		.net_spike = rng_chance(&rng, 0.5) ? 0.002 : 0,
		.net_partial = (double)rng_below(&rng, 50) / 100,
		.pipe_bytes = (uint32_t)(4096u << rng_below(&rng, 7)),
		.disk_latency_min_ns = 10 * NSEC_PER_USEC,
		.disk_latency_max_ns = (50 + rng_below(&rng, 2000)) * NSEC_PER_USEC,
	};
}

/* --- history --- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
	h *= 0xff51afd7ed558ccdu;
	return h ^ h >> 32;
}

void sim_trace(struct sim_world *w, const char *what, uint64_t a, uint64_t b)
{
	uint64_t h = mix(mix(w->hash, w->now_ns), mix(a, b));

	for (const char *c = what; *c; c++)
		h = mix(h, (uint8_t)*c);
	w->hash = h;
	if (w->print)
		fprintf(stderr, "%12" PRIu64 " %-12s %" PRIu64 " %" PRIu64 "\n", w->now_ns, what, a,
			b);
}

uint64_t sim_hash(const struct sim_world *w)
{
	return w->hash;
}

uint64_t sim_now(const struct sim_world *w)
{
	return w->now_ns;
}

struct rng *sim_rng(struct sim_world *w)
{
	return &w->rng;
}

/* --- the event heap --- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void sim_event_at(struct sim_world *w, struct sim_event *ev, uint64_t delay_ns,
		  void (*fn)(struct sim_world *w, struct sim_event *ev))
{
	size_t i = w->n_events++;

	if (w->n_events > w->events_cap) {
		w->events_cap = w->events_cap ? 2 * w->events_cap : 256;
		w->heap = realloc(w->heap, w->events_cap * sizeof(struct sim_event *));
		ASSERT(w->heap);
	}
	*ev = (struct sim_event){.at_ns = w->now_ns + delay_ns, .seq = w->seq++, .fn = fn};
	for (; i > 0 && event_before(ev, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = ev;
}

static struct sim_event *event_pop(struct sim_world *w)
{
	struct sim_event *first = w->heap[0], *last = w->heap[--w->n_events];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < w->n_events; i = child) {
		if (child + 1 < w->n_events && event_before(w->heap[child + 1], w->heap[child]))
			child++;
		if (!event_before(w->heap[child], last))
			break;
		w->heap[i] = w->heap[child];
	}
	w->heap[i] = last;
	return first;
}

static void events_run(struct sim_world *w)
{
	while (w->n_events && w->heap[0]->at_ns <= w->now_ns) {
		struct sim_event *ev = event_pop(w);

		w->quiet = 0;
		ev->fn(w, ev);
	}
}

/* --- the environment of one reactor --- */

static void sim_env_free(struct env *env)
{
	struct sim_env *e = sim_env_of(env);
	struct sim_world *w = e->world;

	ASSERT(list_empty(&e->done_files));
	for (unsigned i = 0; i < w->n_envs; i++) {
		if (w->env[i] != e)
			continue;
		w->env[i] = w->env[--w->n_envs];
		break;
	}
	free(e);
}

static uint64_t sim_env_now(struct env *env)
{
	return sim_env_of(env)->world->now_ns;
}

static uint64_t sim_env_wall(struct env *env)
{
	return WALL_START_NS + sim_env_of(env)->world->now_ns;
}

static void sim_env_random(struct env *env, void *buf, size_t len)
{
	rng_fill(&sim_env_of(env)->world->rng, buf, len);
}

static int sim_thread_init(struct env *env, struct err *err)
{
	return 0;
}

static void sim_thread_fini(struct env *env)
{
}

static unsigned sim_env_poll(struct env *env, int64_t wait_ns)
{
	struct sim_env *e = sim_env_of(env);
	unsigned n = sim_net_deliver(e) + sim_file_deliver(e);

	e->sleep_until_ns = 0;
	if (n == 0 && wait_ns != 0 && !e->woken)
		e->sleep_until_ns = wait_ns < 0 ? SIM_NEVER : e->world->now_ns + (uint64_t)wait_ns;
	e->woken = false;
	return n;
}

static void sim_env_wake(struct env *env)
{
	sim_env_of(env)->woken = true;
}

const struct env_ops sim_env_ops = {
	.free = sim_env_free,
	.now_ns = sim_env_now,
	.wall_ns = sim_env_wall,
	.random = sim_env_random,
	.thread_init = sim_thread_init,
	.thread_fini = sim_thread_fini,
	.poll = sim_env_poll,
	.wake = sim_env_wake,
	.sock_listen = sim_sock_listen,
	.sock_connect = sim_sock_connect,
	.sock_accept = sim_sock_accept,
	.sock_error = sim_sock_error,
	.sock_attach = sim_sock_attach,
	.sock_detach = sim_sock_detach,
	.sock_recv = sim_sock_recv,
	.sock_send = sim_sock_send,
	.sock_want_write = sim_sock_want_write,
	.sock_want_read = sim_sock_want_read,
	.sock_shutdown_write = sim_sock_shutdown_write,
	.sock_close = sim_sock_close,
	.sock_addr = sim_sock_addr,
	.sock_fd = sim_sock_fd,
	.sock_export = sim_sock_export,
	.sock_import = sim_sock_import,
	.sock_export_close = sim_sock_export_close,
	.file_open = sim_file_open,
	.file_export = sim_file_export,
	.file_adopt = sim_file_adopt,
	.file_close = sim_file_close,
	.file_rescan = sim_file_rescan,
	.file_submit = sim_file_submit,
};

/* --- the world --- */

struct sim_world *sim_world_new(const struct sim_opts *opts)
{
	struct sim_world *w = sim_alloc(sizeof(*w));

	w->opts = *opts;
	rng_seed(&w->rng, opts->seed);
	w->now_ns = NSEC_PER_SEC;
	w->limit_ns = SIM_NEVER;
	w->print = getenv("SIM_TRACE") != NULL;
	w->port_next = 40000;
	list_init(&w->listeners);
	list_init(&w->conns);
	list_init(&w->files);
	list_init(&w->exports);
	w->export_next = 1000;
	return w;
}

void sim_world_free(struct sim_world *w)
{
	ASSERT(w->n_envs == 0);
	sim_net_free(w);
	sim_file_free(w);
	free(w->heap);
	free(w);
}

struct reactor *sim_reactor_new(struct sim_world *w, unsigned id, const char *name)
{
	struct reactor_opts opts = {.id = id, .name = name, .cpu = -1, .poll_us = POLL_US_NEVER};
	struct sim_env *e = sim_alloc(sizeof(*e));
	struct reactor *r;
	int rc;

	ASSERT(w->n_envs < SIM_REACTORS_MAX);
	e->env.ops = &sim_env_ops;
	e->world = w;
	list_init(&e->ready_socks);
	list_init(&e->done_files);
	rc = reactor_new(&opts, &e->env, &r, NULL);
	ASSERT(rc == 0);
	w->env[w->n_envs++] = e;
	return r;
}

void sim_reactor_free(struct sim_world *w, struct reactor *r)
{
	reactor_free(r);
	w->quiet = 0;
}

/* --- the scheduler --- */

static bool env_runnable(const struct sim_env *e)
{
	return e->woken || !list_empty(&e->ready_socks) || !list_empty(&e->done_files) ||
	       e->sleep_until_ns <= e->world->now_ns;
}

static void env_pass(struct sim_world *w, struct sim_env *e)
{
	sim_trace(w, "pass", reactor_id(e->env.reactor), 0);
	if (reactor_pass(e->env.reactor, -1)) {
		w->quiet = 0;
		w->looked_again = false;
	} else {
		w->quiet++;
	}
	w->now_ns += sim_between(w, 1, w->opts.pass_cost_ns);
}

/* To the next event or the first timer, at most to the limit. False: there is none. */
static bool clock_advance(struct sim_world *w)
{
	uint64_t next = w->n_events ? w->heap[0]->at_ns : SIM_NEVER;

	for (unsigned i = 0; i < w->n_envs; i++)
		next = MIN(next, w->env[i]->sleep_until_ns);
	if (next == SIM_NEVER)
		return false;
	w->now_ns = MAX(w->now_ns, MIN(next, w->limit_ns));
	w->quiet = 0;
	events_run(w);
	return true;
}

bool sim_step(struct sim_world *w)
{
	struct sim_env *runnable[SIM_REACTORS_MAX];
	unsigned n = 0;

	events_run(w);
	for (unsigned i = 0; i < w->n_envs; i++)
		if (env_runnable(w->env[i]))
			runnable[n++] = w->env[i];
	if (n > 0) {
		env_pass(w, runnable[rng_below(&w->rng, n)]);
		return true;
	}
	/* A message may wait for a reactor that was not woken since it did not know that it slept: everyone gets a look. */
	if (w->quiet < w->n_envs) {
		unsigned first = (unsigned)rng_below(&w->rng, w->n_envs);

		for (unsigned i = 0; i < w->n_envs; i++)
			env_pass(w, w->env[(first + i) % w->n_envs]);
		return true;
	}
	if (clock_advance(w))
		return true;
	/* The test may have posted a message since everyone looked: they look once more before this is the end. */
	w->quiet = 0;
	w->looked_again = !w->looked_again;
	return w->looked_again;
}

bool sim_run_until(struct sim_world *w, bool (*cond)(void *ctx), void *ctx, uint64_t virtual_ns)
{
	uint64_t end = w->now_ns + virtual_ns;

	w->quiet = 0; /* the test may have posted messages */
	w->limit_ns = end + 1;
	while (!cond(ctx)) {
		if (w->now_ns > end)
			return false;
		if (!sim_step(w))
			return cond(ctx);
	}
	return true;
}

void sim_run_for(struct sim_world *w, uint64_t virtual_ns)
{
	uint64_t end = w->now_ns + virtual_ns;

	w->quiet = 0;
	w->limit_ns = end;
	while (w->now_ns < end && sim_step(w))
		;
	w->now_ns = MAX(w->now_ns, end);
}
