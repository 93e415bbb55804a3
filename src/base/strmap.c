/* SPDX-License-Identifier: Apache-2.0 */
/* Chained hash table; it doubles when there are as many entries as buckets and never shrinks. */
#include "base/strmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BUCKETS_FIRST 16

struct strmap_entry {
	struct strmap_entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

/* FNV-1a, with its bits mixed once more because only the low ones are used. */
static uint64_t hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325;

	for (const unsigned char *p = (const unsigned char *)key; *p; p++)
		h = (h ^ *p) * 0x100000001b3;
	return h ^ (h >> 32);
}

void strmap_init(struct strmap *map)
{
	*map = (struct strmap){0};
}

void strmap_fini(struct strmap *map)
{
	for (size_t i = 0; i < map->n_buckets; i++) {
		struct strmap_entry *e = map->buckets[i];

		while (e) {
			struct strmap_entry *next = e->next;

			free(e);
			e = next;
		}
	}
	free(map->buckets);
	strmap_init(map);
}

/* The place that points at the entry, or at NULL where it would be. */
static struct strmap_entry **place_of(const struct strmap *map, const char *key, uint64_t hash)
{
	struct strmap_entry **place = &map->buckets[hash & (map->n_buckets - 1)];

	while (*place && ((*place)->hash != hash || strcmp((*place)->key, key) != 0))
		place = &(*place)->next;
	return place;
}

static int grow(struct strmap *map)
{
	size_t n = map->n_buckets ? map->n_buckets * 2 : BUCKETS_FIRST;
	struct strmap_entry **buckets = calloc(n, sizeof(struct strmap_entry *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < map->n_buckets; i++) {
		struct strmap_entry *e = map->buckets[i];

		while (e) {
			struct strmap_entry *next = e->next;

			e->next = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
			e = next;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->n_buckets = n;
	return 0;
}

void *strmap_get(const struct strmap *map, const char *key)
{
	struct strmap_entry *e = map->n_buckets ? *place_of(map, key, hash_of(key)) : NULL;

	return e ? e->value : NULL;
}

int strmap_set(struct strmap *map, const char *key, void *value, void **ret_old)
{
	uint64_t hash = hash_of(key);
	size_t size = strlen(key) + 1;
	struct strmap_entry **place, *e;
	void *old = NULL;

	ASSERT(value);
	if (map->count >= map->n_buckets && grow(map))
		return -ENOMEM;
	place = place_of(map, key, hash);
	if (*place) {
		old = (*place)->value;
		(*place)->value = value;
	} else {
		e = malloc(sizeof(*e) + size);
		if (!e)
			return -ENOMEM;
		*e = (struct strmap_entry){.hash = hash, .value = value};
		memcpy(e->key, key, size);
		*place = e;
		map->count++;
	}
	if (ret_old)
		*ret_old = old;
	return 0;
}

void *strmap_remove(struct strmap *map, const char *key)
{
	struct strmap_entry **place, *e;
	void *value;

	if (!map->n_buckets)
		return NULL;
	place = place_of(map, key, hash_of(key));
	e = *place;
	if (!e)
		return NULL;
	*place = e->next;
	value = e->value;
	free(e);
	map->count--;
	return value;
}

int strmap_next(const struct strmap *map, struct strmap_iter *it)
{
	struct strmap_entry *e = it->next;

	while (!e && it->bucket < map->n_buckets)
		e = map->buckets[it->bucket++];
	if (!e)
		return 0;
	it->next = e->next;
	it->key = e->key;
	it->value = e->value;
	return 1;
}
