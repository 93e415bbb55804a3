/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load on a namespace over NVMe/TCP, with or without verification: what lp-perf runs, and what tests
 * and the demo use for verified I/O. Everything is on one reactor.
 *
 * With verify, the whole range is written first, every block is of a known version from then on, reads
 * are checked, and at the end all of it is read once more. A block is never under two commands at once.
 */
#ifndef LITEPOOL_BENCH_LOAD_H
#define LITEPOOL_BENCH_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct load;

struct load_opts {
	struct sock_addr addr;
	const char *subnqn, *hostnqn; /* hostnqn NULL: random */
	uint32_t nsid;
	uint32_t bs_bytes;
	uint32_t qd;    /* commands under way per connection */
	uint32_t conns; /* I/O queues */
	/* I/O queues of one association; each has an admin queue besides */
	uint32_t queues_per_host;
	unsigned read_percent;
	uint64_t warmup_ns, run_ns;        /* results are of run_ns, after warmup_ns */
	uint64_t ios_max;                  /* ends the run after so many, 0: no limit */
	uint64_t offset_bytes, size_bytes; /* part of the namespace; size 0: up to its end */
	uint64_t seed;
	uint64_t stall_ns; /* commands that take longer after the end are reported and given up */
	uint32_t kato_ms;
	bool sequential;
	bool idle; /* connect, hold the connections for run_ns, send nothing */
	bool verify;
	bool keep; /* with verify: what versions_path says is on the namespace is checked, not written first */
	const char *
		versions_path; /* with verify: versions are kept there for a later run; NULL: not */
	bool header_digest, data_digest;
	const char *congestion; /* NULL: the initiator's default */
	bool reconnect;
	bool exact_clock; /* reads the clock at each command: for low depths */
};
struct load_opts load_opts_default(void);

int load_new(struct reactor *r, const struct load_opts *opts, struct load **ret, struct err *err);
/* Begins. done comes once, when all is over and every connection is closed. */
void load_start(struct load *l, void (*done)(struct load *l, void *ctx), void *ctx);
/* Ends the run early, as if its time were over; before the run: it ends as soon as it begins. */
void load_stop(struct load *l);
/* 0, or the negative errno of what ended it; err is filled. Errors and mismatches of single commands count as failures too. */
int load_result(const struct load *l, struct err *err);
/* A new object: ios, iops, mib_s, p50_us .. max_us, errors, mismatches, reconnects, ... */
json_t *load_json(const struct load *l);
void load_free(struct load *l); /* after done, or never started */

#endif
