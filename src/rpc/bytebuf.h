/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are added at the end and taken from the front. Grows by doubling; gives its memory back when it empties. */
#ifndef LITEPOOL_RPC_BYTEBUF_H
#define LITEPOOL_RPC_BYTEBUF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Zeroed = empty. What is inside are the len bytes from data + at. */
struct bytebuf {
	char *data;
	size_t at, len, capacity;
};

void bytebuf_fini(struct bytebuf *b);
/* Makes room for n more bytes and returns where they go; NULL without memory. */
char *bytebuf_reserve(struct bytebuf *b, size_t n);
/* -ENOMEM, or -ENOBUFS when there would be more than max bytes inside; then nothing is added. */
int bytebuf_append(struct bytebuf *b, const char *data, size_t n, size_t max);
/* Appends compact text, whole or not at all. Same errors. */
int bytebuf_append_json(struct bytebuf *b, const json_t *json, size_t max);
void bytebuf_consume(struct bytebuf *b, size_t n);

static inline char *bytebuf_head(const struct bytebuf *b)
{
	return b->data + b->at;
}

#endif
