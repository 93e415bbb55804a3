/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: at + len <= capacity; at is 0 when len is. */
#include "rpc/bytebuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define CAPACITY_MIN  4096
#define CAPACITY_KEPT 65536 /* more than that is freed when the buffer empties */

struct dump {
	struct bytebuf *b;
	size_t max;
	int rc;
};

void bytebuf_fini(struct bytebuf *b)
{
	free(b->data);
	*b = (struct bytebuf){0};
}

char *bytebuf_reserve(struct bytebuf *b, size_t n)
{
	size_t capacity = MAX(b->capacity, (size_t)CAPACITY_MIN);
	char *data;

	ASSERT(n < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
	if (b->data && b->at + b->len + n <= b->capacity)
		return b->data + b->at + b->len;
	if (b->data && b->at) {
		memmove(b->data, b->data + b->at, b->len);
		b->at = 0;
	}
	while (capacity < b->len + n)
		capacity *= 2;
	if (capacity > b->capacity) {
		data = realloc(b->data, capacity);
		if (!data)
			return NULL;
		b->data = data;
		b->capacity = capacity;
	}
	return b->data + b->len;
}

int bytebuf_append(struct bytebuf *b, const char *data, size_t n, size_t max)
{
	char *to;

	if (n > max || b->len > max - n)
		return -ENOBUFS;
	to = bytebuf_reserve(b, n);
	if (!to)
		return -ENOMEM;
	memcpy(to, data, n);
	b->len += n;
	return 0;
}

static int dump_piece(const char *piece, size_t n, void *ctx)
{
	struct dump *d = ctx;

	d->rc = bytebuf_append(d->b, piece, n, d->max);
	return d->rc;
}

int bytebuf_append_json(struct bytebuf *b, const json_t *json, size_t max)
{
	struct dump d = {.b = b, .max = max};
	size_t len = b->len;

	if (json_dump_callback(json, dump_piece, &d, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return 0;
	b->len = len;
	return d.rc ? d.rc : -ENOMEM;
}

void bytebuf_consume(struct bytebuf *b, size_t n)
{
	ASSERT(n <= b->len);
	b->at += n;
	b->len -= n;
	if (b->len)
		return;
	b->at = 0;
	if (b->capacity > CAPACITY_KEPT)
		bytebuf_fini(b);
}
