/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner behind frame.h: depth of brackets, and whether a string or an escape is open. */
#include "rpc/frame.h"

void rpc_frame_init(struct rpc_frame *f, size_t max)
{
	*f = (struct rpc_frame){.max = max};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void scan_string(struct rpc_frame *f, char c)
{
	if (f->escaped)
		f->escaped = false;
	else if (c == '\\')
		f->escaped = true;
	else if (c == '"')
		f->in_string = false;
}

/* Takes one character of a value. VALUE when it is the last. */
static enum rpc_frame_result scan(struct rpc_frame *f, char c)
{
	if (f->len++ == f->max)
		return RPC_FRAME_TOO_LARGE;
	if (f->in_string) {
		scan_string(f, c);
	} else if (c == '"') {
		f->in_string = true;
	} else if (c == '{' || c == '[') {
		if (f->depth++ == RPC_FRAME_DEPTH_MAX)
			return RPC_FRAME_TOO_DEEP;
	} else if (c == '}' || c == ']') {
		if (--f->depth == 0)
			return RPC_FRAME_VALUE;
	}
	return RPC_FRAME_MORE;
}

enum rpc_frame_result rpc_frame_feed(struct rpc_frame *f, const char *piece, size_t len,
				     size_t *ret_begin, size_t *ret_end)
{
	enum rpc_frame_result result = RPC_FRAME_MORE;
	size_t at = 0;

	if (f->len == 0)
		while (at < len && is_space(piece[at]))
			at++;
	*ret_begin = at;
	*ret_end = at;
	if (at < len && f->len == 0 && piece[at] != '{' && piece[at] != '[')
		return RPC_FRAME_NOT_JSON;
	while (at < len && result == RPC_FRAME_MORE)
		result = scan(f, piece[at++]);
	*ret_end = at;
	if (result == RPC_FRAME_VALUE)
		f->len = 0;
	return result;
}
