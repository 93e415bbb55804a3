/* SPDX-License-Identifier: Apache-2.0 */
/* A map of objects, and a map of maps beside it. */
#include "kube/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SECOND_MAX 512

struct cached {
	json_t *obj;
	char *second; /* NULL: in no index */
};

static void cached_free(struct cached *c)
{
	if (!c)
		return;
	json_decref(c->obj);
	free(c->second);
	free(c);
}

void cache_fini(struct cache *cache)
{
	struct strmap_iter it = {0};

	while (strmap_next(&cache->objects, &it))
		cached_free(it.value);
	strmap_fini(&cache->objects);
	it = (struct strmap_iter){0};
	while (strmap_next(&cache->index, &it)) {
		strmap_fini(it.value);
		free(it.value);
	}
	strmap_fini(&cache->index);
}

json_t *cache_get(const struct cache *cache, const char *key)
{
	const struct cached *c = strmap_get(&cache->objects, key);

	return c ? c->obj : NULL;
}

static int index_add(struct cache *cache, const char *key, struct cached *c)
{
	struct strmap *set;

	if (!c->second)
		return 0;
	set = strmap_get(&cache->index, c->second);
	if (!set) {
		set = calloc(1, sizeof(*set));
		if (!set || strmap_set(&cache->index, c->second, set, NULL)) {
			free(set);
			return -ENOMEM;
		}
	}
	return strmap_set(set, key, c, NULL);
}

static void index_remove(struct cache *cache, const char *key, const struct cached *c)
{
	struct strmap *set = c->second ? strmap_get(&cache->index, c->second) : NULL;

	/* Its new self may be there already. */
	if (!set || strmap_get(set, key) != c)
		return;
	(void)strmap_remove(set, key);
	if (set->count)
		return;
	(void)strmap_remove(&cache->index, c->second);
	strmap_fini(set);
	free(set);
}

static struct cached *cached_new(const struct cache *cache, json_t *obj)
{
	struct cached *c = calloc(1, sizeof(*c));
	char second[SECOND_MAX];

	if (!c)
		return NULL;
	if (cache->index_fn && cache->index_fn(obj, second, sizeof(second))) {
		c->second = strdup(second);
		if (!c->second) {
			free(c);
			return NULL;
		}
	}
	c->obj = json_incref(obj);
	return c;
}

int cache_set(struct cache *cache, const char *key, json_t *obj, json_t **ret_old)
{
	struct cached *old = strmap_get(&cache->objects, key), *c = NULL;

	if (obj) {
		c = cached_new(cache, obj);
		if (!c)
			return -ENOMEM;
		if (index_add(cache, key, c) || strmap_set(&cache->objects, key, c, NULL)) {
			index_remove(cache, key, c);
			if (old)
				(void)index_add(cache, key,
						old); /* it was there: no memory is needed */
			cached_free(c);
			return -ENOMEM;
		}
	} else {
		(void)strmap_remove(&cache->objects, key);
	}
	if (old)
		index_remove(cache, key, old);
	*ret_old = old ? TAKE_PTR(old->obj) : NULL;
	cached_free(old);
	return 0;
}

int cache_collect(const struct cache *cache, const char *second, json_t *array)
{
	const struct strmap *map = second ? strmap_get(&cache->index, second) : &cache->objects;
	struct strmap_iter it = {0};

	while (map && strmap_next(map, &it))
		if (json_array_append(array, ((const struct cached *)it.value)->obj))
			return -ENOMEM;
	return 0;
}
