/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from strings to pointers. Not for several threads; the owner of the table locks. Keys are copied, values are the caller's. */
#ifndef LITEPOOL_BASE_STRMAP_H
#define LITEPOOL_BASE_STRMAP_H

#include <stddef.h>
#include <stdint.h>

struct strmap_entry;

struct strmap {
	struct strmap_entry **buckets; /* a power of two of them; NULL before the first set */
	size_t n_buckets, count;
};

/* All zeroes is an empty map, too. */
void strmap_init(struct strmap *map);
/* The values are not touched. */
void strmap_fini(struct strmap *map);
/* NULL when it is not there. */
void *strmap_get(const struct strmap *map, const char *key);
/* value is not NULL. Replaces; *ret_old (may be NULL) is what was there, or NULL. -ENOMEM: nothing has changed. */
int strmap_set(struct strmap *map, const char *key, void *value, void **ret_old);
/* The value that was there, or NULL. */
void *strmap_remove(struct strmap *map, const char *key);

/*
 * All entries in no particular order: `struct strmap_iter it = {0}; while (strmap_next(&map, &it)) ...`. The entry just given
 * may be removed; any other change of the map ends the iteration's meaning.
 */
struct strmap_iter {
	const char *key;
	void *value;
	size_t bucket;
	struct strmap_entry *next;
};
int strmap_next(const struct strmap *map, struct strmap_iter *it);

#endif
