/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the watchdog takes for stuck. The engine is this process; what it is told and whether it is killed is looked at here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the above. */
#include <cmocka.h>

#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "rt/proc.h"
#include "supervisor/supervisor.h"

#define STUCK_S 15
#define LONG_NS (4 * STUCK_S * NSEC_PER_SEC)

static unsigned kills;

struct supervisor_link *link_of(struct supervisor *s, pid_t pid)
{
	return &s->link[0];
}

void process_kill(struct process *p, int signo)
{
	kills += signo == SIGKILL;
}

static const struct supervisor_opts opts = {.stuck_s = STUCK_S};
static struct supervisor s;

/* ---- on the loop's thread, whose the timer is ---- */

struct step {
	struct evloop_task task;
	uint64_t due_ns; /* of the look; 0: the watchdog is started */
	sem_t done;
};

/* The timer is set for the next look, but it is the test that looks. */
static void step_run(struct evloop_task *task)
{
	struct step *step = container_of(task, struct step, task);

	if (step->due_ns) {
		s.watchdog.due_ns = step->due_ns;
		s.watchdog.fire(&s.watchdog);
	} else {
		watchdog_start(&s);
	}
	evloop_timer_stop(&s.watchdog);
	(void)sem_post(&step->done);
}

static void on_loop(uint64_t due_ns)
{
	struct step step = {.task.run = step_run, .due_ns = due_ns};

	assert_int_equal(sem_init(&step.done, 0, 0), 0);
	evloop_post(s.loop, &step.task);
	while (sem_wait(&step.done)) {
	}
	(void)sem_destroy(&step.done);
}

/* An engine with a data and a control reactor that has spoken just now, and a watchdog at work. */
static int setup(void **state)
{
	struct err err;

	memset(&s, 0, sizeof(s));
	kills = 0;
	s.opts = &opts;
	s.state = SUPERVISOR_RUN;
	s.engine.pid = getpid();
	s.link[0].heard_ns = evloop_now_ns();
	s.link[0].n_beats = 2;
	s.link[0].beats[0].tid = s.link[0].beats[1].tid = (uint32_t)proc_tid();
	assert_int_equal(evloop_new("watchdog", &s.loop, &err), 0);
	on_loop(0);
	return 0;
}

static int teardown(void **state)
{
	evloop_free(s.loop);
	return 0;
}

/* In time, whatever else the machine does. */
static void look(void)
{
	on_loop(evloop_now_ns() + LONG_NS);
}

static void look_late(void)
{
	on_loop(evloop_now_ns() - LONG_NS);
}

static void who_beats_is_left_alone(void **state)
{
	look();
	look();
	assert_false(s.stuck);
	assert_int_equal(kills, 0);
}

static void silence_is_found_by_two_looks(void **state)
{
	s.link[0].heard_ns -= LONG_NS;
	look();
	assert_true(s.stuck);
	assert_int_equal(kills, 0);
	assert_non_null(strstr(s.last_end, "was stuck"));
	look();
	assert_int_equal(kills, 1);
	assert_true(s.killed);
}

static void so_is_a_data_reactor(void **state)
{
	s.link[0].beats[0].age_ms = (STUCK_S + 1) * 1000;
	look();
	assert_true(s.stuck);
	look();
	assert_int_equal(kills, 1);
}

static void who_comes_round_meanwhile_is_left_alone(void **state)
{
	s.link[0].beats[0].age_ms = (STUCK_S + 1) * 1000;
	look();
	assert_true(s.stuck);
	s.link[0].beats[0].age_ms = 0;
	look();
	assert_false(s.stuck);
	assert_int_equal(kills, 0);
	assert_string_equal(s.last_end, "");
}

/* Nobody ran: what is known is old. Who is silent afterwards is found as ever. */
static void a_machine_that_stood_still_is_no_reason(void **state)
{
	s.link[0].heard_ns -= LONG_NS;
	s.link[0].beats[0].age_ms = (STUCK_S + 1) * 1000;
	look_late();
	assert_false(s.stuck);
	look();
	assert_false(s.stuck);
	s.link[0].heard_ns -= LONG_NS;
	look();
	look();
	assert_int_equal(kills, 1);
}

/* ... nor when it stood still between the two looks. */
static void nor_is_one_that_stood_still_between_the_looks(void **state)
{
	s.link[0].heard_ns -= LONG_NS;
	look();
	assert_true(s.stuck);
	look_late();
	assert_false(s.stuck);
	assert_int_equal(kills, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(who_beats_is_left_alone),
		TEST(silence_is_found_by_two_looks),
		TEST(so_is_a_data_reactor),
		TEST(who_comes_round_meanwhile_is_left_alone),
		TEST(a_machine_that_stood_still_is_no_reason),
		TEST(nor_is_one_that_stood_still_between_the_looks),
	};

	(void)signal(SIGUSR1, SIG_IGN); /* the request for a stack */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
