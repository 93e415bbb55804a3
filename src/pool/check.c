/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look: SUPER -> LOAD (pool_open() tells all problems and goes on) -> RING, HEAD, SEGMENTS (read again, for what the loader does not keep) -> JUDGE -> DATA (check_data.c) -> CLOSE -> DECIDE
 *
 * With repair, DECIDE goes to WRITE (blocks that lose nothing), or to LOSE (accepted losses: the pool is opened without those pages and writes them anew), and then to another
 * look; it ends when there is nothing left that it may do, or after ROUNDS.
 *
 * Mending writes blocks that are right on their own (a bit turned back, a superblock copy, zeros over a slot that does not count), so a cut in between leaves less damage.
 */
#include "pool/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "pool/check_priv.h"

#define ROUNDS 32u

const char *const check_severity_name[CHECK_SEVERITIES] = {"note", "damage", "loss", "hopeless",
							   "wrong"};

int check_exit_code(int res, const struct check_result *result)
{
	if (res)
		return CHECK_EXIT_FAILED;
	if (result->found[CHECK_MENDABLE] || result->found[CHECK_LOSS] ||
	    result->found[CHECK_HOPELESS] || result->found[CHECK_WRONG])
		return CHECK_EXIT_DAMAGED;
	return result->mended ? CHECK_EXIT_MENDED : CHECK_EXIT_CLEAN;
}

/* ---- collecting ---- */

bool check_room(struct check *c, void *array, size_t n, size_t *room, size_t size)
{
	void **p = array;
	void *bigger;

	if (n < *room)
		return true;
	bigger = reallocarray(*p, *room ? *room * 2 : 64, size);
	if (!bigger) {
		c->no_memory = true;
		return false;
	}
	*p = bigger;
	*room = *room ? *room * 2 : 64;
	return true;
}

void check_tell(struct check *c, enum check_severity severity, const char *kind, uint64_t place,
		const char *plan, const char *volumes, const char *fmt, ...)
{
	char text[512];
	struct check_finding finding = {severity, kind, place, text, plan, volumes};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->result->found[severity]++;
	if (c->opts.finding)
		c->opts.finding(c->opts.ctx, c->round, &finding);
}

void check_add_write(struct check *c, uint64_t place, const uint8_t page[LAYOUT_PAGE])
{
	uint8_t *copy;

	if (!check_room(c, &c->write, c->n_writes, &c->writes_room, sizeof(*c->write)))
		return;
	copy = batch_alloc(LAYOUT_PAGE);
	if (!copy) {
		c->no_memory = true;
		return;
	}
	memcpy(copy, page, LAYOUT_PAGE);
	c->write[c->n_writes++] = (struct check_write){place, copy};
}

static void forget_look(struct check *c)
{
	for (size_t i = 0; i < c->n_problems; i++)
		free(c->problem[i].text);
	for (size_t i = 0; i < c->n_bad; i++)
		free(c->bad[i].page);
	for (size_t i = 0; i < c->n_writes; i++)
		free(c->write[i].page);
	check_data_free(c);
	c->n_announced = c->n_problems = c->n_bad = c->n_writes = c->n_good = c->n_lost =
		c->n_refused = 0;
	load_set_fini(&c->reported);
	c->reported = (struct load_set){0};
	free(c->ring);
	free(c->head);
	free(c->xfer);
	c->ring = c->head = NULL;
	c->xfer = NULL;
	c->layers_doubtful = c->journal_damaged = false;
	memset(c->result->found, 0, sizeof(c->result->found));
	memset(&c->result->numbers, 0, sizeof(c->result->numbers));
	c->result->loaded = false;
}

/* ---- the end ---- */

static void end(struct check *c, int res)
{
	pool_done_fn done = c->done;
	void *ctx = c->ctx;
	struct err err = c->err;
	struct check_result result = *c->result;

	if (!res && c->no_memory)
		res = err_set(&err, -ENOMEM, "no memory to check %s", c->dev->name);
	if (res && !err.code)
		(void)err_set(&err, res, "%s cannot be checked: %s", c->dev->name, strerror(-res));
	forget_look(c);
	*c->result = result;
	free(c->problem);
	free(c->announced);
	free(c->bad);
	free(c->write);
	free(c->good);
	free(c->lost);
	free(c->segment);
	fixbit_fini(&c->fix_page);
	fixbit_fini(&c->fix_super);
	if (c->super.page)
		super_fini(&c->super);
	free(c);
	done(ctx, res, res ? &err : NULL);
}

static void run(struct check *c);

/* The pool that is open, if one is, is closed first. */
static void closed_failed(void *ctx, int res, const struct err *err)
{
	struct check *c = ctx;

	c->pool = NULL;
	end(c, c->err.code);
}

static void fail(struct check *c, int res)
{
	if (!c->err.code)
		(void)err_set(&c->err, res, "%s cannot be checked: %s", c->dev->name,
			      strerror(-res));
	if (c->pool)
		pool_close(c->pool, closed_failed, c);
	else
		end(c, c->err.code);
}

/* ---- steps that wait ---- */

static void batch_done(struct batch *batch, int res)
{
	struct check *c = container_of(batch, struct check, batch);

	if (res) {
		fail(c, res);
		return;
	}
	c->step++;
	run(c);
}

static void super_read_done(struct pool_super *super, int res)
{
	struct check *c = container_of(super, struct check, super);
	int rc = res ? res : check_super(c);

	if (rc < 0) {
		fail(c, rc);
		return;
	}
	c->step = rc ? CHECK_LOAD : CHECK_DECIDE;
	run(c);
}

static void take_problem(void *ctx, const struct pool_problem *problem)
{
	struct check *c = ctx;
	struct check_problem *p;

	if (!check_room(c, &c->problem, c->n_problems, &c->problems_room, sizeof(*c->problem)))
		return;
	p = &c->problem[c->n_problems++];
	*p = (struct check_problem){problem->severity, problem->kind, problem->place, problem->page,
				    strdup(problem->text)};
	c->no_memory |= !p->text;
}

/* What cannot be loaded at all is damage, unless the reason lies with this program or the device. */
static void loaded(void *ctx, int res, const struct err *err)
{
	struct check *c = ctx;

	if (!res) {
		c->result->loaded = true;
		c->step++;
		run(c);
		return;
	}
	c->pool = NULL;
	if (res != -EUCLEAN && res != -ESTALE) {
		c->err = *err;
		fail(c, res);
		return;
	}
	check_tell(c, CHECK_HOPELESS, "pool", CHECK_NO_PLACE, NULL, NULL, "%s", err->text);
	c->step = CHECK_DECIDE;
	run(c);
}

static void load(struct check *c)
{
	struct pool_open_opts opts = {.read_only = true, .problem = take_problem, .problem_ctx = c};

	pool_open(c->env, c->dev, &opts, &c->pool, loaded, c);
}

static void read_area(struct check *c, uint64_t offset, uint64_t bytes, uint8_t **buf)
{
	unsigned n = (unsigned)(bytes / LAYOUT_CLUSTER);

	free(c->xfer);
	*buf = batch_alloc(bytes);
	c->xfer = calloc(n, sizeof(*c->xfer));
	if (!*buf || !c->xfer) {
		fail(c, -ENOMEM);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		c->xfer[i] = (struct batch_xfer){offset + i * (uint64_t)LAYOUT_CLUSTER,
						 LAYOUT_CLUSTER, *buf + (size_t)i * LAYOUT_CLUSTER};
	batch_run(&c->batch, c->dev, BLK_READ, 0, c->xfer, n, batch_done);
}

/* ---- pages ---- */

static void look_head(struct check *c)
{
	for (unsigned pair = 0; pair < SEGTAB_PAIRS; pair++) {
		const uint64_t place[2] = {segtab_place(pair, 0), segtab_place(pair, 1)};
		const uint8_t *const page[2] = {c->head + place[0] * LAYOUT_PAGE,
						c->head + place[1] * LAYOUT_PAGE};

		check_pair(c, 0, page, place);
	}
}

static void look_segment(struct check *c, uint32_t index)
{
	uint64_t cluster = c->pool->checkpoint->segments.cluster[index];

	for (unsigned pair = 0; pair < SEGMENT_PAIRS; pair++) {
		const uint64_t place[2] = {segment_place(cluster, pair, 0),
					   segment_place(cluster, pair, 1)};
		const uint8_t *const page[2] = {c->segment + (size_t)pair * LAYOUT_PAGE,
						c->segment + (size_t)(SEGMENT_PAIRS + pair) *
								     LAYOUT_PAGE};

		check_pair(c, pair_id(index, pair), page, place);
	}
}

static void read_segment(struct check *c);

/* One that cannot be read was told by the loader. */
static void segment_read(struct batch *batch, int res)
{
	struct check *c = container_of(batch, struct check, batch);

	if (!res)
		look_segment(c, c->next_segment);
	c->next_segment++;
	read_segment(c);
}

static void read_segment(struct check *c)
{
	const struct segments *s = &c->pool->checkpoint->segments;

	while (c->next_segment < s->n && !s->cluster[c->next_segment])
		c->next_segment++;
	if (c->next_segment >= s->n) {
		c->step = CHECK_JUDGE;
		run(c);
		return;
	}
	c->xfer[0] = (struct batch_xfer){s->cluster[c->next_segment] * LAYOUT_CLUSTER,
					 LAYOUT_CLUSTER, c->segment};
	c->result->numbers.segments++;
	batch_run(&c->batch, c->dev, BLK_READ, 0, c->xfer, 1, segment_read);
}

static void read_segments(struct check *c)
{
	look_head(c);
	if (!c->segment && !(c->segment = batch_alloc(LAYOUT_CLUSTER))) {
		fail(c, -ENOMEM);
		return;
	}
	c->next_segment = 0;
	read_segment(c);
}

static void judge(struct check *c)
{
	check_judge_pages(c);
	check_problems(c);
	check_state(c);
	check_notes(c);
	c->step++;
	run(c);
}

void check_data_end(struct check *c)
{
	check_data_free(c);
	c->step++;
	run(c);
}

static void closed(void *ctx, int res, const struct err *err)
{
	struct check *c = ctx;

	c->pool = NULL;
	if (res) {
		c->err = *err;
		fail(c, res);
		return;
	}
	c->step++;
	run(c);
}

/* ---- mending ---- */

/*
 * Giving something up opens the pool for writing, so everything else in it has to be whole: what is missing from a map that was not given up would be free space then, and what the journal has of it
 * would be written over an older page as if that were the newest.
 */
static bool may_lose(const struct check *c)
{
	return c->n_lost && !c->n_refused && !c->result->found[CHECK_HOPELESS];
}

static void decide(struct check *c)
{
	if (c->no_memory || !c->opts.repair || c->round == ROUNDS)
		c->step = CHECK_END;
	else if (c->n_writes)
		c->step = CHECK_WRITE;
	else
		c->step = may_lose(c) ? CHECK_LOSE : CHECK_END;
	run(c);
}

static void write_blocks(struct check *c)
{
	free(c->xfer);
	c->xfer = calloc(c->n_writes, sizeof(*c->xfer));
	if (!c->xfer) {
		fail(c, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < c->n_writes; i++)
		c->xfer[i] = (struct batch_xfer){c->write[i].place * LAYOUT_PAGE, LAYOUT_PAGE,
						 c->write[i].page};
	c->result->mended += (unsigned)c->n_writes;
	batch_run(&c->batch, c->dev, BLK_WRITE, 0, c->xfer, (unsigned)c->n_writes, batch_done);
}

static void ignore_problem(void *ctx, const struct pool_problem *problem)
{
	/* the look before has told it */
}

static void step_done(void *ctx, int res, const struct err *err)
{
	struct check *c = ctx;

	if (res) {
		if (c->step != CHECK_LOSE_CHECKPOINT) /* opening or closing failed: it is gone */
			c->pool = NULL;
		c->err = *err;
		fail(c, res);
		return;
	}
	if (c->step == CHECK_LOSE_CLOSE)
		c->pool = NULL;
	c->step++;
	run(c);
}

static void lose(struct check *c)
{
	struct pool_open_opts opts = {
		.problem = ignore_problem,
		.repair = true,
		.lost = c->lost,
		.n_lost = c->n_lost,
		.memory = c->opts.memory /* a new epoch: what the notes have comes along */};

	c->result->mended += (unsigned)c->n_lost;
	pool_open(c->env, c->dev, &opts, &c->pool, step_done, c);
}

/* ---- the machine ---- */

static void next_look(struct check *c)
{
	c->round++;
	forget_look(c);
	c->step = CHECK_SUPER;
	run(c);
}

static void run(struct check *c)
{
	switch (c->step) {
	case CHECK_SUPER:
		super_read(&c->super, super_read_done);
		return;
	case CHECK_LOAD:
		load(c);
		return;
	case CHECK_RING:
		read_area(c, LAYOUT_HEAD, (uint64_t)c->pool->rules.journal_blocks * LAYOUT_PAGE,
			  &c->ring);
		return;
	case CHECK_HEAD:
		check_journal(c);
		read_area(c, 0, LAYOUT_HEAD, &c->head);
		return;
	case CHECK_SEGMENTS:
		read_segments(c);
		return;
	case CHECK_JUDGE:
		judge(c);
		return;
	case CHECK_DATA:
		check_data(c);
		return;
	case CHECK_CLOSE:
		pool_close(c->pool, closed, c);
		return;
	case CHECK_DECIDE:
		decide(c);
		return;
	case CHECK_WRITE:
		write_blocks(c);
		return;
	case CHECK_WRITE_FLUSH:
		c->step = CHECK_LOSE_CLOSE; /* CHECK_AGAIN is what follows */
		batch_flush(&c->batch, c->dev, batch_done);
		return;
	case CHECK_LOSE:
		lose(c);
		return;
	case CHECK_LOSE_CHECKPOINT:
		checkpoint_start(c->pool, step_done, c);
		return;
	case CHECK_LOSE_CLOSE:
		pool_close(c->pool, step_done, c);
		return;
	case CHECK_AGAIN:
		next_look(c);
		return;
	case CHECK_END:
		end(c, 0);
		return;
	default:
		UNREACHABLE();
	}
}

static void begin(struct msg *msg)
{
	struct check *c = container_of(msg, struct check, msg);

	if (super_init(&c->super, c->dev) ||
	    fixbit_init(&c->fix_page, offsetof(struct page_format, crc)) ||
	    fixbit_init(&c->fix_super, offsetof(struct superblock_format, crc)))
		fail(c, -ENOMEM);
	else
		run(c);
}

void pool_check(const struct pool_env *env, struct blk_dev *dev, const struct check_opts *opts,
		struct check_result *result, pool_done_fn done, void *ctx)
{
	struct check *c = calloc(1, sizeof(*c));

	ASSERT(c); /* a few KiB: without them nobody could be told either */
	memset(result, 0, sizeof(*result));
	c->env = env;
	c->dev = dev;
	c->opts = *opts;
	if (opts->memory) {
		c->memory = *opts->memory;
		c->opts.memory = &c->memory;
	}
	c->result = result;
	c->done = done;
	c->ctx = ctx;
	c->msg.run = begin;
	reactor_post(env->home, &c->msg);
}
