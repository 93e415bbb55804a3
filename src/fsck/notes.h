/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's notes (engine/store_notes.c) for a check: a file for each pool in a folder beside the engine's RPC socket. */
#ifndef LITEPOOL_FSCK_NOTES_H
#define LITEPOOL_FSCK_NOTES_H

#include "pool/pool.h"
#include "rt/mapped.h"

struct fsck_notes {
	const char *socket; /* borrowed */
	struct mapped mapped;
	struct pool_memory memory; /* for check_opts */
};
/* False: the kernel has no boot id, so no notes count. */
bool fsck_notes_init(struct fsck_notes *notes, const char *socket);

#endif
