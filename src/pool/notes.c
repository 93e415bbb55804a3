/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/notes.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "pool/priv.h"

#define TRIES  50u /* 5 s */
#define TRY_NS (100 * NSEC_PER_MSEC)

/* ---- on the reactors ---- */

struct notes_region *notes_enter(struct notes *notes)
{
	const struct reactor *reactor = reactor_current();
	struct notes_region *region;
	uint64_t number;

	if (!notes || !reactor || !atomic_load_explicit(&notes->on, memory_order_acquire) ||
	    !notes->of[reactor_id(reactor)])
		return NULL;
	region = &notes->region[notes->of[reactor_id(reactor)] - 1];
	/* Both sequentially consistent, as in notes_flip(): either it sees busy, or we see its number. */
	atomic_store(&region->busy, true);
	number = atomic_load(&notes->number);
	if (region->number != number) {
		region->number = number;
		region->used = 0;
	}
	if (region->used < notes->records)
		return region;
	counter_add(&region->refused, 1);
	notes_leave(region);
	return NULL;
}

void notes_append(struct notes *notes, struct notes_region *region, const struct note *note)
{
	struct note *to = note_at(notes->head, region->index, region->number % 2, region->used);
	struct note sealed = *note;

	note_seal(&sealed, region->number);
	*to = sealed;
	region->used++;
	counter_add(&region->noted, 1);
}

void notes_leave(struct notes_region *region)
{
	atomic_store_explicit(&region->busy, false, memory_order_release);
}

static void wakes(struct msg *msg)
{
	struct notes_region *region = container_of(msg, struct notes_region, msg);

	atomic_store(&region->posted, false);
	if (atomic_exchange(&region->urgent, false))
		log_kick(region->pool);
	else
		log_kick_later(region->pool);
}

/* The first note of a generation: what nobody asks for becomes durable in a while. Half of the room: now, so that the other generation is free when this one is full. */
void notes_wake(const struct notes *notes, struct notes_region *region)
{
	bool half = region->used >= (notes->records + 1) / 2;

	if (region->used > 1 && !half)
		return;
	if (half)
		atomic_store(&region->urgent, true);
	if (atomic_exchange(&region->posted, true))
		return;
	region->msg.run = wakes;
	reactor_post(region->pool->home, &region->msg);
}

/* ---- rounds ---- */

static struct note_generation *generation(const struct notes *notes, uint64_t number)
{
	return &notes->head->generation[number % 2];
}

void notes_flip(struct pool *pool)
{
	struct notes *notes = &pool->notes;
	uint64_t number = atomic_load(&notes->number);

	if (!atomic_load(&notes->on))
		return;
	/* The number first: a process that ends in between leaves a generation without notes, and not old ones that count again. */
	atomic_store(&generation(notes, number + 1)->number, number + 1);
	atomic_store(&generation(notes, number + 1)->cover, NOTE_UNCOVERED);
	atomic_store(&notes->number, number + 1);
	notes->free = false;
	/* As short as a leaf is locked: no I/O, no allocation, no message. */
	for (uint32_t i = 0; i < notes->n_regions; i++)
		while (atomic_load(&notes->region[i].busy))
			(void)sched_yield();
}

void notes_cover(struct pool *pool, uint64_t lsn)
{
	struct notes *notes = &pool->notes;

	if (atomic_load(&notes->on) && !notes->free)
		atomic_store(&generation(notes, atomic_load(&notes->number) - 1)->cover, lsn);
}

void notes_covered(struct pool *pool)
{
	pool->notes.free = true;
}

/* ---- life ---- */

static uint32_t count_regions(const struct pool *pool)
{
	return pool->n_slots + !pool->slot_of[reactor_id(pool->home)];
}

size_t notes_bytes(const struct pool *pool)
{
	return note_bytes(count_regions(pool), NOTES_RECORDS);
}

static void regions_init(struct pool *pool)
{
	struct notes *notes = &pool->notes;

	for (uint32_t i = 0; i < notes->n_regions; i++) {
		const struct reactor *r = i < pool->n_slots ? pool->slots[i].reactor : pool->home;

		notes->of[reactor_id(r)] = (uint8_t)(i + 1);
		notes->region[i].index = i;
		notes->region[i].pool = pool;
	}
}

int notes_get(struct pool *pool, bool last)
{
	struct notes *notes = &pool->notes;
	struct err why = {0};
	char quoted[640];
	int rc = pool->memory.get(pool->memory.ctx, &pool->super.now.pool, notes_bytes(pool),
				  &notes->memory, &notes->size, &why);

	if (rc && (rc != -EBUSY || last))
		log_warn("pool.notes",
			 "pool=%s reason=%s effect=\"first writes wait for the journal\"",
			 pool->super.now.name, log_quote(why.text, quoted, sizeof(quoted)));
	return rc;
}

static int start(struct pool *pool)
{
	const struct superblock *sb = &pool->super.now;
	struct note_identity id = {pool->memory.boot, sb->pool, sb->writer, sb->epoch};
	struct notes *notes = &pool->notes;
	uint32_t n = count_regions(pool);
	size_t per_record = note_bytes(n, 1) - NOTE_HEAD;

	if (notes->size < NOTE_HEAD + per_record || n > NOTE_REGIONS_MAX)
		return -ENOSPC;
	notes->region = aligned_alloc(_Alignof(struct notes_region), n * sizeof(*notes->region));
	if (!notes->region)
		return -ENOMEM;
	memset(notes->region, 0, n * sizeof(*notes->region));
	notes->n_regions = n;
	notes->records = (uint32_t)MIN((notes->size - NOTE_HEAD) / per_record, NOTES_RECORDS);
	notes->head = notes->memory;
	notes->free = true;
	regions_init(pool);
	note_head_init(notes->head, &id, n, notes->records);
	atomic_store(&notes->number, 1);
	atomic_store(&notes->on, true);
	return 0;
}

void notes_start(struct pool *pool)
{
	int rc = start(pool);

	if (!rc)
		return;
	log_warn("pool.notes", "pool=%s reason=\"%s\" effect=\"first writes wait for the journal\"",
		 pool->super.now.name, strerror(-rc));
	notes_end(pool); /* those that were read are older than what comes now */
}

static void try_start(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, notes.timer);
	bool last = ++pool->notes.tries == TRIES;
	int rc;

	if (pool->state != POOL_OPEN || pool->notes.memory)
		return;
	rc = notes_get(pool, last);
	if (!rc)
		notes_start(pool);
	else if (rc == -EBUSY && !last)
		(void)timer_start(pool->home, timer, reactor_now(pool->home) + TRY_NS);
}

void notes_start_later(struct pool *pool)
{
	if (!pool->memory.get)
		return;
	pool->notes.timer.run = try_start;
	try_start(&pool->notes.timer);
}

/* Also where they were not begun: what the memory has of an earlier opening counts until its claim is gone. */
void notes_end(struct pool *pool)
{
	struct notes *notes = &pool->notes;

	atomic_store(&notes->on, false);
	if (!notes->memory || notes->size < NOTE_HEAD)
		return;
	note_head_end(notes->memory);
	notes->ended = true;
}

static void put_memory(struct pool *pool, bool gone)
{
	struct notes *notes = &pool->notes;

	if (notes->memory)
		pool->memory.put(pool->memory.ctx, &pool->super.now.pool, notes->memory,
				 notes->size, gone);
	notes->memory = NULL;
}

/* The file stays: the next process may have it open already. */
void notes_retire(struct pool *pool)
{
	timer_stop(&pool->notes.timer);
	notes_end(pool);
	put_memory(pool, false);
}

void notes_fini(struct pool *pool)
{
	timer_stop(&pool->notes.timer);
	put_memory(pool, pool->notes.ended);
	free(pool->notes.region);
	pool->notes.region = NULL;
}
