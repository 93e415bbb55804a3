/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of pools: a simulated disk with a volatile cache, and the calls of pool.h as plain calls on the pool's reactor. */
#ifndef LITEPOOL_TESTS_UNIT_POOL_RIG_H
#define LITEPOOL_TESTS_UNIT_POOL_RIG_H

#include "base/log.h"
#include "disk/disk.h"
#include "pool/priv.h"
#include "unit/disk/blk_world.h"

#define RIG_PATH "sim:/pool"
#define RIG_SIZE (64 * MIB)

struct pool_rig {
	struct blk_world w;
	struct blk_dev *dev;
	struct pool_env env;
	struct pool *pool;
	struct pool_open_opts open;
	struct err err;
	int res;
	bool done;
	struct msg msg;
	void (*call)(struct pool_rig *rig); /* on the pool's reactor */
	const void *arg;
	struct pool_txn txn;
	struct pool_op op;
};

static inline void rig_attach(struct pool_rig *rig)
{
	struct disk_file_opts opts = {.name = "disk0", .path = RIG_PATH};

	assert_int_equal(disk_file_new(reactor_env(rig->w.r[0]), &opts, &rig->dev, NULL), 0);
}

static inline void rig_init(struct pool_rig *rig, uint64_t seed, uint64_t size)
{
	memset(rig, 0, sizeof(*rig));
	blk_world_init(&rig->w, seed);
	sim_file_create(rig->w.sim, RIG_PATH, size, 512);
	rig_attach(rig);
	rig->env = (struct pool_env){rig->w.r[0], &rig->w.r[1], WORLD_REACTORS - 1};
}

static inline void rig_done(void *ctx, int res, const struct err *err)
{
	struct pool_rig *rig = ctx;

	assert_false(rig->done);
	rig->done = true;
	rig->res = res;
	rig->err = err ? *err : (struct err){0};
	if (res && err)
		assert_int_equal(err->code, res);
}

static inline void rig_arrives(struct msg *msg)
{
	struct pool_rig *rig = container_of(msg, struct pool_rig, msg);

	rig->call(rig);
}

static inline bool rig_is_done(void *ctx)
{
	return ((struct pool_rig *)ctx)->done;
}

static inline int rig_run(struct pool_rig *rig, void (*call)(struct pool_rig *rig))
{
	rig->done = false;
	rig->call = call;
	rig->msg.run = rig_arrives;
	reactor_post(rig->env.home, &rig->msg);
	assert_true(sim_run_until(rig->w.sim, rig_is_done, rig, WORLD_DEADLINE));
	return rig->res;
}

static inline void rig_call_create(struct pool_rig *rig)
{
	pool_create(&rig->env, rig->dev, rig->arg, rig_done, rig);
}

static inline int rig_create_opts(struct pool_rig *rig, const struct pool_create_opts *opts)
{
	rig->arg = opts;
	return rig_run(rig, rig_call_create);
}

/* The tests of volumes are run on pools with sums of data too (meson.build). */
static inline int rig_create(struct pool_rig *rig)
{
	return rig_create_opts(
		rig, &(struct pool_create_opts){.name = "p0",
						.sums = getenv("LITEPOOL_TEST_SUMS") != NULL});
}

static inline void rig_call_open(struct pool_rig *rig)
{
	pool_open(&rig->env, rig->dev, &rig->open, &rig->pool, rig_done, rig);
}

static inline int rig_open(struct pool_rig *rig)
{
	int res = rig_run(rig, rig_call_open);

	if (res)
		rig->pool = NULL;
	return res;
}

static inline void rig_call_close(struct pool_rig *rig)
{
	pool_close(rig->pool, rig_done, rig);
}

static inline int rig_close(struct pool_rig *rig)
{
	int res = rig_run(rig, rig_call_close);

	rig->pool = NULL;
	return res;
}

/* The records of rig->txn, as one operation. */
static inline void rig_txn_done(struct pool_txn *txn, int res)
{
	struct pool_rig *rig = container_of(txn, struct pool_rig, txn);

	pool_op_end(rig->pool, &rig->op);
	rig_done(rig, res, NULL);
}

static inline void rig_op_run(struct pool_op *op)
{
	struct pool_rig *rig = container_of(op, struct pool_rig, op);

	pool_txn_commit(rig->pool, &rig->txn);
}

static inline void rig_call_commit(struct pool_rig *rig)
{
	rig->op = (struct pool_op){.run = rig_op_run};
	pool_op_start(rig->pool, &rig->op);
}

static inline int rig_commit(struct pool_rig *rig)
{
	int res = rig_run(rig, rig_call_commit);

	pool_txn_fini(&rig->txn);
	return res;
}

static inline void rig_txn_begin(struct pool_rig *rig)
{
	pool_txn_init(&rig->txn, rig_txn_done);
}

static inline void rig_call_checkpoint(struct pool_rig *rig)
{
	checkpoint_start(rig->pool, rig_done, rig);
}

static inline int rig_checkpoint(struct pool_rig *rig)
{
	return rig_run(rig, rig_call_checkpoint);
}

/* A volume of that size with a name: layer and properties in one transaction. Returns the layer's id. */
static inline uint64_t rig_add_volume(struct pool_rig *rig, const char *name, uint64_t size)
{
	struct props *props = calloc(1, sizeof(*props));
	struct record r = {.type = RECORD_LAYER_SET};
	uint64_t object = pool_new_id(rig->pool);

	assert_non_null(props);
	snprintf(props->name, sizeof(props->name), "%s", name);
	put_le64(props->uuid.b, object);
	props->uuid.b[15] = 1;
	props->block_size = 4096;
	r.layer_set =
		(struct layer){.id = pool_new_id(rig->pool), .object = object, .size_bytes = size};
	rig_txn_begin(rig);
	pool_txn_add(&rig->txn, &r);
	pool_txn_add_props(&rig->txn, object, 1, props);
	free(props);
	assert_int_equal(rig_commit(rig), 0);
	return r.layer_set.id;
}

/* One MAP_SET record as a transaction of its own; the cluster is taken out of the free ones if it is not 0. */
static inline void rig_map(struct pool_rig *rig, uint64_t layer, uint32_t cluster, uint64_t entry,
			   const struct block_mask *mask)
{
	struct record r = {.type = RECORD_MAP_SET};

	r.map_set.layer = layer;
	r.map_set.cluster = cluster;
	r.map_set.entry = entry;
	if (mask)
		r.map_set.mask = *mask;
	if (map_phys(entry))
		(void)space_own(rig->pool, map_phys(entry));
	rig_txn_begin(rig);
	pool_txn_add(&rig->txn, &r);
	assert_int_equal(rig_commit(rig), 0);
}

/* The engine dies: what it has in memory is gone. The disk may lose what was not flushed (power). */
static inline void rig_crash(struct pool_rig *rig, bool power)
{
	sim_run_for(rig->w.sim,
		    NSEC_PER_MSEC * 100); /* what is under way ends; nothing new is asked for */
	if (power)
		sim_file_power_cut(rig->w.sim, RIG_PATH);
	if (rig->pool)
		pool_free(rig->pool);
	rig->pool = NULL;
}

static inline void rig_fini(struct pool_rig *rig)
{
	if (rig->pool)
		(void)rig_close(rig);
	rig->dev->ops->destroy(rig->dev);
	blk_world_fini(&rig->w);
}

/* Writes and reads the disk beside the pool. */
static inline void rig_write(struct pool_rig *rig, uint64_t offset, const void *buf, uint64_t len)
{
	memcpy(rig->w.buf, buf, len);
	assert_int_equal(world_op(&rig->w, rig->dev, BLK_WRITE, BLK_FUA, offset, len), 0);
}

static inline void rig_read(struct pool_rig *rig, uint64_t offset, void *buf, uint64_t len)
{
	sim_file_peek(rig->w.sim, RIG_PATH, offset, buf, len);
}

#endif
