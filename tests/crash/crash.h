/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the real pool and volumes in a simulated world with one home reactor and two data reactors, on a crash_disk, beside a model.
 *
 *   work.c    I/O on volumes            change.c  one change of objects at a time
 *   cut.c     at each event of the disk: what a cut may leave is mounted by the real loader in a second world and compared
 *   life.c    open, work, power cut or close, open again ...
 *
 * The cuts look only: that they are made or left out changes nothing in the run. So seed, life, event and choice name a cut for ever.
 */
#ifndef LITEPOOL_TESTS_CRASH_CRASH_H
#define LITEPOOL_TESTS_CRASH_CRASH_H

#include "crash/disk.h"
#include "crash/model.h"
#include "sim/env_sim.h"
#include "sim/sim_int.h"
#include "volume/priv.h"

#define RUN_REACTORS 3u
#define RUN_IOS      24u
#define IO_BYTES     ((size_t)WIN_SECTORS * DISK_SECTOR)
#define DEADLINE     (3600 * NSEC_PER_SEC)

struct run;

/* What outlives a process: struct pool_memory with a few notes only, so that it is often full. */
struct run_memory {
	struct pool_memory ops;
	uint8_t *mem;
	size_t size;
	bool taken;
};
void memory_init(struct run_memory *memory, size_t size);
/* to becomes what another process of the same machine would find. */
void memory_copy(struct run_memory *to, const struct run_memory *from);
/* The machine starts anew; what was there is gone, or is there and must not count. */
void memory_reboot(struct run_memory *memory, struct rng *rng);

struct run_io {
	struct blk_io io;
	struct msg msg;
	struct run *run;
	struct object *object;
	struct blk_dev *dev;
	uint64_t first, end; /* sectors */
	uint32_t value;
	bool busy;
	uint8_t *buf;
	uint32_t covered[CELLS];
};

struct checker { /* the second world */
	struct sim_world *sim;
	struct reactor *r;
	struct pool *pool;
	struct volumes *set;
	struct msg msg;
	struct crash_disk *disk;
	struct pool_open_opts opts;
	struct run_memory memory;
	bool done;
	int res;
	struct err err;
	char problem[256];
	unsigned problems;
};

struct run_opts {
	uint64_t seed;
	uint64_t cuts;    /* stop after that many; 0: no limit */
	uint64_t uncut;   /* so many seeds, looked at only from within; 0: with cuts */
	unsigned lives;   /* of a run */
	unsigned choices; /* cuts at each event */
	unsigned only_life, only_event; /* 0: all */
	int only_choice;                /* -1: all */
	bool trace;
	unsigned failures_max;
	uint64_t disk_bytes; /* 0: drawn */
	int sums;            /* of data: 1 yes, -1 no, 0: every fourth seed of random runs */
};

struct weights { /* what a workload does; 0: never */
	unsigned change[CHANGES];
	unsigned checkpoint, objects;
	unsigned
		clusters; /* percent of the I/O that discards or zeroes whole clusters, beside the usual */
};

struct run {
	struct run_opts opts;
	const char *name; /* of a directed test, or "random" */
	struct weights weights;
	struct sim_world *sim;
	struct reactor *r[RUN_REACTORS];
	struct rng rng;
	struct crash_disk *disk;
	struct pool_env env;
	struct blk_dev *dev; /* of the disk: by which the pool is open */
	struct pool *pool;
	struct volumes *set;
	struct model m;
	struct checker checker;
	struct run_memory memory;
	bool answered_counts; /* all that was answered is to be there after a death, now */
	struct sim_event answered;
	bool answered_soon;
	struct run_io io[RUN_IOS];
	unsigned busy;
	uint64_t step_ns; /* between two things that are begun, at most */
	unsigned life, event, choice;
	bool dead;    /* the power is gone; what is under way ends */
	bool faulty;  /* the disk has had errors in this life */
	bool prelude; /* no cuts yet */
	bool changing, checkpointing;
	struct msg change_msg, call_msg;
	struct object *want_quiet;
	void (*call)(struct run *run);
	bool done;
	int res;
	struct err err;
	char text[32]; /* name for a change */
	uint64_t arg;
	unsigned handovers;
	bool sums;
	uint64_t summed, checked; /* blocks held against their sums; images of which all were */
	uint64_t cuts, failures, faults, changes[CHANGES], refused[CHANGES], ios, reads;
	bool over;   /* a directed test has seen all that it wanted */
	bool broken; /* a failure of the run itself: it can not go on */
};

__attribute__((format(printf, 2, 3))) void run_fail(struct run *run, const char *fmt, ...);
/* fn on the home reactor, then until it has set done. */
int run_call(struct run *run, void (*call)(struct run *run));
void run_done(void *ctx, int res, const struct err *err);

/* sums.c */
void sums_squeeze(struct run *run); /* after opening: as if the pool were much larger than RAM */

/* work.c */
void work_io(struct run *run);
void work_devices(struct run *run); /* opens those that are missing */
void work_close_device(struct object *o);
/* change.c */
void change_start(struct run *run);
void checkpoint_now(struct run *run);
/* cut.c */
void checker_init(struct run *run);
void checker_fini(struct run *run);
void cut_event(void *ctx, const char *what, uint64_t offset, uint64_t length);
void cut_answer(struct run *run); /* an I/O was answered just now */
void cut_seed(const struct run *run, unsigned choice, struct rng *ret);
/* life.c */
void run_start(struct run *run, const struct run_opts *opts, const char *name,
	       const struct weights *weights);
void run_lives(struct run *run);
void run_end(struct run *run);
bool run_begin(struct run *run);
void run_work(struct run *run, unsigned events);
void run_work_for(struct run *run, unsigned steps); /* also when nothing is written any more */
void run_power_cut(struct run *run);
void run_death(struct run *run); /* kill -9 */
void run_close(struct run *run);
void run_shut(struct run *run);
void run_quiesce(struct run *run);
void run_post(struct run *run); /* begins run->call */
extern const struct weights weights_random;
/* cut.c: opens the image as it is and compares; the hash of what is there. */
bool cut_look(struct run *run, const char *when, bool answered, uint64_t *ret_hash);
int cut_mount(struct run *run);
void cut_unmount(struct run *run);

/* handover.c: to a second pool on the same disk, with cuts all the way; or not quite. */
void run_hand_over(struct run *run);

/* directed.c: one operation after the other, each under a name of its own. NULL: all. False: there is no such. */
struct totals;
bool directed_run(const struct run_opts *opts, const char *name, struct run *run,
		  void (*after)(struct run *run, void *ctx), void *ctx);
/* fault.c */
void fault_errors(struct run *run);    /* a life's end with errors of the disk */
void fault_lost_page(struct run *run); /* a write of a checkpoint that is lost or lands elsewhere */
void fault_misdirected_page(struct run *run);
void fault_flips(struct run *run); /* rot in the closed pool's metadata */

#endif
