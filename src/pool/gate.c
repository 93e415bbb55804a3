/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns of the gate, one after the other:
 *
 *   IDLE -> HOLD (every slot has held) -> TURN (every slot has turned) -> DRAIN (no old I/O is left) -> IDLE
 *
 * Invariants: a slot's phase flips once per turn, and the next turn begins only when nothing of the phase before is in flight; so two counters are enough.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "pool/priv.h"

static void gate_next(struct pool *pool);

struct pool_slot *pool_slot(struct pool *pool)
{
	unsigned index = pool->slot_of[reactor_id(reactor_current())];

	ASSERT(index > 0);
	return &pool->slots[index - 1];
}

struct pool_slot *pool_slots(struct pool *pool, unsigned *ret_n)
{
	*ret_n = pool->n_slots;
	return pool->slots;
}

uint64_t pool_entered(const struct pool *pool)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < pool->n_slots; i++)
		n += counter_get(&pool->slots[i].entered);
	return n;
}

unsigned pool_slot_index(const struct pool_slot *slot)
{
	return (unsigned)(slot - slot->pool->slots);
}

static struct gate_turn *current(struct pool *pool)
{
	return list_first(&pool->gate.turns, struct gate_turn, link);
}

static void turn_end(struct pool *pool)
{
	struct gate_turn *turn = current(pool);

	list_remove(&turn->link);
	pool->gate.step = GATE_IDLE;
	if (turn->drained)
		turn->drained(turn);
	if (!list_empty(&pool->gate.turns))
		reactor_defer(pool->home, &pool->gate.task);
}

static void check_drained(struct pool *pool)
{
	if (pool->gate.step == GATE_DRAIN && !pool->gate.draining)
		turn_end(pool);
}

/* Home: a slot's old I/O has ended. */
static void drained_arrives(struct msg *msg)
{
	struct gate_visit *visit = container_of(msg, struct gate_visit, msg);

	visit->pool->gate.draining--;
	check_drained(visit->pool);
}

static void tell_drained(struct pool_slot *slot)
{
	struct pool_gate *gate = &slot->pool->gate;
	struct gate_visit *visit = &gate->drained[slot - slot->pool->slots];

	slot->draining = false;
	visit->msg.run = drained_arrives;
	reactor_post(slot->pool->home, &visit->msg);
}

void gate_drained(struct pool_slot *slot)
{
	tell_drained(slot);
}

/* Home: a slot has held or turned. */
static void visit_returns(struct msg *msg)
{
	struct gate_visit *visit = container_of(msg, struct gate_visit, msg);
	struct pool *pool = visit->pool;
	struct gate_turn *turn = current(pool);

	if (--pool->gate.visiting)
		return;
	if (pool->gate.step == GATE_HOLD) {
		gate_next(pool);
		return;
	}
	pool->gate.step = GATE_DRAIN;
	if (turn->turned)
		turn->turned(turn);
	check_drained(pool);
}

static void return_home(struct gate_visit *visit)
{
	visit->msg.run = visit_returns;
	reactor_post(visit->pool->home, &visit->msg);
}

static void visit_hold(struct msg *msg)
{
	struct gate_visit *visit = container_of(msg, struct gate_visit, msg);
	struct gate_turn *turn = current(visit->pool);

	turn->hold(turn, visit->slot);
	return_home(visit);
}

static void visit_turn(struct msg *msg)
{
	struct gate_visit *visit = container_of(msg, struct gate_visit, msg);
	struct pool_slot *slot = visit->slot;
	struct gate_turn *turn = current(visit->pool);
	unsigned old = slot->phase;

	ASSERT(!slot->inflight[!old]);
	slot->phase = !old;
	slot->draining = true;
	if (turn->turn)
		turn->turn(turn, slot);
	if (!slot->inflight[old] && slot->draining)
		tell_drained(slot);
	return_home(visit);
}

static void visit_all(struct pool *pool, void (*run)(struct msg *msg))
{
	pool->gate.visiting = pool->n_slots;
	for (unsigned i = 0; i < pool->n_slots; i++) {
		pool->gate.visit[i].msg.run = run;
		reactor_post(pool->slots[i].reactor, &pool->gate.visit[i].msg);
	}
}

static void gate_next(struct pool *pool)
{
	struct pool_gate *gate = &pool->gate;

	if (gate->step == GATE_IDLE && current(pool)->hold) {
		gate->step = GATE_HOLD;
		visit_all(pool, visit_hold);
	} else {
		gate->step = GATE_TURN;
		gate->draining = pool->n_slots;
		visit_all(pool, visit_turn);
	}
}

static void gate_task(struct task *task)
{
	struct pool *pool = container_of(task, struct pool, gate.task);

	if (pool->gate.step == GATE_IDLE && !list_empty(&pool->gate.turns))
		gate_next(pool);
}

void gate_turn(struct pool *pool, struct gate_turn *turn)
{
	list_push_back(&pool->gate.turns, &turn->link);
	if (pool->gate.step == GATE_IDLE)
		reactor_defer(pool->home, &pool->gate.task);
}

int gate_init(struct pool *pool)
{
	struct pool_gate *gate = &pool->gate;

	list_init(&gate->turns);
	gate->task.run = gate_task;
	gate->visit = calloc(pool->n_slots, sizeof(*gate->visit));
	gate->drained = calloc(pool->n_slots, sizeof(*gate->drained));
	if (!gate->visit || !gate->drained)
		return -ENOMEM;
	for (unsigned i = 0; i < pool->n_slots; i++) {
		gate->visit[i].pool = gate->drained[i].pool = pool;
		gate->visit[i].slot = gate->drained[i].slot = &pool->slots[i];
	}
	return 0;
}

void gate_fini(struct pool *pool)
{
	task_cancel(&pool->gate.task);
	free(pool->gate.visit);
	free(pool->gate.drained);
}
