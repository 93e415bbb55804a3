/* SPDX-License-Identifier: Apache-2.0 */
/* Objects by name and by a second key. Not for several threads: the informer locks. */
#ifndef LITEPOOL_KUBE_CACHE_H
#define LITEPOOL_KUBE_CACHE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strmap.h"

typedef bool (*cache_index_fn)(const json_t *obj, char *key, size_t size);

struct cache {
	struct strmap objects; /* key -> struct cached */
	struct strmap index;   /* second key -> struct strmap of keys -> struct cached */
	cache_index_fn index_fn;
};

void cache_fini(struct cache *cache);
/* Borrowed. */
json_t *cache_get(const struct cache *cache, const char *key);
/* obj NULL removes. *ret_old: what was there, now the caller's, or NULL. -ENOMEM: nothing has changed. */
int cache_set(struct cache *cache, const char *key, json_t *obj, json_t **ret_old);
/* Appends those of the second key (NULL: all) to the array. */
int cache_collect(const struct cache *cache, const char *second, json_t *array);

#endif
