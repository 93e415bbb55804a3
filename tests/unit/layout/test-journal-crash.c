/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal under power cuts: a ring in memory, random transactions in rounds, and at random moments a cut after which each block
 * of the unflushed rounds is there, not there, or torn between sectors. What the scan says counts must be every flushed
 * transaction, whole ones only, in order, again at each later mount. A failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/rng.h"
#include "samples.h"

#define RING       40
#define ROUND      8
#define SEEDS      300
#define OPENINGS   12
#define TXN_FACTOR 1000 /* record: txn * TXN_FACTOR + records of it still to come */

static struct world {
	uint8_t ring[RING][LAYOUT_PAGE];  /* what the medium has */
	uint8_t cache[RING][LAYOUT_PAGE]; /* what was written */
	bool dirty[RING];
	struct layout_rules rules; /* stands for the superblock */
	struct rng rng;
	uint64_t seed;
	uint64_t next_txn, flushed_txn,
		tail_txn; /* txns below are: durable; in checkpointed pages */
} w;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("seed %llu: %s", (unsigned long long)w.seed, #cond);              \
	} while (0)

static void flush(void)
{
	for (unsigned i = 0; i < RING; i++) {
		if (w.dirty[i])
			memcpy(w.ring[i], w.cache[i], LAYOUT_PAGE);
		w.dirty[i] = false;
	}
	w.flushed_txn = w.next_txn;
}

static void power_cut(void)
{
	for (unsigned i = 0; i < RING; i++) {
		unsigned sectors = (unsigned)rng_below(&w.rng, 256);

		if (rng_chance(&w.rng, 0.6))
			sectors = rng_chance(&w.rng, 0.5) ? 255 : 0;
		for (unsigned k = 0; w.dirty[i] && k < 8; k++) {
			if (sectors >> k & 1)
				memcpy(w.ring[i] + k * 512, w.cache[i] + k * 512, 512);
		}
		w.dirty[i] = false;
	}
	memcpy(w.cache, w.ring, sizeof(w.ring));
}

static void one_txn(struct journal_builder *b)
{
	unsigned records = rng_chance(&w.rng, 0.1) ? 600 : 1 + (unsigned)rng_below(&w.rng, 40);
	int rc = 0;

	journal_txn_begin(b);
	while (records-- && rc == 0) {
		struct record r = {.type = RECORD_LAYER_DELETE};

		r.layer_delete.layer = w.next_txn * TXN_FACTOR + records;
		rc = journal_add(b, &r);
	}
	if (rc)
		journal_txn_abort(b);
	else
		w.next_txn++;
	if (rc == 0)
		journal_txn_end(b);
}

/* False: the ring has no room for another round. */
static bool one_round(struct journal_builder *b, uint64_t durable_lsn, const uint8_t *blocks)
{
	uint64_t lsn = b->link.lsn;
	uint32_t n;

	if (lsn + ROUND - w.rules.tail_lsn > RING)
		return false;
	for (uint64_t i = 1 + rng_below(&w.rng, 8); i; i--)
		one_txn(b);
	n = journal_finish(b, durable_lsn);
	for (uint32_t i = 0; i < n; i++, lsn++) {
		memcpy(w.cache[lsn % RING], blocks + (size_t)i * LAYOUT_PAGE, LAYOUT_PAGE);
		w.dirty[lsn % RING] = true;
	}
	return true;
}

static void scan_ring(struct journal_scan *s)
{
	struct err err;

	journal_scan_init(s, &w.rules);
	while (!s->ended)
		(void)journal_scan_block(s, w.ring[s->link.lsn % RING]);
	for (uint64_t lsn = s->end_lsn + 1; lsn < w.rules.tail_lsn + RING; lsn++)
		journal_scan_behind(s, lsn, w.ring[lsn % RING]);
	if (journal_scan_verdict(s, &err))
		fail_msg("seed %llu: %s", (unsigned long long)w.seed, err.text);
}

/* Number behind the last transaction that counts. */
static uint64_t replay(const struct journal_scan *s)
{
	uint64_t txn = w.tail_txn, left = 0;
	struct record r;

	for (uint64_t lsn = w.rules.tail_lsn; lsn < s->commit.lsn; lsn++) {
		struct journal_cursor c;

		journal_cursor_init(&c, w.ring[lsn % RING]);
		while (journal_cursor_next(&c, &w.rules, &r)) {
			uint64_t id = r.layer_delete.layer;

			CHECK(id / TXN_FACTOR == txn);
			CHECK(left == 0 || id % TXN_FACTOR == left - 1);
			left = id % TXN_FACTOR;
			txn += left == 0;
		}
	}
	CHECK(left == 0);
	return txn;
}

/* All of it is durable: the pages are written, the superblock moves the tail to the end. */
static void checkpoint(const struct journal_link *link)
{
	w.rules.tail_lsn = link->lsn;
	w.rules.tail_prev_epoch = link->prev_epoch;
	w.rules.tail_prev_crc = link->prev_crc;
	w.tail_txn = w.next_txn;
}

static void one_opening(void)
{
	static uint8_t blocks[ROUND * LAYOUT_PAGE];
	struct journal_scan s, again;
	struct journal_builder b;
	uint64_t counts, durable;

	scan_ring(&s);
	counts = replay(&s);
	CHECK(counts >= w.flushed_txn);
	CHECK(counts <= w.next_txn);
	scan_ring(&again);
	CHECK(again.commit.lsn == s.commit.lsn);
	w.next_txn = counts;
	w.flushed_txn = counts;
	w.rules.epoch++;
	w.rules.epoch_lsn = s.commit.lsn;
	if (rng_chance(&w.rng, 0.2))
		return; /* opened, and cut at once */
	journal_builder_init(&b, &w.rules, &s.commit, blocks, ROUND);
	durable = s.commit.lsn - 1;
	for (uint64_t rounds = rng_below(&w.rng, 30); rounds; rounds--) {
		if (!one_round(&b, durable, blocks)) {
			flush();
			checkpoint(&b.link);
		}
		if (rng_chance(&w.rng, 0.5)) {
			flush();
			durable = b.link.lsn - 1;
		}
		if (rng_chance(&w.rng, 0.05) && durable == b.link.lsn - 1)
			checkpoint(&b.link);
	}
}

static void every_cut_keeps_what_was_flushed_and_whole_transactions(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		memset(&w, 0, sizeof(w));
		w.seed = seed;
		rng_seed(&w.rng, seed);
		sample_rules(&w.rules);
		w.rules.journal_blocks = RING;
		w.rules.tail_lsn = 1;
		w.rules.epoch_lsn = 1;
		w.rules.epoch = 1;
		w.rules.tail_prev_epoch = 0;
		w.rules.tail_prev_crc = 0;
		w.next_txn = 1;
		w.tail_txn = 1;
		for (unsigned i = 0; i < OPENINGS; i++) {
			one_opening();
			power_cut();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_keeps_what_was_flushed_and_whole_transactions),
	};

	return cmocka_run_group_tests_name("journal-crash", tests, NULL, NULL);
}
