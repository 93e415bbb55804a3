/* SPDX-License-Identifier: Apache-2.0 */
/* The fault disk's own types, shared by fault.c (the I/O) and fault_rules.c (the rules). */
#ifndef LITEPOOL_DISK_FAULT_H
#define LITEPOOL_DISK_FAULT_H

#include "base/bytes.h"
#include "base/rng.h"
#include "disk/disk.h"

struct fault_rule { /* counted: each array that holds it has a reference; control thread makes and
		       frees */
	struct disk_fault_rule spec;
	uint32_t id;
	unsigned refs;
	_Atomic uint64_t matched, acted; /* any reactor */
};

struct fault_rules { /* immutable once published */
	struct fault_rules *next_retired;
	unsigned n;
	struct fault_rule *rule[];
};

struct fault_slot { /* one per reactor; its own but for what is atomic */
	struct disk_fault *disk;
	struct reactor *_Atomic home;             /* set at first use */
	const struct fault_rules *_Atomic hazard; /* the array that is being read */
	_Atomic bool kicked;                      /* kick is posted and has not run */
	struct msg kick;
	bool ready;
	struct rng rng;
	struct list held; /* I/O of DELAY and HANG */
	struct list idle; /* struct fault_io for reuse */
};

struct disk_fault {
	struct blk_dev dev;
	struct blk_dev *base;
	uint64_t seed;
	_Atomic unsigned refs; /* 1 until destroy, and one for each kick under way */
	_Atomic bool dying;
	struct fault_rules *_Atomic rules;
	struct fault_rules *retired; /* control thread: replaced, perhaps still read */
	uint32_t last_id;
	struct fault_slot slot[REACTORS_MAX];
};

extern const struct blk_ops disk_fault_ops;

/* Posts a look at the held I/O to every reactor that ever used the device. Control thread. */
void fault_kick_all(struct disk_fault *disk);

/* An array without rules, or NULL without memory. */
struct fault_rules *fault_rules_none(void);
/* The current array, safe to read until fault_rules_leave(). The slot's reactor; does not nest. */
const struct fault_rules *fault_rules_enter(struct disk_fault *disk, struct fault_slot *slot);
void fault_rules_leave(struct fault_slot *slot);
/* The rule that acts on io now, counted, or NULL. */
const struct fault_rule *fault_rules_match(const struct fault_rules *rules, const struct blk_io *io,
					   struct rng *rng);
const struct fault_rule *fault_rules_find(const struct fault_rules *rules, uint32_t id);
/* Nobody reads any more. */
void fault_rules_free_all(struct disk_fault *disk);

#endif
