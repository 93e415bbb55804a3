/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking work off the loop. */
#include "rt_test.h"

#include <pthread.h>

#include "rt/worker.h"

#define WORKS 1000

static struct {
	struct reactor *r;
	struct worker_pool *pool;
	pthread_t owner;
	_Atomic unsigned ran, ran_here;
	unsigned done, submitted;
	struct chore {
		struct work work;
		_Atomic unsigned ran;
		unsigned done;
	} chores[WORKS];
} t;

static void chore_run(struct work *work)
{
	struct chore *c = container_of(work, struct chore, work);

	c->ran++;
	t.ran++;
	t.ran_here += pthread_equal(pthread_self(), t.owner) != 0;
}

static void chore_done(struct work *work)
{
	struct chore *c = container_of(work, struct chore, work);

	c->done++;
	t.done += reactor_current() == t.r && c->ran == 1;
}

static void submit_all(struct task *task)
{
	for (unsigned i = 0; i < WORKS; i++) {
		t.chores[i].work = (struct work){.run = chore_run, .done = chore_done};
		worker_submit(t.pool, &t.chores[i].work);
		t.submitted += t.done == 0; /* done() is never called inside */
	}
}

static void check_pool(unsigned n_threads)
{
	struct task task = {.run = submit_all};
	struct err err = {0};

	memset(&t, 0, sizeof(t));
	t.owner = pthread_self();
	t.r = test_reactor(0, 0, NULL);
	assert_int_equal(worker_pool_new(n_threads, &t.pool, &err), 0);
	reactor_defer(t.r, &task);
	run_until(t.r, t.done == WORKS);
	assert_int_equal(t.submitted, WORKS);
	assert_int_equal(t.ran, WORKS);
	assert_int_equal(t.ran_here, n_threads ? 0 : WORKS);
	worker_pool_free(t.pool);
	reactor_free(t.r);
}

static void work_runs_on_threads_and_is_done_on_the_reactor(void **state)
{
	check_pool(3);
}

static void pool_without_threads_runs_work_in_the_caller(void **state)
{
	check_pool(0);
}

static void pool_that_ends_finishes_what_it_was_given(void **state)
{
	struct task task = {.run = submit_all};
	struct err err = {0};

	memset(&t, 0, sizeof(t));
	t.owner = pthread_self();
	t.r = test_reactor(0, 0, NULL);
	assert_int_equal(worker_pool_new(2, &t.pool, &err), 0);
	reactor_defer(t.r, &task);
	assert_true(reactor_pass(t.r, 0));
	worker_pool_free(t.pool);
	assert_int_equal(t.ran, WORKS);
	while (reactor_pass(t.r, 0))
		;
	assert_int_equal(t.done, WORKS);
	reactor_free(t.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_runs_on_threads_and_is_done_on_the_reactor),
		cmocka_unit_test(pool_without_threads_runs_work_in_the_caller),
		cmocka_unit_test(pool_that_ends_finishes_what_it_was_given),
	};

	return cmocka_run_group_tests_name("rt.worker", tests, NULL, NULL);
}
