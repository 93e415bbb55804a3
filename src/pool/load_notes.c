/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes at opening: what the engine before us had answered and no round had made durable (FORMAT.md §8).
 *
 *   OPEN_NOTES   what counts is put into the maps, in RAM
 *   OPEN_EPOCH   (open.c) the next epoch claims the notes before it is written: they count until a round has them
 *   OPEN_SETTLE  that round
 *   OPEN_NOTING  the memory is made new
 *
 * Nothing in that memory is believed: a note that does not fit what the journal says is left out. At worst a write that was answered and not flushed is not there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pool/load.h"
#include "pool/notes_pile.h"

#define TRIES  500u /* 5 s */
#define TRY_NS (10 * NSEC_PER_MSEC)

/* The notes of a generation, unless the journal has all that they say. Else they count until OPEN_NOTING, wherever the journal gets to meanwhile: LSNs behind its end are given out anew. */
static int take_generation(struct pool_opening *o, struct note_head *head, unsigned g,
			   struct notes_pile *pile)
{
	int rc = notes_pile_add(pile, head, g, o->scan.commit.lsn, &o->pool->rules);

	if (!rc)
		atomic_store(&head->generation[g].cover, NOTE_UNCOVERED);
	return rc < 0 ? rc : 0;
}

/* A cluster that has another owner was given out again, which a note that counts cannot say (notes.h, 3): it is no note of ours. */
bool load_note_fits(const struct pool *pool, const struct note *note)
{
	const struct pool_layer *layer = pool_layer_find(pool, note->layer);
	uint64_t phys = map_phys(note->entry);

	if (!layer || layer->disk.flags & LAYER_READ_ONLY ||
	    note->cluster >= map_clusters(layer->map))
		return false;
	return !phys || phys == map_phys(map_get(layer->map, note->cluster, NULL)) ||
	       !bitmap_test(&pool->space.used, phys);
}

static int apply(struct pool_opening *o, const struct note *note)
{
	struct pool *pool = o->pool;
	struct pool_layer *layer = pool_layer_find(pool, note->layer);
	uint64_t phys = map_phys(note->entry), had;
	struct block_mask mask = note->mask;

	if (!load_note_fits(pool, note))
		return 0;
	had = map_phys(map_get(layer->map, note->cluster, NULL));
	if (map_put(layer->map, note->cluster, note->entry, &mask))
		return err_set(&o->err, -ENOMEM, "no memory for the map of layer %" PRIu64,
			       layer->disk.id);
	if (phys && phys != had)
		(void)space_own(pool, phys);
	if (had && phys != had)
		pool_free_cluster(pool, had);
	map_touch(layer->map, note->cluster);
	o->noted++;
	return 0;
}

static int apply_all(struct pool_opening *o, struct notes_pile *pile)
{
	int rc = 0;

	notes_pile_newest(pile);
	for (size_t i = 0; i < pile->n && !rc; i++)
		rc = apply(o, pile->note[i]);
	return rc;
}

static struct note_identity identity(const struct pool_opening *o, const struct superblock *sb)
{
	return (struct note_identity){o->pool->memory.boot, sb->pool, sb->writer, sb->epoch};
}

static void try_again(struct timer *timer)
{
	open_soon(container_of(timer, struct pool_opening, timer));
}

/*
 * The process before us may have the file while it ends, although the device is free already: that is waited for, since its notes are ours. LOAD_NEXT: there is memory, or there
 * is none.
 */
static int get_memory(struct pool_opening *o)
{
	struct pool *pool = o->pool;

	if (!pool->memory.get || o->read_only)
		return LOAD_NEXT;
	if (notes_get(pool, o->notes_tries == TRIES) != -EBUSY || o->notes_tries == TRIES)
		return LOAD_NEXT;
	o->notes_tries++;
	o->timer.run = try_again;
	return timer_start(pool->home, &o->timer, reactor_now(pool->home) + TRY_NS) ? LOAD_AGAIN
										    : LOAD_STAY;
}

int load_notes(struct pool_opening *o)
{
	struct pool *pool = o->pool;
	struct note_identity id = identity(o, &pool->super.now);
	struct notes_pile pile = {0};
	struct note_head *head;
	int rc;

	rc = get_memory(o);
	if (rc != LOAD_NEXT || !pool->notes.memory)
		return rc;
	head = pool->notes.memory;
	o->notes_count = note_head_counts(head, pool->notes.size, &id);
	if (!o->notes_count)
		return LOAD_NEXT;
	for (unsigned g = 0; g < 2 && rc == LOAD_NEXT; g++)
		rc = take_generation(o, head, g, &pile);
	if (rc)
		(void)err_set(&o->err, rc, "no memory to open a pool");
	else
		rc = apply_all(o, &pile);
	notes_pile_fini(&pile);
	return rc ? rc : LOAD_NEXT;
}

void load_notes_claim(struct pool_opening *o, const struct superblock *next)
{
	struct note_identity now = identity(o, &o->pool->super.now), then = identity(o, next);

	if (o->notes_count)
		note_head_claim(o->pool->notes.memory, &now, &then);
}

static void settled(struct pool_commit *commit, int res)
{
	struct pool_opening *o = container_of(commit, struct pool_opening, commit);

	o->unsettled =
		res != 0; /* the pool has failed and says so; the notes stay for the next opening */
	open_batch_done(&o->batch, 0);
}

int load_settle(struct pool_opening *o)
{
	if (!o->noted)
		return LOAD_NEXT;
	log_info("pool.notes", "pool=%s clusters=%zu effect=\"answered before the engine ended\"",
		 o->pool->super.now.name, o->noted);
	o->commit.done = settled;
	pool_commit(o->pool, &o->commit);
	return LOAD_WAIT;
}

int load_noting(struct pool_opening *o)
{
	if (o->pool->notes.memory && !o->unsettled)
		notes_start(o->pool);
	return LOAD_NEXT;
}
