/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole pools as earlier versions of this program left them (tests/golden/pools-v1): checked, dumped, opened, each volume read to its end, and all of that compared with the text that lies beside the image.
 *
 *   test-volume-golden FOLDER           compares
 *   test-volume-golden FOLDER --text    writes the texts anew, when the dump says more than before
 *   test-volume-golden FOLDER --make    makes images and texts: once for a new version of the format, never over those of an old one
 *
 * An image is "LPSPARSE", its size (8), then runs: offset (8), length (4), kind (4; 0: that many bytes follow, 1: one byte that all of them are). Little endian; what is in no run is zero.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/crc32c.h"
#include "pool/check.h"
#include "pool/dump.h"
#include "samples.h"
#include "unit/volume/volume_rig.h"

#define SIZE   (64 * MIB)
#define SECTOR 512u
#define PIECE  (UINT64_C(64) * 1024)
#define CHAIN  12u

static const struct image {
	const char *name;
	bool sums, crashed, noted;
} images[] = {
	{"plain", false, false, false},      {"crashed", false, true, false},
	{"noted", false, true, true},        {"sums", true, false, false},
	{"sums-crashed", true, true, false},
};

static const char *folder, *mode;

static struct lab {
	struct volume_rig v;
	struct check_opts check;
	struct check_result result;
	json_t *dump;
	FILE *text;
	bool work;
} lab;

/* ---- memory for notes ---- */

static uint8_t memory[64 * 1024] __attribute__((aligned(4096)));

static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	*ret = memory;
	*ret_size = sizeof(memory);
	return 0;
}

static void put(void *ctx, const struct uuid *pool, void *mem, size_t size, bool gone)
{
}

static const struct pool_memory memory_ops = {.boot = {{7}}, .get = get, .put = put};

/* ---- files ---- */

static FILE *open_file(const char *name, const char *suffix, const char *how)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%s", folder, name, suffix);
	f = fopen(path, how);
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	return f;
}

static bool uniform(const uint8_t *p, size_t n)
{
	return memcmp(p, p + 1, n - 1) == 0;
}

static void write_run(FILE *f, const uint8_t *bytes, uint64_t offset, uint32_t length, bool fill)
{
	uint8_t head[16];

	put_le64(head, offset);
	put_le32(head + 8, length);
	put_le32(head + 12, fill);
	assert_int_equal(fwrite(head, 1, sizeof(head), f), sizeof(head));
	assert_int_equal(fwrite(bytes + offset, 1, fill ? 1 : length, f), fill ? 1 : length);
}

static void write_sparse(const char *name, const char *suffix, const uint8_t *bytes, uint64_t size)
{
	FILE *f = open_file(name, suffix, "wb");
	le64 text_size;

	put_le64(&text_size, size);
	assert_int_equal(fwrite("LPSPARSE", 1, 8, f), 8);
	assert_int_equal(fwrite(&text_size, 1, 8, f), 8);
	for (uint64_t at = 0, end; at < size; at = end) {
		bool fill = uniform(bytes + at, SECTOR);

		for (end = at + SECTOR; end < size; end += SECTOR)
			if (uniform(bytes + end, SECTOR) != fill ||
			    (fill && bytes[end] != bytes[at]))
				break;
		if (!fill || bytes[at])
			write_run(f, bytes, at, (uint32_t)(end - at), fill);
	}
	assert_int_equal(fclose(f), 0);
}

static void read_sparse(const char *name, const char *suffix, uint8_t *bytes, uint64_t size)
{
	FILE *f = open_file(name, suffix, "rb");
	uint8_t head[16];

	memset(bytes, 0, size);
	assert_int_equal(fread(head, 1, sizeof(head), f), sizeof(head));
	assert_memory_equal(head, "LPSPARSE", 8);
	assert_int_equal(get_le64(head + 8), size);
	while (fread(head, 1, sizeof(head), f) == sizeof(head)) {
		uint64_t offset = get_le64(head);
		uint32_t length = get_le32(head + 8), kind = get_le32(head + 12);

		assert_true(kind < 2 && length && offset < size && length <= size - offset);
		assert_int_equal(fread(bytes + offset, 1, kind ? 1 : length, f), kind ? 1 : length);
		if (kind)
			memset(bytes + offset, bytes[offset], length);
	}
	assert_int_equal(fclose(f), 0);
}

/* ---- a pool ---- */

static void begin(void)
{
	struct volume_rig_opts opts = {.seed = 1, .size = SIZE, .block_size = 512};

	memset(&lab, 0, sizeof(lab));
	blk_world_init(&lab.v.p.w, opts.seed);
	vrig_disk(&lab.v, &opts);
	lab.v.p.env = (struct pool_env){lab.v.p.w.r[0], &lab.v.p.w.r[1], WORLD_REACTORS - 1};
}

static void open_pool(const struct image *image)
{
	lab.v.p.open.memory = image->noted ? &memory_ops : NULL;
	assert_int_equal(rig_open(&lab.v.p), 0);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_new), 0);
}

/* ---- making ---- */

static void call_delete(struct pool_rig *p)
{
	volume_delete(volume_find(lab.v.set, lab.v.name), vrig_done, &lab.v);
}

static void call_promote(struct pool_rig *p)
{
	volume_promote(volume_find(lab.v.set, lab.v.name), vrig_done, &lab.v);
}

static int edit(void *ctx, struct props *props, struct err *err)
{
	const struct props *sample = sample_props();

	props->qos = sample->qos;
	props->n_exports = sample->n_exports;
	props->n_hosts = sample->n_hosts;
	props->n_listeners = sample->n_listeners;
	props->n_labels = sample->n_labels;
	memcpy(props->export, sample->export, sizeof(props->export));
	memcpy(props->host, sample->host, sizeof(props->host));
	memcpy(props->listener, sample->listener, sizeof(props->listener));
	memcpy(props->label, sample->label, sizeof(props->label));
	memcpy(props->serial, sample->serial, sizeof(props->serial));
	return 0;
}

static void call_edit(struct pool_rig *p)
{
	volume_edit(volume_find(lab.v.set, lab.v.name), edit, NULL, vrig_done, &lab.v);
}

static void on(const char *name, void (*call)(struct pool_rig *p))
{
	lab.v.name = name;
	assert_int_equal(rig_run(&lab.v.p, call), 0);
}

static void clone_of(const char *snapshot, const char *name, uint64_t size)
{
	lab.v.opts = (struct volume_create_opts){.name = name, .size_bytes = size};
	on(snapshot, vrig_call_clone);
}

static void call_work(struct pool_rig *p)
{
	struct volume_work work;

	lab.work = volume_work_list(lab.v.set, &work, 1) > 0;
	rig_done(p, 0, NULL);
}

static void wait_for_work(void)
{
	do {
		sim_run_for(lab.v.p.w.sim, NSEC_PER_MSEC);
		assert_int_equal(rig_run(&lab.v.p, call_work), 0);
	} while (lab.work);
}

static void write_at(const char *name, uint64_t offset, uint64_t length, uint8_t value, bool flush)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab.v.set, name));

	assert_int_equal(vrig_write(&lab.v, dev, offset, length, value), 0);
	if (flush)
		assert_int_equal(vrig_io(&lab.v, dev, BLK_FLUSH, 0, 0, 0), 0);
	dev->ops->destroy(dev);
}

static void discard_at(const char *name, uint64_t offset, uint64_t length)
{
	struct blk_dev *dev = vrig_dev(volume_find(lab.v.set, name));

	assert_int_equal(vrig_io(&lab.v, dev, BLK_DISCARD, 0, offset, length), 0);
	dev->ops->destroy(dev);
}

static void make_chain(void)
{
	char name[16];

	for (unsigned i = 0; i < CHAIN; i++) {
		write_at("db", i % 5 * MIB + i * UINT64_C(12288), 8192, (uint8_t)(10 + i), true);
		snprintf(name, sizeof(name), "s%u", i);
		(void)vrig_snapshot(&lab.v, "db", name);
	}
	discard_at("db", MIB, MIB); /* hides what the snapshots have */
	discard_at("db", 3 * MIB, 8192);
	on("s7", call_delete);
	wait_for_work();
}

static void make_volumes(void)
{
	assert_non_null(vrig_create(&lab.v, "thick", 2 * MIB, 4096, true));
	assert_non_null(vrig_create(&lab.v, "small", MIB + 512, 512, false));
	assert_non_null(vrig_create(&lab.v, "db", 6 * MIB, 4096, false));
	write_at("thick", 0, MIB, 1, true);
	write_at("small", 512, 1024, 2, true);
	write_at("small", MIB, 512, 3, true);
	make_chain();
	clone_of("s5", "c", 8 * MIB);
	write_at("c", 4 * MIB + 4096, 16384, 4, true);
	(void)vrig_snapshot(&lab.v, "c", "c0");
	on("c", call_promote);
	on("db", call_edit);
}

static void make_more(const struct image *image)
{
	assert_int_equal(rig_checkpoint(&lab.v.p), 0);
	write_at("db", 5 * MIB, 4096, 5, true);
	(void)vrig_snapshot(&lab.v, "db", "late");
	clone_of("late", "d", 0);
	write_at("d", 2 * MIB, 4096, 6, true);
	on("s9", call_delete);
	wait_for_work();
	if (image->sums) { /* some clusters are closed by the journal alone, one is open */
		sim_run_for(lab.v.p.w.sim, 30 * NSEC_PER_SEC);
		write_at("d", 2 * MIB + 8192, 4096, 8, true);
	}
	if (image->noted) /* and nobody flushes */
		write_at("d", 4 * MIB, 12288, 7, false);
}

static void make(const struct image *image)
{
	static uint8_t bytes[SIZE], kept[sizeof(memory)];

	begin();
	memset(memory, 0, sizeof(memory));
	assert_int_equal(rig_create_opts(&lab.v.p, &(struct pool_create_opts){.name = "golden",
									      .sums = image->sums}),
			 0);
	open_pool(image);
	make_volumes();
	if (image->crashed)
		make_more(image);
	memcpy(kept, memory, sizeof(kept));
	if (image->crashed)
		sim_file_peek(lab.v.p.w.sim, RIG_PATH, 0, bytes, SIZE);
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab.v.p), 0);
	if (!image->crashed)
		sim_file_peek(lab.v.p.w.sim, RIG_PATH, 0, bytes, SIZE);
	rig_fini(&lab.v.p);
	write_sparse(image->name, ".image", bytes, SIZE);
	if (image->noted)
		write_sparse(image->name, ".notes", kept, sizeof(kept));
}

/* ---- looking ---- */

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	fprintf(lab.text, "%s: %s\n", check_severity_name[f->severity], f->text);
}

static void call_check(struct pool_rig *p)
{
	pool_check(&p->env, p->dev, &lab.check, &lab.result, rig_done, p);
}

static void call_dump(struct pool_rig *p)
{
	pool_dump(&p->env, p->dev, DUMP_JOURNAL | DUMP_PAGES | DUMP_MAPS, lab.dump, rig_done, p);
}

static void check_and_dump(void)
{
	json_t *value;
	const char *key;
	size_t i;
	json_t *item;

	lab.check.finding = finding;
	assert_int_equal(rig_run(&lab.v.p, call_check), 0);
	fprintf(lab.text, "check %d\n", check_exit_code(0, &lab.result));
	lab.dump = json_object();
	assert_int_equal(rig_run(&lab.v.p, call_dump), 0);
	json_object_foreach (lab.dump, key, value) {
		if (!json_is_array(value)) {
			fprintf(lab.text, "%s ", key);
			(void)json_dumpf(value, lab.text, JSON_ENCODE_ANY | JSON_SORT_KEYS);
			fprintf(lab.text, "\n");
			continue;
		}
		json_array_foreach (value, i, item) {
			fprintf(lab.text, "%s ", key);
			(void)json_dumpf(item, lab.text, JSON_ENCODE_ANY | JSON_SORT_KEYS);
			fprintf(lab.text, "\n");
		}
	}
	json_decref(lab.dump);
}

static uint32_t content(struct volume *v)
{
	struct blk_dev *dev = vrig_dev(v);
	uint64_t size = v->object->layer->disk.size_bytes;
	uint32_t crc = 0;

	for (uint64_t at = 0; at < size; at += PIECE) {
		uint64_t n = MIN(PIECE, size - at);

		assert_int_equal(vrig_io(&lab.v, dev, BLK_READ, 0, at, n), 0);
		crc = crc32c_extend(crc, lab.v.p.w.buf, n);
	}
	dev->ops->destroy(dev);
	return crc;
}

static void read_all(void)
{
	list_for_each (it, pool_objects(lab.v.p.pool)) {
		const struct pool_object *o = list_entry(it, struct pool_object, link);
		char of[UUID_TEXT_SIZE];

		fprintf(lab.text,
			"%s %s of=%s props=%" PRIu32 " bytes crc %08" PRIx32
			" content crc %08" PRIx32 "\n",
			pool_object_is_snapshot(o) ? "snapshot" : "volume", o->name,
			uuid_format(&o->snapshot_of, of), o->blob_len, crc32c(o->blob, o->blob_len),
			content(o->user));
	}
}

/* Checked and dumped as it lies there, then opened and read, closed, and checked again. */
static void look(const struct image *image, FILE *text)
{
	static uint8_t bytes[SIZE];

	begin();
	lab.text = text;
	read_sparse(image->name, ".image", bytes, SIZE);
	for (uint64_t at = 0; at < SIZE; at += MIB)
		rig_write(&lab.v.p, at, bytes + at, MIB);
	if (image->noted)
		read_sparse(image->name, ".notes", memory, sizeof(memory));
	check_and_dump();
	open_pool(image);
	read_all();
	assert_int_equal(rig_run(&lab.v.p, vrig_volumes_free), 0);
	assert_int_equal(rig_close(&lab.v.p), 0);
	assert_int_equal(rig_run(&lab.v.p, call_check), 0);
	fprintf(text, "check afterwards %d\n", check_exit_code(0, &lab.result));
	rig_fini(&lab.v.p);
}

static void compare(const struct image *image, FILE *now)
{
	FILE *then = open_file(image->name, ".text", "r");
	char *a = NULL, *b = NULL;
	size_t room_a = 0, room_b = 0;

	assert_int_equal(fseek(now, 0, SEEK_SET), 0);
	for (unsigned line = 1;; line++) {
		ssize_t n = getline(&a, &room_a, then), m = getline(&b, &room_b, now);

		if (n < 0 && m < 0)
			break;
		if (n < 0 || m < 0 || strcmp(a, b) != 0)
			fail_msg("%s, line %u of its text:\n  %swas\n  %s", image->name, line,
				 m < 0 ? "nothing, " : b, n < 0 ? "nothing" : a);
	}
	free(a);
	free(b);
	(void)fclose(then);
}

static void pools_of_earlier_versions_are_as_they_were(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(images); i++) {
		const struct image *image = &images[i];
		FILE *text = tmpfile();

		assert_non_null(text);
		if (!strcmp(mode, "--make"))
			make(image);
		if (*mode) {
			(void)fclose(text);
			text = open_file(image->name, ".text", "w");
		}
		look(image, text);
		if (!*mode)
			compare(image, text);
		assert_int_equal(fclose(text), 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_of_earlier_versions_are_as_they_were),
	};

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: test-volume-golden FOLDER [--text | --make]\n");
		return 2;
	}
	folder = argv[1];
	mode = argc == 3 ? argv[2] : "";
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
