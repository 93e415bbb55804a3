/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices under a pool or a namespace: null, ram, file (also block devices), and fault, a
 * layer over any of them. Control thread. Each constructor refuses bad options with a reason in
 * err.
 */
#ifndef LITEPOOL_DISK_DISK_H
#define LITEPOOL_DISK_DISK_H

#include "blk/blk.h"
#include "rt/file.h"

/* Reads zeroes (nothing is stored), writes vanish. */
struct disk_null_opts {
	const char *name;
	struct uuid uuid;
	uint64_t size_bytes;
	uint32_t block_size;
};
int disk_null_new(const struct disk_null_opts *opts, struct blk_dev **ret, struct err *err);

/* Memory, zeroed, given back by discard; gone with the last process that has it. Lends it to readers.
 * It is a memfd, so that it can be handed to another process with what it holds. */
struct worker_pool;
struct disk_ram_opts {
	const char *name;
	struct uuid uuid;
	uint64_t size_bytes;
	uint32_t block_size;
	bool adopt; /* fd is one that another process's RAM disk of that size was passed by */
	int fd;     /* taken, also on errors */
	struct worker_pool
		*workers; /* with threads; they make it of huge pages. NULL: small ones */
};
int disk_ram_new(const struct disk_ram_opts *opts, struct blk_dev **ret, struct err *err);

/* A file or block device that exists. block_size 0: what the file asks for (at least 512). */
struct disk_file_opts {
	const char *name;
	struct uuid uuid;
	const char *path;
	uint32_t block_size;
	bool buffered; /* go through the page cache; only when asked for */
	bool read_only;
	bool adopt; /* fd is open already, passed by another process: file_adopt() */
	int fd;     /* taken, also on errors */
};
int disk_file_new(struct env *env, const struct disk_file_opts *opts, struct blk_dev **ret,
		  struct err *err);

/* What passes the disk to another process (SCM_RIGHTS); it stays the disk's. -1: it has nothing to pass (null, layers, volumes). */
int disk_export(const struct blk_dev *dev);

/*
 * Faults. A rule says for which I/O (op mask, byte range), how often (every, probability, a number
 * of times), and what happens. Several rules: the first that matches acts.
 */
enum disk_fault_kind {
	DISK_FAULT_ERROR, /* ends with errno, the disk is not touched */
	DISK_FAULT_DELAY, /* goes on after delay_ns */
	DISK_FAULT_DROP,  /* says success, a write is not done */
	DISK_FAULT_TEAR, /* only the first tear_bytes of a write reach the disk; ends with errno, or
			    0 for a silent tear */
	DISK_FAULT_HANG, /* is held until the rule is removed, then goes on */
	DISK_FAULT_CORRUPT, /* read data gets one flipped bit, chosen by the seed */
	DISK_FAULT_KINDS
};
extern const char *const disk_fault_kind_name[DISK_FAULT_KINDS];

struct disk_fault_rule {
	enum disk_fault_kind kind;
	unsigned ops;            /* mask of 1 << enum blk_op; 0: all */
	uint64_t offset, length; /* byte range that an I/O must touch; length 0: all */
	double probability;      /* 0 < p <= 1; default 1 */
	uint64_t skip;           /* let that many matching I/Os pass first */
	uint64_t count;          /* act at most that often; 0: no limit */
	int error;               /* negative errno for ERROR and TEAR */
	uint64_t delay_ns;
	uint64_t tear_bytes;
};
struct disk_fault_opts {
	const char *name;
	struct uuid uuid;
	struct blk_dev *base; /* claimed until destroy */
	uint64_t seed;
};
int disk_fault_new(const struct disk_fault_opts *opts, struct blk_dev **ret, struct err *err);
/* At run time, control thread; takes effect for I/O that starts after it. *ret_id names the new rule.
 * -EINVAL with the reason; -ENODEV: not a fault device. */
int disk_fault_add(struct blk_dev *dev, const struct disk_fault_rule *spec, uint32_t *ret_id,
		   struct err *err);
/* id 0: all. Held I/O goes on. -ENOENT. */
int disk_fault_remove(struct blk_dev *dev, uint32_t id, struct err *err);
/* The rules of another fault disk, as disk_fault_list() gave them, with their ids and counts; no I/O has been submitted yet. -EINVAL, -ENOMEM. */
int disk_fault_restore(struct blk_dev *dev, const json_t *list, struct err *err);
/* Rules with how often each acted: a new JSON array. */
json_t *disk_fault_list(const struct blk_dev *dev);

#endif
