/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation for itself: after some random life without cuts, a life in which nothing but that operation happens, under concurrent I/O, with several cuts at every single event
 * of the disk; then once more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash/crash.h"

#define UNCUT 40u /* runs without cuts of those on small disks */

struct directed {
	const char *name;
	struct weights weights;
	void (*end)(struct run *run); /* instead of the power cut */
	uint64_t disk_bytes;
	bool many; /* also without cuts, many times */
	bool sums; /* in a pool with sums of data, whatever the others have */
};

/* A life's end with some of them. */
static void hand_overs(struct run *run)
{
	for (unsigned i = 0; i < 3 && !run->broken && !run->failures; i++) {
		run_hand_over(run);
		run_work_for(run, 60);
	}
	if (!run->broken && rng_below(&run->rng, 2))
		run_power_cut(run);
	else if (!run->broken)
		run_close(run);
}

#define ONLY(c) .weights = {.change = {[c] = 1}, .objects = 14}

static const struct directed tests[] = {
	{"create", ONLY(CHANGE_CREATE), NULL},
	{"delete", ONLY(CHANGE_DELETE), NULL},
	{"merge",
	 .weights = {.change = {[CHANGE_SNAPSHOT] = 1, [CHANGE_DELETE] = 2}, .objects = 12}, NULL},
	{"snapshot",
	 .weights = {.change = {[CHANGE_SNAPSHOT] = 3, [CHANGE_DELETE] = 1}, .objects = 16}, NULL},
	{"clone", .weights = {.change = {[CHANGE_CLONE] = 3, [CHANGE_DELETE] = 1}, .objects = 16},
	 NULL},
	{"rename", ONLY(CHANGE_RENAME), NULL},
	{"edit", ONLY(CHANGE_EDIT), NULL},
	{"resize", .weights = {.change = {[CHANGE_GROW] = 2, [CHANGE_SHRINK] = 1}, .objects = 14},
	 NULL},
	{"revert", ONLY(CHANGE_REVERT), NULL},
	{"inflate",
	 .weights = {.change = {[CHANGE_CLONE] = 1, [CHANGE_INFLATE] = 2, [CHANGE_DELETE] = 1},
		     .objects = 12},
	 NULL},
	{"decouple",
	 .weights = {.change = {[CHANGE_CLONE] = 1, [CHANGE_DECOUPLE] = 2, [CHANGE_DELETE] = 1},
		     .objects = 12},
	 NULL},
	{"promote",
	 .weights = {.change = {[CHANGE_CLONE] = 1,
				[CHANGE_SNAPSHOT] = 1,
				[CHANGE_PROMOTE] = 3,
				[CHANGE_DELETE] = 1},
		     .objects = 14},
	 NULL},
	{"options", ONLY(CHANGE_OPTIONS), NULL},
	{"grow-pool", ONLY(CHANGE_GROW_POOL), NULL},
	{"checkpoint", .weights = {.change = {[CHANGE_EDIT] = 1}, .checkpoint = 8, .objects = 14},
	 NULL},
	{"close", .weights = {.change = {[CHANGE_EDIT] = 1}, .objects = 14}, run_close},
	/* So small that what one volume gives back another one gets at once. */
	{"reuse", .weights = {.change = {[CHANGE_CREATE] = 1}, .clusters = 20, .objects = 4}, NULL,
	 20 * MIB},
	{"full",
	 .weights = {.change = {[CHANGE_CREATE] = 1, [CHANGE_SNAPSHOT] = 1, [CHANGE_DELETE] = 1},
		     .objects = 8},
	 NULL, 20 * MIB},
	{"disk-errors",
	 .weights = {.change = {[CHANGE_SNAPSHOT] = 1, [CHANGE_DELETE] = 1}, .objects = 14},
	 fault_errors},
	{"lost-page", .weights = {.change = {[CHANGE_EDIT] = 1}, .objects = 14}, fault_lost_page},
	{"misdirected-page", .weights = {.change = {[CHANGE_EDIT] = 1}, .objects = 14},
	 fault_misdirected_page},
	{"hand-over",
	 .weights = {.change = {[CHANGE_CREATE] = 3,
				[CHANGE_SNAPSHOT] = 4,
				[CHANGE_DELETE] = 4,
				[CHANGE_CLONE] = 2,
				[CHANGE_EDIT] = 1,
				[CHANGE_GROW] = 2,
				[CHANGE_SHRINK] = 1,
				[CHANGE_REVERT] = 1,
				[CHANGE_INFLATE] = 2,
				[CHANGE_DECOUPLE] = 2,
				[CHANGE_PROMOTE] = 1},
		     .clusters = 5,
		     .objects = 14},
	 hand_overs, .many = true},
	{"hand-over-sums",
	 .weights = {.change = {[CHANGE_CREATE] = 1, [CHANGE_SNAPSHOT] = 2, [CHANGE_DELETE] = 2},
		     .objects = 14},
	 hand_overs, .many = true, .sums = true},
	{"bit-flips", .weights = {.change = {[CHANGE_EDIT] = 1}, .objects = 14}, fault_flips},
};

/* Half a life of everything, so that there is something to work on. */
static bool prelude(struct run *run)
{
	bool good;

	run->prelude = true;
	good = run_begin(run);
	if (good) {
		run_work(run, 300);
		if (!run->broken)
			run_power_cut(run);
	}
	run->prelude = false;
	return good && !run->broken;
}

static void one(const struct directed *d, struct run *run)
{
	if (run->broken || !prelude(run))
		return;
	run->weights = d->weights;
	for (unsigned i = 0; i < 2 && !run->broken && !run->over && !run->failures; i++) {
		if (!run_begin(run))
			return;
		run_work(run, d->disk_bytes ? 500 : 150);
		if (run->broken)
			return;
		if (d->end)
			d->end(run);
		else if (i)
			run_death(run);
		else
			run_power_cut(run);
	}
	if (!run->broken && !run->over && run_begin(run)) /* cuts while it is opened, too */
		run_close(run);
}

/* What goes wrong between reactors needs no cut, but many tries. The last one stays in run. */
static void uncut(const struct directed *d, struct run *run, const struct run_opts *opts,
		  uint64_t n)
{
	static char title[60];
	struct run_opts with = *opts;

	(void)snprintf(title, sizeof(title), "--directed %s --uncut 1", d->name);
	with.choices = 0;
	for (; n; n--, with.seed++) {
		run_start(run, &with, title, &d->weights);
		one(d, run);
		if (run->broken || run->failures || n == 1)
			return;
		run_end(run);
	}
}

static void with_cuts(const struct directed *d, struct run *run, const struct run_opts *opts)
{
	static char title[60];
	struct run_opts with = *opts;
	uint64_t cuts, faults;
	unsigned handovers;

	(void)snprintf(title, sizeof(title), "--directed %s", d->name);
	run_start(run, opts, title, &weights_random);
	if (d->disk_bytes)
		run->weights = d->weights;
	one(d, run);
	if (!(d->disk_bytes || d->many) || run->broken || run->failures || !opts->choices)
		return;
	cuts = run->cuts;
	faults = run->faults;
	handovers = run->handovers;
	run_end(run);
	with.seed = opts->seed * 1000;
	uncut(d, run, &with, UNCUT);
	run->cuts = cuts;
	run->faults = faults;
	run->handovers += handovers;
}

bool directed_run(const struct run_opts *opts, const char *name, struct run *run,
		  void (*after)(struct run *run, void *ctx), void *ctx)
{
	bool found = false;

	for (unsigned i = 0; i < ARRAY_LEN(tests); i++) {
		struct run_opts with = *opts;

		if (name && strcmp(name, tests[i].name) != 0)
			continue;
		found = true;
		with.disk_bytes = tests[i].disk_bytes;
		if (tests[i].sums)
			with.sums = 1;
		if (opts->uncut)
			uncut(&tests[i], run, &with, opts->uncut);
		else
			with_cuts(&tests[i], run, &with);
		printf("%s %s cuts=%" PRIu64 " faults=%" PRIu64 " hand_overs=%u\n",
		       run->failures ? "not ok" : "ok", tests[i].name, run->cuts, run->faults,
		       run->handovers);
		(void)fflush(stdout);
		after(run, ctx);
		run_end(run);
	}
	return found;
}
