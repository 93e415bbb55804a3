/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to a volume, from volume_submit() to blk_complete(). It lives on the reactor that submitted it.
 * Most never get here: what lies in one place of the device is passed on as it is (forward.c).
 *
 *   ENTER -> READ -----------------------------------------------------------------> FINISH
 *         -> WRITE (in place) -> CLAIM -> CLAIMED -> [BOUNCE -> FILLED] -> DATA --^
 *         -> CLEAR (discard, zeroes) -> CLEARED; what it cannot clear goes by WRITE with zeros
 *         -> FLUSH                                        FINISH -> [FREE] -> [COMMIT] -> end
 *
 * What it holds while it waits:
 *  - for the disk, memory for the map (pool_want without space), the answer to pool_free_clusters(): it stays in the gate. All of these come
 *    without a turn of the gate.
 *  - for space, a claim, a commit, the end of a cut (a part of a block that is filled up from below a fresh cut): nothing, not even the gate. A merge holds claims over a turn;
 *    space may come from clusters that a turn sets free; a commit may wait for the cut; so a turn must not
 *    wait for those. It enters again afterwards and looks at everything anew, under the view of then.
 *  - a bounce buffer is asked for last and held only while the disk works.
 */
#ifndef LITEPOOL_VOLUME_IO_H
#define LITEPOOL_VOLUME_IO_H

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "volume/priv.h"

#define VIO_CHILDREN 4u         /* transfers under way for one request */
#define VIO_BOUNCE   (16 * KIB) /* bytes of a bounce buffer */
#define VIO_ZEROS    (1 * MIB)  /* bytes of vio_zeros */
#define VIO_JOINED                                                                                 \
	((size_t)1 << 20) /* largest read that is put together for a caller without a buffer */

enum vio_state {
	VIO_ENTER, /* into the gate, or in line behind a cut */
	VIO_READ,
	VIO_READ_COPY, /* a bounce buffer was read */
	VIO_WRITE,
	VIO_WRITE_COPIED, /* a bounce buffer was written, in place */
	VIO_CLAIM,
	VIO_CLAIMED,
	VIO_BOUNCE_NEEDED, /* claimed; data goes through a bounce buffer */
	VIO_FILLED,        /* what was in the block before is in the bounce buffer */
	VIO_DATA,          /* data is on the device, not valid yet */
	VIO_WANTED,        /* answer of pool_want() */
	VIO_CLEAR,
	VIO_CLEARED, /* the claim for clearing is held */
	VIO_FREE,
	VIO_FREED,
	VIO_FLUSH,
	VIO_FLUSHED,
	VIO_COMMIT,
	VIO_FINISH,
	VIO_LENT,  /* completed; the caller may look at our memory until its pass has ended */
	VIO_WAITS, /* not a state: an event will call vio_run() */
};

struct volume_io;

struct vio_child {
	struct blk_io io;
	struct volume_io *vio;
	bool busy;
};

struct volume_io {
	struct list link; /* lane->idle, port->waiting, lane->want_bounce, lane->want_joined */
	struct volume_lane *lane;
	struct volume *v;
	struct volume_port *port;
	const struct volume_view *view; /* while inside */
	struct blk_io *parent;
	enum vio_state state, work; /* work: where ENTER leads */
	unsigned phase, pending;
	int res;
	bool inside, zeroing, commit, partial;
	bool refused; /* space was; somebody else may have got the cluster for both meanwhile */
	uint64_t start, end; /* of the request, bytes */
	uint64_t at, wend;   /* next byte; where the writing under way ends */
	uint8_t *buf;        /* of start; NULL while zeroing, and for a read that may be lent */
	uint32_t piece;      /* bytes under way in a state with one transfer */
	uint8_t *bounce;
	struct map_claim claim;
	struct vio_child child[VIO_CHILDREN];
	struct task task;
	struct msg msg;
	union {
		struct pool_want want;
		struct pool_commit pool_commit;
	};
	struct pool_free freed; /* n: collected so far */
};

#define LANE_IOS    256u
#define LANE_BOUNCE 8u
#define LANE_JOINED 2u
struct volume_lane { /* one per reactor and pool */
	struct pool_slot *slot;
	unsigned index; /* of the slot */
	struct pool *pool;
	struct blk_dev *base;
	struct list idle;    /* struct volume_io */
	struct list parents; /* struct blk_io (task.link) that wait for one */
	struct list want_bounce, want_joined;
	unsigned n_bounce, n_joined; /* free ones */
	uint8_t *bounce[LANE_BOUNCE], *joined[LANE_JOINED];
	uint8_t *memory; /* of the bounce buffers */
	struct volume_io io[LANE_IOS];
};

extern uint8_t vio_zeros[VIO_ZEROS]; /* never written */

void vio_run(struct volume_io *vio);
/* For a handler that has set an event going: the state to go on with. */
static inline enum vio_state vio_wait(struct volume_io *vio, enum vio_state then)
{
	vio->state = then;
	return VIO_WAITS;
}
static inline enum vio_state vio_fail(struct volume_io *vio, int res)
{
	if (!vio->res)
		vio->res = res;
	return VIO_FINISH;
}
void vio_leave(struct volume_io *vio);
bool vio_bounce_get(struct volume_io *vio); /* false: vio_run() when there is one */
void vio_bounce_put(struct volume_io *vio);
bool vio_joined_get(struct volume_io *vio); /* into vio->buf */
/* One transfer to or from the device; there is a free child. */
void vio_child_start(struct volume_io *vio, enum blk_op op, unsigned flags, uint64_t offset,
		     uint64_t length, void *buf);
/* Asks for memory of the map for a cluster (stays in the gate), or for space (leaves it); then VIO_WANTED. */
enum vio_state vio_want_memory(struct volume_io *vio, uint32_t cluster);
enum vio_state vio_want_space(struct volume_io *vio);
/* Outside of the gate: all map changes are durable, and a cut under way has ended; then goes on with that state, or FINISH after an error. */
enum vio_state vio_wait_for_commit(struct volume_io *vio, enum vio_state then);
/* What the head shows is durable but for the device's cache. */
bool vio_clean(const struct volume_io *vio);
/* What the head shows may be answered without a round, but for FUA. */
static inline bool vio_settled(const struct volume_io *vio)
{
	return map_settled(vio->view->chain[0]);
}
/* Fills the claim for blocks of the head; granted: VIO_RUN with the state that was set. */
enum map_claim_result vio_claim(struct volume_io *vio, uint64_t block, unsigned count, bool whole,
				bool no_mask);

static inline uint64_t vio_block(const struct volume_io *vio)
{
	return vio->at / LAYOUT_PAGE;
}
static inline bool vio_fua(const struct volume_io *vio)
{
	return vio->parent->flags & BLK_FUA;
}
/* Where the data of at is, or goes. */
static inline uint8_t *vio_data(const struct volume_io *vio)
{
	return vio->zeroing ? vio_zeros : vio->buf + (vio->at - vio->start);
}
/* Devices want their memory aligned. */
static inline bool vio_data_aligned(const struct volume_io *vio)
{
	return vio->zeroing || (vio->at - vio->start) % LAYOUT_PAGE == 0;
}

/* ---- forward.c ---- */

/* Passes the request on to the device if it is a plain one. False: nothing was done. */
bool vio_forward(struct volume *v, struct volume_lane *lane, struct blk_io *io);

/* What a volume has from byte at on, until end at most. */
struct vio_piece {
	bool zero;
	uint64_t length; /* bytes */
	uint64_t offset; /* on the device, unless zero */
};
/* Through the chain from depth first on; run->found is HERE or ZERO. */
void chain_run(const struct volume_view *view, unsigned first, uint64_t block, uint32_t max,
	       struct map_run *run);

enum vio_state vio_read(struct volume_io *vio);
enum vio_state vio_read_copy(struct volume_io *vio);
enum vio_state vio_write(struct volume_io *vio);
enum vio_state vio_write_copied(struct volume_io *vio);
enum vio_state vio_write_claim(struct volume_io *vio);
enum vio_state vio_write_claimed(struct volume_io *vio);
enum vio_state vio_write_bounce(struct volume_io *vio);
enum vio_state vio_write_filled(struct volume_io *vio);
enum vio_state vio_write_data(struct volume_io *vio);
enum vio_state vio_clear(struct volume_io *vio);
enum vio_state vio_cleared(struct volume_io *vio);
enum vio_state vio_free_clusters(struct volume_io *vio);
enum vio_state vio_freed(struct volume_io *vio);
enum vio_state vio_flush(struct volume_io *vio);
enum vio_state vio_flushed(struct volume_io *vio);
enum vio_state vio_commit(struct volume_io *vio);

#endif
