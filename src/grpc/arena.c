/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define BLOCK_BYTES ((size_t)8192)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(16) uint8_t data[];
};

static void *pb_alloc(void *ctx, size_t len)
{
	return arena_zalloc(ctx, len);
}

static void pb_free(void *ctx, void *ptr)
{
	/* All at once, in arena_fini(). */
}

void arena_init(struct arena *arena, size_t limit_bytes)
{
	*arena = (struct arena){.limit_bytes = limit_bytes};
	arena->pb = (ProtobufCAllocator){pb_alloc, pb_free, arena};
}

void arena_fini(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->used_bytes = 0;
}

static struct arena_block *block_add(struct arena *arena, size_t len)
{
	size_t size = MAX(len, BLOCK_BYTES);
	struct arena_block *block;

	if (size > arena->limit_bytes - arena->used_bytes)
		return NULL;
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->used_bytes += size;
	return block;
}

void *arena_zalloc(struct arena *arena, size_t len)
{
	struct arena_block *block = arena->blocks;
	void *ptr;

	if (len > SIZE_MAX / 2)
		return NULL;
	len = (len + 15) & ~(size_t)15;
	if (!block || len > block->size - block->used)
		block = block_add(arena, len);
	if (!block)
		return NULL;
	ptr = block->data + block->used;
	block->used += len;
	return ptr;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	char *copy = arena_zalloc(arena, len + 1);

	if (copy && text)
		memcpy(copy, text, len + 1);
	return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	text = len < 0 ? NULL : arena_zalloc(arena, (size_t)len + 1);
	if (text)
		(void)vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	return text;
}
