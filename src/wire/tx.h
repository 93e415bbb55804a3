/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending half of a connection, sans I/O: a queue of messages, each of a head, padding, data
 * and a tail, gathered into one vector for one sendmsg(). Heads and tails are copied side by side
 * into a staging area, so that a run of small messages is one entry; data is sent from where it
 * lies.
 *
 * Invariants: (1) a message is on at most one queue; (2) q->bytes is what is not sent yet; (3) only
 * the first message may be partly sent; (4) head, data and tail stay where they are until the
 * message is returned by wire_txq_advance() or removed.
 */
#ifndef LITEPOOL_WIRE_TX_H
#define LITEPOOL_WIRE_TX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "wire/pdu.h"

struct wire_tx {
	struct list link;
	const uint8_t *head, *data, *tail;
	uint32_t data_len;
	uint8_t head_len, pad_len, tail_len; /* 0: none; padding is zeroes between head and data */
};

struct wire_txq {
	struct list list;
	uint64_t bytes;      /* not sent yet */
	uint32_t front_sent; /* of the first message */
};

/* One vector under construction; lives for one sendmsg(). */
struct wire_gather {
	struct iovec *iov;
	int iov_max, n;
	uint8_t *staging;
	size_t staging_size, staging_used;
	size_t bytes;
};

void wire_txq_init(struct wire_txq *q);
static inline bool wire_txq_empty(const struct wire_txq *q)
{
	return list_empty(&q->list);
}
static inline size_t wire_tx_len(const struct wire_tx *tx)
{
	return (size_t)tx->head_len + tx->pad_len + tx->data_len + tx->tail_len;
}
void wire_txq_push(struct wire_txq *q, struct wire_tx *tx);
/* Takes tx off if none of it was sent. True if so. */
bool wire_txq_remove(struct wire_txq *q, struct wire_tx *tx);

/*
 * If the first message ends in the middle of a unit of its data, as sent so far, the rest of that unit is copied to copy (unit bytes) and
 * sent from there. part is queued in front for that, unless nothing of the message is left behind it. The message cannot be removed
 * after that.
 */
void wire_txq_own_unit(struct wire_txq *q, struct wire_tx *part, void *copy, uint32_t unit);

/* iov (iov_max entries) and staging are borrowed. Sets up an empty vector. */
void wire_gather_init(struct wire_gather *g, struct iovec *iov, int iov_max, void *staging,
		      size_t staging_size);
/* Fills g from the start of what is unsent, as far as it fits. */
void wire_txq_gather(const struct wire_txq *q, struct wire_gather *g);
/* All that is unsent, q->bytes, as one piece. */
void wire_txq_flatten(const struct wire_txq *q, uint8_t *out);
/* sent bytes went out: messages that are done move to the end of *done, in order. */
void wire_txq_advance(struct wire_txq *q, size_t sent, struct list *done);

#endif
