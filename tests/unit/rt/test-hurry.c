/* SPDX-License-Identifier: Apache-2.0 */
/* Threads hurry as far as the system lets them, and are afterwards what they were: whoever runs this, with whatever rights. */
#include "rt/hurry.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rt_test.h"

#define OTHER_NICE 5

/* A thread that sleeps until it is told to end. */
struct other {
	pthread_t thread;
	pid_t tid;
	sem_t up, end;
};

static void *other_run(void *arg)
{
	struct other *o = arg;

	o->tid = gettid();
	(void)setpriority(PRIO_PROCESS, (id_t)o->tid, OTHER_NICE);
	(void)sem_post(&o->up);
	while (sem_wait(&o->end) < 0)
		;
	return NULL;
}

static void other_begin(struct other *o)
{
	assert_int_equal(sem_init(&o->up, 0, 0), 0);
	assert_int_equal(sem_init(&o->end, 0, 0), 0);
	assert_int_equal(pthread_create(&o->thread, NULL, other_run, o), 0);
	while (sem_wait(&o->up) < 0)
		;
}

static void other_end(struct other *o)
{
	(void)sem_post(&o->end);
	assert_int_equal(pthread_join(o->thread, NULL), 0);
	(void)sem_destroy(&o->up);
	(void)sem_destroy(&o->end);
}

static int policy_of(pid_t tid)
{
	return sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
}

static int nice_of(pid_t tid)
{
	return getpriority(PRIO_PROCESS, (id_t)tid);
}

/* What the thread was given; -1: it is not among those that hurry. */
static int means_of(const struct hurry *h, pid_t tid)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->thread[i].tid == tid)
			return (int)h->thread[i].means;
	return -1;
}

static void check_means(pid_t tid, int means, int before)
{
	assert_int_equal(policy_of(tid), means == HURRY_REALTIME ? SCHED_FIFO : SCHED_OTHER);
	if (means == HURRY_NICE)
		assert_int_equal(nice_of(tid), -20);
	else
		assert_int_equal(nice_of(tid), before);
}

static void all_threads_hurry_and_are_then_as_they_were(void **state)
{
	const int before = nice_of(gettid());
	static struct hurry hurry;
	struct other other;

	other_begin(&other);
	for (int round = 0; round < 3; round++) {
		const int least = (int)hurry_begin(&hurry);
		const int mine = means_of(&hurry, gettid()), its = means_of(&hurry, other.tid);

		assert_true(mine >= least && its >= least);
		print_message("# it got: %s\n", hurry_means_name[mine]);
		check_means(gettid(), mine, before);
		check_means(other.tid, its, OTHER_NICE);
		hurry_end(&hurry);
		assert_int_equal(hurry.n, 0);
		assert_int_equal(policy_of(gettid()), SCHED_OTHER);
		assert_int_equal(policy_of(other.tid), SCHED_OTHER);
		assert_int_equal(nice_of(gettid()), before);
		assert_int_equal(nice_of(other.tid), OTHER_NICE);
	}
	other_end(&other);
}

/* What somebody gave a thread on purpose is not ours to change. */
static void another_policy_is_left_alone(void **state)
{
	const struct sched_param param = {0};
	static struct hurry hurry;
	struct other other;

	other_begin(&other);
	assert_int_equal(sched_setscheduler(other.tid, SCHED_BATCH, &param), 0);
	(void)hurry_begin(&hurry);
	assert_int_equal(means_of(&hurry, other.tid), -1);
	assert_int_equal(policy_of(other.tid), SCHED_BATCH);
	hurry_end(&hurry);
	assert_int_equal(policy_of(other.tid), SCHED_BATCH);
	other_end(&other);
}

static void a_second_begin_ends_the_first(void **state)
{
	const int before = nice_of(gettid());
	static struct hurry hurry;
	const enum hurry_means means = hurry_begin(&hurry);

	assert_int_equal(hurry_begin(&hurry), means);
	hurry_end(&hurry);
	hurry_end(&hurry); /* nothing */
	assert_int_equal(policy_of(gettid()), SCHED_OTHER);
	assert_int_equal(nice_of(gettid()), before);
}

static void a_thread_that_has_ended_is_no_error(void **state)
{
	static struct hurry hurry;
	struct other other;

	other_begin(&other);
	(void)hurry_begin(&hurry);
	other_end(&other);
	hurry_end(&hurry);
	assert_int_equal(policy_of(gettid()), SCHED_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_threads_hurry_and_are_then_as_they_were),
		cmocka_unit_test(another_policy_is_left_alone),
		cmocka_unit_test(a_second_begin_ends_the_first),
		cmocka_unit_test(a_thread_that_has_ended_is_no_error),
	};
	const struct sched_param usual = {0};

	(void)sched_setscheduler(0, SCHED_OTHER, &usual); /* whatever chrt(1) the test is run by */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
