/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of sums, for sums*.c alone (and for the tests of power cuts). */
#ifndef LITEPOOL_POOL_SUMS_PRIV_H
#define LITEPOOL_POOL_SUMS_PRIV_H

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/spin.h"
#include "layout/sums.h"
#include "pool/batch.h"
#include "pool/priv.h"
#include "pool/sums.h"

#define SUMS_CACHED_MIN 4096u /* clusters in RAM, 1.3 KiB each; at most as many as there are */
#define SUMS_CACHED_MAX 8192u
#define SUMS_LOADS      16u        /* reads of the table under way */
#define SUMS_IOS        64u        /* requests of a reactor under way */
#define SUMS_BOUNCE     (16 * KIB) /* bytes that are joined with what is around them */
#define SUMS_CLOSES     64u        /* of a round at most, so that others get into it too */
#define SUMS_TABLE      64u        /* blocks of the table that are written together */
#define SUMS_TABLE_MAX  (SUMS_TABLE * SUMS_PER_PAGE)
#define SUMS_TICK_NS    (1 * NSEC_PER_SEC)
#define SUMS_IDLE_NS    (2 * NSEC_PER_SEC) /* not written for that long: is closed */
#define SUMS_IDLE_MAX   256u               /* of those at each tick */

/*
 *   FREE -> LOADING -> CLOSED -> OPENING -> OPEN -> CLOSING -> CLOSED ...
 *                                            ^ \-- a write failed --v
 *                            mount, open --> READING <---------- UNKNOWN
 */
enum sums_state {
	SUMS_FREE,
	SUMS_LOADING, /* out of the table */
	SUMS_CLOSED,
	SUMS_OPENING, /* its SUMS_OPEN is wanted, or in the round */
	SUMS_OPEN,
	SUMS_CLOSING, /* no more writes; its SUMS_SET is wanted, or in the round */
	SUMS_UNKNOWN, /* open, and the blocks in unsure are to be summed anew */
	SUMS_READING, /* for that */
};

/* All under the lock of struct sums. */
struct sums_cluster {
	struct list hash;
	struct list queue; /* of its state; in none while nothing is to be done with it */
	struct list dirty_link;
	struct list announced; /* s->announced */
	struct list waiters;   /* struct sums_io */
	uint64_t phys;
	enum sums_state state;
	bool again; /* is to be summed anew when nobody has locked it */
	bool fresh; /* was loaded or opened for somebody who has not come yet: stays so until then */
	bool in_round; /* its record is */
	bool dirty;    /* closed durably, and the table is behind; in s->dirty */
	bool writing;  /* the table is being written with what it has */
	unsigned locks;
	uint64_t written_ns;        /* the last write began */
	uint64_t open_at, dirty_at; /* checkpoint before whose tail its last record is not */
	struct block_mask busy;     /* locked blocks */
	struct block_mask
		unsure; /* RAM has no sum of them. OPEN: because they cannot be read: is not closed before they are overwritten */
	uint32_t sum[LAYOUT_CLUSTER_BLOCKS];
};

struct sums_lane;
struct sums_io {          /* a request, piece by piece; on its reactor */
	struct list link; /* lane->idle, cluster->waiters, s->starved */
	struct sums_lane *lane;
	struct blk_io *parent; /* NULL: a sums_check */
	struct sums_check *check;
	enum { SIO_READ, SIO_FILL, SIO_WRITE, SIO_FLUSH } step;
	bool write, locking, bounced;
	int res; /* why it was woken */
	uint64_t start, at, end;
	uint8_t *buf; /* of start */
	/* The piece. */
	uint64_t phys;
	unsigned first, count;    /* blocks of the cluster */
	uint32_t bytes;           /* of the caller's, from at on */
	struct block_mask unsure; /* of the cluster: these are not compared */
	struct sums_cluster *locked;
	uint32_t sum[LAYOUT_CLUSTER_BLOCKS];
	uint8_t *bounce;
	struct blk_io io;
	struct msg msg;
};
struct sums_lane { /* of a reactor */
	struct sums *sums;
	struct reactor *reactor;
	struct list idle;    /* struct sums_io */
	struct list parents; /* struct blk_io (task.link) that wait for one */
	uint8_t *memory;     /* of the bounce buffers */
	struct sums_io io[SUMS_IOS];
};

struct sums_load {
	struct blk_io io;
	struct sums *sums;
	struct sums_cluster *cluster; /* NULL: idle */
	uint8_t *buf;
};

struct sums_chunk {
	struct sums_chunk *next;
	size_t n;
	struct sums_cluster cluster[];
};

struct sums_table { /* sums_table.c; the pool's thread */
	enum { TABLE_IDLE, TABLE_READ, TABLE_WRITE, TABLE_FLUSH, TABLE_BACK } step;
	struct batch batch;
	struct batch_xfer xfer[SUMS_TABLE];
	unsigned n, n_items;
	struct sums_cluster *item[SUMS_TABLE_MAX];
	uint8_t (*page)[LAYOUT_PAGE], (*back)[LAYOUT_PAGE];
};

struct sums {
	struct blk_dev dev; /* what volumes have */
	struct pool *pool;
	struct spin lock;
	struct list *bucket;
	size_t buckets; /* a power of two */
	struct sums_chunk *chunks;
	struct list free;    /* SUMS_FREE */
	struct list idle;    /* closed and not dirty: to be forgotten, the longest not used first */
	struct list loading; /* waits for one of load[] */
	struct list opening, closing, in_round;
	struct list open;    /* the longest not written first */
	struct list unknown; /* those that somebody waits for first */
	struct list dirty;   /* by dirty_at */
	struct list announced;
	struct list starved; /* struct sums_io without a cluster */
	unsigned n_open;     /* OPEN, CLOSING, UNKNOWN, READING */
	unsigned n_dirty, open_max, dirty_max;
	bool kicked;

	/* The pool's thread's own. */
	struct msg kick;
	struct sums_lane *lane[REACTORS_MAX + 1];
	struct sums_load load[SUMS_LOADS];
	struct { /* summing anew */
		struct sums_cluster *cluster;
		unsigned block; /* one by one, when the whole cannot be read */
		bool single;
		uint8_t *buf;
		struct batch batch;
		struct batch_xfer xfer;
	} again;
	struct sums_table table;
	struct timer timer;
	uint64_t checkpoint;       /* number of the last that has begun */
	uint64_t round_checkpoint; /* likewise, when the round was collected */
	bool announcing; /* some that are open may have their record in front of the tail to be */
	bool blocked;    /* no room in the ring: the checkpoint kicks */
	bool started, closes, closed_wanted, stopped;
	bool eager; /* clusters are summed anew without being asked for */
	void (*closed)(struct pool *pool);
	struct msg closed_msg;
	uint64_t homes;
	struct sums_io check_io;

	/* Under the lock. */
	counter opened, closes_done, loads, summed_again, wrong, table_pages;
};

static inline bool mask_any(const struct block_mask *mask)
{
	return (mask->word[0] | mask->word[1] | mask->word[2] | mask->word[3]) != 0;
}

/* Written at will, as far as the journal knows. With the lock. */
static inline bool sums_is_open(const struct sums_cluster *c)
{
	return c->state == SUMS_OPEN || c->state == SUMS_CLOSING || c->state == SUMS_UNKNOWN ||
	       c->state == SUMS_READING;
}

/* ---- sums.c ---- */
/* With the lock. NULL: RAM has nothing of that cluster. */
struct sums_cluster *sums_find(struct sums *s, uint64_t phys);
enum sums_got { SUMS_GO, SUMS_WAITS, SUMS_REFUSED };
/* The piece of r may begin: r->sum has what is known of it, and if r locks, its blocks are locked. Waits: r's message will come. Refused: r->res. */
enum sums_got sums_admit(struct sums *s, struct sums_io *r);
/* The piece of r, which has locked, has ended; a write with r->sum as the new sums, or with an error. */
void sums_release(struct sums *s, struct sums_io *r, int res);
/* A block does not match: counted and told. */
void sums_wrong(struct sums *s, uint64_t place, const char *what);
/* With the lock: takes it out of its queue and gives it the state and that queue (NULL: none). */
void sums_move(struct sums_cluster *c, enum sums_state state, struct list *queue);
/* With the lock: who waits for c (or in list) is moved to woken, for sums_post() without it. */
void sums_wake(struct list *waiters, int res, struct list *woken);
void sums_post(struct list *woken);
/* With the lock: c is closed and in the table. */
void sums_put_idle(struct sums *s, struct sums_cluster *c, struct list *woken);
void sums_forget(struct sums *s, struct sums_cluster *c); /* likewise: FREE */
/* The pool's thread: in a pool that takes no writes what is open stays in RAM: makes room beside it for those who read. */
void sums_relieve(struct sums *s);
/* The pool's thread has something to do. With the lock; returns whether to post s->kick after it. */
bool sums_want_kick(struct sums *s);
void sums_post_kick(struct sums *s);
/* ---- sums_log.c ---- */
void sums_work(struct sums *s); /* the pool's thread: whatever can be begun is */
/* ---- sums_load.c ---- */
int sums_load_init(struct sums *s);
void sums_load_fini(struct sums *s);
void sums_load_work(struct sums *s);
bool sums_load_busy(const struct sums *s);
/* ---- sums_table.c ---- */
int sums_table_init(struct sums *s);
void sums_table_fini(struct sums *s);
void sums_table_work(struct sums *s);
/* ---- sums_io.c ---- */
int sums_dev_init(struct sums *s);
void sums_dev_fini(struct sums *s);

#endif
