/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for clients that ask again and again: notify_get_notifications of SPDK. The last NOTIFY_KEEP are kept; ids grow by one, so that a gap is seen. Control thread.
 */
#ifndef LITEPOOL_ENGINE_NOTIFY_H
#define LITEPOOL_ENGINE_NOTIFY_H

#include <stdint.h>

#define NOTIFY_KEEP 1024u

struct notify_event {
	const char *type; /* one of notify_types */
	char ctx[200];
};

struct notify {        /* zeroed: empty */
	uint64_t next; /* id of the next event */
	struct notify_event event[NOTIFY_KEEP];
};

extern const char *const notify_types[]; /* ended by NULL */

/* type: one of notify_types (ASSERT). */
void notify_add(struct notify *n, const char *type, const char *ctx);

#endif
