/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a reactor; reactor.h has the order of one pass. Steps 3 and 5 are one call of env->poll(), which also
 * sleeps: a pass begins with messages and timers and waits only when neither they nor the pass before left work.
 *
 * Invariants:
 *  1. reactor_current() is r exactly while code runs on behalf of r's loop, also when one thread runs many reactors
 *     by turns.
 *  2. A pass ends: messages, timers and the rounds of tasks of one pass are bounded; the rest is for the next,
 *     which then does not wait.
 *  3. An idle reactor waits without limit: it has no tick of its own.
 */
#include "rt/reactor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/probes.h"
#include "base/str.h"
#include "rt/env.h"
#include "rt/iobuf_priv.h"
#include "rt/reactor_priv.h"

/* A task that queues itself again and again does not keep the pass from ending. */
#define TASK_ROUNDS_MAX 64
/* The first spins without new work are without `pause`, which costs 0.3 us of latency at depth 1. */
#define SPIN_EAGER_NS (2 * NSEC_PER_USEC)
/* With file I/O under way the spin is that much longer: 400 us by default, more than a busy NVMe device takes. */
#define SPIN_DISK_FACTOR 8
/* Calls that share a look at the clock: reactor_now_near(). */
#define NEAR_CALLS 4

static _Thread_local struct reactor *current;

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

int reactor_new(const struct reactor_opts *opts, struct env *env, struct reactor **ret,
		struct err *err)
{
	struct reactor *r;

	ASSERT(env);
	ASSERT(!env->reactor);
	if (opts->id >= REACTORS_MAX)
		return err_set(err, -EINVAL,
			       "reactor id %u is too high: at most %u reactors are possible",
			       opts->id, REACTORS_MAX);
	r = aligned_alloc(64, align_up(sizeof(*r), 64));
	if (!r)
		return err_set(err, -ENOMEM, "no memory for a reactor");
	memset(r, 0, sizeof(*r));
	if (!str_copy(r->name, sizeof(r->name), opts->name ? opts->name : "reactor")) {
		free(r);
		return err_set(err, -EINVAL, "reactor name '%s' is longer than %zu bytes",
			       opts->name, sizeof(r->name) - 1);
	}
	if (timer_heap_init(&r->timers) < 0) {
		free(r);
		return err_set(err, -ENOMEM, "no memory for a reactor's timers");
	}
	r->id = opts->id;
	r->cpu = opts->cpu;
	atomic_init(&r->poll_us, opts->poll_us);
	list_init(&r->tasks);
	list_init(&r->late_tasks);
	r->env = env;
	env->reactor = r;
	r->now_ns = env->ops->now_ns(env);
	*ret = r;
	return 0;
}

void reactor_free(struct reactor *r)
{
	if (!r)
		return;
	ASSERT(!r->thread_running);
	ASSERT(current != r);
	reactor_leave(r);
	timer_heap_fini(&r->timers);
	r->env->ops->free(r->env);
	free(r);
}

int reactor_prepare(struct reactor *r, struct err *err)
{
	struct reactor *before = current;
	int rc;

	if (r->prepared)
		return 0;
	current = r;
	rc = r->env->ops->thread_init(r->env, err);
	current = before;
	if (rc < 0)
		return err_prefix(err, "reactor '%s'", r->name), rc;
	r->prepared = true;
	return 0;
}

void reactor_leave(struct reactor *r)
{
	struct reactor *before = current;

	if (!r->prepared)
		return;
	current = r;
	r->env->ops->thread_fini(r->env);
	current = before;
	r->prepared = false;
}

/* For callers that cannot be told: a reactor without its ring is of no use to anyone. */
static void prepare_or_die(struct reactor *r)
{
	struct err err = {0};

	if (reactor_prepare(r, &err) < 0) {
		log_error("rt.reactor.start", "reactor=%s error=\"%s\"", r->name, err.text);
		check_failed(__FILE__, __LINE__, __func__, err.text);
	}
}

static unsigned run_messages(struct reactor *r)
{
	struct msg *m = msg_queue_take(&r->inbox);
	unsigned n = 0;

	while (m) {
		struct msg *next = m->next;

		m->run(m);
		m = next;
		n++;
	}
	counter_add(&r->stats.messages, n);
	return n;
}

static unsigned run_list(struct list *tasks)
{
	struct list batch, *node;
	unsigned n = 0;

	list_init(&batch);
	list_splice_back(&batch, tasks);
	while ((node = list_pop_front(&batch))) {
		struct task *task = list_entry(node, struct task, link);

		task->run(task);
		n++;
	}
	return n;
}

/* Tasks until none is left, the kernel gets what they queued, then late tasks; again while these queued tasks. */
static unsigned run_tasks(struct reactor *r)
{
	unsigned n = 0;

	for (int round = 0; round < TASK_ROUNDS_MAX; round++) {
		if (!list_empty(&r->tasks)) {
			n += run_list(&r->tasks);
			continue;
		}
		if (list_empty(&r->late_tasks))
			break;
		if (r->env->ops->submit)
			r->env->ops->submit(r->env);
		n += run_list(&r->late_tasks);
	}
	return n;
}

static int64_t clamp_wait(struct reactor *r, int64_t wait_ns)
{
	uint64_t next = timer_heap_next(&r->timers);
	uint64_t left;

	if (!list_empty(&r->tasks) || !list_empty(&r->late_tasks) || atomic_load(&r->stop))
		return 0;
	if (next == UINT64_MAX)
		return wait_ns;
	left = next > r->now_ns ? next - r->now_ns : 0;
	if (wait_ns < 0 || left < (uint64_t)wait_ns)
		return (int64_t)MIN(left, (uint64_t)INT64_MAX);
	return wait_ns;
}

static unsigned poll_world(struct reactor *r, int64_t wait_ns)
{
	struct env *env = r->env;
	unsigned n;

	if (wait_ns)
		wait_ns = clamp_wait(r, wait_ns);
	if (!wait_ns)
		return env->ops->poll(env, 0);
	atomic_store(&r->sleeping, true);
	if (!msg_queue_empty(&r->inbox) || atomic_load(&r->stop))
		wait_ns = 0;
	n = env->ops->poll(env, wait_ns);
	atomic_store(&r->sleeping, false);
	return n;
}

static void set_now(struct reactor *r, uint64_t now_ns)
{
	r->now_ns = now_ns;
	r->near_left = 0;
}

void reactor_woke(struct reactor *r, uint64_t start_ns)
{
	set_now(r, r->env->ops->now_ns(r->env));
	counter_add(&r->stats.sleeps, 1);
	counter_add(&r->stats.sleep_ns, r->now_ns - start_ns);
}

bool reactor_pass(struct reactor *r, int64_t wait_ns)
{
	struct reactor *before = current;
	uint64_t slept_before = counter_get(&r->stats.sleep_ns);
	uint64_t start_ns, end_ns, slept_ns;
	unsigned work;

	if (!r->prepared)
		prepare_or_die(r);
	current = r;
	start_ns = r->env->ops->now_ns(r->env);
	set_now(r, start_ns);
	work = run_messages(r);
	work += timer_heap_fire(r);
	work += poll_world(r, work ? 0 : wait_ns);
	work += run_tasks(r);
	counter_add(&r->stats.passes, 1);
	if (work) {
		end_ns = r->env->ops->now_ns(r->env);
		slept_ns = counter_get(&r->stats.sleep_ns) - slept_before;
		counter_add(&r->stats.busy_passes, 1);
		counter_add(&r->stats.busy_ns,
			    end_ns - start_ns - MIN(slept_ns, end_ns - start_ns));
		r->last_work_ns = end_ns;
		set_now(r, end_ns);
	}
	current = before;
	return work;
}

/* Whether to look again at once instead of sleeping. A disk that has work of ours will answer soon: waiting for it is worth more. */
static bool worth_spinning(const struct reactor *r, int64_t poll_us, uint64_t idle_ns)
{
	uint64_t limit_ns;

	if (poll_us < 0)
		return true;
	limit_ns = (uint64_t)poll_us * NSEC_PER_USEC;
	return idle_ns < (r->files_under_way ? SPIN_DISK_FACTOR * limit_ns : limit_ns);
}

void reactor_run(struct reactor *r)
{
	if (!r->prepared)
		prepare_or_die(r);
	while (!atomic_load_explicit(&r->stop, memory_order_acquire)) {
		int64_t poll_us = atomic_load_explicit(&r->poll_us, memory_order_relaxed);
		uint64_t idle_ns = r->now_ns - r->last_work_ns;
		bool spin = worth_spinning(r, poll_us, idle_ns);

		if (!reactor_pass(r, spin ? 0 : -1) && spin && idle_ns > SPIN_EAGER_NS)
			cpu_relax();
	}
}

void reactor_stop(struct reactor *r)
{
	atomic_store(&r->stop, true);
	r->env->ops->wake(r->env);
}

struct reactor *reactor_current(void)
{
	return current;
}

unsigned reactor_id(const struct reactor *r)
{
	return r->id;
}

const char *reactor_name(const struct reactor *r)
{
	return r->name;
}

int reactor_cpu(const struct reactor *r)
{
	return r->cpu;
}

struct env *reactor_env(struct reactor *r)
{
	return r->env;
}

struct reactor_stats *reactor_stats(struct reactor *r)
{
	return &r->stats;
}

struct iobuf_pool *reactor_iobufs(struct reactor *r)
{
	return r->iobufs;
}

void reactor_set_iobufs(struct reactor *r, struct iobuf_pool *pool)
{
	r->iobufs = pool;
	iobuf_pool_bind(pool, r);
}

void reactor_set_poll_us(struct reactor *r, int64_t poll_us)
{
	atomic_store_explicit(&r->poll_us, poll_us, memory_order_relaxed);
	/* A sleeping reactor that is now to spin must hear of it. */
	r->env->ops->wake(r->env);
}

uint64_t reactor_now(const struct reactor *r)
{
	return r->now_ns;
}

uint64_t reactor_now_exact(struct reactor *r)
{
	return r->env->ops->now_ns(r->env);
}

uint64_t reactor_next_timer(const struct reactor *r)
{
	return timer_heap_next(&r->timers);
}

uint64_t reactor_now_near(struct reactor *r, bool fresh)
{
	if (fresh || !r->near_left) {
		r->near_ns = r->env->ops->now_ns(r->env);
		r->near_left = NEAR_CALLS;
	}
	r->near_left--;
	return r->near_ns;
}

uint64_t reactor_wall_ns(struct reactor *r)
{
	return r->env->ops->wall_ns(r->env);
}

void reactor_random(struct reactor *r, void *buf, size_t len)
{
	r->env->ops->random(r->env, buf, len);
}

static void defer(struct reactor *r, struct list *tasks, struct task *task)
{
	ASSERT(task->run);
	ASSERT(!current || current == r);
	if (!list_linked(&task->link))
		list_push_back(tasks, &task->link);
}

void reactor_defer(struct reactor *r, struct task *task)
{
	defer(r, &r->tasks, task);
}

void reactor_defer_late(struct reactor *r, struct task *task)
{
	defer(r, &r->late_tasks, task);
}

void task_cancel(struct task *task)
{
	list_remove(&task->link);
}
