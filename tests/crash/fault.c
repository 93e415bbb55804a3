/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of the disk: an error with its place named, no crash, no spread; and what was promised before is there afterwards. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "crash/crash.h"

/* ---- errors of reads, writes, flushes ---- */

/*
 * The pool goes on, or it fails and says so to everyone; after that it is closed, and opened on a disk that works again. Nothing that was flushed is lost: a write that failed may be there or not, and a flush
 * that failed may have lost what it was for.
 */
void fault_errors(struct run *run)
{
	static const unsigned mask[] = {1u << BLK_READ, 1u << BLK_WRITE, 1u << BLK_FLUSH,
					1u << BLK_READ | 1u << BLK_WRITE | 1u << BLK_FLUSH};

	run->faulty = true;
	run->answered_counts = false;
	run->faults++;
	run->disk->fail_one_in = 1 + (unsigned)rng_below(&run->rng, 30);
	run->disk->fail_mask = mask[rng_below(&run->rng, ARRAY_LEN(mask))];
	run_work_for(run, 200);
	run_quiesce(run);
	run_shut(run);
	run->disk->fail_mask = 0;
	run->disk->flush_lost = false;
}

/* ---- a lost or misdirected write of a page ---- */

static bool checkpoint_over(void *ctx)
{
	return !((struct run *)ctx)->checkpointing;
}

/* The checkpoint reads back what it wrote: it must notice, and the pool must stop while its journal still has everything. */
static void lose(struct run *run, int64_t misdirect)
{
	struct crash_disk *d = run->disk;

	run_quiesce(run);
	run->faulty = true;
	run->answered_counts = false;
	run->faults++;
	d->misdirect = misdirect;
	d->lose_page = true;
	checkpoint_now(run);
	(void)sim_run_until(run->sim, checkpoint_over, run, DEADLINE);
	if (!d->lose_page && pool_state(run->pool) != POOL_FAILED)
		run_fail(run, "a write of a page was lost and the checkpoint did not notice");
	d->lose_page = false;
	run_shut(run);
}

void fault_lost_page(struct run *run)
{
	lose(run, 0);
}

/* It lands on another page, which may have been the only good one: then the opening is refused and says where. */
void fault_misdirected_page(struct run *run)
{
	struct rng rng;
	uint64_t hash;

	run->prelude = true; /* a cut after it may find a pool that is rightly refused */
	lose(run, DISK_PAGE);
	cut_seed(run, 0, &rng);
	image_cut(run->disk, &rng, STYLE_ALL, false);
	if (!cut_mount(run)) {
		cut_unmount(run);
		(void)cut_look(run, "a page was misdirected", false, &hash);
	} else if (!run->checker.err.text[0]) {
		run_fail(run, "refused without a word");
	}
	cut_unmount(run);
	image_drop(run->disk);
	run->over = true;
}

/* ---- rot ---- */

static bool blank(const uint8_t *page)
{
	return !page || layout_is_zero(page, DISK_PAGE);
}

/* A page of metadata that has content; 0: none was found. */
static uint64_t some_page(struct run *run, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t place = from / DISK_PAGE + rng_below(&run->rng, (to - from) / DISK_PAGE);
		const uint8_t *page = disk_durable(run->disk, place);

		if (!blank(page) && (from < LAYOUT_HEAD || get_le32(page) == 0x4750504cu ||
				     get_le32(page) == 0x424a504cu || to <= 8 * MIB))
			return place;
	}
	return 0;
}

/* In both states. */
static void disk_flip(struct crash_disk *d, uint64_t offset, unsigned bit)
{
	uint8_t *both[] = {d->live[offset / DISK_PAGE], d->durable[offset / DISK_PAGE]};

	for (unsigned i = 0; i < 2; i++)
		if (both[i])
			both[i][offset % DISK_PAGE] ^= (uint8_t)(1u << bit % 8);
}

/*
 * One bit is another. Either the pool opens and has all that it should, or the opening is refused and says why. Only damage to the last round of the journal can look like its end
 * (FORMAT.md §3); that may lose what that round made durable.
 */
static void flip(struct run *run, uint64_t from, uint64_t to, bool journal)
{
	uint64_t place = some_page(run, from, to), hash;
	unsigned bit = (unsigned)rng_below(&run->rng, DISK_PAGE * 8);
	uint64_t at = place * DISK_PAGE + bit / 8;

	if (!place && from)
		return;
	run->faults++;
	disk_flip(run->disk, at, bit);
	run->disk->image.level = 1;
	if (cut_mount(run)) {
		if (!run->checker.err.text[0])
			run_fail(run, "refused without a word");
	} else {
		cut_unmount(run);
		image_drop(run->disk);
		if (!journal)
			(void)cut_look(run, "a bit has flipped", false, &hash);
	}
	cut_unmount(run);
	image_drop(run->disk);
	disk_flip(run->disk, at, bit);
}

void fault_flips(struct run *run)
{
	const struct superblock *sb = pool_superblock(run->pool);
	uint64_t journal = LAYOUT_HEAD + (uint64_t)sb->journal_blocks * LAYOUT_PAGE;
	uint64_t end = sb->end_cluster * LAYOUT_CLUSTER;

	run_power_cut(run);
	for (unsigned i = 0; i < 40 && !run->failures; i++) {
		flip(run, 0, LAYOUT_HEAD, false);
		flip(run, LAYOUT_HEAD, journal, true);
		flip(run, journal, end, false);
	}
}
