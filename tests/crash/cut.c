/* SPDX-License-Identifier: Apache-2.0 */
/* What a cut leaves is opened by the real loader in a second world, compared with the model, and forgotten. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crash/crash.h"
#include "pool/check.h"

#define AGAIN_ONE_IN 6u   /* a second cut during the opening */
#define CHECK_ONE_IN 16u  /* what `litepool pool check` would say */
#define DATA_ONE_IN  100u /* and with --data: every block that is mapped against its sum */

static void open_done(void *ctx, int res, const struct err *err)
{
	struct checker *c = ctx;

	c->done = true;
	c->res = res;
	c->err = *err;
	if (res)
		c->pool = NULL;
}

static void open_arrives(struct msg *msg)
{
	struct checker *c = container_of(msg, struct checker, msg);
	struct pool_env env = {c->r, &c->r, 1};

	pool_open(&env, &c->disk->image.dev, &c->opts, &c->pool, open_done, c);
}

static bool is_done(void *ctx)
{
	return ((struct checker *)ctx)->done;
}

static int mount(struct checker *c, struct crash_disk *disk)
{
	c->disk = disk;
	c->done = false;
	c->msg.run = open_arrives;
	reactor_post(c->r, &c->msg);
	if (!sim_run_until(c->sim, is_done, c, DEADLINE)) {
		c->res = -1;
		(void)err_set(&c->err, -1, "opening does not end");
		c->pool = NULL;
	}
	return c->res;
}

static bool is_idle(void *ctx)
{
	const struct pool *pool = ((const struct checker *)ctx)->pool;

	return pool->log.step == LOG_IDLE && !pool->log.wanted && !pool->op &&
	       pool->gate.step == GATE_IDLE && !pool->space.turning &&
	       list_empty(&pool->gate.turns);
}

/* Without closing. A pool that found notes has had a round, and what that set going ends first. */
static void unmount(struct checker *c)
{
	if (c->pool && pool_state(c->pool) == POOL_OPEN && counter_get(&c->pool->log.rounds)) {
		(void)sim_run_until(c->sim, is_idle, c, DEADLINE);
		sim_run_for(c->sim, NSEC_PER_USEC * 10);
	}
	if (c->pool)
		pool_free(c->pool);
	c->pool = NULL;
}

int cut_mount(struct run *run)
{
	run->checker.opts = (struct pool_open_opts){.memory = &run->checker.memory.ops};
	return mount(&run->checker, run->disk);
}

void cut_unmount(struct run *run)
{
	unmount(&run->checker);
}

void cut_seed(const struct run *run, unsigned choice, struct rng *ret)
{
	uint64_t seed = run->opts.seed * 0x9e3779b97f4a7c15u;

	seed = (seed ^ run->life) * 0xff51afd7ed558ccdu;
	seed = (seed ^ run->event) * 0xc4ceb9fe1a85ec53u;
	rng_seed(ret, seed ^ choice);
}

/* Opens and compares. False: a failure was reported. */
bool cut_look(struct run *run, const char *when, bool answered, uint64_t *ret_hash)
{
	struct checker *c = &run->checker;
	struct seen s = {
		.disk = run->disk, .page = disk_durable, .counts = -1, .answered = answered};

	c->opts = (struct pool_open_opts){.memory = &c->memory.ops};
	if (mount(c, run->disk)) {
		run_fail(run, "%s: opening: %s", when, c->err.text);
		return false;
	}
	s.pool = c->pool;
	if (model_check(&run->m, &s)) {
		run_fail(run, "%s: %s", when, s.text);
		return false;
	}
	run->summed += s.summed;
	*ret_hash = s.hash;
	return true;
}

static void problem(void *ctx, const struct pool_problem *p)
{
	struct checker *c = ctx;

	if (p->severity == POOL_NOTE)
		return;
	c->problems++;
	snprintf(c->problem, sizeof(c->problem), "%s: %s", p->kind, p->text);
}

static bool look_check(struct run *run)
{
	struct checker *c = &run->checker;

	unmount(c);
	c->problems = 0;
	c->opts = (struct pool_open_opts){.problem = problem, .problem_ctx = c};
	if (mount(c, run->disk))
		run_fail(run, "check: %s", c->err.text);
	else if (c->problems)
		run_fail(run, "check: %u problems, last: %s", c->problems, c->problem);
	else
		return true;
	return false;
}

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	struct checker *c = ctx;

	if (f->severity == CHECK_NOTE)
		return;
	c->problems++;
	snprintf(c->problem, sizeof(c->problem), "%s: %s", f->kind, f->text);
}

static void check_done(void *ctx, int res, const struct err *err)
{
	struct checker *c = ctx;

	c->done = true;
	c->res = res;
	if (res)
		c->err = *err;
}

static void check_arrives(struct msg *msg)
{
	static struct check_result result;
	static struct pool_env env; /* both are looked at until the end */
	struct checker *c = container_of(msg, struct checker, msg);
	struct check_opts opts = {
		.data = true, .memory = &c->memory.ops, .finding = finding, .ctx = c};

	env = (struct pool_env){c->r, &c->r, 1};
	pool_check(&env, &c->disk->image.dev, &opts, &result, check_done, c);
}

/* Sums of what was being written do not count; all others must fit, whatever of the data the disk has. */
static void look_data(struct run *run)
{
	struct checker *c = &run->checker;

	unmount(c);
	c->problems = 0;
	c->done = false;
	c->msg.run = check_arrives;
	reactor_post(c->r, &c->msg);
	if (!sim_run_until(c->sim, is_done, c, DEADLINE))
		run_fail(run, "check of data does not end");
	else if (c->res)
		run_fail(run, "check of data: %s", c->err.text);
	else if (c->problems)
		run_fail(run, "check of data: %u problems, last: %s", c->problems, c->problem);
	run->checked++;
}

/* death: also the first cut was one. */
static bool look_again(struct run *run, struct rng *rng, uint64_t hash, bool death)
{
	struct checker *c = &run->checker;
	bool dies = rng_below(rng, 2);
	uint8_t *then;
	uint64_t again;

	unmount(c);
	image_cut_again(run->disk, rng, dies, &then);
	if (then)
		memcpy(c->memory.mem, then, c->memory.size);
	free(then);
	if (!dies)
		memory_reboot(&c->memory, rng);
	if (!cut_look(run, dies ? "death during the opening" : "second cut, during the opening",
		      death && dies && run->answered_counts, &again))
		return false;
	if (again == hash || (death && !dies)) /* noted, and not in a round yet */
		return true;
	run_fail(run, "a second cut, during the opening, changed what the pool holds");
	return false;
}

static void cut_one(struct run *run, unsigned choice)
{
	struct checker *c = &run->checker;
	struct rng rng;
	enum disk_style style;
	uint64_t hash;
	bool death;

	run->choice = choice;
	run->cuts++;
	cut_seed(run, choice, &rng);
	style = (enum disk_style)rng_below(&rng, STYLES);
	rng_seed(sim_rng(c->sim), rng_next(&rng));
	death = rng_below(&rng, 2);
	memory_copy(&c->memory, &run->memory);
	if (!death)
		memory_reboot(&c->memory, &rng);
	image_cut(run->disk, &rng, style, death);
	image_record(run->disk);
	if (cut_look(run, death ? "death" : "cut", death && run->answered_counts, &hash)) {
		if (rng_below(&rng, CHECK_ONE_IN) == 0)
			(void)look_check(run);
		if (rng_below(&rng, AGAIN_ONE_IN) == 0)
			(void)look_again(run, &rng, hash, death);
		if (run->sums && !run->failures && rng_below(&rng, DATA_ONE_IN) == 0)
			look_data(run);
	}
	unmount(c);
	image_drop(run->disk);
}

void cut_event(void *ctx, const char *what, uint64_t offset, uint64_t length)
{
	struct run *run = ctx;
	const struct run_opts *opts = &run->opts;

	run->event++;
	if (opts->trace)
		fprintf(stderr, "%10" PRIu64 " event %u.%u %s %" PRIu64 " +%" PRIu64 "\n",
			sim_now(run->sim), run->life, run->event, what, offset, length);
	if (run->dead || run->prelude || run->failures >= opts->failures_max)
		return;
	if (opts->only_life && opts->only_life != run->life)
		return;
	if (opts->only_event && opts->only_event != run->event)
		return;
	for (unsigned i = 0; i < opts->choices; i++)
		if (opts->only_choice < 0 || opts->only_choice == (int)i)
			cut_one(run, i);
}

static void answer_event(struct sim_world *sim, struct sim_event *ev)
{
	struct run *run = container_of(ev, struct run, answered);

	run->answered_soon = false;
	cut_event(run, "answer", 0, 0);
}

void cut_answer(struct run *run)
{
	if (run->answered_soon || run->dead || run->prelude || run->event % 4)
		return;
	run->answered_soon = true;
	sim_event_at(run->sim, &run->answered, 0, answer_event);
}

static uint8_t *snap(void *ctx)
{
	const struct run_memory *memory = ctx;
	uint8_t *copy = malloc(memory->size);

	ASSERT(copy);
	memcpy(copy, memory->mem, memory->size);
	return copy;
}

void checker_init(struct run *run)
{
	struct sim_opts opts = sim_opts_default(1);

	opts.pass_cost_ns = 100;
	run->checker.sim = sim_world_new(&opts);
	run->checker.r = sim_reactor_new(run->checker.sim, 0, "check");
	memory_init(&run->checker.memory, run->memory.size);
	run->disk->image.snap = snap;
	run->disk->image.snap_ctx = &run->checker.memory;
}

void checker_fini(struct run *run)
{
	sim_reactor_free(run->checker.sim, run->checker.r);
	sim_world_free(run->checker.sim);
	free(run->checker.memory.mem);
}
