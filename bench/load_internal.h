/* SPDX-License-Identifier: Apache-2.0 */
/* What load.c (phases), load_io.c (commands) and load_verify.c (versions) share. */
#ifndef LITEPOOL_BENCH_LOAD_INTERNAL_H
#define LITEPOOL_BENCH_LOAD_INTERNAL_H

#include "base/bitmap.h"
#include "base/rng.h"
#include "initiator/initiator.h"
#include "lat.h"
#include "load.h"

enum load_phase {
	LOAD_CONNECT, /* until every association is ready */
	LOAD_SIZE,    /* Identify Namespace */
	LOAD_FILL,    /* verify: each block is written once, in order */
	LOAD_RUN,
	LOAD_FLUSH, /* verify: one Flush */
	LOAD_SWEEP, /* verify: each block is read once, in order */
	LOAD_CLOSE, /* associations are shut down */
	LOAD_DONE,
};

struct load_host {
	struct load *load;
	struct nvme_host *host; /* NULL: none, or closed */
	bool up;
};

/* One command of the depth. */
struct load_job {
	struct nvme_hostcmd cmd;
	struct load *load;
	struct nvme_host *host;
	unsigned queue; /* of that host */
	bool write, active;
	uint8_t *buf;
	uint64_t block, start_ns;
	uint32_t version; /* being written */
};

struct load_versions {
	uint32_t *acked; /* of each block: the newest that was acknowledged, 0: unknown content */
	uint32_t *tried; /* the newest that was ever sent */
	struct bitmap busy;
};

struct load {
	struct reactor *reactor;
	struct load_opts opts;
	enum load_phase phase;
	struct load_host *hosts;
	unsigned n_hosts, n_up, n_open;
	struct load_job *jobs;
	unsigned n_jobs, n_active;
	uint8_t *buffers;
	struct nvme_hostcmd id;
	uint8_t *id_data;

	uint32_t lba_shift;
	uint64_t first_lba, n_blocks; /* of bs_bytes each */
	uint64_t next_block;          /* fill, sweep, sequential run */
	struct rng rng;
	struct load_versions versions;

	bool stopping;               /* no new commands in this phase */
	bool asked_to_end;           /* the run, when it comes, is over */
	uint64_t measure_ns, end_ns; /* results are of this span */
	uint64_t issued;
	struct timer timer;
	struct task task;

	uint64_t reads, writes, errors, mismatches, reconnects, verified, not_ended;
	uint64_t span_ns;
	struct lat lat;
	int code;
	struct err err;
	char first_error[256];
	void (*done)(struct load *l, void *ctx);
	void *done_ctx;
};

/* Keeps the first reason and goes on to LOAD_CLOSE. */
void load_fail(struct load *l, int code, const char *text);
/* A command failed or did not match; the run goes on. text is kept if it is the first. */
__attribute__((format(printf, 2, 3))) void load_complain(struct load *l, const char *fmt, ...);
/* The phase's last command has ended. */
void load_phase_over(struct load *l);

/* load_io.c */
int load_io_alloc(struct load *l, struct err *err);
void load_io_free(struct load *l);
/* Starts every job of the phase; ends the phase when there is nothing to do. */
void load_io_begin(struct load *l);
void load_io_flush(struct load *l);

/* load_verify.c */
int load_versions_alloc(struct load *l, struct err *err);
void load_versions_free(struct load *l);
int load_versions_read(struct load *l, struct err *err);
int load_versions_write(const struct load *l, struct err *err);
/* A block near the wanted one that no command is on; marks it. */
uint64_t load_versions_take(struct load *l, uint64_t wanted);
void load_versions_fill(struct load *l, struct load_job *job);
void load_versions_done(struct load *l, struct load_job *job, int status);

#endif
