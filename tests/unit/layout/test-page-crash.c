/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages under power cuts: checkpoints as FORMAT.md §5 asks for them, on pairs of slots in memory that map pages share, empty, give up and
 * take over. After each cut, where writes that were not flushed are there, lost or torn between sectors, the winners and a replay from the tail
 * must be the state of the journal. The journal itself is a list here; test-journal-crash.c cuts the real one. A failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/rng.h"
#include "samples.h"

#define SEEDS   400
#define CUTS    10
#define KEYS    6 /* map pages of one layer */
#define PAIRS   8
#define ENTRIES 12 /* that are used, spread over the page */
#define OPS_MAX 4096
#define FIRST   0x20 /* the segment's cluster */
#define OWNER   9
#define NONE    UINT32_MAX

struct op { /* one journal block: LSN is its number */
	uint32_t key,
		entry; /* entry ENTRIES and more: the whole page becomes empty; NONE: a PAGES record */
	uint64_t value;
};

struct pair {
	uint32_t key; /* NONE: free */
	int durable;  /* slot that wins as of the last flush; -1: neither */
};

static struct world {
	uint8_t disk[PAIRS][2][LAYOUT_PAGE], cache[PAIRS][2][LAYOUT_PAGE];
	bool dirty[PAIRS][2], announced[PAIRS][2];
	struct pair pair[PAIRS];
	struct op op[OPS_MAX];
	uint64_t lsn, durable_lsn; /* written, flushed */
	uint64_t tail_lsn;         /* of the superblock */
	uint64_t state[KEYS][ENTRIES];
	bool changed[KEYS]; /* since its last completed checkpoint */
	struct layout_rules rules;
	struct rng rng;
	uint64_t seed;
} w;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("seed %llu: %s", (unsigned long long)w.seed, #cond);              \
	} while (0)

static unsigned slot_of(unsigned entry)
{
	return entry * 45; /* in several sectors */
}

static void apply(const struct op *op, uint64_t state[KEYS][ENTRIES])
{
	if (op->entry == NONE)
		return;
	if (op->entry < ENTRIES)
		state[op->key][op->entry] = op->value;
	else
		memset(state[op->key], 0, sizeof(state[op->key]));
}

static void some_ops(void)
{
	for (uint64_t n = rng_below(&w.rng, 8); n && w.lsn + 1 < OPS_MAX; n--) {
		struct op *op = &w.op[++w.lsn];

		op->key = (uint32_t)rng_below(&w.rng, KEYS);
		op->entry = (uint32_t)rng_below(&w.rng, ENTRIES + 5);
		op->value = w.rules.first_cluster + rng_below(&w.rng, 1000);
		apply(op, w.state);
		w.changed[op->key] = true;
	}
}

static bool is_empty(uint32_t key)
{
	return layout_is_zero(w.state[key], sizeof(w.state[key]));
}

static struct pair *pair_of(uint32_t key)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		if (w.pair[i].key == key)
			return &w.pair[i];
	}
	return NULL;
}

static void write_page(struct pair *p, uint64_t lsn)
{
	unsigned i = (unsigned)(p - w.pair), slot = p->durable == 0 ? 1 : 0;
	struct page_info info = {{PAGE_MAP, OWNER, p->key}, lsn, w.rules.epoch};
	uint8_t *page = w.cache[i][slot];

	page_clear(page);
	for (unsigned e = 0; e < ENTRIES; e++)
		page_set_entry(page, slot_of(e), w.state[p->key][e]);
	page_seal(page, &w.rules, &info, segment_place(FIRST, i, slot));
	w.dirty[i][slot] = true;
	w.announced[i][slot] = true;
}

static void power_cut(void)
{
	for (unsigned i = 0; i < 2 * PAIRS; i++) {
		unsigned sectors = (unsigned)rng_below(&w.rng, 256);

		if (rng_chance(&w.rng, 0.5))
			sectors = rng_chance(&w.rng, 0.5) ? 255 : 0;
		for (unsigned k = 0; w.dirty[i / 2][i % 2] && k < 8; k++) {
			if (sectors >> k & 1)
				memcpy(w.disk[i / 2][i % 2] + k * 512,
				       w.cache[i / 2][i % 2] + k * 512, 512);
		}
		w.dirty[i / 2][i % 2] = false;
	}
	memcpy(w.cache, w.disk, sizeof(w.disk));
	w.lsn = w.durable_lsn + rng_below(&w.rng, w.lsn - w.durable_lsn + 1);
	w.durable_lsn = w.lsn; /* the flush of the opening */
}

/* False: the engine stops in the middle; the cut comes next, or it tries again. */
static bool checkpoint(void)
{
	bool chosen[KEYS], taken[KEYS] = {false};
	uint64_t x = w.lsn, announced;

	if (x + 1 >= OPS_MAX)
		return true;
	announced = ++w.lsn;
	w.op[announced].entry = NONE;
	memcpy(chosen, w.changed, sizeof(chosen));
	some_ops(); /* fuzzy: the pages may hold effects behind x, but only durable ones */
	w.durable_lsn = w.lsn;
	for (uint32_t key = 0; key < KEYS; key++) {
		struct pair *p = pair_of(key);

		if (!chosen[key] || (!p && is_empty(key)))
			continue;
		p = p ? p : pair_of(NONE);
		ASSERT(p);
		p->key = key;
		write_page(p, announced);
		taken[key] = true;
		if (rng_chance(&w.rng, 0.05))
			return false;
	}
	memcpy(w.disk, w.cache, sizeof(w.disk)); /* flush */
	memset(w.dirty, 0, sizeof(w.dirty));
	for (unsigned i = 0; i < PAIRS; i++) {
		if (w.pair[i].key != NONE && taken[w.pair[i].key])
			w.pair[i].durable = w.pair[i].durable == 0 ? 1 : 0;
	}
	if (rng_chance(&w.rng, 0.1))
		return false;
	w.tail_lsn = x + 1;
	memset(w.announced, 0, sizeof(w.announced));
	for (unsigned i = 0; i < PAIRS; i++) {
		uint32_t key = w.pair[i].key;

		if (key == NONE || !taken[key])
			continue;
		w.changed[key] = w.lsn > announced; /* written again, to be on the safe side */
		if (is_empty(key))
			w.pair[i].key = NONE;
	}
	return true;
}

static void load_pair(unsigned i, uint64_t lsn_of_key[KEYS])
{
	struct page_slot slot[2];
	struct pair *p = &w.pair[i], *other;
	enum page_winner winner;
	uint32_t key;

	for (unsigned k = 0; k < 2; k++) {
		slot[k] = (struct page_slot){.page = w.disk[i][k]};
		slot[k].found = page_open(slot[k].page, &w.rules, segment_place(FIRST, i, k),
					  &slot[k].info, NULL);
		CHECK(slot[k].found <= PAGE_TORN);
		if (slot[k].found != PAGE_TORN)
			continue;
		CHECK(w.announced[i][k]);
		memset(w.cache[i][k], 0, LAYOUT_PAGE); /* before the tail moves */
		w.dirty[i][k] = true;
	}
	winner = page_choose(&slot[0], &slot[1]);
	CHECK(winner != PAGE_WINNER_CONFLICT);
	*p = (struct pair){NONE, winner == PAGE_WINNER_NONE ? -1 : (int)winner};
	if (winner == PAGE_WINNER_NONE)
		return;
	CHECK(slot[winner].info.lsn <= w.lsn);
	key = (uint32_t)slot[winner].info.id.index;
	if (slot[winner].info.lsn <= lsn_of_key[key])
		return;
	other = pair_of(key);
	if (other)
		other->key = NONE;
	p->key = key;
	lsn_of_key[key] = slot[winner].info.lsn;
	for (unsigned e = 0; e < ENTRIES; e++)
		w.state[key][e] = page_entry(slot[winner].page, slot_of(e));
}

static void mount(void)
{
	static uint64_t model[KEYS][ENTRIES];
	uint64_t lsn_of_key[KEYS] = {0};

	memset(w.state, 0, sizeof(w.state));
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < PAIRS; i++)
		w.pair[i].key = NONE;
	for (unsigned i = 0; i < PAIRS; i++)
		load_pair(i, lsn_of_key);
	for (uint64_t lsn = w.tail_lsn; lsn <= w.lsn; lsn++)
		apply(&w.op[lsn], w.state);
	for (uint64_t lsn = 1; lsn <= w.lsn; lsn++)
		apply(&w.op[lsn], model);
	CHECK(memcmp(model, w.state, sizeof(model)) == 0);
	for (uint32_t key = 0; key < KEYS; key++)
		w.changed[key] = true;
}

static void one_life(void)
{
	for (uint64_t n = 1 + rng_below(&w.rng, 12); n; n--) {
		some_ops();
		if (rng_chance(&w.rng, 0.6))
			w.durable_lsn = w.lsn;
		if (rng_chance(&w.rng, 0.7) && !checkpoint())
			break;
	}
	power_cut();
	mount();
}

static void winners_and_replay_are_the_journals_state(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		memset(&w, 0, sizeof(w));
		w.seed = seed;
		rng_seed(&w.rng, seed);
		sample_rules(&w.rules);
		w.tail_lsn = 1;
		w.rules.epoch_lsn = 1;
		for (unsigned i = 0; i < PAIRS; i++)
			w.pair[i] = (struct pair){NONE, -1};
		for (unsigned i = 0; i < CUTS; i++)
			one_life();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(winners_and_replay_are_the_journals_state),
	};

	return cmocka_run_group_tests_name("page-crash", tests, NULL, NULL);
}
