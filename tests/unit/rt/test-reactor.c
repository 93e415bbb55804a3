/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: messages, timers, tasks, and what an idle reactor does: nothing. */
#include "rt_test.h"

#include <pthread.h>

#define SENDERS  4
#define MESSAGES 20000

struct numbered {
	struct msg msg;
	unsigned sender, number;
};

static struct {
	struct reactor *r;
	struct numbered *all[SENDERS];
	unsigned next[SENDERS]; /* the reactor's own */
	_Atomic unsigned received, disorder;
} inbox;

static void numbered_run(struct msg *msg)
{
	struct numbered *m = container_of(msg, struct numbered, msg);

	if (m->number != inbox.next[m->sender]++)
		inbox.disorder++;
	inbox.received++;
}

static void *sender(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < MESSAGES; i++) {
		struct numbered *m = &inbox.all[id][i];

		*m = (struct numbered){.msg.run = numbered_run, .sender = id, .number = i};
		reactor_post(inbox.r, &m->msg);
	}
	return NULL;
}

static void messages_of_many_threads_arrive_once_and_in_order(void **state)
{
	pthread_t threads[SENDERS];

	for (int poll_us = 0; poll_us <= 50; poll_us += 50) {
		memset(&inbox, 0, sizeof(inbox));
		inbox.r = test_reactor(0, poll_us, NULL);
		for (uintptr_t i = 0; i < SENDERS; i++)
			inbox.all[i] = calloc(MESSAGES, sizeof(struct numbered));
		for (uintptr_t i = 0; i < SENDERS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, sender, (void *)i), 0);
		run_until(inbox.r, inbox.received == SENDERS * MESSAGES);
		for (int i = 0; i < SENDERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			free(inbox.all[i]);
		}
		assert_int_equal(inbox.disorder, 0);
		assert_int_equal(counter_get(&reactor_stats(inbox.r)->messages),
				 SENDERS * MESSAGES);
		reactor_free(inbox.r);
	}
}

struct hop {
	struct msg msg;
	struct reactor *to[2];
	_Atomic unsigned hops;
};
#define HOPS 5000

static void hop_run(struct msg *msg)
{
	struct hop *hop = container_of(msg, struct hop, msg);
	unsigned n = atomic_load(&hop->hops);

	assert_true(reactor_current() == hop->to[n % 2]);
	atomic_store(&hop->hops, n + 1);
	if (n + 1 < HOPS)
		reactor_post(hop->to[(n + 1) % 2], msg);
}

/* Each hop finds the other reactor asleep or about to sleep: one lost wake-up and it never ends. */
static void message_wakes_a_sleeping_reactor(void **state)
{
	for (int64_t poll_us = 0; poll_us <= 1; poll_us++) {
		struct hop hop = {.msg.run = hop_run};

		hop.to[0] = test_reactor(0, poll_us, NULL);
		hop.to[1] = test_reactor(1, poll_us, NULL);
		test_start(hop.to[1]);
		reactor_post(hop.to[0], &hop.msg);
		run_until(hop.to[0], atomic_load(&hop.hops) == HOPS);
		test_stop(hop.to[1]);
		reactor_free(hop.to[0]);
	}
}

static struct {
	unsigned posted, at_post;
	struct reactor *r;
} self;

static void self_run(struct msg *msg)
{
	if (self.posted++ == 0)
		reactor_post(self.r, msg);
}

static void message_to_itself_runs_in_the_next_pass(void **state)
{
	struct msg m = {.run = self_run};

	memset(&self, 0, sizeof(self));
	self.r = test_reactor(0, 0, NULL);
	reactor_post(self.r, &m);
	assert_true(reactor_pass(self.r, 0));
	assert_int_equal(self.posted, 1);
	assert_true(reactor_pass(self.r, -1));
	assert_int_equal(self.posted, 2);
	assert_false(reactor_pass(self.r, 0));
	reactor_free(self.r);
}

#define TIMERS 600

struct timed {
	struct timer timer;
	unsigned fired;
	uint64_t asked_ns;
};
static struct {
	struct timed timers[TIMERS];
	unsigned fired, early, disorder;
	uint64_t last_ns;
	struct reactor *r;
} clockwork;

static void timed_run(struct timer *t)
{
	struct timed *timed = container_of(t, struct timed, timer);

	if (timed->asked_ns > reactor_now(clockwork.r))
		clockwork.early++;
	if (timed->asked_ns < clockwork.last_ns)
		clockwork.disorder++;
	clockwork.last_ns = timed->asked_ns;
	timed->fired++;
	clockwork.fired++;
}

static void timers_fire_once_in_order_and_never_early(void **state)
{
	struct rng rng;
	unsigned expected = 0;
	uint64_t now;

	memset(&clockwork, 0, sizeof(clockwork));
	rng_seed(&rng, 1);
	clockwork.r = test_reactor(0, 0, NULL);
	now = reactor_now_exact(clockwork.r);
	for (int i = 0; i < TIMERS; i++) {
		struct timed *t = &clockwork.timers[i];

		t->timer.run = timed_run;
		t->asked_ns = now + rng_below(&rng, 50 * NSEC_PER_MSEC);
		assert_int_equal(timer_start(clockwork.r, &t->timer, t->asked_ns), 0);
	}
	for (int i = 0; i < TIMERS; i++) {
		struct timed *t = &clockwork.timers[i];

		if (rng_chance(&rng, 0.3)) {
			timer_stop(&t->timer);
			timer_stop(&t->timer);
		} else if (rng_chance(&rng, 0.3)) {
			t->asked_ns = now + rng_below(&rng, 50 * NSEC_PER_MSEC);
			assert_int_equal(timer_start(clockwork.r, &t->timer, t->asked_ns), 0);
		}
		expected += t->timer.heap_index != 0;
	}
	run_until(clockwork.r, clockwork.fired == expected);
	assert_false(reactor_pass(clockwork.r, 0));
	assert_int_equal(clockwork.fired, expected);
	assert_int_equal(clockwork.early, 0);
	assert_int_equal(clockwork.disorder, 0);
	for (int i = 0; i < TIMERS; i++)
		assert_true(clockwork.timers[i].fired <= 1);
	assert_int_equal(counter_get(&reactor_stats(clockwork.r)->timers_fired), expected);
	reactor_free(clockwork.r);
}

static struct {
	struct timer a, b;
	unsigned a_runs, b_runs;
	struct reactor *r;
} pair;

static void a_run(struct timer *t)
{
	pair.a_runs++;
	timer_stop(&pair.b);
	/* Already past: it runs in the next pass, not for ever in this one. */
	assert_int_equal(timer_start(pair.r, &pair.a, 0), 0);
}

static void b_run(struct timer *t)
{
	pair.b_runs++;
}

static void timer_callback_may_restart_itself_and_stop_others(void **state)
{
	memset(&pair, 0, sizeof(pair));
	pair.r = test_reactor(0, 0, NULL);
	pair.a.run = a_run;
	pair.b.run = b_run;
	assert_int_equal(timer_start(pair.r, &pair.a, 1), 0);
	assert_int_equal(timer_start(pair.r, &pair.b, 2), 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_true(reactor_pass(pair.r, 0));
		assert_int_equal(pair.a_runs, i);
	}
	assert_int_equal(pair.b_runs, 0);
	timer_stop(&pair.a);
	assert_true(reactor_next_timer(pair.r) == UINT64_MAX);
	reactor_free(pair.r);
}

static struct {
	char order[16];
	struct reactor *r;
	struct task t1, t2, late, more;
} chores;

static void note(char c)
{
	size_t len = strlen(chores.order);

	assert_true(len + 1 < sizeof(chores.order));
	chores.order[len] = c;
}

static void t1_run(struct task *t)
{
	note('1');
	reactor_defer_late(chores.r, &chores.late);
	reactor_defer(chores.r, &chores.t2);
}

static void t2_run(struct task *t)
{
	note('2');
}

static void late_run(struct task *t)
{
	note('L');
	reactor_defer(chores.r, &chores.more);
}

static void more_run(struct task *t)
{
	note('m');
}

static void late_tasks_run_after_all_tasks_of_the_pass(void **state)
{
	struct task cancelled = {.run = more_run};

	memset(&chores, 0, sizeof(chores));
	chores.r = test_reactor(0, 0, NULL);
	chores.t1.run = t1_run;
	chores.t2.run = t2_run;
	chores.late.run = late_run;
	chores.more.run = more_run;
	reactor_defer(chores.r, &chores.t1);
	reactor_defer(chores.r, &chores.t1);
	reactor_defer(chores.r, &cancelled);
	task_cancel(&cancelled);
	task_cancel(&cancelled);
	/* Does not wait though it may: there are tasks. */
	assert_true(reactor_pass(chores.r, -1));
	assert_string_equal(chores.order, "12Lm");
	reactor_free(chores.r);
}

static void endless_run(struct task *t)
{
	reactor_defer(chores.r, t);
}

static void task_that_repeats_itself_does_not_hold_the_pass(void **state)
{
	struct task t = {.run = endless_run};

	chores.r = test_reactor(0, 0, NULL);
	reactor_defer(chores.r, &t);
	for (int i = 0; i < 3; i++)
		assert_true(reactor_pass(chores.r, -1));
	task_cancel(&t);
	assert_false(reactor_pass(chores.r, 0));
	reactor_free(chores.r);
}

static void look_near(struct msg *msg)
{
	struct reactor *r = reactor_current();
	uint64_t first = reactor_now_near(r, false), fresh;

	assert_true(first >= reactor_now(r));
	for (int i = 0; i < 3; i++)
		assert_true(reactor_now_near(r, false) == first);
	while (reactor_now_exact(r) == first)
		;
	assert_true(reactor_now_near(r, false) > first);
	fresh = reactor_now_exact(r);
	assert_true(reactor_now_near(r, true) >= fresh);
}

static void the_near_clock_is_shared_by_a_few_calls_of_a_pass(void **state)
{
	struct msg m = {.run = look_near};
	struct reactor *r = test_reactor(0, 0, NULL);

	for (int i = 0; i < 3; i++) { /* another pass looks anew */
		reactor_post(r, &m);
		assert_true(reactor_pass(r, 0));
	}
	reactor_free(r);
}

static void who_run(struct msg *msg)
{
	inbox.received += reactor_current() == inbox.r;
}

static void many_reactors_take_turns_in_one_thread(void **state)
{
	struct reactor *r[3];

	memset(&inbox, 0, sizeof(inbox));
	for (unsigned i = 0; i < 3; i++)
		r[i] = test_reactor(i, 0, NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct msg m = {.run = who_run};

		inbox.r = r[i];
		reactor_post(r[i], &m);
		assert_true(reactor_pass(r[i], 0));
		assert_null(reactor_current());
	}
	assert_int_equal(inbox.received, 3);
	for (unsigned i = 0; i < 3; i++)
		reactor_free(r[i]);
}

/* What r does while 300 ms go by. */
static uint64_t passes_within(struct reactor *r, struct reactor *clock)
{
	struct reactor_stats *stats = reactor_stats(r);
	uint64_t before = counter_get(&stats->passes);
	uint64_t end = reactor_now_exact(clock) + 300 * NSEC_PER_MSEC;

	run_until(clock, reactor_now_exact(clock) >= end);
	return counter_get(&stats->passes) - before;
}

static void idle_reactor_makes_no_passes(void **state)
{
	struct reactor *r = test_reactor(0, POLL_US_DEFAULT, NULL);
	struct reactor *clock = test_reactor(1, 0, NULL);
	uint64_t passes = UINT64_MAX;

	test_start(r);
	/* It spins for its 50 us, then goes to sleep for good. A loaded machine lets it do so late; one that polls never does. */
	run_until(clock, counter_get(&reactor_stats(r)->enters) > 0);
	for (int i = 0; i < 20 && passes > 1; i++)
		passes = passes_within(r, clock);
	assert_true(passes <= 1);
	test_stop(r);
	reactor_free(clock);
}

static void wait_ends_with_its_limit_and_with_a_timer(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	uint64_t start;

	(void)reactor_pass(r, 0);
	start = reactor_now_exact(r);
	assert_false(reactor_pass(r, (int64_t)(5 * NSEC_PER_MSEC)));
	assert_true(reactor_now_exact(r) - start >= 5 * NSEC_PER_MSEC);
	assert_int_equal(counter_get(&reactor_stats(r)->sleeps), 1);
	assert_true(counter_get(&reactor_stats(r)->sleep_ns) >= 5 * NSEC_PER_MSEC);
	reactor_free(r);
}

static void bad_options_are_refused_with_a_reason(void **state)
{
	struct reactor_opts opts = {.id = REACTORS_MAX, .name = "x", .cpu = -1};
	struct err err = {0};
	struct reactor *r;
	struct env *env;

	assert_int_equal(uring_env_new(NULL, &env, &err), 0);
	assert_int_equal(reactor_new(&opts, env, &r, &err), -EINVAL);
	assert_non_null(strstr(err.text, "64"));
	opts.id = 0;
	opts.name = "a name that is too long";
	assert_int_equal(reactor_new(&opts, env, &r, &err), -EINVAL);
	opts.name = "x";
	opts.cpu = 1000;
	assert_int_equal(reactor_new(&opts, env, &r, &err), 0);
	assert_int_equal(reactor_start(r, &err), -EINVAL);
	assert_non_null(strstr(err.text, "core 1000"));
	reactor_free(r);
}

static void kernel_is_probed(void **state)
{
	struct err err = {0};

	if (uring_probe_kernel(&err) < 0)
		fail_msg("%s", err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_is_probed),
		cmocka_unit_test(messages_of_many_threads_arrive_once_and_in_order),
		cmocka_unit_test(message_wakes_a_sleeping_reactor),
		cmocka_unit_test(message_to_itself_runs_in_the_next_pass),
		cmocka_unit_test(timers_fire_once_in_order_and_never_early),
		cmocka_unit_test(timer_callback_may_restart_itself_and_stop_others),
		cmocka_unit_test(late_tasks_run_after_all_tasks_of_the_pass),
		cmocka_unit_test(task_that_repeats_itself_does_not_hold_the_pass),
		cmocka_unit_test(the_near_clock_is_shared_by_a_few_calls_of_a_pass),
		cmocka_unit_test(many_reactors_take_turns_in_one_thread),
		cmocka_unit_test(idle_reactor_makes_no_passes),
		cmocka_unit_test(wait_ends_with_its_limit_and_with_a_timer),
		cmocka_unit_test(bad_options_are_refused_with_a_reason),
	};

	return cmocka_run_group_tests_name("rt.reactor", tests, NULL, NULL);
}
