/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that outlives a process: what the engine has in a file of a tmpfs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crash/crash.h"

static int memory_get(void *ctx, const struct uuid *pool, size_t bytes, void **ret,
		      size_t *ret_size, struct err *err)
{
	struct run_memory *memory = ctx;

	if (memory->taken)
		return -EBUSY;
	memory->taken = true;
	*ret = memory->mem;
	*ret_size = memory->size;
	return 0;
}

static void memory_put(void *ctx, const struct uuid *pool, void *mem, size_t size, bool gone)
{
	struct run_memory *memory = ctx;

	ASSERT(mem == memory->mem && memory->taken);
	memory->taken = false;
	if (gone)
		memset(memory->mem, 0, memory->size);
}

void memory_init(struct run_memory *memory, size_t size)
{
	*memory = (struct run_memory){.ops = {.boot = {{1}}, .get = memory_get, .put = memory_put},
				      .size = size};
	memory->ops.ctx = memory;
	memory->mem = aligned_alloc(64, align_up(size, 64));
	ASSERT(memory->mem);
	memset(memory->mem, 0, size);
}

void memory_copy(struct run_memory *to, const struct run_memory *from)
{
	ASSERT(to->size == from->size);
	memcpy(to->mem, from->mem, to->size);
	to->ops.boot = from->ops.boot;
}

void memory_reboot(struct run_memory *memory, struct rng *rng)
{
	for (unsigned i = 0; i < sizeof(memory->ops.boot.b); i++)
		memory->ops.boot.b[i] = (uint8_t)rng_next(rng);
	if (rng_below(rng, 2))
		memset(memory->mem, 0, memory->size);
}
