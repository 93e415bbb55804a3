/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool may hold after a cut. Beside the real pool, it knows for each sector of a few hot windows of every volume and snapshot the values that may be read.
 *
 * A value is the number of a write (0: never written), which the sector itself names together with volume and address. A cell's history runs from the floor (the newest value
 * that an acknowledged flush or FUA covers, or what a cut has left) over all values begun since: any of them may be there after a cut, nothing else. Two writes of a cell are never
 * under way at once. A snapshot's cells have the values that its volume may have had between call and answer; after the answer it is looked at once, and has exactly that for ever.
 *
 * One change of objects is under way at a time (struct pending): after a cut it counts whole or not at all.
 */
#ifndef LITEPOOL_TESTS_CRASH_MODEL_H
#define LITEPOOL_TESTS_CRASH_MODEL_H

#include "crash/disk.h"
#include "pool/priv.h"

#define WINDOWS     5u
#define WIN_SECTORS 128u
#define CELLS       (WINDOWS * WIN_SECTORS)
#define CELL_VALUES 7u
#define OBJECTS_MAX 24u
#define GROUP_MAX   3u

struct cell {
	uint8_t n, acked; /* values; index of the newest that was answered */
	bool busy;        /* a write is under way */
	bool asked;       /* a flush is under way that covers asked_value */
	uint32_t value[CELL_VALUES];
};

struct value { /* a write */
	uint32_t uid;
	bool zero;
	uint64_t begun, acked; /* moments; acked UINT64_MAX: not (yet) */
};

struct attrs {
	char name[24];
	uint64_t size, revision;
	bool thick;
	uint32_t of; /* of a snapshot: uid of the volume whose it is */
};

enum object_state { OBJECT_NONE, OBJECT_LIVE, OBJECT_COMING, OBJECT_GOING };

struct object {
	enum object_state state;
	uint32_t uid;
	struct uuid uuid;
	struct attrs now;
	bool snapshot;
	uint32_t parent;     /* uid of the snapshot that it was made of or stands on; 0 */
	uint32_t block_size; /* of its device */
	struct cell *cell;   /* CELLS */

	/* The real one, while the pool is open. */
	struct blk_dev *dev;
	unsigned inflight;
	bool quiet; /* no new I/O: an operation needs it without a device */
};

enum change {
	CHANGE_NONE,
	CHANGE_CREATE,
	CHANGE_DELETE,
	CHANGE_SNAPSHOT,
	CHANGE_CLONE,
	CHANGE_RENAME,
	CHANGE_EDIT,
	CHANGE_GROW,
	CHANGE_SHRINK,
	CHANGE_REVERT,
	CHANGE_INFLATE,
	CHANGE_DECOUPLE,
	CHANGE_PROMOTE,
	CHANGE_OPTIONS,
	CHANGE_GROW_POOL,
	CHANGES,
};
extern const char *const change_name[CHANGES];

struct pending {
	enum change change;
	struct object *object, *source; /* what is changed or made; clone, revert: the snapshot */
	struct object *snap[GROUP_MAX], *of[GROUP_MAX];
	unsigned n;
	struct object *taken[OBJECTS_MAX]; /* promote: snapshots that become object's */
	unsigned n_taken;
	struct attrs then; /* of object, if it counts */
	uint32_t percent;  /* of the pool, if it counts */
	uint64_t called;   /* moment */
};

struct model {
	struct object object[OBJECTS_MAX];
	struct pending pending;
	struct value *value;
	uint32_t n_values, capacity;
	uint64_t moment;
	uint32_t next_uid, percent, next_name;
	uint64_t max_size;
};

void model_init(struct model *m);
void model_fini(struct model *m);
struct object *model_new(struct model *m, enum object_state state); /* NULL: enough */
void model_drop(struct object *o);
struct object *model_by_uid(struct model *m, uint32_t uid);
struct object *model_by_uuid(struct model *m, const struct uuid *uuid);
uint64_t model_moment(struct model *m);

/* ---- Cells ---- */

/* The volume's 4 KiB block and sector of a cell, and back: CELLS: none. */
uint64_t cell_sector(unsigned cell);
/* First cell at or behind that sector, CELLS: none. */
unsigned cell_from(uint64_t sector);
void cells_zero(struct object *o, uint64_t from_bytes);        /* behind there it reads as zeros */
void cells_copy(struct object *to, const struct object *from); /* what was settled */

/* Of sectors first .. end - 1. False: some cell is busy or full. */
bool model_may_write(const struct model *m, const struct object *o, uint64_t first, uint64_t end);
uint32_t model_write_begin(struct model *m, struct object *o, uint64_t first, uint64_t end,
			   bool zero);
void model_write_end(struct model *m, struct object *o, uint64_t first, uint64_t end,
		     uint32_t value, bool good, bool durable);
/* Flush: what it will cover; uint8_t per cell. */
void model_flush_begin(const struct object *o, uint32_t *ret_covered);
void model_flush_end(struct object *o, const uint32_t *covered);
void model_fill(const struct object *o, uint64_t first, uint64_t end, uint32_t value,
		uint8_t *data);
/* Data read from first on, begun at a time when the cells' acked values were as in since (model_flush_begin). NULL: right; else what is wrong. */
const char *model_check_read(const struct model *m, const struct object *o, uint64_t first,
			     uint64_t end, const uint8_t *data, const uint32_t *since);

/* ---- What a pool has ---- */

typedef const uint8_t *(*page_fn)(const struct crash_disk *d, uint64_t place);

struct seen { /* what was found in a pool */
	const struct pool *pool;
	const struct crash_disk *disk;
	page_fn page;
	int counts;    /* the pending change: -1 not known yet, 0, 1 */
	bool settle;   /* the model learns what it is now */
	bool answered; /* what was answered must be there, flushed or not */
	uint64_t hash;
	uint64_t misfit; /* place of one that does not match; 0: none */
	uint64_t summed; /* blocks that were held against their sums */
	char text[256];  /* what is wrong */
};
/* Compares. 0, or -1 with text. */
int model_check(struct model *m, struct seen *s);
/* sums.c: whether the block's sum, if the pool knows one, is that of the page (NULL: zeros). */
bool sums_fit(struct seen *seen, uint64_t place, const uint8_t *page);
/* A snapshot that was just answered: looks at what it has and settles it. */
int model_settle_snapshots(struct model *m, struct seen *s);
/* What o is when the pending change counts; false: nothing else than now. */
bool model_then(const struct model *m, const struct object *o, struct attrs *ret);
/* The change has been answered. */
void model_changed(struct model *m, bool counts);

#endif
