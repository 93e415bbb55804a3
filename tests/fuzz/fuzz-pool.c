/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small pool whose bytes were changed, as a whole: opened, closed, opened again. Byte 0: 1: read-only, 2: all problems are asked for, 4: checked as by `litepool pool check`, 8: and
 * mended, 16: losses are accepted. Then changes of 12 bytes:
 * which of the blocks that are not empty (2), offset in it (2), what to do (1: bit 0: the checksum is made right again; bit 1: xor instead of set), zero (3)... the value (4).
 *
 * With 32 in byte 0 the pool is as it is and the changes are of the memory with notes: region (1: 0 .. 2), index (1: 0 .. 7), what (1: bit 0: a note, made right: layer (1), cluster (1), phys (2),
 * entry's flags (1: PARTIAL, HIDE), seq (1), mask (1), zero (1); else: four bytes at an offset (2), value (4); bit 1: of generation 1), zero (1). It always opens; every cluster has one owner, a snapshot is as
 * it was, and the check finds nothing.
 *
 * The check ends and has written nothing unless it was to mend; what it says it has mended is clean when it looks again. It opens or is refused with a reason; nothing is written outside of the device, nor at all when it is refused; and what was opened for writing opens again.
 */
#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "pool/check.h"
#include "unit/pool/pool_rig.h"

#include "fuzz.h"

#define SIZE    (12 * MIB)
#define BLOCKS  (SIZE / LAYOUT_PAGE)
#define CHANGE  12u
#define CHANGES 16u

static uint8_t base[SIZE];
static uint32_t used[BLOCKS]; /* blocks of base that are not empty */
static uint32_t n_used;

struct mem_dev {
	struct blk_dev dev;
	uint8_t *mem;
	bool changed[BLOCKS];
	unsigned writes;
};

static void mem_submit(struct blk_dev *dev, struct blk_io *io)
{
	struct mem_dev *m = container_of(dev, struct mem_dev, dev);

	ASSERT(io->op == BLK_FLUSH || range_within(io->offset, io->length, SIZE));
	if (io->op == BLK_READ)
		memcpy(io->buf, m->mem + io->offset, io->length);
	if (io->op == BLK_WRITE) {
		memcpy(m->mem + io->offset, io->buf, io->length);
		m->writes++;
		for (uint64_t at = io->offset; at < io->offset + io->length; at += LAYOUT_PAGE)
			m->changed[at / LAYOUT_PAGE] = true;
	}
	blk_complete(io, 0);
}

static void mem_destroy(struct blk_dev *dev)
{
	UNREACHABLE(); /* it lives as long as the process */
}

static const struct blk_ops mem_ops = {
	.product = "fuzz", .submit = mem_submit, .destroy = mem_destroy};
static struct mem_dev disk;
static struct pool_rig rig;

static void snapshot(uint64_t layer)
{
	struct record r = {.type = RECORD_SNAPSHOT};
	struct props *props = calloc(1, sizeof(*props));

	ASSERT(props);
	r.snapshot.volume = pool_layer_find(rig.pool, layer)->disk.object;
	r.snapshot.snapshot = pool_new_id(rig.pool);
	r.snapshot.old_head = layer;
	r.snapshot.new_head = pool_new_id(rig.pool);
	(void)snprintf(props->name, sizeof(props->name), "s0");
	props->uuid.b[3] = 9;
	props->block_size = 4096;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &r);
	pool_txn_add_props(&rig.txn, r.snapshot.snapshot, 1, props);
	free(props);
	ASSERT(rig_commit(&rig) == 0);
}

/* Some of it in pages, some in the journal. */
static void make_base(void)
{
	struct record run = {.type = RECORD_MAP_RUN};
	struct block_mask mask = {{1, 2, 3, 4}};
	uint64_t v0;

	ASSERT(rig_create(&rig) == 0 && rig_open(&rig) == 0);
	v0 = rig_add_volume(&rig, "v0", GIB);
	rig_map(&rig, v0, 0, 10, NULL);
	rig_map(&rig, v0, 1, 11 | MAP_PARTIAL, &mask);
	ASSERT(rig_checkpoint(&rig) == 0 && rig_checkpoint(&rig) == 0);
	(void)rig_add_volume(&rig, "v1", GIB);
	snapshot(v0);
	run.map_run.layer = v0 + 1;
	run.map_run.entry = MAP_HIDE;
	run.map_run.count = 3;
	rig_txn_begin(&rig);
	pool_txn_add(&rig.txn, &run);
	ASSERT(rig_commit(&rig) == 0);
	sim_run_for(rig.w.sim, NSEC_PER_SEC);
	pool_free(rig.pool);
	rig.pool = NULL;
	memcpy(base, disk.mem, SIZE);
	for (uint32_t i = 0; i < BLOCKS; i++)
		if (!layout_is_zero(base + (size_t)i * LAYOUT_PAGE, LAYOUT_PAGE))
			used[n_used++] = i;
}

static void set_up(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	blk_world_init(&rig.w, 1);
	rig.env = (struct pool_env){rig.w.r[0], &rig.w.r[1], WORLD_REACTORS - 1};
	disk.mem = calloc(1, SIZE);
	ASSERT(disk.mem);
	ASSERT(blk_dev_init(&disk.dev, &mem_ops, "fuzz", &(struct uuid){{1}}, SIZE, 512, 0, NULL) ==
	       0);
	rig.dev = &disk.dev;
	make_base();
}

static void restore(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (disk.changed[i])
			memcpy(disk.mem + i * LAYOUT_PAGE, base + i * LAYOUT_PAGE, LAYOUT_PAGE);
	memset(disk.changed, 0, sizeof(disk.changed));
	disk.writes = 0;
}

static void make_right(uint8_t *block)
{
	size_t crc =
		!memcmp(block, SUPERBLOCK_MAGIC, 8)
			? offsetof(struct superblock_format, crc)
			: offsetof(struct page_format, crc); /* a journal block has it there too */

	put_le32(block + crc, layout_page_crc(block, crc));
}

static void change(const uint8_t *c)
{
	uint32_t i = used[get_le16(c) % n_used];
	uint8_t *block = disk.mem + (size_t)i * LAYOUT_PAGE;
	uint8_t *at = block + get_le16(c + 2) % (LAYOUT_PAGE - 3);

	put_le32(at, c[4] & 2 ? get_le32(at) ^ get_le32(c + 8) : get_le32(c + 8));
	if (c[4] & 1)
		make_right(block);
	disk.changed[i] = true;
}

static void problem(void *ctx, const struct pool_problem *p)
{
	ASSERT(p->kind && p->text[0] && p->severity <= POOL_DAMAGE);
}

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	ASSERT(f->kind && f->text[0] && f->severity < CHECK_SEVERITIES);
	ASSERT(f->severity != CHECK_LOSS || f->volumes);
}

static const struct pool_memory *check_memory; /* NULL: none */
static struct check_opts check_opts;
static struct check_result check_result;

static void call_check(struct pool_rig *p)
{
	pool_check(&p->env, p->dev, &check_opts, &check_result, rig_done, p);
}

static int check(bool repair, bool accept)
{
	static const char *const names[] = {"v0", "v1", "s0"};
	int res;

	check_opts =
		(struct check_opts){.repair = repair, .memory = check_memory, .finding = finding};
	check_opts.accept = names;
	check_opts.n_accept = accept ? 3 : 0;
	res = rig_run(&rig, call_check);
	return check_exit_code(res, &check_result);
}

static void check_and_mend(unsigned how)
{
	int status = check(false, false);

	ASSERT(!disk.writes);
	if (!(how & 8))
		return;
	if (status == CHECK_EXIT_CLEAN) {
		ASSERT(check(true, how & 16) != CHECK_EXIT_DAMAGED);
		return;
	}
	if (check(true, how & 16) == CHECK_EXIT_MENDED) {
		ASSERT(check(false, false) == CHECK_EXIT_CLEAN);
		rig.open = (struct pool_open_opts){.read_only = true};
		ASSERT(rig_open(&rig) == 0);
		ASSERT(rig_close(&rig) == 0);
	}
	disk.writes = 0;
}

static void open_and_close(unsigned how)
{
	int res;

	rig.open =
		(struct pool_open_opts){.read_only = how & 1, .problem = how & 2 ? problem : NULL};
	res = rig_open(&rig);
	if (res) {
		ASSERT(rig.err.code == res && rig.err.text[0]);
		ASSERT(!disk.writes);
		return;
	}
	ASSERT(!(how & 3) || !disk.writes);
	res = rig_close(&rig);
	ASSERT(!(how & 3) || (!res && !disk.writes));
	if (how & 3 || res)
		return;
	rig.open = (struct pool_open_opts){.read_only = true};
	ASSERT(rig_open(&rig) == 0);
	ASSERT(rig_close(&rig) == 0);
}

/* ---- notes ---- */

#define REGIONS 3u
#define RECORDS 8u

static uint8_t notes[NOTE_HEAD + 2 * REGIONS * RECORDS * sizeof(struct note)]
	__attribute__((aligned(64)));

static int memory_get(void *ctx, const struct uuid *pool, size_t bytes, void **ret,
		      size_t *ret_size, struct err *err)
{
	*ret = notes;
	*ret_size = sizeof(notes);
	return 0;
}

static void memory_put(void *ctx, const struct uuid *pool, void *memory, size_t size, bool gone)
{
	ASSERT(memory == notes && size == sizeof(notes));
}

static const struct pool_memory notes_memory = {
	.boot = {{1}}, .get = memory_get, .put = memory_put};

static void change_notes(const uint8_t *c)
{
	const struct note_head *head = (const struct note_head *)notes;
	unsigned generation = c[2] >> 1 & 1;
	struct note *to = note_at(head, c[0] % REGIONS, generation, c[1] % RECORDS);

	if (!(c[2] & 1)) {
		memcpy(notes + get_le16(c + 4) % (sizeof(notes) - 3), c + 6, 4);
		return;
	}
	if (head->regions != REGIONS ||
	    head->records != RECORDS) /* were changed: the place is none */
		return;
	*to = (struct note){.layer = c[4], .cluster = c[5], .seq = c[9], .entry = get_le16(c + 6)};
	to->entry |= (c[8] & 1 ? MAP_PARTIAL : 0) | (c[8] & 2 ? MAP_HIDE : 0);
	if (c[8] & 1)
		memset(&to->mask, c[10], sizeof(to->mask));
	note_seal(to, generation);
}

static void make_notes(const uint8_t *data, size_t size)
{
	struct note_identity id = {.boot = notes_memory.boot};
	struct superblock sb;

	ASSERT(superblock_decode(disk.mem, 0, &sb, NULL) == SUPERBLOCK_GOOD);
	id.pool = sb.pool;
	id.writer = sb.writer;
	id.epoch = sb.epoch;
	note_head_init((struct note_head *)notes, &id, REGIONS, RECORDS);
	atomic_store(&((struct note_head *)notes)->generation[0].cover, NOTE_UNCOVERED);
	for (size_t at = 0, n = 0; at + CHANGE <= size && n < 2 * CHANGES; at += CHANGE, n++)
		change_notes(data + at);
}

static void open_with_notes(void)
{
	const struct pool_object *s0;

	check_memory = &notes_memory;
	ASSERT(check(false, false) != CHECK_EXIT_FAILED && !disk.writes);
	check_memory = NULL;
	rig.open = (struct pool_open_opts){.memory = &notes_memory};
	ASSERT(rig_open(&rig) == 0);
	s0 = pool_object_by_name(rig.pool, "s0");
	ASSERT(s0 && map_get(s0->layer->map, 0, NULL) == 10);
	ASSERT(map_phys(map_get(s0->layer->map, 1, NULL)) == 11 && map_mapped(s0->layer->map) == 2);
	ASSERT(rig_close(&rig) == 0);
	ASSERT(check(false, false) == CHECK_EXIT_CLEAN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!n_used)
		set_up();
	if (size < 1)
		return 0;
	restore();
	if (data[0] & 32) {
		make_notes(data + 1, size - 1);
		open_with_notes();
		return 0;
	}
	for (size_t at = 1, n = 0; at + CHANGE <= size && n < CHANGES; at += CHANGE, n++)
		change(data + at);
	if (data[0] & 4)
		check_and_mend(data[0]);
	else
		open_and_close(data[0] & 3);
	return 0;
}
