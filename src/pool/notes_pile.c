/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/notes_pile.h"

#include <errno.h>
#include <stdlib.h>

static int add(struct notes_pile *pile, const struct note *note)
{
	if (pile->n == pile->capacity) {
		size_t capacity = pile->capacity ? pile->capacity * 2 : 1024;
		const struct note **p = (const struct note **)reallocarray((void *)pile->note,
									   capacity, sizeof(*p));

		if (!p)
			return -ENOMEM;
		pile->note = p;
		pile->capacity = capacity;
	}
	pile->note[pile->n++] = note;
	return 0;
}

/* A region is filled from its beginning, so what is not whole stands behind all notes, or in the place of one. */
static int add_region(struct notes_pile *pile, const struct note_head *head, unsigned generation,
		      uint32_t region, const struct layout_rules *rules)
{
	uint64_t number = atomic_load(&head->generation[generation].number);
	uint32_t bad = 0;

	for (uint32_t i = 0; i < head->records; i++) {
		const struct note *note = note_at(head, region, generation, i);

		if (!note_good(note, number, rules)) {
			bad++;
			continue;
		}
		pile->gaps += bad;
		bad = 0;
		if (add(pile, note))
			return -ENOMEM;
	}
	return 0;
}

int notes_pile_add(struct notes_pile *pile, const struct note_head *head, unsigned generation,
		   uint64_t lsn, const struct layout_rules *rules)
{
	int rc = 0;

	if (atomic_load(&head->generation[generation].cover) <= lsn)
		return 1;
	for (uint32_t r = 0; r < head->regions && !rc; r++)
		rc = add_region(pile, head, generation, r, rules);
	return rc;
}

static int by_place(const void *pa, const void *pb)
{
	const struct note *a = *(const struct note *const *)pa,
			  *b = *(const struct note *const *)pb;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	if (a->cluster != b->cluster)
		return a->cluster < b->cluster ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

void notes_pile_newest(struct notes_pile *pile)
{
	size_t kept = 0;

	if (pile->n)
		qsort((void *)pile->note, pile->n, sizeof(*pile->note), by_place);
	for (size_t i = 0; i < pile->n; i++) {
		const struct note *note = pile->note[i],
				  *later = i + 1 < pile->n ? pile->note[i + 1] : NULL;

		if (!later || later->layer != note->layer || later->cluster != note->cluster)
			pile->note[kept++] = note;
	}
	pile->n = kept;
}

void notes_pile_fini(struct notes_pile *pile)
{
	free((void *)pile->note);
	*pile = (struct notes_pile){0};
}
