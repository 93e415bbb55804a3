/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which version of each block is right. A write takes the next version (tried) and, acknowledged,
 * makes it the only right one (acked). A write that failed leaves both right, sector by sector, until
 * the next one succeeds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "load_internal.h"
#include "pattern.h"

#define VERSIONS_MAGIC 0x3176726576706cull

struct versions_head {
	uint64_t magic, seed, n_blocks, bs_bytes;
};

int load_versions_alloc(struct load *l, struct err *err)
{
	l->versions.acked = calloc(l->n_blocks, sizeof(uint32_t));
	l->versions.tried = calloc(l->n_blocks, sizeof(uint32_t));
	if (!l->versions.acked || !l->versions.tried ||
	    bitmap_init(&l->versions.busy, l->n_blocks) < 0)
		return err_set(err, -ENOMEM, "no memory for the versions of %llu blocks",
			       (unsigned long long)l->n_blocks);
	return 0;
}

void load_versions_free(struct load *l)
{
	free(l->versions.acked);
	free(l->versions.tried);
	bitmap_fini(&l->versions.busy);
}

int load_versions_read(struct load *l, struct err *err)
{
	FILE *f = fopen(l->opts.versions_path, "re");
	struct versions_head head;
	size_t n = l->n_blocks;
	int rc = 0;

	if (!f)
		return err_set(err, -errno, "opening %s: %s", l->opts.versions_path,
			       strerror(errno));
	if (fread(&head, sizeof(head), 1, f) != 1 || head.magic != VERSIONS_MAGIC ||
	    head.n_blocks != n || head.bs_bytes != l->opts.bs_bytes ||
	    fread(l->versions.acked, sizeof(uint32_t), n, f) != n ||
	    fread(l->versions.tried, sizeof(uint32_t), n, f) != n)
		rc = err_set(err, -EINVAL, "%s does not hold the versions of %zu blocks of %u",
			     l->opts.versions_path, n, l->opts.bs_bytes);
	else
		l->opts.seed = head.seed;
	(void)fclose(f);
	return rc;
}

int load_versions_write(const struct load *l, struct err *err)
{
	struct versions_head head = {VERSIONS_MAGIC, l->opts.seed, l->n_blocks, l->opts.bs_bytes};
	FILE *f = fopen(l->opts.versions_path, "we");
	size_t n = l->n_blocks;
	bool ok;

	if (!f)
		return err_set(err, -errno, "opening %s: %s", l->opts.versions_path,
			       strerror(errno));
	ok = fwrite(&head, sizeof(head), 1, f) == 1 &&
	     fwrite(l->versions.acked, sizeof(uint32_t), n, f) == n &&
	     fwrite(l->versions.tried, sizeof(uint32_t), n, f) == n;
	ok = fclose(f) == 0 && ok;
	return ok ? 0 : err_set(err, -EIO, "writing %s failed", l->opts.versions_path);
}

uint64_t load_versions_take(struct load *l, uint64_t wanted)
{
	size_t block = bitmap_next_clear(&l->versions.busy, wanted);

	if (block == BITMAP_NONE)
		block = bitmap_next_clear(&l->versions.busy, 0);
	ASSERT(block != BITMAP_NONE); /* there are more blocks than jobs */
	bitmap_set(&l->versions.busy, block);
	return block;
}

static struct pattern job_pattern(const struct load *l, const struct load_job *job)
{
	return (struct pattern){l->opts.seed, l->opts.offset_bytes + job->block * l->opts.bs_bytes};
}

void load_versions_fill(struct load *l, struct load_job *job)
{
	struct pattern pattern = job_pattern(l, job);

	job->version = ++l->versions.tried[job->block];
	pattern_fill(&pattern, job->version, job->buf, l->opts.bs_bytes);
}

static void read_check(struct load *l, const struct load_job *job)
{
	struct pattern pattern = job_pattern(l, job);
	uint32_t min = l->versions.acked[job->block], max = l->versions.tried[job->block];
	struct pattern_found found;

	if (min == 0)
		return; /* never written by us: nothing is known of it */
	found = pattern_check(&pattern, min, max, job->buf, l->opts.bs_bytes);
	if (found.verdict == PATTERN_OK) {
		l->verified++;
		return;
	}
	l->mismatches++;
	load_complain(l, "%s data at byte %llu: version %u seen, %u to %u are right",
		      pattern_verdict_name[found.verdict], (unsigned long long)found.offset,
		      found.version, min, max);
}

void load_versions_done(struct load *l, struct load_job *job, int status)
{
	bitmap_clear(&l->versions.busy, job->block);
	if (status != 0)
		return;
	if (job->write)
		l->versions.acked[job->block] = job->version;
	else
		read_check(l, job);
}
