/* SPDX-License-Identifier: Apache-2.0 */
/* The data model of sim-nvme. A block of version v repeats the 16 bytes (v, nsid and lba). */
#include "sim/nvme_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FOREVER UINT64_MAX

void model_init(struct model *m, uint32_t nsid, uint32_t block_size, uint32_t n_blocks)
{
	*m = (struct model){.nsid = nsid, .block_size = block_size, .n_blocks = n_blocks};
	m->block = calloc(n_blocks, sizeof(*m->block));
	ASSERT(m->block);
	for (uint32_t i = 0; i < n_blocks; i++) {
		m->block[i].rec[0].until_ns = FOREVER; /* zeroes */
		m->block[i].n = 1;
	}
}

void model_fini(struct model *m)
{
	free(m->block);
}

bool model_lock(struct model *m, uint64_t lba, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (m->block[lba + i].locked || m->block[lba + i].haunted)
			return false;
	for (uint32_t i = 0; i < n; i++)
		m->block[lba + i].locked = true;
	return true;
}

void model_unlock(struct model *m, uint64_t lba, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		ASSERT(m->block[lba + i].locked);
		m->block[lba + i].locked = false;
	}
}

/* Makes room by forgetting the version that was over first. */
static void forget_one(struct model_block *b)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < b->n; i++)
		if (b->rec[i].until_ns < b->rec[oldest].until_ns)
			oldest = i;
	if (b->forgotten_ns < b->rec[oldest].until_ns)
		b->forgotten_ns = b->rec[oldest].until_ns;
	b->rec[oldest] = b->rec[--b->n];
}

void model_write_begin(struct model *m, uint64_t lba, uint32_t n, uint64_t version, uint64_t now_ns)
{
	for (uint32_t i = 0; i < n; i++) {
		struct model_block *b = &m->block[lba + i];

		ASSERT(b->locked);
		if (b->n == MODEL_RECS)
			forget_one(b);
		b->rec[b->n++] = (struct model_rec){
			.version = version, .from_ns = now_ns, .until_ns = FOREVER};
	}
}

void model_write_end(struct model *m, uint64_t lba, uint32_t n, uint64_t version, uint64_t now_ns,
		     enum model_outcome outcome)
{
	bool done = outcome == MODEL_DONE || outcome == MODEL_DONE_MAYBE_AGAIN;

	for (uint32_t i = 0; i < n; i++) {
		struct model_block *b = &m->block[lba + i];

		if (outcome == MODEL_LOST || outcome == MODEL_DONE_MAYBE_AGAIN)
			b->haunted = true;
		for (unsigned k = 0; done && k < b->n; k++)
			if (b->rec[k].version != version && b->rec[k].until_ns == FOREVER)
				b->rec[k].until_ns = now_ns;
	}
}

static void block_fill(const struct model *m, uint64_t lba, uint64_t version, uint8_t *data)
{
	uint64_t words[2] = {version, (uint64_t)m->nsid << 48 | lba};

	if (!version) {
		memset(data, 0, m->block_size);
		return;
	}
	for (uint32_t at = 0; at < m->block_size; at += sizeof(words))
		memcpy(data + at, words, sizeof(words));
}

void model_fill(const struct model *m, uint64_t lba, uint32_t n, uint64_t version, void *data)
{
	for (uint32_t i = 0; i < n; i++)
		block_fill(m, lba + i, version, (uint8_t *)data + (size_t)i * m->block_size);
}

bool model_expect(const struct model *m, uint64_t lba, uint32_t n, void *data)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct model_block *b = &m->block[lba + i];
		const struct model_rec *only = NULL;

		for (unsigned k = 0; k < b->n; k++) {
			if (b->rec[k].until_ns != FOREVER)
				continue;
			if (only && only->version != b->rec[k].version)
				return false;
			only = &b->rec[k];
		}
		if (!only)
			return false;
		block_fill(m, lba + i, only->version, (uint8_t *)data + (size_t)i * m->block_size);
	}
	return true;
}

static bool wrong(const struct model *m, uint64_t lba, const char *what, uint64_t version,
		  const struct model_block *b)
{
	fprintf(stderr, "nsid %u lba %" PRIu64 ": %s, version %" PRIx64 " read; possible:", m->nsid,
		lba, what, version);
	for (unsigned k = 0; k < b->n; k++)
		fprintf(stderr, " %" PRIx64 " (%" PRIu64 "..%" PRIu64 ")", b->rec[k].version,
			b->rec[k].from_ns, b->rec[k].until_ns);
	fprintf(stderr, "\n");
	return false;
}

/* Versions that a read from start to end may see. */
static bool rec_possible(const struct model_rec *rec, uint64_t start_ns, uint64_t end_ns)
{
	return rec->from_ns <= end_ns && rec->until_ns >= start_ns;
}

/* A whole block is of one version that may be there. */
static bool block_check(const struct model *m, uint64_t lba, const uint8_t *data, uint64_t start_ns,
			uint64_t end_ns)
{
	const struct model_block *b = &m->block[lba];
	uint8_t want[4096];
	uint64_t version;

	ASSERT(m->block_size <= sizeof(want));
	if (b->forgotten_ns >= start_ns) /* more versions than are kept */
		return true;
	memcpy(&version, data, sizeof(version));
	for (unsigned k = 0; k < b->n; k++) {
		block_fill(m, lba, b->rec[k].version, want);
		if (rec_possible(&b->rec[k], start_ns, end_ns) &&
		    !memcmp(want, data, m->block_size))
			return true;
	}
	return wrong(m, lba, "not a version that can be there", version, b);
}

bool model_check(const struct model *m, uint64_t lba, uint32_t n, const void *data,
		 uint64_t start_ns, uint64_t end_ns)
{
	for (uint32_t i = 0; i < n; i++)
		if (!block_check(m, lba + i, (const uint8_t *)data + (size_t)i * m->block_size,
				 start_ns, end_ns))
			return false;
	return true;
}

bool model_settle(struct model *m, uint64_t lba, uint32_t n, const void *data, uint64_t now_ns)
{
	if (!model_check(m, lba, n, data, now_ns, now_ns))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct model_block *b = &m->block[lba + i];

		ASSERT(!b->locked);
		memset(b, 0, sizeof(*b));
		memcpy(&b->rec[0].version, (const uint8_t *)data + (size_t)i * m->block_size,
		       sizeof(uint64_t));
		b->rec[0].until_ns = FOREVER;
		b->n = 1;
	}
	return true;
}
