/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: who may have the free ones, and when a detached one is free again.
 *
 *   free --grant--> stock of a reactor --map_attach--> mapped --map_clear--> on its way back (free.c) --> free
 *
 * Invariants:
 *  1. free + what thick stocks hold >= what thick volumes are still promised + what the checkpoint may need. Thin volumes get only what is beyond.
 *  2. A cluster is granted again only when the record that freed it is durable and no reactor can still be reading it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"
#include "pool/sums.h"

#define GRANT_MAX (POOL_STOCK / 2)

/* ---- on the reactors ---- */

uint64_t pool_take_cluster(struct pool_slot *slot, enum pool_space space)
{
	uint32_t n = atomic_load_explicit(&slot->stocked[space], memory_order_relaxed);

	if (!n)
		return 0;
	atomic_store_explicit(&slot->stocked[space], n - 1, memory_order_relaxed);
	return slot->stock[space][n - 1];
}

void pool_return_cluster(struct pool_slot *slot, enum pool_space space, uint64_t phys)
{
	uint32_t n = atomic_load_explicit(&slot->stocked[space], memory_order_relaxed);

	ASSERT(n < POOL_STOCK);
	slot->stock[space][n] = phys;
	atomic_store_explicit(&slot->stocked[space], n + 1, memory_order_relaxed);
}

static void want_returns(struct msg *msg)
{
	struct pool_want *want = container_of(msg, struct pool_want, msg);
	struct pool_slot *slot = pool_slot(want->pool);

	for (uint32_t i = 0; i < want->n; i++)
		pool_return_cluster(slot, want->space, want->granted[i]);
	atomic_fetch_sub_explicit(&slot->coming[want->space], want->n, memory_order_release);
	want->done(want, want->res);
}

static void want_arrives(struct msg *msg);

void pool_want(struct pool *pool, struct pool_want *want)
{
	want->pool = pool;
	want->reactor = reactor_current();
	want->msg.run = want_arrives;
	want->n = 0;
	want->res = 0;
	reactor_post(pool->home, &want->msg);
}

/* ---- accounting ---- */

static uint64_t sum_stock(const struct pool *pool, enum pool_space space)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < pool->n_slots; i++)
		sum += atomic_load_explicit(&pool->slots[i].stocked[space], memory_order_relaxed) +
		       atomic_load_explicit(&pool->slots[i].coming[space], memory_order_acquire);
	return sum;
}

/* Promised to thick volumes and neither mapped nor in a thick stock. Read in this order an error is on the safe side: a cluster leaves its stock before it counts as mapped. */
static uint64_t thick_unmet(const struct pool *pool)
{
	uint64_t mapped = atomic_load(&pool->maps.thick_mapped);
	uint64_t promised = (uint64_t)pool->space.thick_total;
	uint64_t unmapped = promised > mapped ? promised - mapped : 0;
	uint64_t stocked = sum_stock(pool, POOL_THICK);

	return unmapped > stocked ? unmapped - stocked : 0;
}

/* Clusters that may be granted now. */
static uint64_t available(const struct pool *pool, enum pool_space space)
{
	uint64_t keep = checkpoint_reserve(pool);
	uint64_t unmet = thick_unmet(pool);

	if (space == POOL_THICK && pool->space.thick_held)
		return 0;
	if (space == POOL_THICK)
		return unmet < pool->space.free ? unmet : pool->space.free;
	keep += unmet + pool->super.now.reserved_clusters;
	return pool->space.free > keep ? pool->space.free - keep : 0;
}

static void tell(struct pool *pool, unsigned percent, bool above)
{
	for (unsigned i = 0; i < pool->n_listeners; i++)
		if (pool->listener[i].space)
			pool->listener[i].space(pool->listener[i].ctx, percent, above);
}

/* Full is when somebody is refused, which may be long before every cluster is used: some are kept. It ends when a hundredth of the pool can be granted again. */
static void set_full(struct pool *pool, bool full)
{
	if (pool->space.full == full)
		return;
	pool->space.full = full;
	tell(pool, 100, full);
}

/* What thick volumes are promised counts as used, written or not: no other volume can have it. (In a thick stock it is not free any more.) */
void space_watch(struct pool *pool)
{
	uint64_t total = pool->rules.end_cluster - pool->rules.first_cluster;
	uint64_t used = total - pool->space.free - sum_stock(pool, POOL_THIN) + thick_unmet(pool);
	unsigned level = 0;

	while (level < 3 && used * 100 >= total * pool->super.now.watermark[level])
		level++;
	while (level != pool->space.level) {
		bool above = level > pool->space.level;
		unsigned percent =
			pool->super.now
				.watermark[above ? pool->space.level : pool->space.level - 1u];

		pool->space.level += above ? 1 : -1;
		tell(pool, percent, above);
	}
	if (pool->space.full && available(pool, POOL_THIN) * 100 >= total)
		set_full(pool, false);
}

bool pool_fills_up(const struct pool *pool)
{
	return pool->space.full || pool->space.level > 0;
}

static uint64_t take_free(struct pool *pool)
{
	struct pool_room *space = &pool->space;
	size_t bit = bitmap_next_clear(&space->used, space->cursor);

	if (bit == BITMAP_NONE)
		bit = bitmap_next_clear(&space->used, pool->rules.first_cluster);
	ASSERT(bit != BITMAP_NONE);
	bitmap_set(&space->used, bit);
	space->cursor = bit + 1 < space->used.bits ? bit + 1 : pool->rules.first_cluster;
	space->free--;
	return bit;
}

void space_put(struct pool *pool, uint64_t phys)
{
	ASSERT(bitmap_test(&pool->space.used, phys));
	bitmap_clear(&pool->space.used, phys);
	pool->space.free++;
}

int pool_alloc_cluster(struct pool *pool, enum pool_space space, uint64_t *ret_phys)
{
	if (!available(pool, space))
		return -ENOSPC;
	*ret_phys = take_free(pool);
	space_watch(pool);
	return 0;
}

void pool_unalloc_cluster(struct pool *pool, uint64_t phys)
{
	space_put(pool, phys);
}

int space_own(struct pool *pool, uint64_t phys)
{
	if (bitmap_test(&pool->space.used, phys))
		return -EEXIST;
	bitmap_set(&pool->space.used, phys);
	pool->space.free--;
	return 0;
}

/* The checkpoint's: what checkpoint_reserve() kept. */
int space_alloc_metadata(struct pool *pool, uint64_t *ret_phys)
{
	if (!pool->space.free)
		return -ENOSPC;
	*ret_phys = take_free(pool);
	return 0;
}

/* ---- wants ---- */

static void want_answer(struct pool_want *want, int res)
{
	want->res = res;
	want->msg.run = want_returns;
	reactor_post(want->reactor, &want->msg);
}

/* Grants what the reactor has room for; false: there is nothing to grant. */
static bool want_grant(struct pool *pool, struct pool_want *want)
{
	struct pool_slot *slot = &pool->slots[pool->slot_of[reactor_id(want->reactor)] - 1];
	uint64_t may = available(pool, want->space);
	uint64_t share = may / ((uint64_t)4 * pool->n_slots);
	uint32_t held = atomic_load_explicit(&slot->coming[want->space], memory_order_acquire) +
			atomic_load_explicit(&slot->stocked[want->space], memory_order_relaxed);
	uint32_t room = held < POOL_STOCK - GRANT_MAX ? POOL_STOCK - GRANT_MAX - held : 0;

	if (!may && !held)
		return false;
	want->n = room < may ? room : (uint32_t)may;
	if (want->n > share + 1)
		want->n = (uint32_t)share + 1;
	if (want->n > may)
		want->n = (uint32_t)may;
	for (uint32_t i = 0; i < want->n; i++)
		want->granted[i] = take_free(pool);
	atomic_fetch_add_explicit(&slot->coming[want->space], want->n, memory_order_relaxed);
	space_watch(pool);
	return true;
}

static bool space_may_come(const struct pool *pool, const struct pool_want *want)
{
	const struct pool_room *space = &pool->space;

	return (space->thick_held && want->space == POOL_THICK) || space->freed.n ||
	       space->in_round.n || space->durable.n || space->in_turn.n || space->recalling;
}

/* Runs on each reactor: puts the stock where the pool's thread finds it when all have turned. */
static void recall_turn(struct gate_turn *turn, struct pool_slot *slot)
{
	struct pool_want *box = &slot->pool->space.recalled_from[slot - slot->pool->slots];

	for (box->n = 0; box->n < POOL_STOCK; box->n++) {
		box->granted[box->n] = pool_take_cluster(slot, box->space);
		if (!box->granted[box->n])
			break;
	}
}

static void recall_turned(struct gate_turn *turn)
{
	struct pool *pool = container_of(turn, struct pool, space.recall);

	for (unsigned i = 0; i < pool->n_slots; i++)
		for (uint32_t k = 0; k < pool->space.recalled_from[i].n; k++)
			space_put(pool, pool->space.recalled_from[i].granted[k]);
}

static void recall_drained(struct gate_turn *turn)
{
	struct pool *pool = container_of(turn, struct pool, space.recall);

	pool->space.recalling = false;
	space_serve(pool);
}

/*
 * What reactors have in stock of that kind, for another one that wants it; false: nothing. Of what thick volumes were promised the last may be in a stock, so nobody is refused before that was asked for.
 * It comes to an end: each time somebody gets a cluster, who needs it or finds that another one has attached one.
 */
static bool recall(struct pool *pool, enum pool_space kind)
{
	struct pool_room *space = &pool->space;

	if (!sum_stock(pool, kind))
		return false;
	space->recalling = true;
	for (unsigned i = 0; i < pool->n_slots; i++)
		space->recalled_from[i].space = kind;
	space->recall = (struct gate_turn){
		.turn = recall_turn, .turned = recall_turned, .drained = recall_drained};
	gate_turn(pool, &space->recall);
	return true;
}

void space_serve(struct pool *pool)
{
	struct list waiting;

	list_init(&waiting);
	list_splice_back(&waiting, &pool->space.wants);
	for (struct list *link; (link = list_pop_front(&waiting));) {
		struct pool_want *want = list_entry(link, struct pool_want, link);
		int refused = pool_writable(pool);

		if (refused) {
			want_answer(want, refused);
		} else if (want_grant(pool, want)) {
			want_answer(want, 0);
		} else if (space_may_come(pool, want) || recall(pool, want->space)) {
			list_push_back(&pool->space.wants, &want->link);
		} else {
			counter_add(&pool->space.refused, 1);
			set_full(pool, true);
			want_answer(want, -ENOSPC);
		}
	}
}

/* Before anybody is refused: what is on its way back, and what other reactors have in stock. */
static void look_for_space(struct pool *pool, enum pool_space kind)
{
	if (pool->space.freed.n)
		log_kick(pool);
	if (!pool->space.recalling && !(kind == POOL_THICK && pool->space.thick_held))
		(void)recall(pool, kind);
}

static void want_arrives(struct msg *msg)
{
	struct pool_want *want = container_of(msg, struct pool_want, msg);
	struct pool *pool = want->pool;
	int res = pool_writable(pool);

	counter_add(&pool->space.want_count, 1);
	log_kick_later(pool);
	if (!res && want->map)
		res = map_prepare(want->map, want->cluster);
	if (res || !want->space_wanted || want_grant(pool, want)) {
		want_answer(want, res);
		return;
	}
	list_push_back(&pool->space.wants, &want->link);
	look_for_space(pool, want->space);
	space_serve(pool);
}

/* ---- life and numbers ---- */

int space_init(struct pool *pool)
{
	struct pool_room *space = &pool->space;

	list_init(&space->wants);
	space->recalled_from = calloc(pool->n_slots, sizeof(*space->recalled_from));
	if (!space->recalled_from || bitmap_init(&space->used, pool->rules.end_cluster))
		return -ENOMEM;
	for (uint64_t i = 0; i < pool->rules.first_cluster; i++)
		bitmap_set(&space->used, i);
	space->free = pool->rules.end_cluster - pool->rules.first_cluster;
	space->cursor = pool->rules.first_cluster;
	return 0;
}

void space_fini(struct pool *pool)
{
	struct pool_room *space = &pool->space;

	bitmap_fini(&space->used);
	free(space->recalled_from);
	free(space->freed.phys);
	free(space->in_round.phys);
	free(space->durable.phys);
	free(space->in_turn.phys);
}

int space_grow(struct pool *pool, uint64_t end_cluster)
{
	size_t bits = pool->space.used.bits;

	if (bitmap_resize(&pool->space.used, end_cluster))
		return -ENOMEM;
	pool->space.free += end_cluster - bits;
	sums_grow(pool, bits, end_cluster);
	space_serve(pool);
	space_watch(pool);
	return 0;
}

void space_failed(struct pool *pool)
{
	space_serve(pool);
}

uint64_t pool_thick_hold(struct pool *pool)
{
	pool->space.thick_held = true;
	return sum_stock(pool, POOL_THICK) + pool->n_slots;
}

void pool_thick_release(struct pool *pool)
{
	pool->space.thick_held = false;
	space_serve(pool);
}

void pool_thick_total(struct pool *pool, int64_t delta_clusters)
{
	pool->space.thick_total += delta_clusters;
	ASSERT(pool->space.thick_total >= 0);
	space_watch(pool);
}

/* Saturates at what JSON has: a few thousand thin volumes of the largest size are more than 64 bits count. */
static void add_bytes(uint64_t *sum, const struct pool_layer *layer)
{
	uint64_t more = layer ? layer->disk.size_bytes : 0;

	*sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

void pool_space_info(const struct pool *pool, struct pool_space_info *ret)
{
	const struct pool_room *space = &pool->space;

	memset(ret, 0, sizeof(*ret));
	ret->total = pool->rules.end_cluster - pool->rules.first_cluster;
	ret->free = space->free;
	ret->stocked = sum_stock(pool, POOL_THIN) + sum_stock(pool, POOL_THICK);
	ret->freeing = space->freed.n + space->in_round.n + space->durable.n + space->in_turn.n;
	ret->metadata = checkpoint_segments(pool) + sums_homes(pool);
	ret->thick_reserved = thick_unmet(pool) + sum_stock(pool, POOL_THICK);
	ret->reserved = pool->super.now.reserved_clusters;
	list_for_each (it, &pool->tables.objects) {
		const struct pool_object *object = list_entry(it, struct pool_object, link);

		if (pool_object_is_snapshot(object)) {
			ret->snapshots++;
		} else {
			ret->volumes++;
			add_bytes(&ret->volume_bytes, object->layer);
		}
	}
}

/* Clusters of metadata for that many neighbouring ones of a map: as checkpoint_reserve() counts. */
static uint64_t metadata_for(uint64_t clusters)
{
	uint64_t leaves = clusters / MAP_LEAF_CLUSTERS;

	return (leaves * (1 + MAP_MASK_PAGES) + SEGMENT_PAIRS) / SEGMENT_PAIRS;
}

int pool_pages_check(const struct pool *pool, uint64_t clusters, struct err *err)
{
	uint64_t need = metadata_for(clusters), have = available(pool, POOL_THIN);

	if (need <= have)
		return 0;
	return err_set(
		err, -ENOSPC,
		"the metadata that hides what larger snapshots have behind the end takes "
		"%" PRIu64 " MiB, and pool %s has %" PRIu64
		" MiB that are free; delete something, grow the pool, or ask for a smaller size",
		need, pool->super.now.name, have);
}

int pool_thick_check(const struct pool *pool, uint64_t clusters, struct err *err)
{
	uint64_t have = available(pool, POOL_THIN) + sum_stock(pool, POOL_THIN);

	if (clusters + metadata_for(clusters) <= have)
		return 0;
	return err_set(err, -ENOSPC,
		       "%" PRIu64 " MiB are to be reserved, and pool %s has %" PRIu64
		       " MiB that are neither used nor reserved; use a thin volume, delete "
		       "something, or grow the pool",
		       clusters, pool->super.now.name, have);
}

int pool_space_check(const struct pool *pool, uint64_t bytes, struct err *err)
{
	struct pool_space_info info;
	uint32_t percent = pool->super.now.commit_percent;
	uint64_t limit;

	pool_space_info(pool, &info);
	limit = info.total / 100 * percent + info.total % 100 * percent / 100;
	if (!percent || (info.volume_bytes + bytes) / LAYOUT_CLUSTER <= limit)
		return 0;
	return err_set(err, -ENOSPC,
		       "pool %s may promise %" PRIu32 " %% of its %" PRIu64
		       " MiB to volumes; %" PRIu64 " MiB are promised and %" PRIu64
		       " MiB more are too many; raise the commit limit or grow the pool",
		       pool->super.now.name, percent, info.total,
		       info.volume_bytes / LAYOUT_CLUSTER, bytes / LAYOUT_CLUSTER);
}
