/* SPDX-License-Identifier: Apache-2.0 */
/* Which notes of a memory count (FORMAT.md §8, opening), for who opens a pool and who checks one. Pure; any thread. */
#ifndef LITEPOOL_POOL_NOTES_PILE_H
#define LITEPOOL_POOL_NOTES_PILE_H

#include "layout/note.h"

struct notes_pile {               /* zeroed: empty */
	const struct note **note; /* in the memory */
	size_t n, capacity;
	size_t gaps; /* notes that are not whole in front of one of their region that is: damage */
};
/* The good notes of a generation. lsn: the first behind the journal's end; what it has all of is left out. Head and memory were found whole. 0, 1: left out, -ENOMEM. */
int notes_pile_add(struct notes_pile *pile, const struct note_head *head, unsigned generation,
		   uint64_t lsn, const struct layout_rules *rules);
/* Of each cluster only the newest stays; by layer and cluster. */
void notes_pile_newest(struct notes_pile *pile);
void notes_pile_fini(struct notes_pile *pile);

#endif
