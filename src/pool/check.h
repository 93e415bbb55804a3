/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a pool that nobody has open, and mending it: fsck.
 *
 * Rules:
 *  1. Without repair nothing is written, whatever is found.
 *  2. What is mended is either proven to lose nothing, or its loss is named (which volume, which range) and was accepted by that name.
 *  3. After mending everything is read and judged anew; what the result says is true of the device as it is then.
 *  4. A power cut while mending leaves something that can be checked and mended again.
 *
 * Threads: the reactor of env->home. The device is the caller's and nobody else's: opened exclusively, also for reading.
 */
#ifndef LITEPOOL_POOL_CHECK_H
#define LITEPOOL_POOL_CHECK_H

#include "pool/pool.h"

enum check_severity {
	CHECK_NOTE,     /* nothing is wrong: what a crash leaves behind, or what is odd */
	CHECK_MENDABLE, /* damage; mending it loses nothing */
	CHECK_LOSS,     /* damage; mending it loses what it says */
	CHECK_HOPELESS, /* damage that this program cannot mend */
	CHECK_WRONG, /* metadata is sound, and something that volumes hold is wrong, gone or cannot be verified: writing it anew mends it */
	CHECK_SEVERITIES,
};
extern const char *const check_severity_name[CHECK_SEVERITIES]; /* "note", "damage", "loss", ... */

struct check_finding {
	enum check_severity severity;
	const char *kind; /* as pool_problem.kind, and "space", "export", "notes", "sums", "data" */
	uint64_t place;   /* device offset / 4096; UINT64_MAX: at no single place */
	const char *text; /* one sentence: what is wrong */
	const char *plan; /* what --repair does about it; NULL: nothing */
	/* CHECK_LOSS, CHECK_WRONG of data: the names of volumes and snapshots that lose something, separated by blanks. */
	const char *volumes;
};

struct check_numbers { /* of a pool that could be read */
	uint64_t segments, pairs_used, pages_good, pages_old, pages_torn, pages_bad, pairs_left;
	uint64_t journal_blocks; /* that replay needs */
	uint64_t layers, volumes, snapshots;
	uint64_t clusters, clusters_mapped, clusters_free;
	uint64_t notes; /* clusters that the next opening puts as notes say (FORMAT.md §8) */
	uint64_t clusters_open; /* their sums do not count: they were being written (§9) */
	uint64_t blocks_read, blocks_compared; /* of data */
};
struct check_result {
	bool loaded; /* else the numbers say nothing */
	struct superblock sb;
	struct check_numbers numbers;
	unsigned found[CHECK_SEVERITIES]; /* in the last look */
	unsigned mended;                  /* things, in all rounds */
};

struct check_opts {
	bool repair;
	bool data; /* every block of data is read and held against its sum, if the pool has sums; else only as many as the table of sums is judged by */
	/*
	 * Where the engine's notes are; NULL: they are not looked at. get() with 0 bytes: to look at, whatever is there, not to be changed; -ENOENT: none; with more: for the opening that mends. Copied.
	 */
	const struct pool_memory *memory;
	/* With data: so many of all mapped clusters are done. May be NULL. */
	void (*progress)(void *ctx, uint64_t clusters, uint64_t of);
	const char *const *accept; /* names whose loss is accepted; borrowed until done */
	unsigned n_accept;
	/* Every finding of the first look (round 0), and again of each look after something was mended. Its texts live until it returns. */
	void (*finding)(void *ctx, unsigned round, const struct check_finding *finding);
	void *ctx;
};
/* What fsck(8) exits with. */
enum { CHECK_EXIT_CLEAN = 0, CHECK_EXIT_MENDED = 1, CHECK_EXIT_DAMAGED = 4, CHECK_EXIT_FAILED = 8 };
int check_exit_code(int res, const struct check_result *result);

/*
 * done with res 0: the check was made, and result says what is left. Negative: it could not be made: no pool, cannot be read, a feature of a newer
 * program; err says why. Never inside. result is filled when done.
 */
void pool_check(const struct pool_env *env, struct blk_dev *dev, const struct check_opts *opts,
		struct check_result *result, pool_done_fn done, void *ctx);

#endif
