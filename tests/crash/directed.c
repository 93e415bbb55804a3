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

/* What goes wrong between reactors needs no cut, but many tries. */
static void uncut(const struct directed *d, struct run *run, const struct run_opts *opts)
{
	struct run_opts with = *opts;

	with.choices = 0;
	for (unsigned i = 0; i < UNCUT; i++) {
		with.seed = opts->seed * 1000 + i;
		run_start(run, &with, run->name, &d->weights);
		one(d, run);
		if (run->broken || run->failures || i + 1 == UNCUT)
			return;
		run_end(run);
	}
}

struct totals_kept {
	uint64_t cuts, faults;
	unsigned handovers;
};

bool directed_run(const struct run_opts *opts, const char *name, struct run *run,
		  void (*after)(struct run *run, void *ctx), void *ctx)
{
	bool found = false;

	for (unsigned i = 0; i < ARRAY_LEN(tests); i++) {
		char title[40];
		struct run_opts with;

		if (name && strcmp(name, tests[i].name) != 0)
			continue;
		found = true;
		if (opts->sums > 0 && strcmp(tests[i].name, "hand-over") == 0)
			continue; /* a pool with sums refuses to be handed over */
		snprintf(title, sizeof(title), "--directed %s", tests[i].name);
		with = *opts;
		with.disk_bytes = tests[i].disk_bytes;
		run_start(run, &with, title, &weights_random);
		if (tests[i].disk_bytes)
			run->weights = tests[i].weights;
		one(&tests[i], run);
		if ((tests[i].disk_bytes || tests[i].many) && !run->broken && !run->failures &&
		    opts->choices) {
			struct totals_kept kept = {run->cuts, run->faults, run->handovers};

			run_end(run);
			uncut(&tests[i], run, &with);
			run->cuts = kept.cuts;
			run->handovers += kept.handovers;
			run->faults = kept.faults;
		}
		printf("%s %s cuts=%" PRIu64 " faults=%" PRIu64 " hand_overs=%u\n",
		       run->failures ? "not ok" : "ok", tests[i].name, run->cuts, run->faults,
		       run->handovers);
		(void)fflush(stdout);
		after(run, ctx);
		run_end(run);
	}
	return found;
}
