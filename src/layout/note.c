/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/note.h"

#include <string.h>

#include "base/crc32c.h"

static uint32_t note_crc(const struct note *note, uint64_t number)
{
	struct note copy = *note;

	copy.crc = 0;
	return crc32c_extend(crc32c(&number, sizeof(number)), &copy, sizeof(copy));
}

void note_seal(struct note *note, uint64_t number)
{
	note->crc = note_crc(note, number);
}

bool note_good(const struct note *note, uint64_t number, const struct layout_rules *rules)
{
	static const struct block_mask none;

	return note->layer && note->seq && note->crc == note_crc(note, number) &&
	       map_entry_valid(note->entry, rules) &&
	       (note->entry & MAP_PARTIAL || !memcmp(&note->mask, &none, sizeof(none)));
}

static uint32_t owner_crc(const struct note_owner *owner)
{
	return crc32c(owner, offsetof(struct note_owner, crc));
}

static void owner_set(struct note_owner *owner, const struct note_identity *id)
{
	owner->writer = id->writer;
	owner->epoch = id->epoch;
	owner->zero = 0;
	owner->crc = owner_crc(owner);
}

static bool owner_is(const struct note_owner *owner, const struct note_identity *id)
{
	return owner->crc == owner_crc(owner) && owner->epoch == id->epoch &&
	       uuid_equal(&owner->writer, &id->writer);
}

static uint32_t head_crc(const struct note_head *head)
{
	uint8_t copy[offsetof(struct note_head, claim)];

	memcpy(copy, head, sizeof(copy));
	memset(copy + offsetof(struct note_head, crc), 0, sizeof(head->crc));
	return crc32c(copy, sizeof(copy));
}

void note_head_end(struct note_head *head)
{
	head->magic = 0;
	atomic_signal_fence(memory_order_seq_cst); /* a process may end between any two stores */
}

/* The crc is the last thing that becomes right. */
void note_head_init(struct note_head *head, const struct note_identity *id, uint32_t regions,
		    uint32_t records)
{
	note_head_end(head);
	memset(head, 0, note_bytes(regions, records));
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&head->generation[i].number, i);
		atomic_store(&head->generation[i].cover, i ? NOTE_UNCOVERED : 0);
	}
	head->boot = id->boot;
	head->pool = id->pool;
	owner_set(&head->owner, id);
	head->regions = regions;
	head->records = records;
	head->magic = NOTE_MAGIC;
	atomic_signal_fence(memory_order_seq_cst);
	head->crc = head_crc(head);
}

bool note_head_whole(const struct note_head *head, size_t size)
{
	return size >= NOTE_HEAD && head->magic == NOTE_MAGIC && head->crc == head_crc(head) &&
	       head->regions <= NOTE_REGIONS_MAX && head->records <= NOTE_RECORDS_MAX &&
	       note_bytes(head->regions, head->records) <= size;
}

bool note_head_counts(const struct note_head *head, size_t size, const struct note_identity *id)
{
	return note_head_whole(head, size) && uuid_equal(&head->boot, &id->boot) &&
	       uuid_equal(&head->pool, &id->pool) &&
	       (owner_is(&head->owner, id) || owner_is(&head->claim[0], id) ||
		owner_is(&head->claim[1], id));
}

/* Into the claim that is not now's, so that a claim that is written half harms nothing: the superblock is still now's then. */
void note_head_claim(struct note_head *head, const struct note_identity *now,
		     const struct note_identity *next)
{
	owner_set(&head->claim[owner_is(&head->claim[0], now)], next);
}
