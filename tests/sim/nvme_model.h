/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the blocks of a namespace may hold. Each write has a version of its own (0: zeroes) that fills its blocks; a block keeps its
 * recent versions with the time in which a read may have seen them. Writers of a block exclude each other, so what a
 * read may return is known exactly, except after a write whose outcome is not known: then both are possible.
 */
#ifndef LITEPOOL_TESTS_SIM_NVME_MODEL_H
#define LITEPOOL_TESTS_SIM_NVME_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_RECS 16

struct model_rec {
	uint64_t version, from_ns, until_ns; /* until: UINT64_MAX while it may still be read */
};

struct model_block {
	struct model_rec rec[MODEL_RECS];
	unsigned n;
	uint64_t forgotten_ns; /* a version that is not kept could be read until then */
	bool locked;           /* a write is under way */
	bool haunted; /* a lost write may still come: no new ones before the target is quiet */
};

struct model {
	uint32_t nsid, block_size, n_blocks;
	struct model_block *block;
};

enum model_outcome {
	MODEL_DONE,             /* the write succeeded */
	MODEL_UNSURE,           /* it ended; done or not */
	MODEL_LOST,             /* nobody answered: it may be done, now or later */
	MODEL_DONE_MAYBE_AGAIN, /* it succeeded, and an earlier attempt of it may still come */
};

void model_init(struct model *m, uint32_t nsid, uint32_t block_size, uint32_t n_blocks);
void model_fini(struct model *m);
/* False: some of the blocks cannot be written now. */
bool model_lock(struct model *m, uint64_t lba, uint32_t n);
void model_unlock(struct model *m, uint64_t lba, uint32_t n);
/* Between lock and unlock. */
void model_write_begin(struct model *m, uint64_t lba, uint32_t n, uint64_t version,
		       uint64_t now_ns);
void model_write_end(struct model *m, uint64_t lba, uint32_t n, uint64_t version, uint64_t now_ns,
		     enum model_outcome outcome);
/* data as it must be for version. */
void model_fill(const struct model *m, uint64_t lba, uint32_t n, uint64_t version, void *data);
/* data as it is, when each block can hold one version only; false: not known. */
bool model_expect(const struct model *m, uint64_t lba, uint32_t n, void *data);
/* Whether a read from start to end may have returned data; prints what is wrong. */
bool model_check(const struct model *m, uint64_t lba, uint32_t n, const void *data,
		 uint64_t start_ns, uint64_t end_ns);
/* Nothing is under way: data is checked, and from now on the only truth. */
bool model_settle(struct model *m, uint64_t lba, uint32_t n, const void *data, uint64_t now_ns);

#endif
