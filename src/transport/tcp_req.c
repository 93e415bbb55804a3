/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots for the commands of a connection: as many as its queue has entries. Memory is not touched before a slot is first used, and
 * the slot used last is used next, so that a shallow load stays in few cache lines. Command ids are found by hash; a host
 * that makes them collide makes its own connection slower, within its queue size.
 */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

int tcp_reqs_init(struct tcp_reqs *reqs, uint32_t n)
{
	uint32_t n_hash = 1;
	unsigned bits = 0;

	ASSERT(n > 0);
	ASSERT(n < UINT16_MAX);
	while (n_hash < 2 * n && n_hash < 65536)
		n_hash *= 2;
	while ((1u << bits) < n)
		bits++;
	*reqs = (struct tcp_reqs){.n = n, .hash_mask = n_hash - 1, .slot_bits = bits};
	reqs->slots = malloc(n * sizeof(*reqs->slots));
	reqs->free = malloc(n * sizeof(*reqs->free));
	reqs->hash = calloc(n_hash, sizeof(*reqs->hash));
	if (reqs->slots && reqs->free && reqs->hash)
		return 0;
	tcp_reqs_fini(reqs);
	return -ENOMEM;
}

void tcp_reqs_fini(struct tcp_reqs *reqs)
{
	ASSERT(reqs->busy == 0);
	free(reqs->slots);
	free(reqs->free);
	free(reqs->hash);
	*reqs = (struct tcp_reqs){0};
}

struct tcp_req *tcp_reqs_take(struct tcp_reqs *reqs)
{
	struct tcp_req *treq;

	if (reqs->n_free) {
		treq = &reqs->slots[reqs->free[--reqs->n_free]];
	} else if (reqs->n_fresh < reqs->n) {
		treq = &reqs->slots[reqs->n_fresh];
		memset(treq, 0, sizeof(*treq));
		treq->req.slot = (uint16_t)reqs->n_fresh++;
	} else {
		return NULL;
	}
	ASSERT(treq->state == TCP_REQ_FREE);
	reqs->busy++;
	treq->state = TCP_REQ_CAPSULE;
	treq->digest_bad = false;
	treq->capsule = false;
	treq->answer_due = false;
	treq->hash_next = UINT16_MAX;
	return treq;
}

struct tcp_req *tcp_reqs_take_slot(struct tcp_reqs *reqs, uint32_t slot)
{
	struct tcp_req *treq;

	if (slot >= reqs->n)
		return NULL;
	for (; reqs->n_fresh <= slot; reqs->n_fresh++) {
		treq = &reqs->slots[reqs->n_fresh];
		memset(treq, 0, sizeof(*treq));
		treq->req.slot = (uint16_t)reqs->n_fresh;
	}
	treq = &reqs->slots[slot];
	if (treq->state != TCP_REQ_FREE)
		return NULL;
	reqs->busy++;
	treq->state = TCP_REQ_CAPSULE;
	treq->hash_next = UINT16_MAX;
	return treq;
}

void tcp_reqs_restored(struct tcp_reqs *reqs)
{
	reqs->n_free = 0;
	for (uint32_t i = reqs->n_fresh; i-- > 0;)
		if (reqs->slots[i].state == TCP_REQ_FREE)
			reqs->free[reqs->n_free++] = (uint16_t)i;
}

/* 0 ends a chain, so a slot is written as slot + 1. */
static uint16_t link_to(const struct tcp_req *treq)
{
	return (uint16_t)(treq->req.slot + 1);
}

void tcp_reqs_hash(struct tcp_reqs *reqs, struct tcp_req *treq, uint16_t cid)
{
	uint16_t *head = &reqs->hash[cid & reqs->hash_mask];

	treq->cid = cid;
	treq->hash_next = *head;
	*head = link_to(treq);
}

struct tcp_req *tcp_reqs_find(const struct tcp_reqs *reqs, uint16_t cid)
{
	uint16_t link = reqs->hash[cid & reqs->hash_mask];

	while (link) {
		struct tcp_req *treq = &reqs->slots[link - 1];

		if (treq->cid == cid)
			return treq;
		link = treq->hash_next;
	}
	return NULL;
}

/* UINT16_MAX in hash_next: not in the table. */
static void unhash(struct tcp_reqs *reqs, struct tcp_req *treq)
{
	uint16_t *at = &reqs->hash[treq->cid & reqs->hash_mask];

	if (treq->hash_next == UINT16_MAX)
		return;
	while (*at != link_to(treq))
		at = &reqs->slots[*at - 1].hash_next;
	*at = treq->hash_next;
}

void tcp_reqs_put(struct tcp_reqs *reqs, struct tcp_req *treq)
{
	ASSERT(treq->state != TCP_REQ_FREE);
	ASSERT(!list_linked(&treq->tx.link));
	unhash(reqs, treq);
	treq->state = TCP_REQ_FREE;
	reqs->free[reqs->n_free++] = treq->req.slot;
	reqs->busy--;
}

void tcp_reqs_new_ttag(const struct tcp_reqs *reqs, struct tcp_req *treq)
{
	unsigned generation = (unsigned)(treq->req.ttag >> reqs->slot_bits) + 1;

	treq->req.ttag = (uint16_t)(generation << reqs->slot_bits | treq->req.slot);
}

struct tcp_req *tcp_reqs_by_ttag(const struct tcp_reqs *reqs, uint16_t ttag)
{
	uint32_t slot = ttag & ((1u << reqs->slot_bits) - 1);
	struct tcp_req *treq;

	if (slot >= reqs->n_fresh)
		return NULL;
	treq = &reqs->slots[slot];
	if (treq->state != TCP_REQ_R2T || treq->req.ttag != ttag)
		return NULL;
	return treq;
}
