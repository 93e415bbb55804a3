/* SPDX-License-Identifier: Apache-2.0 */
/* The placement configuration in force: from a file that may change, with its plugins loaded and the way to its extenders. One thread. */
#ifndef LITEPOOL_CONTROLLER_PLACEMENT_H
#define LITEPOOL_CONTROLLER_PLACEMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "place/place.h"

struct placement;

struct placement_stats {
	_Atomic uint64_t *calls, *failures; /* of extenders */
};

/* path NULL: the defaults. -EINVAL and others with err: nothing is loaded. */
int placement_new(const char *path, const struct placement_stats *stats, struct placement **ret,
		  struct err *err);
void placement_free(struct placement *p);
/* Reads and checks a file, and keeps nothing of it. */
int placement_check(const char *path, struct err *err);

/* Whether the file is another one than what was read last. One stat(). */
bool placement_changed(const struct placement *p);
/* The new file, or all stays as it was. */
int placement_load(struct placement *p, struct err *err);

int placement_decide(struct placement *p, const struct place_inventory *inv,
		     const struct place_request *request, struct place_decision *ret,
		     struct err *err);

#endif
