/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one call: taken piece by piece, given back all at once. protobuf-c takes the request out of it and handlers build the response in it, so
 * nothing of a call can leak, and parts of a request may be used in the response. One thread at a time.
 */
#ifndef LITEPOOL_GRPC_ARENA_H
#define LITEPOOL_GRPC_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct arena_block;

struct arena {
	ProtobufCAllocator pb; /* for protobuf-c: alloc from here, free does nothing */
	struct arena_block *blocks;
	size_t used_bytes, limit_bytes;
};

/* limit_bytes: of what the kernel is asked for; a few bytes on the wire can unpack to a hundred times as many. */
void arena_init(struct arena *arena, size_t limit_bytes);
void arena_fini(struct arena *arena);

/* Zeroed, aligned for anything; NULL over the limit or without memory. */
void *arena_zalloc(struct arena *arena, size_t len);
/* NULL as above; text NULL: an empty string. */
char *arena_strdup(struct arena *arena, const char *text);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *fmt, ...);

#endif
