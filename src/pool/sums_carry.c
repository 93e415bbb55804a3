/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums through a hand-over. Clusters that are closed are in the journal and the table; of those that are open only RAM has the sums, and without them a successor would have to sum
 * them anew, as after a crash: slow, and blind to what rots meanwhile. So they are carried, one entry a cluster (src/handover/FORMAT.md):
 *
 *      phys:64   unsure: 256 bits (blocks of which RAM has no sum)   256 sums of 32 bits        little-endian
 *
 * Invariant: the journal decides which clusters are open; an entry only says what is known of one.
 */
#include "pool/sums_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define ENTRY_UNSURE 8u
#define ENTRY_SUMS   40u
#define ENTRY_BYTES  (ENTRY_SUMS + SUMS_BYTES)

/* With the lock. A block that is busy after all has no sum that counts. */
static void put_entry(uint8_t *at, const struct sums_cluster *c)
{
	put_le64(at, c->phys);
	for (unsigned w = 0; w < ARRAY_LEN(c->unsure.word); w++)
		put_le64(at + ENTRY_UNSURE + (size_t)w * 8, c->unsure.word[w] | c->busy.word[w]);
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		put_le32(at + ENTRY_SUMS + (size_t)i * 4, c->sum[i]);
}

int sums_save(struct pool *pool, uint8_t **ret, size_t *ret_len)
{
	struct sums *s = pool->sums;
	size_t room = s ? s->n_open : 0, n = 0; /* that is the pool's thread's to change */
	uint8_t *buf = room ? calloc(room, ENTRY_BYTES) : NULL;

	if (room && !buf)
		return -ENOMEM;
	if (room)
		spin_lock(&s->lock);
	for (struct sums_chunk *chunk = room ? s->chunks : NULL; chunk; chunk = chunk->next)
		for (size_t i = 0; i < chunk->n && n < room; i++)
			if (sums_is_open(&chunk->cluster[i]))
				put_entry(buf + n++ * ENTRY_BYTES, &chunk->cluster[i]);
	if (room)
		spin_unlock(&s->lock);
	*ret = buf;
	*ret_len = n * ENTRY_BYTES;
	return 0;
}

/* With the lock. */
static int take_entry(struct sums *s, const uint8_t *at, uint64_t now_ns, struct err *err)
{
	uint64_t phys = get_le64(at);
	struct sums_cluster *c = sums_find(s, phys);

	if (!c || (c->state != SUMS_UNKNOWN && c->state != SUMS_OPEN))
		return err_set(err, -EUCLEAN,
			       "pool %s: the old engine has sums of cluster %" PRIu64
			       ", which is not open by its journal",
			       s->pool->super.now.name, phys);
	for (unsigned w = 0; w < ARRAY_LEN(c->unsure.word); w++)
		c->unsure.word[w] = get_le64(at + ENTRY_UNSURE + (size_t)w * 8);
	for (unsigned i = 0; i < LAYOUT_CLUSTER_BLOCKS; i++)
		c->sum[i] = get_le32(at + ENTRY_SUMS + (size_t)i * 4);
	c->written_ns = now_ns;
	if (mask_any(&c->unsure)) /* those blocks are read and summed anew */
		sums_move(c, SUMS_UNKNOWN, &s->unknown);
	else
		sums_move(c, SUMS_OPEN, &s->open);
	return 0;
}

int sums_restore(struct pool *pool, const uint8_t *buf, size_t len, struct err *err)
{
	struct sums *s = pool->sums;
	uint64_t now_ns = reactor_now(pool->home);
	int rc = 0;

	if (len % ENTRY_BYTES != 0 || (len && !s))
		return err_set(err, -EBADMSG, "pool %s: %zu bytes are not the sums of clusters",
			       pool->super.now.name, len);
	if (!s)
		return 0;
	ASSERT(!s->started);
	spin_lock(&s->lock);
	for (size_t at = 0; at < len && !rc; at += ENTRY_BYTES)
		rc = take_entry(s, buf + at, now_ns, err);
	spin_unlock(&s->lock);
	return rc;
}
