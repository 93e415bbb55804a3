/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of a pool, one at a time: what a user waits for before background work, else in order. */
#include "base/check.h"
#include "pool/priv.h"

static void op_next(struct task *task)
{
	struct pool *pool = container_of(task, struct pool, op_task);
	struct list *link;

	if (pool->op || hold_is_frozen(&pool->hold))
		return;
	link = list_pop_front(&pool->ops[0]);
	if (!link && !hold_is_held(&pool->hold))
		link = list_pop_front(&pool->ops[1]);
	if (!link) {
		hold_poke(pool);
		return;
	}
	pool->op = list_entry(link, struct pool_op, link);
	pool->op->run(pool->op);
}

void pool_op_start(struct pool *pool, struct pool_op *op)
{
	list_push_back(&pool->ops[op->background], &op->link);
	reactor_defer(pool->home, &pool->op_task);
}

void pool_op_end(struct pool *pool, struct pool_op *op)
{
	ASSERT(pool->op == op);
	pool->op = NULL;
	reactor_defer(pool->home, &pool->op_task);
}

void op_init(struct pool *pool)
{
	list_init(&pool->ops[0]);
	list_init(&pool->ops[1]);
	pool->op_task.run = op_next;
}
