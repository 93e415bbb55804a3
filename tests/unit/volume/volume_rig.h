/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of volumes: a real pool on a simulated or a RAM disk, and the operations as plain calls. */
#ifndef LITEPOOL_TESTS_UNIT_VOLUME_RIG_H
#define LITEPOOL_TESTS_UNIT_VOLUME_RIG_H

#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"
#include "volume/priv.h"

struct volume_rig {
	struct pool_rig p;
	struct volumes *set;
	const char *name, *other;
	struct volume *v;
	struct volume_create_opts opts;
};

struct volume_rig_opts {
	uint64_t seed, size;
	uint32_t block_size; /* of the device */
	bool ram;            /* a disk that lends its memory */
};

static inline void vrig_volumes_new(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	rig_done(p, volumes_new(p->pool, &rig->set, NULL), NULL);
}

static inline void vrig_jobs_stopped(void *ctx)
{
	struct volume_rig *rig = ctx;

	volumes_free(rig->set);
	rig->set = NULL;
	rig_done(&rig->p, 0, NULL);
}

static inline void vrig_volumes_free(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	jobs_stop(rig->set, vrig_jobs_stopped, rig);
}

static inline void vrig_disk(struct volume_rig *rig, const struct volume_rig_opts *opts)
{
	struct disk_ram_opts ram = {
		.name = "disk0", .size_bytes = opts->size, .block_size = opts->block_size};

	sim_file_create(rig->p.w.sim, RIG_PATH, opts->size, opts->block_size);
	if (opts->ram)
		assert_int_equal(disk_ram_new(&ram, &rig->p.dev, NULL), 0);
	else
		rig_attach(&rig->p);
}

static inline void vrig_init(struct volume_rig *rig, const struct volume_rig_opts *opts)
{
	memset(rig, 0, sizeof(*rig));
	blk_world_init(&rig->p.w, opts->seed);
	vrig_disk(rig, opts);
	rig->p.env = (struct pool_env){rig->p.w.r[0], &rig->p.w.r[1], WORLD_REACTORS - 1};
	assert_int_equal(rig_create(&rig->p), 0);
	assert_int_equal(rig_open(&rig->p), 0);
	assert_int_equal(rig_run(&rig->p, vrig_volumes_new), 0);
}

static inline void vrig_fini(struct volume_rig *rig)
{
	assert_int_equal(rig_run(&rig->p, vrig_volumes_free), 0);
	rig_fini(&rig->p);
}

static inline void vrig_done(void *ctx, int res, struct volume *v, const struct err *err)
{
	struct volume_rig *rig = ctx;

	rig->v = v;
	rig_done(&rig->p, res, err);
}

static inline void vrig_call_create(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_create(rig->set, &rig->opts, vrig_done, rig);
}

static inline struct volume *vrig_create(struct volume_rig *rig, const char *name, uint64_t size,
					 uint32_t block_size, bool thick)
{
	rig->opts = (struct volume_create_opts){
		.name = name, .size_bytes = size, .block_size = block_size, .thick = thick};
	assert_int_equal(rig_run(&rig->p, vrig_call_create), 0);
	return volume_find(rig->set, name);
}

static inline void vrig_call_snapshot(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);
	struct volume_snapshot_spec spec = {.volume = volume_find(rig->set, rig->name),
					    .name = rig->other};

	volume_snapshot(rig->set, &spec, 1, vrig_done, rig);
}

/* rig->opts of the snapshot rig->name. */
static inline void vrig_call_clone(struct pool_rig *p)
{
	struct volume_rig *rig = container_of(p, struct volume_rig, p);

	volume_clone(volume_find(rig->set, rig->name), &rig->opts, vrig_done, rig);
}

static inline struct volume *vrig_snapshot(struct volume_rig *rig, const char *volume,
					   const char *snapshot)
{
	rig->name = volume;
	rig->other = snapshot;
	assert_int_equal(rig_run(&rig->p, vrig_call_snapshot), 0);
	return volume_find(rig->set, snapshot);
}

/* Begins it only; rig_is_done(). */
static inline void vrig_snapshot_begin(struct volume_rig *rig, const char *volume,
				       const char *snapshot)
{
	rig->name = volume;
	rig->other = snapshot;
	rig->p.done = false;
	rig->p.call = vrig_call_snapshot;
	rig->p.msg.run = rig_arrives;
	reactor_post(rig->p.env.home, &rig->p.msg);
}

static inline struct blk_dev *vrig_dev(struct volume *v)
{
	char name[BLK_NAME_MAX];
	struct blk_dev *dev;

	snprintf(name, sizeof(name), "p0/%s", v->object->name);
	assert_int_equal(volume_dev_new(v, name, &dev, NULL), 0);
	assert_ptr_equal(volume_of_dev(dev), v);
	return dev;
}

/* One request on a reactor that uses the pool. */
static inline int vrig_io(struct volume_rig *rig, struct blk_dev *dev, enum blk_op op,
			  unsigned flags, uint64_t offset, uint64_t length)
{
	struct world_io wio = {
		.io = {.op = op,
		       .flags = flags,
		       .offset = offset,
		       .length = length,
		       .buf = op == BLK_READ || op == BLK_WRITE ? rig->p.w.buf : NULL}};

	return world_io_run(&rig->p.w, 1, dev, &wio);
}

static inline int vrig_write(struct volume_rig *rig, struct blk_dev *dev, uint64_t offset,
			     uint64_t length, uint8_t value)
{
	memset(rig->p.w.buf, value, length);
	return vrig_io(rig, dev, BLK_WRITE, 0, offset, length);
}

static inline bool vrig_reads(struct volume_rig *rig, struct blk_dev *dev, uint64_t offset,
			      uint64_t length, uint8_t value)
{
	memset(rig->p.w.buf, ~value, length);
	assert_int_equal(vrig_io(rig, dev, BLK_READ, 0, offset, length), 0);
	for (uint64_t i = 0; i < length; i++)
		if (rig->p.w.buf[i] != value)
			return false;
	return true;
}

#endif
