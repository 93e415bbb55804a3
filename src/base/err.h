/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors. A function returns 0, or a negative errno that is passed up unchanged, or a positive
 * outcome that its prototype documents. Where a person will read the reason, the function also
 * takes a struct err and fills it: what failed, why, and what to do.
 */
#ifndef LITEPOOL_BASE_ERR_H
#define LITEPOOL_BASE_ERR_H

#include <stddef.h>

struct err {
	int code;       /* negative errno, 0 when unset */
	char text[512]; /* one sentence or two, no newline */
};

/* Sets code and text and returns code. err may be NULL. code must be negative. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *fmt, ...);

/* Puts "context: " in front of the text already there; returns err's code. err may be NULL (then code 0). */
__attribute__((format(printf, 2, 3))) int err_prefix(struct err *err, const char *fmt, ...);

#endif
