/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the JSON values in a stream of bytes, which may arrive in pieces of any size. Pure: no I/O, no memory.
 *
 * 1. A value is an object or an array, from its bracket to the one that closes it; white space around it is skipped.
 *    Whether what is between them is JSON is the parser's business; brackets inside strings do not count here.
 * 2. How the stream is cut into pieces never changes what is found.
 * 3. A refusal is final: a stream without framing has no point at which to go on.
 */
#ifndef LITEPOOL_RPC_FRAME_H
#define LITEPOOL_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_FRAME_DEPTH_MAX 64 /* nested brackets; bounds the parser's recursion */

struct rpc_frame {
	size_t max;     /* bytes of one value */
	size_t len;     /* bytes of the value so far; 0: between values */
	uint32_t depth; /* brackets open */
	bool in_string, escaped;
};

enum rpc_frame_result {
	RPC_FRAME_MORE,      /* the piece is used up */
	RPC_FRAME_VALUE,     /* a value ends at *ret_end; call again with the rest */
	RPC_FRAME_NOT_JSON,  /* something else than an object or array begins */
	RPC_FRAME_TOO_LARGE, /* more than max bytes */
	RPC_FRAME_TOO_DEEP,
};

void rpc_frame_init(struct rpc_frame *f, size_t max);
/* Bytes [*ret_begin, *ret_end) of the piece belong to the value under way; *ret_end bytes were looked at. */
enum rpc_frame_result rpc_frame_feed(struct rpc_frame *f, const char *piece, size_t len,
				     size_t *ret_begin, size_t *ret_end);

/* Whether part of a value has come. */
static inline bool rpc_frame_inside(const struct rpc_frame *f)
{
	return f->len > 0;
}

#endif
