/* SPDX-License-Identifier: Apache-2.0 */
/* The first 4 MiB: which superblock counts, whether this program may open it, and the segment table. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "pool/load.h"
#include "pool/sums.h"

static void super_read_done(struct pool_super *super, int res)
{
	struct pool *pool = container_of(super, struct pool, super);

	open_batch_done(&pool->opening->batch, res);
}

int load_super(struct pool_opening *o)
{
	if (atomic_load(&o->pool->dev->size_bytes) < LAYOUT_HEAD)
		return err_set(&o->err, -ENOENT,
			       "%s holds no pool: it is smaller than a pool's head",
			       o->pool->dev->name);
	super_read(&o->pool->super, super_read_done);
	return LOAD_WAIT;
}

static int check_device(struct pool_opening *o, const struct superblock *sb)
{
	struct blk_dev *dev = o->pool->dev;
	uint64_t size = atomic_load(&dev->size_bytes);
	char want[16], have[16];

	if (size < sb->device_bytes)
		return err_set(
			&o->err, -EUCLEAN,
			"pool %s is on a device of %s, and %s has %s: the device has shrunk, "
			"or is a part of the pool's",
			sb->name, str_size(sb->device_bytes, want, sizeof(want)), dev->name,
			str_size(size, have, sizeof(have)));
	if (dev->block_size > sb->block_bytes)
		return err_set(&o->err, -EUCLEAN,
			       "pool %s was made on blocks of %u bytes, and %s has blocks of %u",
			       sb->name, sb->block_bytes, dev->name, dev->block_size);
	return 0;
}

static int check_access(struct pool_opening *o, const struct superblock *sb)
{
	struct err why = {0};
	enum superblock_access access = superblock_access(sb, &why);

	if (access == SUPERBLOCK_REFUSED) {
		o->err = why;
		return why.code;
	}
	if (access == SUPERBLOCK_READ_ONLY && o->opts.successor)
		return err_set(&o->err, -EOPNOTSUPP, "pool %s can only be opened for reading: %s",
			       sb->name, why.text);
	if (access == SUPERBLOCK_READ_ONLY && !o->read_only) {
		log_warn("pool.read_only", "pool=%s reason=\"%s\"", sb->name, why.text);
		o->read_only = true;
	}
	return 0;
}

static int note_copies(struct pool_opening *o, const struct superblock_pick *pick)
{
	static const char *const text[] = {
		[SUPERBLOCK_NONE] = "is gone",
		[SUPERBLOCK_TORN] = "has a wrong checksum",
		[SUPERBLOCK_BAD] = "has impossible content",
	};
	int rc = 0;

	for (unsigned i = 0; i < SUPERBLOCK_COPIES && !rc; i++)
		if (pick->found[i] != SUPERBLOCK_GOOD && pick->found[i] != SUPERBLOCK_UNSUPPORTED)
			rc = load_problem(o, POOL_NOTE, "superblock",
					  SUPERBLOCK_COPY_OFFSET(i) / LAYOUT_PAGE,
					  "superblock copy %u %s; copy %d counts", i,
					  text[pick->found[i]], pick->winner);
	return rc;
}

int load_choose(struct pool_opening *o)
{
	struct pool *pool = o->pool;
	const uint8_t *copies[SUPERBLOCK_COPIES];
	struct superblock *sb = &pool->super.now;
	struct superblock_pick pick;
	int rc;

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++)
		copies[i] = pool->super.page[i];
	rc = superblock_choose(copies, o->opts.uuid, sb, &pick, &o->err);
	if (rc) {
		(void)err_prefix(&o->err, "%s", pool->dev->name);
		return rc;
	}
	rc = check_access(o, sb);
	if (!rc)
		rc = check_device(o, sb);
	if (!rc)
		rc = note_copies(o, &pick);
	if (rc)
		return rc;
	superblock_rules(sb, &pool->rules);
	pool->next_id = sb->next_id;
	if (space_init(pool) || sums_init(pool) || checkpoint_init(pool))
		return err_set(&o->err, -ENOMEM, "no memory to open pool %s", sb->name);
	return LOAD_NEXT;
}

int load_head(struct pool_opening *o)
{
	unsigned n = LAYOUT_HEAD / LAYOUT_CLUSTER;

	o->head = batch_buffer(LAYOUT_HEAD);
	o->xfer = calloc(MAX(n, o->pool->rules.first_cluster), sizeof(*o->xfer));
	if (!o->head || !o->xfer)
		return err_set(&o->err, -ENOMEM, "no memory to open a pool");
	for (unsigned i = 0; i < n; i++)
		o->xfer[i] = (struct batch_xfer){i * (uint64_t)LAYOUT_CLUSTER, LAYOUT_CLUSTER,
						 o->head + (size_t)i * LAYOUT_CLUSTER};
	batch_run(&o->batch, o->pool->dev, BLK_READ, 0, o->xfer, n, open_batch_done);
	return LOAD_WAIT;
}

/* The entries of a segment table page, below what the journal said (load_gather() put those first, with a mark). */
static void take_entries(struct pool_opening *o, unsigned pair, const uint8_t *page)
{
	for (unsigned i = 0; i < SEGTAB_SLOTS; i++)
		if (!o->segment[pair * SEGTAB_SLOTS + i])
			o->segment[pair * SEGTAB_SLOTS + i] = page_entry(page, i);
	o->segment_end = MAX(o->segment_end, (pair + 1) * SEGTAB_SLOTS);
}

static int take_pair(struct pool_opening *o, unsigned pair)
{
	const uint64_t place[2] = {segtab_place(pair, 0), segtab_place(pair, 1)};
	const uint8_t *const page[2] = {o->head + place[0] * LAYOUT_PAGE,
					o->head + place[1] * LAYOUT_PAGE};
	struct page_info info;
	int winner = load_pair(o, page, place, &info);

	if (winner < 0 || winner > 1)
		return winner < 0 ? winner : 0;
	if (info.id.index != pair)
		return load_problem(o, POOL_DAMAGE, "segment", place[winner],
				    "segment table page %u says it is page %" PRIu64, pair,
				    info.id.index);
	o->segtab_winner[pair] = (uint8_t)(winner + 1);
	take_entries(o, pair, page[winner]);
	return 0;
}

static int own_segment(struct pool_opening *o, uint32_t index)
{
	uint64_t phys = o->segment[index];
	int rc;

	if (phys == UINT64_MAX) { /* the journal took it out */
		o->segment[index] = 0;
		return 0;
	}
	if (!phys)
		return 0;
	if (space_own(o->pool, phys)) {
		o->segment[index] = 0;
		return load_problem(o, POOL_DAMAGE, "segment", phys * LAYOUT_CLUSTER_BLOCKS,
				    "segment %" PRIu32 " is at cluster %" PRIu64
				    ", where another segment is",
				    index, phys);
	}
	o->n_segments = index + 1;
	rc = checkpoint_found_segment(o->pool, index, phys);
	return rc ? err_set(&o->err, rc, "no memory to open a pool") : 0;
}

int load_segtab(struct pool_opening *o)
{
	int rc = 0;

	for (unsigned pair = 0; pair < SEGTAB_PAIRS && !rc; pair++)
		rc = take_pair(o, pair);
	for (uint32_t i = 0; i < o->segment_end && !rc; i++)
		rc = own_segment(o, i);
	for (unsigned pair = 0; pair < SEGTAB_PAIRS && !rc; pair++)
		if (o->segtab_winner[pair])
			checkpoint_found_segtab(o->pool, pair, o->segtab_winner[pair] - 1u);
	return rc ? rc : LOAD_NEXT;
}
