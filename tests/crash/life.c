/* SPDX-License-Identifier: Apache-2.0 */
/* Lives of a pool: open, work, and then the power goes, or it is closed; with what is left the next one begins. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "crash/crash.h"

const struct weights weights_random = {
	.change = {[CHANGE_CREATE] = 6,
		   [CHANGE_DELETE] = 6,
		   [CHANGE_SNAPSHOT] = 8,
		   [CHANGE_CLONE] = 4,
		   [CHANGE_RENAME] = 2,
		   [CHANGE_EDIT] = 2,
		   [CHANGE_GROW] = 3,
		   [CHANGE_SHRINK] = 2,
		   [CHANGE_REVERT] = 3,
		   [CHANGE_INFLATE] = 2,
		   [CHANGE_DECOUPLE] = 2,
		   [CHANGE_PROMOTE] = 2,
		   [CHANGE_OPTIONS] = 1,
		   [CHANGE_GROW_POOL] = 1},
	.checkpoint = 400,
	.objects = 14,
};

void run_fail(struct run *run, const char *fmt, ...)
{
	va_list ap;

	run->failures++;
	printf("FAIL %s --seed %" PRIu64 " --life %u --event %u --choice %u: ", run->name,
	       run->opts.seed, run->life, run->event, run->choice);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	(void)fflush(stdout);
}

/* ---- calls on the home reactor ---- */

void run_done(void *ctx, int res, const struct err *err)
{
	struct run *run = ctx;

	run->done = true;
	run->res = res;
	run->err = err ? *err : (struct err){0};
}

static void arrives(struct msg *msg)
{
	struct run *run = container_of(msg, struct run, call_msg);

	run->call(run);
}

static bool is_done(void *ctx)
{
	return ((struct run *)ctx)->done;
}

void run_post(struct run *run)
{
	run->done = false;
	run->call_msg.run = arrives;
	reactor_post(run->r[0], &run->call_msg);
}

int run_call(struct run *run, void (*call)(struct run *run))
{
	run->call = call;
	run_post(run);
	if (!sim_run_until(run->sim, is_done, run, DEADLINE)) {
		run_fail(run, "a call does not end");
		abort();
	}
	return run->res;
}

static void call_create(struct run *run)
{
	pool_create(&run->env, &run->disk->dev,
		    &(struct pool_create_opts){.name = "p", .sums = run->sums}, run_done, run);
}

static void call_open(struct run *run)
{
	pool_open(&run->env, run->dev, &(struct pool_open_opts){.memory = &run->memory.ops},
		  &run->pool, run_done, run);
}

static void call_volumes(struct run *run)
{
	run_done(run, volumes_new(run->pool, &run->set, NULL), NULL);
}

static void jobs_stopped(void *ctx)
{
	struct run *run = ctx;

	volumes_free(run->set);
	run->set = NULL;
	run_done(run, 0, NULL);
}

static void call_stop(struct run *run)
{
	jobs_stop(run->set, jobs_stopped, run);
}

static void call_close(struct run *run)
{
	pool_close(run->pool, run_done, run);
}

/* ---- a life ---- */

static bool is_quiet(void *ctx)
{
	const struct run *run = ctx;

	return !run->busy && !run->changing && !run->checkpointing;
}

/* What is under way ends. */
void run_quiesce(struct run *run)
{
	if (!sim_run_until(run->sim, is_quiet, run, DEADLINE)) {
		run_fail(run,
			 "I/O or an operation does not end: %u I/Os, change %s %d, checkpoint %d",
			 run->busy, change_name[run->m.pending.change], run->changing,
			 run->checkpointing);
		abort();
	}
}

void run_shut(struct run *run)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		work_close_device(&run->m.object[i]);
		run->m.object[i].quiet = false;
	}
	run->want_quiet = NULL;
	(void)run_call(run, call_stop);
	(void)run_call(run, call_close);
	run->pool = NULL;
}

static bool is_idle(void *ctx)
{
	return disk_busy(((struct run *)ctx)->disk) == 0;
}

static void end_here(struct run *run, bool death)
{
	struct run_memory then;
	struct rng rng;

	cut_seed(run, UINT32_MAX, &rng);
	if (run->opts.trace)
		fprintf(stderr, "%10" PRIu64 " %s\n", sim_now(run->sim),
			death ? "death" : "power cut");
	memory_init(&then, run->memory.size);
	memory_copy(&then, &run->memory);
	image_cut(run->disk, &rng, (enum disk_style)rng_below(&rng, STYLES), death);
	run->dead = true;
	run->disk->dead = true;
	run->disk->hook = NULL;
	run_quiesce(run);
	run_shut(run);
	(void)sim_run_until(run->sim, is_idle, run, DEADLINE);
	image_keep(run->disk, death);
	memory_copy(&run->memory, &then);
	free(then.mem);
	if (!death)
		memory_reboot(&run->memory, &rng);
	run->answered_counts &= death;
	run->dead = false;
}

void run_power_cut(struct run *run)
{
	end_here(run, false);
}

void run_death(struct run *run)
{
	end_here(run, true);
}

/* Everything that was answered is there afterwards. */
void run_close(struct run *run)
{
	uint32_t covered[CELLS];

	run_quiesce(run);
	if (run->m.pending.change != CHANGE_NONE && run->m.pending.change != CHANGE_SNAPSHOT)
		model_changed(&run->m, false); /* was waiting for its turn */
	run_shut(run);
	if (run->res) {
		run_fail(run, "closing: %s", run->err.text);
		run->broken = true;
	}
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		struct object *o = &run->m.object[i];

		if (o->state == OBJECT_NONE)
			continue;
		model_flush_begin(o, covered);
		model_flush_end(o, covered);
	}
}

bool run_begin(struct run *run)
{
	struct seen s = {.disk = run->disk, .page = disk_live, .counts = -1, .settle = true};

	run->life++;
	run->event = run->choice = 0;
	run->faulty = false;
	run->disk->hook = cut_event;
	run->disk->hook_ctx = run;
	if (run_call(run, call_open)) {
		run_fail(run, "opening: %s", run->err.text);
		run->pool = NULL;
		return false;
	}
	s.pool = run->pool;
	s.answered = run->answered_counts;
	if (model_check(&run->m, &s)) {
		run_fail(run, "after opening: %s", s.text);
		return false;
	}
	run->answered_counts = true;
	run->summed += s.summed;
	sums_squeeze(run);
	return run_call(run, call_volumes) == 0;
}

static bool enough(const struct run *run)
{
	return run->broken || run->failures >= run->opts.failures_max ||
	       (run->opts.cuts && run->cuts >= run->opts.cuts);
}

static void work_step(struct run *run, unsigned eager)
{
	work_devices(run);
	if (run->broken)
		return;
	if (rng_below(&run->rng, 5) < eager)
		work_io(run);
	if (run->m.pending.change != CHANGE_NONE || rng_below(&run->rng, 12) == 0)
		change_start(run);
	if (run->weights.checkpoint && rng_below(&run->rng, run->weights.checkpoint) == 0)
		checkpoint_now(run);
	sim_run_for(run->sim, 1 + rng_below(&run->rng, run->step_ns));
}

void run_work(struct run *run, unsigned events)
{
	unsigned eager = 1 + (unsigned)rng_below(&run->rng, 4);

	/* Steps: a pool may come to have nothing that can be written or changed. */
	for (unsigned i = 0; i < 50 * events && run->event < events && !enough(run); i++)
		work_step(run, eager);
}

void run_work_for(struct run *run, unsigned steps)
{
	for (unsigned i = 0; i < steps && !enough(run); i++)
		work_step(run, 3);
}

void run_lives(struct run *run)
{
	for (unsigned i = 0; i < run->opts.lives && !enough(run); i++) {
		if (!run_begin(run)) {
			run->broken = true;
			return;
		}
		run_work(run, 60 + (unsigned)rng_below(&run->rng, 400));
		if (run->broken)
			return;
		if (rng_below(&run->rng, 8) == 0)
			fault_errors(run);
		else if (rng_below(&run->rng, 4) == 0)
			run_close(run);
		else if (rng_below(&run->rng, 2))
			run_death(run);
		else
			run_power_cut(run);
	}
}

void run_start(struct run *run, const struct run_opts *opts, const char *name,
	       const struct weights *weights)
{
	static const uint64_t mib[] = {20, 24, 32, 48, 96, 160};
	static const uint32_t records[] = {16, 2, 64, 1, 256};
	struct sim_opts sim = sim_opts_default(opts->seed);
	uint64_t bytes;

	memset(run, 0, sizeof(*run));
	run->opts = *opts;
	run->name = name;
	run->weights = *weights;
	rng_seed(&run->rng, opts->seed);
	bytes = mib[rng_below(&run->rng, ARRAY_LEN(mib))] * MIB;
	if (opts->disk_bytes)
		bytes = opts->disk_bytes;
	run->sums = opts->sums ? opts->sums > 0 : !strcmp(name, "random") && opts->seed % 4 == 3;
	run->step_ns = NSEC_PER_USEC << rng_below(&run->rng, 7);
	run->sim = sim_world_new(&sim);
	for (unsigned i = 0; i < RUN_REACTORS; i++)
		run->r[i] = sim_reactor_new(run->sim, i, "crash");
	run->env = (struct pool_env){run->r[0], &run->r[1], RUN_REACTORS - 1};
	run->disk = disk_new(run->sim, opts->seed, bytes, bytes + 32 * MIB, 512);
	run->dev = &run->disk->dev;
	model_init(&run->m);
	memory_init(&run->memory,
		    note_bytes(RUN_REACTORS, records[opts->seed % ARRAY_LEN(records)]));
	checker_init(run);
	if (run_call(run, call_create)) {
		run_fail(run, "creating: %s", run->err.text);
		run->broken = true;
	}
}

void run_end(struct run *run)
{
	if (run->broken)
		return; /* the process ends soon */
	sim_run_for(run->sim, NSEC_PER_MSEC);
	for (unsigned i = 0; i < RUN_IOS; i++)
		free(run->io[i].buf);
	disk_free(run->disk);
	for (unsigned i = 0; i < RUN_REACTORS; i++)
		sim_reactor_free(run->sim, run->r[i]);
	sim_world_free(run->sim);
	checker_fini(run);
	free(run->memory.mem);
	model_fini(&run->m);
}
