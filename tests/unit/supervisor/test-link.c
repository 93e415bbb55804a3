/* SPDX-License-Identifier: Apache-2.0 */
/* Places for the connections of engines: there are four, and who has ended has none, whether its socket is closed or not. The engine is this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the above. */
#include <cmocka.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "rt/fdpass.h"
#include "supervisor/supervisor.h"

#define LIMIT_MS 60000 /* for what happens at once */

static struct supervisor_opts opts;
static struct supervisor s;
static char dir[64];

void supervisor_linked(struct supervisor *self, struct supervisor_link *link)
{
	assert_true(link->open);
}

void supervisor_asked(struct supervisor *self, struct supervisor_link *link)
{
	fail_msg("nobody has asked for anything");
}

/* ---- on the loop's thread, whose the links are ---- */

struct step {
	struct evloop_task task;
	pid_t pid; /* that has ended; 0: links are counted */
	unsigned n_open;
	sem_t done;
};

static void step_run(struct evloop_task *task)
{
	struct step *step = container_of(task, struct step, task);

	if (step->pid)
		links_forget(&s, step->pid);
	for (int i = 0; i < SUPERVISOR_LINKS; i++)
		step->n_open += s.link[i].open;
	(void)sem_post(&step->done);
}

/* How many links are open, when that process has ended. */
static unsigned links_without(pid_t pid)
{
	struct step step = {.task.run = step_run, .pid = pid};

	assert_int_equal(sem_init(&step.done, 0, 0), 0);
	evloop_post(s.loop, &step.task);
	while (sem_wait(&step.done)) {
	}
	(void)sem_destroy(&step.done);
	return step.n_open;
}

/* ---- the engine's side ---- */

static int connect_to(void)
{
	struct err err = {0};
	pid_t pid = 0;
	int fd = -1;

	if (fdpass_connect(s.link_path, &fd, &pid, &err) < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* True: the link has a place, and is welcome. False: it was closed. */
static bool is_welcome(int fd)
{
	struct handover_message msg = {
		.type = HANDOVER_LINK, .pid = (uint32_t)getpid(), .version = "1"};
	struct handover_bag bags[HANDOVER_BAGS] = {0};
	struct err err = {0};

	(void)handover_send(fd, &msg, NULL, 0); /* it may be closed already */
	assert_int_equal(fdpass_wait(fd, LIMIT_MS), 1);
	return handover_recv(fd, &msg, bags, &err) == 1 && msg.type == HANDOVER_WELCOME;
}

static int setup(void **state)
{
	struct err err = {0};

	memset(&s, 0, sizeof(s));
	(void)snprintf(dir, sizeof(dir), "/tmp/lp-test-link-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(s.link_path, sizeof(s.link_path), "%s/supervisor.sock", dir);
	opts.state_dir = dir;
	s.opts = &opts;
	s.listener.fd = -1;
	if (evloop_new("test", &s.loop, &err) < 0 || links_open(&s, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

static int teardown(void **state)
{
	evloop_free(s.loop);
	links_close(&s);
	return rmdir(dir);
}

static void an_engine_that_hangs_up_gives_its_place(void **state)
{
	for (int i = 0; i < 2 * SUPERVISOR_LINKS; i++) {
		int fd = connect_to();

		assert_true(is_welcome(fd));
		(void)close(fd);
		while (links_without(0) > 0) { /* it hears of it in its next pass */
		}
	}
}

static void a_process_that_has_ended_gives_its_places_though_its_sockets_are_open(void **state)
{
	int fd[SUPERVISOR_LINKS], more;

	for (int i = 0; i < SUPERVISOR_LINKS; i++) {
		fd[i] = connect_to();
		assert_true(is_welcome(fd[i]));
	}
	more = connect_to();
	assert_false(is_welcome(more)); /* there is no place */
	(void)close(more);
	assert_int_equal(links_without(getpid() + 1), SUPERVISOR_LINKS); /* somebody else's end */
	assert_int_equal(links_without(getpid()), 0);
	more = connect_to();
	assert_true(is_welcome(more));
	(void)close(more);
	for (int i = 0; i < SUPERVISOR_LINKS; i++) {
		assert_false(is_welcome(fd[i]));
		(void)close(fd[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_engine_that_hangs_up_gives_its_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_process_that_has_ended_gives_its_places_though_its_sockets_are_open,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
