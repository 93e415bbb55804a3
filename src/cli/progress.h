/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far long work is, on stderr: a bar that is drawn again in its one line when stderr is a terminal, else a plain line every few seconds, nothing
 * with -o json, yaml or name. One thread.
 */
#ifndef LITEPOOL_CLI_PROGRESS_H
#define LITEPOOL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/cli.h"

#define PROGRESS_LINE_MAX 512

enum progress_mode { PROGRESS_NONE, PROGRESS_LINES, PROGRESS_BAR };

/* What one line tells. Texts may be anything; what a terminal could take as a command is not passed on. */
struct progress_view {
	const char *what;     /* "inflate fast/db", "volume db-0 to be ready" */
	const char *why;      /* what it waits for just now; NULL, "": nothing to say */
	uint64_t done, total; /* bytes; total 0: nobody knows how much it is */
	uint64_t elapsed_ms;
	uint64_t bytes_per_s; /* 0: not known (yet) */
};
/* columns: of the terminal, which the line leaves one of free; 0: a plain line of any length, without a bar. */
void progress_line(const struct progress_view *view, unsigned columns, char *line, size_t size);

struct progress {
	enum progress_mode mode;
	FILE *out;
	uint64_t begin_ms, told_ms; /* process_boot_ms() */
	uint64_t first_ms,
		first_bytes; /* where the rate is counted from; first_ms 0: nowhere yet */
	bool drawn;          /* the bar is in its line */
	char last
		[PROGRESS_LINE_MAX]; /* a plain line that is not told yet, of work with a known end */
};
void progress_begin(struct progress *p, const struct cli *cli);
/* May be called as often as one likes. done, total: as above. */
void progress_show(struct progress *p, const char *what, const char *why, uint64_t done,
		   uint64_t total);
/* Takes the bar away, so that other lines can be printed; the next progress_show() draws it again. */
void progress_clear(struct progress *p);
/* The end, good or bad: the bar goes; without a terminal the last state of work with a known end is told. */
void progress_end(struct progress *p);

#endif
