/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes (FORMAT.md §8), by the rules of the opening (load_notes.c) and without changing them: what the next opening will put, what it will leave out, and what is damaged in a memory that
 * nothing but a process of ours should have changed.
 *
 * Not found: damage of the last note of a region, which looks like one that was not finished, and a cover that has become lower.
 */
#include <errno.h>
#include <inttypes.h>

#include "pool/check_priv.h"
#include "pool/notes_pile.h"

static void tell_wrong(struct check *c, const char *what)
{
	check_tell(c, CHECK_WRONG, "notes", CHECK_NO_PLACE, NULL, NULL,
		   "%s: writes that were answered and not flushed before the engine ended may be "
		   "missing",
		   what);
}

/* The head is no head of this opening. Zeros, a magic that was cleared and a crc that is not yet there are what ending and making it new leave. */
static void judge_head(struct check *c, const struct note_head *head, size_t size)
{
	if (size < NOTE_HEAD || head->magic != NOTE_MAGIC || !head->crc)
		return;
	if (!note_head_whole(head, size))
		tell_wrong(c, "the head of the notes has a wrong checksum");
	else
		check_tell(c, CHECK_NOTE, "notes", CHECK_NO_PLACE, NULL, NULL,
			   "the notes that are there are of another opening of the pool or another "
			   "start of the machine, and do not count");
}

/* The parity of a number is the generation's index, and they follow each other. */
static bool generations_fit(const struct note_head *head)
{
	uint64_t a = atomic_load(&head->generation[0].number),
		 b = atomic_load(&head->generation[1].number);

	return a % 2 == 0 && b % 2 == 1 && (a + 1 == b || b + 1 == a);
}

static void judge_pile(struct check *c, struct notes_pile *pile)
{
	size_t odd = 0;

	notes_pile_newest(pile);
	c->result->numbers.notes = pile->n;
	for (size_t i = 0; i < pile->n; i++)
		odd += !load_note_fits(c->pool, pile->note[i]);
	if (pile->gaps)
		tell_wrong(c, "notes in front of good ones are not whole");
	if (pile->n)
		check_tell(c, CHECK_NOTE, "notes", CHECK_NO_PLACE, NULL, NULL,
			   "%zu clusters were changed by writes that were answered and not "
			   "flushed: the notes have them, and the next opening of the pool on this "
			   "machine puts them into it",
			   pile->n);
	if (odd && !check_any_damage(c)) {
		c->result->numbers.notes -= odd;
		tell_wrong(c, "notes say what cannot be true of this pool, and are left out");
	}
}

static void judge_notes(struct check *c, const struct note_head *head, size_t size)
{
	const struct superblock *sb = &c->pool->super.now;
	struct note_identity id = {c->opts.memory->boot, sb->pool, sb->writer, sb->epoch};
	struct notes_pile pile = {0};

	if (!note_head_counts(head, size, &id)) {
		judge_head(c, head, size);
		return;
	}
	if (!generations_fit(head))
		tell_wrong(c, "the numbers of the generations of notes do not follow each other");
	for (unsigned g = 0; g < 2; g++)
		c->no_memory |=
			notes_pile_add(&pile, head, g, c->scan.commit.lsn, &c->pool->rules) < 0;
	judge_pile(c, &pile);
	notes_pile_fini(&pile);
}

void check_notes(struct check *c)
{
	const struct pool_memory *m = c->opts.memory;
	const struct uuid *uuid = &c->pool->super.now.pool;
	struct err why = {0};
	void *memory;
	size_t size;
	int rc;

	if (!m)
		return;
	rc = m->get(m->ctx, uuid, 0, &memory, &size, &why);
	if (!rc) {
		judge_notes(c, memory, size);
		m->put(m->ctx, uuid, memory, size, false);
	} else if (rc != -ENOENT) {
		check_tell(c, CHECK_NOTE, "notes", CHECK_NO_PLACE, NULL, NULL,
			   "the notes of writes that were answered were not looked at: %s",
			   why.text);
	}
}
