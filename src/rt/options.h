/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a process as a table: parsing, --help and the manual page's check read the same rows. A bad option names itself,
 * what came and what is accepted; nothing is ignored.
 */
#ifndef LITEPOOL_RT_OPTIONS_H
#define LITEPOOL_RT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum option_kind {
	OPT_FLAG,  /* bool */
	OPT_TEXT,  /* const char *, pointing into argv */
	OPT_U32,   /* uint32_t, min..max */
	OPT_SIZE,  /* uint64_t, bytes: "64M" */
	OPT_LEVEL, /* enum log_level */
};

struct option {
	const char *name, *meta; /* without "--"; meta NULL for a flag */
	enum option_kind kind;
	size_t offset; /* in the struct that is filled */
	uint32_t min, max;
	const char *help;
};

/*
 * Fills out, preset with the defaults by the caller. "-h" is --help and "-V" --version where the table has them; parsing ends at a flag whose
 * name is one of these. -EINVAL with a sentence for the user.
 */
int options_parse(const struct option *table, size_t n, const char *program, int argc, char **argv,
		  void *out, struct err *err);
void options_help(const struct option *table, size_t n, FILE *out);

#endif
