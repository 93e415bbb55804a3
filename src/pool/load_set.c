/* SPDX-License-Identifier: Apache-2.0 */
/* A set of numbers: open addressing, at most half full. */
#include <errno.h>
#include <stdlib.h>

#include "pool/load.h"

static size_t slot_of(const struct load_set *set, uint64_t value)
{
	size_t i = (size_t)(value * 0x9e3779b97f4a7c15u >> 20) & (set->capacity - 1);

	while (set->slot[i] && set->slot[i] != value)
		i = (i + 1) & (set->capacity - 1);
	return i;
}

static int grow(struct load_set *set)
{
	struct load_set bigger = {.n = set->n,
				  .capacity = set->capacity ? set->capacity * 2 : 1024};

	bigger.slot = calloc(bigger.capacity, sizeof(uint64_t));
	if (!bigger.slot)
		return -ENOMEM;
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slot[i])
			bigger.slot[slot_of(&bigger, set->slot[i])] = set->slot[i];
	free(set->slot);
	*set = bigger;
	return 0;
}

int load_set_add(struct load_set *set, uint64_t value)
{
	size_t i;

	ASSERT(value);
	if (set->n * 2 >= set->capacity && grow(set))
		return -ENOMEM;
	i = slot_of(set, value);
	set->n += !set->slot[i];
	set->slot[i] = value;
	return 0;
}

bool load_set_has(const struct load_set *set, uint64_t value)
{
	return set->capacity && set->slot[slot_of(set, value)] == value;
}

void load_set_fini(struct load_set *set)
{
	free(set->slot);
}
