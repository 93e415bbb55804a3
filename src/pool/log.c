/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds: how changes become durable.
 *
 *   IDLE --kick--> collect: a batch of the checkpoint, changed leaves, transactions
 *        --------> FLUSH_DATA: what the records point to is on the device
 *        --------> WRITE: the blocks, each FUA
 *        --------> apply the transactions, answer, IDLE (or the next round)
 *
 * Invariants:
 *  1. A record is collected before the flush of its round begins, and a block is valid in a map only when its data write has ended; so no durable record points to data that is not.
 *  2. Transactions stand behind all map changes that were visible when the round began.
 *  3. Whoever is answered is covered: every leaf that was dirty when he asked is in this round or in an earlier one. A round that could not take all leaves answers nobody but the transactions in it.
 *  4. The ring never runs over its tail: ordinary rounds stop at three quarters and wait; the last quarter is the checkpoint's, and half of it also the sums'.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"
#include "pool/sums.h"

#define LATER_NS 1000000000ull
/* Of a round's buffer and of the ring, beyond what room() promises: for the records that announce a batch of the checkpoint. */
#define LOG_SPARE_BLOCKS 8u
/* A leaf's changes take at most that many blocks. */
#define LEAF_BLOCKS (MAP_LEAF_CLUSTERS * 64u / (JOURNAL_ROOM - 64u) + 2u)

uint32_t log_blocks_used(const struct pool *pool)
{
	return (uint32_t)(pool->log.durable.lsn - pool->log.tail_lsn);
}

void log_kick(struct pool *pool)
{
	pool->log.wanted = true;
	if (pool->log.step == LOG_IDLE)
		reactor_defer(pool->home, &pool->log.task);
}

static void later(struct timer *timer)
{
	log_kick(container_of(timer, struct pool, log.timer));
}

void log_kick_later(struct pool *pool)
{
	struct timer *timer = &pool->log.timer;

	if (timer->heap_index || pool->state != POOL_OPEN)
		return;
	timer->run = later;
	if (timer_start(pool->home, timer, reactor_now(pool->home) + LATER_NS))
		log_kick(pool);
}

/* ---- collecting ---- */

/* Blocks that this round may still take. */
uint32_t log_room(const struct pool *pool, enum log_share share)
{
	const struct pool_log *log = &pool->log;
	uint32_t ring = pool->rules.journal_blocks;
	uint32_t limit = share == LOG_CHECKPOINT ? ring - LOG_SPARE_BLOCKS
			 : share == LOG_URGENT   ? ring - ring / 8
						 : ring - ring / 4;
	uint32_t begun = log->builder.finished ? 0 : log->builder.block + 1;
	uint32_t used = log_blocks_used(pool) + begun;
	uint32_t in_ring = used < limit ? limit - used : 0;
	uint32_t in_round = begun < LOG_ROUND_BLOCKS ? LOG_ROUND_BLOCKS - begun : 0;

	return in_ring < in_round ? in_ring : in_round;
}

struct collect {
	struct pool *pool;
	uint64_t layer;
};

static void collect_change(void *ctx, const struct map_change *change)
{
	const struct collect *c = ctx;
	struct record r = {0};
	int res;

	if (change->count > 1) {
		r.type = RECORD_MAP_RUN;
		r.map_run.layer = c->layer;
		r.map_run.entry = change->entry;
		r.map_run.cluster = change->cluster;
		r.map_run.count = change->count;
	} else {
		r.type = RECORD_MAP_SET;
		r.map_set.layer = c->layer;
		r.map_set.entry = change->entry;
		r.map_set.cluster = change->cluster;
		r.map_set.mask = change->mask;
	}
	res = journal_add(&c->pool->log.builder, &r);
	ASSERT(!res); /* log_collect_leaf() looked for room */
}

static bool collect_leaf(struct pool *pool, struct map_leaf *leaf, uint8_t (*image)[LAYOUT_PAGE],
			 enum log_share share)
{
	struct collect c = {pool, map_layer(map_leaf_map(leaf))};

	if (log_room(pool, share) < LEAF_BLOCKS)
		return false;
	journal_txn_begin(&pool->log.builder);
	map_leaf_collect(leaf, collect_change, &c, image);
	journal_txn_end(&pool->log.builder);
	if (!image)
		checkpoint_leaf_changed(pool, leaf);
	return true;
}

bool log_collect_leaf(struct pool *pool, struct map_leaf *leaf, uint8_t (*image)[LAYOUT_PAGE])
{
	return collect_leaf(pool, leaf, image, LOG_CHECKPOINT);
}

/* Leaves of a map join those that wait; it is durable once none waits any more. */
static void take_map(struct pool *pool, struct map *map)
{
	struct pool_log *log = &pool->log;
	struct map_leaf *leaf;

	if (map_held(map)) { /* the next round tries again */
		map_redirty(map);
		return;
	}
	map_collect_begin(map);
	map_round_join(map, &log->maps);
	leaf = map_take_leaves(map);
	while (leaf) {
		struct map_leaf *next = map_leaf_next(leaf);

		map_leaf_set_next(leaf, log->leaves);
		log->leaves = leaf;
		leaf = next;
	}
}

static void collect_maps(struct pool *pool)
{
	struct pool_log *log = &pool->log;

	for (struct map *map = map_take_dirty(&pool->maps); map;) {
		struct map *next = map_dirty_next(map);

		take_map(pool, map);
		map = next;
	}
	while (log->leaves) {
		struct map_leaf *leaf = log->leaves;
		struct map_leaf *next = map_leaf_next(leaf);

		if (!collect_leaf(pool, leaf, NULL, LOG_ORDINARY))
			return;
		log->leaves = next;
	}
}

static void collect_txns(struct pool *pool)
{
	struct pool_log *log = &pool->log;

	while (!list_empty(&log->txns)) {
		struct pool_txn *txn = list_first(&log->txns, struct pool_txn, link);
		uint32_t blocks = txn->size / (JOURNAL_ROOM - RECORD_SIZE_MAX / 2) + 2;

		if (!txn->error && log_room(pool, LOG_ORDINARY) < blocks)
			return;
		list_remove(&txn->link);
		if (!txn->error)
			txn->error = txn_to_journal(pool, txn);
		list_push_back(&log->txns_in_round, &txn->link);
	}
}

/* ---- the end of a round ---- */

static void commit_returns(struct msg *msg)
{
	struct pool_commit *commit = container_of(msg, struct pool_commit, msg);

	commit->done(commit, commit->res);
}

static void answer_commits(struct list *commits, int res)
{
	for (struct list *link; (link = list_pop_front(commits));) {
		struct pool_commit *commit = list_entry(link, struct pool_commit, link);

		commit->res = res;
		commit->msg.run = commit_returns;
		reactor_post(commit->reactor, &commit->msg);
	}
}

static void maps_durable(struct pool *pool)
{
	for (struct map *map; (map = map_round_pop(&pool->log.maps));)
		map_set_durable(map);
}

static void txns_done(struct pool *pool, int res)
{
	struct list done;

	list_init(&done);
	list_splice_back(&done, &pool->log.txns_in_round);
	for (struct list *link; (link = list_pop_front(&done));) {
		struct pool_txn *txn = list_entry(link, struct pool_txn, link);
		int txn_res = txn->error ? txn->error : res;

		if (!txn_res)
			txn_res = txn_apply(pool, txn);
		pool_txn_fini(txn);
		txn->done(txn, txn_res);
	}
}

/* Everyone who waits learns that nothing becomes durable any more. */
static void round_refused(struct pool *pool)
{
	struct pool_log *log = &pool->log;

	log->step = LOG_IDLE;
	log->wanted = false;
	list_splice_back(&log->commits_in_round, &log->commits);
	list_splice_back(&log->txns_in_round, &log->txns);
	answer_commits(&log->commits_in_round, -EIO);
	txns_done(pool, -EIO);
	checkpoint_failed(pool);
	space_failed(pool);
	sums_failed(pool);
}

static void round_durable(struct pool *pool)
{
	struct pool_log *log = &pool->log;

	log->step = LOG_IDLE;
	log->durable = log->builder.link;
	counter_add(&log->rounds, 1);
	counter_add(&log->blocks_written, log->n_blocks);
	if (!log->leaves) {
		maps_durable(pool);
		notes_covered(pool);
		answer_commits(&log->commits_in_round, 0);
		space_round_durable(pool);
	} else {
		list_splice_back(&log->commits_in_round, &log->commits);
		list_splice_back(&log->commits, &log->commits_in_round);
		log->wanted = true;
	}
	txns_done(pool, 0);
	/* They did not fit into this round. (A round without blocks had no room in the ring: the checkpoint kicks.) */
	if (log->n_blocks && !list_empty(&log->txns))
		log->wanted = true;
	sums_round_durable(pool);
	checkpoint_round_durable(pool);
	hold_check_journal(pool);
	if (log_blocks_used(pool) > pool->rules.journal_blocks / 4)
		checkpoint_start(pool, NULL, NULL);
	if (log->wanted)
		log_kick(pool);
}

/* ---- the round ---- */

static void round_step(struct batch *batch, int res)
{
	struct pool *pool = container_of(batch, struct pool, log.batch);
	struct pool_log *log = &pool->log;

	if (res) {
		if (log->step == LOG_WRITE)
			pool_fail(pool, res, "writing the journal");
		else
			pool_flush_failed(pool, res, "flushing the device");
		round_refused(pool);
		return;
	}
	switch (log->step) {
	case LOG_IDLE:
		ASSERT(!"no round is under way");
	case LOG_FLUSH_DATA:
		counter_add(&log->flushes, 1);
		if (log->n_blocks) {
			uint32_t at = (uint32_t)(log->first_lsn % pool->rules.journal_blocks);
			uint32_t n = pool->rules.journal_blocks - at;

			if (n > log->n_blocks)
				n = log->n_blocks;
			log->xfer[0] =
				(struct batch_xfer){journal_offset(&pool->rules, log->first_lsn),
						    n * LAYOUT_PAGE, log->blocks};
			log->xfer[1] = (struct batch_xfer){
				LAYOUT_HEAD, (log->n_blocks - n) * LAYOUT_PAGE,
				(uint8_t *)log->blocks + (size_t)n * LAYOUT_PAGE};
			log->step = LOG_WRITE;
			batch_run(&log->batch, pool->dev, BLK_WRITE, BLK_FUA, log->xfer,
				  n < log->n_blocks ? 2 : 1, round_step);
			return;
		}
		round_durable(pool);
		return;
	case LOG_WRITE:
		round_durable(pool);
		return;
	}
}

static void round_begin(struct pool *pool)
{
	struct pool_log *log = &pool->log;
	bool behind = log->leaves != NULL; /* of an earlier round */

	log->wanted = false;
	if (!behind) {
		space_round_begins(pool);
		notes_flip(pool);
	}
	if (!log->commit_holds)
		list_splice_back(&log->commits_in_round, &log->commits);
	log->first_lsn = log->durable.lsn;
	sums_collect(pool);
	checkpoint_capture(pool);
	collect_maps(pool);
	if (!log->leaves) {
		notes_cover(pool, journal_next_lsn(&log->builder));
		collect_txns(pool);
	}
	log->n_blocks = journal_finish(&log->builder, log->durable.lsn - 1);
	if (!log->n_blocks && log->leaves) {
		/* The ring is full: the checkpoint, when it has moved the tail, kicks. If its last look was in this round, it had nothing to announce. */
		list_splice_back(&log->commits, &log->commits_in_round);
		checkpoint_round_durable(pool);
		hold_check_journal(pool);
		checkpoint_start(pool, NULL, NULL);
		return;
	}
	if (!log->n_blocks && list_empty(&log->commits_in_round)) {
		round_durable(pool); /* nothing is new, and nobody asked */
		return;
	}
	log->step = LOG_FLUSH_DATA;
	batch_flush(&log->batch, pool->dev, round_step);
}

static bool nothing_to_do(const struct pool *pool)
{
	const struct pool_log *log = &pool->log;

	return !log->wanted || log->step != LOG_IDLE || hold_is_frozen(&pool->hold);
}

static void round_task(struct task *task)
{
	struct pool *pool = container_of(task, struct pool, log.task);

	if (nothing_to_do(pool))
		return;
	if (pool_writable(pool))
		round_refused(pool);
	else
		round_begin(pool);
}

/* ---- commits ---- */

static void commit_arrives(struct msg *msg)
{
	struct pool_commit *commit = container_of(msg, struct pool_commit, msg);

	list_push_back(&commit->pool->log.commits, &commit->link);
	log_kick(commit->pool);
}

void pool_commit(struct pool *pool, struct pool_commit *commit)
{
	commit->pool = pool;
	commit->reactor = reactor_current();
	commit->msg.run = commit_arrives;
	reactor_post(pool->home, &commit->msg);
}

void pool_hold_commits(struct pool *pool)
{
	pool->log.commit_holds++;
}

void pool_release_commits(struct pool *pool)
{
	ASSERT(pool->log.commit_holds > 0);
	if (--pool->log.commit_holds == 0)
		log_kick(pool);
}

void log_forget_map(struct pool *pool, struct map *map)
{
	struct map_leaf *leaf = pool->log.leaves;

	if (!pool->log.blocks) /* the pool is being opened */
		return;
	pool->log.leaves = NULL;
	while (leaf) {
		struct map_leaf *next = map_leaf_next(leaf);

		if (map_leaf_map(leaf) != map) {
			map_leaf_set_next(leaf, pool->log.leaves);
			pool->log.leaves = leaf;
		}
		leaf = next;
	}
	map_round_leave(map);
}

int log_init(struct pool *pool, const struct journal_link *link)
{
	struct pool_log *log = &pool->log;

	list_init(&log->commits);
	list_init(&log->commits_in_round);
	list_init(&log->txns);
	list_init(&log->txns_in_round);
	list_init(&log->maps);
	log->task.run = round_task;
	log->tail_lsn = pool->rules.tail_lsn;
	log->blocks = batch_buffer((size_t)(LOG_ROUND_BLOCKS + LOG_SPARE_BLOCKS) * LAYOUT_PAGE);
	if (!log->blocks)
		return -ENOMEM;
	log_begin_at(pool, link);
	return 0;
}

void log_begin_at(struct pool *pool, const struct journal_link *link)
{
	struct pool_log *log = &pool->log;

	log->durable = *link;
	journal_builder_init(&log->builder, &pool->rules, link, log->blocks,
			     LOG_ROUND_BLOCKS + LOG_SPARE_BLOCKS);
}

void log_fini(struct pool *pool)
{
	struct pool_log *log = &pool->log;

	if (!log->blocks)
		return;
	ASSERT(log->step == LOG_IDLE);
	timer_stop(&log->timer);
	task_cancel(&log->task);
	free(log->blocks);
	log->blocks = NULL;
}
