/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the simulated world: what a read sees (live), what survives a power cut (durable), and the writes between the two.
 *
 * Invariants:
 *   1. I/O under way together is done in any order, each at one instant: the one at which it ends.
 *   2. A sync makes durable every write that ended before the sync was submitted; FUA makes its own write durable.
 *   3. durable_seq[] keeps an older cached write from coming back over a newer durable one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/str.h"
#include "sim/sim_int.h"

#define SECTOR       512u
#define CHUNK        ((uint64_t)65536) /* grain of the sparse memory */
#define PATH_BYTES   256
#define FIRST_NUMBER 1000000 /* no descriptor of the process has one like it */

struct sparse {
	uint8_t **chunk; /* NULL: zeroes */
};

struct cached_write { /* ended, not durable */
	struct list link;
	uint64_t seq, offset, length;
	uint8_t *data; /* NULL: zeroes */
};

struct sim_disk {
	struct list link; /* of the world */
	struct sim_world *world;
	char path[PATH_BYTES];
	uint64_t size_bytes;
	uint32_t block_size;
	bool is_device;
	unsigned opens; /* one, but for a hand-over */
	int number;     /* names it in place of a descriptor */
	struct sparse live, durable;
	uint64_t *durable_seq; /* by sector: the write that made it what it is */
	uint64_t seq;
	struct list cached, under_way; /* oldest first */
	unsigned fail_mask;
	double fail_probability;
	int fail_error;
};

struct sim_file {
	struct file file;
	struct sim_disk *disk;
};

struct sim_file_op {
	struct sim_event ev;
	struct list link; /* disk->under_way, then env->done_files */
	struct sim_disk *disk;
	struct sim_env *env;
	struct file_io *io;
	uint64_t seq; /* of the newest write that ended before the submit */
	int result;
	bool cut; /* the power went */
};

/* --- sparse memory --- */

static uint64_t chunks_of(uint64_t size_bytes)
{
	return (size_bytes + CHUNK - 1) / CHUNK;
}

static void sparse_grow(struct sparse *s, uint64_t old_bytes, uint64_t new_bytes)
{
	uint64_t old = chunks_of(old_bytes), now = chunks_of(new_bytes);

	s->chunk = realloc(s->chunk, now * sizeof(uint8_t *));
	ASSERT(s->chunk);
	memset(s->chunk + old, 0, (now - old) * sizeof(uint8_t *));
}

static void sparse_free(struct sparse *s, uint64_t size_bytes)
{
	for (uint64_t i = 0; i < chunks_of(size_bytes); i++)
		free(s->chunk[i]);
	free(s->chunk);
}

/* data NULL: zeroes. */
static void sparse_write(struct sparse *s, uint64_t offset, const uint8_t *data, uint64_t len)
{
	while (len > 0) {
		uint64_t part = MIN(len, CHUNK - offset % CHUNK);
		uint8_t **chunk = &s->chunk[offset / CHUNK];

		if (!*chunk && data)
			*chunk = sim_alloc(CHUNK);
		if (data)
			memcpy(*chunk + offset % CHUNK, data, part);
		else if (*chunk)
			memset(*chunk + offset % CHUNK, 0, part);
		data = data ? data + part : NULL;
		offset += part;
		len -= part;
	}
}

static void sparse_read(const struct sparse *s, uint64_t offset, uint8_t *data, uint64_t len)
{
	while (len > 0) {
		uint64_t part = MIN(len, CHUNK - offset % CHUNK);
		const uint8_t *chunk = s->chunk[offset / CHUNK];

		if (chunk)
			memcpy(data, chunk + offset % CHUNK, part);
		else
			memset(data, 0, part);
		data += part;
		offset += part;
		len -= part;
	}
}

/* --- the write cache --- */

/* One sector of a write becomes durable, unless something newer is already. */
static void sector_settle(struct sim_disk *d, uint64_t seq, uint64_t offset, const uint8_t *data)
{
	uint64_t *have = &d->durable_seq[offset / SECTOR];

	if (*have > seq)
		return;
	*have = seq;
	sparse_write(&d->durable, offset, data, SECTOR);
}

/* chance: of each sector, to be settled. */
static void write_settle(struct sim_disk *d, const struct cached_write *cw, double chance)
{
	for (uint64_t n = 0; n < cw->length; n += SECTOR)
		if (chance >= 1 || rng_chance(&d->world->rng, chance))
			sector_settle(d, cw->seq, cw->offset + n, cw->data ? cw->data + n : NULL);
}

static void cached_free(struct cached_write *cw)
{
	list_remove(&cw->link);
	free(cw->data);
	free(cw);
}

static struct cached_write *cached_new(struct sim_disk *d, const struct file_io *io)
{
	struct cached_write *cw = sim_alloc(sizeof(*cw));

	cw->seq = ++d->seq;
	cw->offset = io->offset;
	cw->length = io->length;
	if (io->op == FILE_WRITE) {
		cw->data = sim_alloc(io->length);
		memcpy(cw->data, io->buf, io->length);
	}
	list_push_back(&d->cached, &cw->link);
	return cw;
}

static void cache_sync(struct sim_disk *d, uint64_t upto_seq)
{
	list_for_each_safe (node, &d->cached) {
		struct cached_write *cw = list_entry(node, struct cached_write, link);

		if (cw->seq > upto_seq)
			continue;
		write_settle(d, cw, 1);
		cached_free(cw);
	}
}

static void disk_change(struct sim_disk *d, const struct file_io *io)
{
	struct cached_write *cw = cached_new(d, io);

	sparse_write(&d->live, cw->offset, cw->data, cw->length);
	if (io->op != FILE_DISCARD && io->flags & FILE_FUA) {
		write_settle(d, cw, 1);
		cached_free(cw);
	}
}

/* --- I/O --- */

static int op_check(const struct sim_disk *d, const struct file *f, const struct file_io *io)
{
	bool moves = io->op == FILE_READ || io->op == FILE_WRITE;

	if (io->op == FILE_SYNC)
		return 0;
	if (f->read_only && io->op != FILE_READ)
		return -EBADF;
	if (io->offset % d->block_size || io->length % d->block_size || io->length == 0)
		return -EINVAL;
	if (moves && (!io->buf || (uintptr_t)io->buf % d->block_size))
		return -EINVAL;
	return range_within(io->offset, io->length, d->size_bytes) ? 0 : -EIO;
}

static int op_execute(struct sim_file_op *op)
{
	struct sim_disk *d = op->disk;
	struct file_io *io = op->io;

	if (op->cut)
		return -EIO;
	if (d->fail_mask >> io->op & 1 && rng_chance(&d->world->rng, d->fail_probability))
		return d->fail_error;
	switch (io->op) {
	case FILE_READ:
		sparse_read(&d->live, io->offset, io->buf, io->length);
		break;
	case FILE_SYNC:
		cache_sync(d, op->seq);
		break;
	case FILE_WRITE:
	case FILE_DISCARD:
	case FILE_ZERO:
		disk_change(d, io);
		break;
	}
	return 0;
}

static void op_event(struct sim_world *w, struct sim_event *ev)
{
	struct sim_file_op *op = container_of(ev, struct sim_file_op, ev);

	if (op->result == 0)
		op->result = op_execute(op);
	sim_trace(w, "disk", op->io->op, op->io->offset ^ (uint64_t)(unsigned)-op->result << 48);
	list_remove(&op->link);
	list_push_back(&op->env->done_files, &op->link);
}

unsigned sim_file_deliver(struct sim_env *env)
{
	struct list batch;
	struct list *node;
	unsigned n = 0;

	list_init(&batch);
	list_splice_back(&batch, &env->done_files);
	while ((node = list_pop_front(&batch))) {
		struct sim_file_op *op = list_entry(node, struct sim_file_op, link);
		struct file_io *io = op->io;
		int result = op->result;

		free(op);
		file_done(io, result);
		n++;
	}
	return n;
}

void sim_file_submit(struct env *env, struct file *f, struct file_io *io)
{
	struct sim_disk *d = container_of(f, struct sim_file, file)->disk;
	struct sim_file_op *op = sim_alloc(sizeof(*op));
	struct sim_world *w = d->world;

	op->disk = d;
	op->env = sim_env_of(env);
	op->io = io;
	op->seq = d->seq;
	op->result = op_check(d, f, io);
	list_push_back(&d->under_way, &op->link);
	sim_event_at(w, &op->ev,
		     sim_between(w, w->opts.disk_latency_min_ns, w->opts.disk_latency_max_ns),
		     op_event);
}

/* --- open, close, size --- */

static struct sim_disk *disk_find(struct sim_world *w, const char *path)
{
	list_for_each (node, &w->files) {
		struct sim_disk *d = list_entry(node, struct sim_disk, link);

		if (!strcmp(d->path, path))
			return d;
	}
	return NULL;
}

/* A disk that the test made. */
static struct sim_disk *disk_get(struct sim_world *w, const char *path)
{
	struct sim_disk *d = disk_find(w, path);

	ASSERT(d);
	return d;
}

static struct file *file_new(struct sim_disk *d, bool read_only)
{
	struct sim_file *f = sim_alloc(sizeof(*f));

	d->opens++;
	f->disk = d;
	f->file.ops = &sim_env_ops;
	f->file.read_only = read_only;
	f->file.info = (struct file_info){
		.size_bytes = d->size_bytes,
		.block_size = d->block_size,
		.phys_block_size = d->block_size,
		.is_block_device = d->is_device,
		.can_discard = !read_only,
		.can_zero = !read_only,
	};
	return &f->file;
}

int sim_file_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
		  struct file **ret, struct err *err)
{
	struct sim_disk *d = disk_find(sim_env_of(env)->world, path);

	if (!d)
		return err_set(err, -ENOENT, "%s does not exist in this world", path);
	if (d->opens)
		return err_set(err, -EBUSY, "%s is open already", path);
	*ret = file_new(d, read_only);
	return 0;
}

int sim_file_export(const struct file *file)
{
	return ((const struct sim_file *)(const void *)file)->disk->number; /* its first member */
}

int sim_file_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
		   struct file **ret, struct err *err)
{
	list_for_each (node, &sim_env_of(env)->world->files) {
		struct sim_disk *d = list_entry(node, struct sim_disk, link);

		if (d->number != fd)
			continue;
		*ret = file_new(d, read_only);
		return 0;
	}
	return err_set(err, -EBADF, "no disk of this world was passed as %d for %s", fd, path);
}

void sim_file_close(struct file *file)
{
	struct sim_file *f = container_of(file, struct sim_file, file);

	ASSERT(f->disk->opens > 1 || list_empty(&f->disk->under_way));
	f->disk->opens--;
	free(f);
}

int sim_file_rescan(struct file *file, uint64_t *ret_size_bytes)
{
	file->info.size_bytes = container_of(file, struct sim_file, file)->disk->size_bytes;
	*ret_size_bytes = file->info.size_bytes;
	return 0;
}

/* --- what tests do to disks --- */

void sim_file_create(struct sim_world *w, const char *path, uint64_t size_bytes,
		     uint32_t block_size)
{
	struct sim_disk *d = sim_alloc(sizeof(*d));

	ASSERT(!disk_find(w, path));
	if (!str_copy(d->path, sizeof(d->path), path))
		UNREACHABLE();
	d->world = w;
	d->block_size = block_size;
	list_init(&d->cached);
	list_init(&d->under_way);
	d->number = list_empty(&w->files)
			    ? FIRST_NUMBER
			    : list_entry(w->files.prev, struct sim_disk, link)->number + 1;
	list_push_back(&w->files, &d->link);
	sim_file_resize(w, path, size_bytes);
}

void sim_file_is_device(struct sim_world *w, const char *path)
{
	disk_get(w, path)->is_device = true;
}

void sim_file_resize(struct sim_world *w, const char *path, uint64_t size_bytes)
{
	struct sim_disk *d = disk_get(w, path);
	uint64_t old = d->size_bytes / SECTOR, now = size_bytes / SECTOR;

	ASSERT(size_bytes >= d->size_bytes && size_bytes % d->block_size == 0);
	sparse_grow(&d->live, d->size_bytes, size_bytes);
	sparse_grow(&d->durable, d->size_bytes, size_bytes);
	d->durable_seq = realloc(d->durable_seq, now * sizeof(uint64_t));
	ASSERT(d->durable_seq);
	memset(d->durable_seq + old, 0, (now - old) * sizeof(uint64_t));
	d->size_bytes = size_bytes;
}

void sim_file_fail(struct sim_world *w, const char *path, unsigned mask, double probability,
		   int error)
{
	struct sim_disk *d = disk_get(w, path);

	ASSERT(mask == 0 || error < 0);
	d->fail_mask = mask;
	d->fail_probability = probability;
	d->fail_error = error;
}

/* All, nothing, or a random half of the sectors. */
static double cut_fate(struct sim_world *w)
{
	return (double)rng_below(&w->rng, 3) / 2;
}

void sim_file_power_cut(struct sim_world *w, const char *path)
{
	struct sim_disk *d = disk_get(w, path);

	sim_trace(w, "power cut", 0, 0);
	list_for_each (node, &d->under_way) {
		struct sim_file_op *op = list_entry(node, struct sim_file_op, link);

		op->cut = true;
		if (op->result == 0 && op->io->op != FILE_READ && op->io->op != FILE_SYNC)
			(void)cached_new(d, op->io); /* freed below with the others */
	}
	list_for_each_safe (node, &d->cached) {
		struct cached_write *cw = list_entry(node, struct cached_write, link);

		write_settle(d, cw, cut_fate(w));
		cached_free(cw);
	}
	for (uint64_t i = 0; i < chunks_of(d->size_bytes); i++) {
		uint64_t len = MIN(CHUNK, d->size_bytes - i * CHUNK);

		sparse_write(&d->live, i * CHUNK, d->durable.chunk[i], len);
	}
}

void sim_file_peek(struct sim_world *w, const char *path, uint64_t offset, void *buf, uint64_t len)
{
	sparse_read(&disk_get(w, path)->live, offset, buf, len);
}

void sim_file_free(struct sim_world *w)
{
	list_for_each_safe (node, &w->files) {
		struct sim_disk *d = list_entry(node, struct sim_disk, link);

		ASSERT(!d->opens);
		list_for_each_safe (cached, &d->cached)
			cached_free(list_entry(cached, struct cached_write, link));
		sparse_free(&d->live, d->size_bytes);
		sparse_free(&d->durable, d->size_bytes);
		free(d->durable_seq);
		free(d);
	}
}
