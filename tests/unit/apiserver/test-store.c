/* SPDX-License-Identifier: Apache-2.0 */
/* The store when it is killed, full, or written by many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fixture.h"
#include "kube/meta.h"
#include "kube/text.h"

#define KILLS    8
#define ACKS_MIN 20 /* before each kill */
#define THREADS  8
#define ADDS     25 /* of each thread */

struct ack {
	uint64_t version;
	uint32_t n;
};

/* The child: writes for ever, tells each answer. Ends by being killed, or when nobody listens. */
static void write_for_ever(const char *path, uint32_t first, int fd)
{
	struct fixture f = {0};

	fixture_adopt(&f, path);
	for (uint32_t n = first;; n++) {
		json_t *obj = NULL;
		struct ack ack = {.n = n};

		if (call(&f, "POST", VOLUMES, &obj,
			 "{\"metadata\":{\"name\":\"v%u\"},\"spec\":{\"size\":\"1Gi\"}}", n) != 201)
			_exit(1);
		ack.version = kube_resource_version(obj);
		json_decref(obj);
		if (write(fd, &ack, sizeof(ack)) != (ssize_t)sizeof(ack))
			_exit(0);
	}
}

/* Reads acknowledgements up to the end, kills after enough of them. */
static uint32_t run_child(const char *path, uint32_t first, uint64_t *version)
{
	int fds[2], status;
	struct ack ack;
	uint32_t seen = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(fds[0]);
		write_for_ever(path, first, fds[1]);
	}
	(void)close(fds[1]);
	while (read(fds[0], &ack, sizeof(ack)) == (ssize_t)sizeof(ack)) {
		assert_true(ack.version > *version);
		*version = ack.version;
		assert_int_equal(ack.n, first + seen);
		if (++seen == ACKS_MIN)
			assert_int_equal(kill(pid, SIGKILL), 0);
	}
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return seen;
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
	struct fixture f;
	uint64_t version = 0;
	uint32_t n = 0;

	fixture_open(&f, 0, 0);
	for (int i = 0; i < KILLS; i++) {
		_cleanup_json_ json_t *list = NULL;
		char target[128];
		int code;

		fixture_shut(&f);
		n += run_child(f.path, n, &version);
		fixture_adopt(&f, f.path);
		for (uint32_t k = 0; k < n; k++) {
			(void)snprintf(target, sizeof(target), VOLUMES "/v%u", k);
			assert_int_equal(call(&f, "GET", target, NULL, NULL), 200);
		}
		/* One that was written, but not yet told, may be there. */
		(void)snprintf(target, sizeof(target), VOLUMES "/v%u", n);
		code = call(&f, "GET", target, NULL, NULL);
		assert_true(code == 200 || code == 404);
		n += code == 200;
		assert_int_equal(call(&f, "GET", VOLUMES "?limit=1", &list, NULL), 200);
		assert_true(kube_resource_version(list) >= version);
		version = kube_resource_version(list);
	}
	fixture_close(&f);
}

/* Creates until it is refused; how many were made. */
static int fill(struct fixture *f, int from, int *ret_code, json_t **ret_status)
{
	_cleanup_free_ char *big = malloc(60001);
	int n = from;

	assert_non_null(big);
	memset(big, 'x', 60000);
	big[60000] = 0;
	for (;; n++) {
		json_t *obj = NULL;

		*ret_code = call(f, "POST", VOLUMES, &obj,
				 "{\"metadata\":{\"name\":\"f%d\",\"annotations\":{\"a\":\"%s\"}},"
				 "\"spec\":{\"size\":\"1Gi\"}}",
				 n, big);
		if (*ret_code != 201) {
			*ret_status = obj;
			return n - from;
		}
		json_decref(obj);
		assert_true(n < 1000);
	}
}

static void heals(struct fixture *f, int n)
{
	_cleanup_json_ json_t *list = NULL;
	char target[128];

	assert_int_equal(call(f, "GET", VOLUMES, &list, NULL), 200);
	assert_int_equal(json_array_size(json_object_get(list, "items")), n);
	for (int i = 0; i < n; i++) {
		(void)snprintf(target, sizeof(target), VOLUMES "/f%d", i);
		assert_int_equal(call(f, "DELETE", target, NULL, NULL), 200);
	}
	while (api_work(f->api))
		;
	assert_int_equal(create_volume(f, "small", ""), 201);
}

static void a_full_file_is_told_and_deleting_heals(void **state)
{
	_cleanup_json_ json_t *status = NULL;
	struct fixture f;
	int code, n;

	fixture_open(&f, 20, 4 * MIB);
	n = fill(&f, 0, &code, &status);
	assert_true(n > 10);
	assert_int_equal(code, 507);
	assert_non_null(strstr(kube_str(status, "message"), "full"));
	heals(&f, n);
	fixture_close(&f);
}

static void a_full_disk_is_told_and_space_heals(void **state)
{
	_cleanup_json_ json_t *status = NULL;
	struct rlimit old, small;
	struct fixture f;
	int code, n;

	fixture_open(&f, 0, 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 2 * MIB;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	n = fill(&f, 0, &code, &status);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	if (code != 507)
		fail_msg("%d %s", code, kube_str(status, "message"));
	assert_true(n > 2);
	heals(&f, n);
	fixture_reopen(&f);
	assert_int_equal(call(&f, "GET", VOLUMES "/small", NULL, NULL), 200);
	fixture_close(&f);
}

/* Adds to a counter in a label by read, change and write with the version; conflicts are tried again. */
static void *add_to_counter(void *arg)
{
	struct fixture *f = arg;
	intptr_t conflicts = 0;

	for (int i = 0; i < ADDS; i++) {
		int code = 409;

		while (code == 409) {
			json_t *obj = NULL;
			int count;

			if (call(f, "GET", VOLUMES "/c", &obj, NULL) != 200)
				return (void *)-1;
			count = (int)strtol(kube_str(obj, "metadata.labels.n"), NULL, 10);
			code = call(f, "PUT", VOLUMES "/c", NULL,
				    "{\"metadata\":{\"name\":\"c\",\"resourceVersion\":\"%s\","
				    "\"labels\":{\"n\":\"%d\"}},\"spec\":{\"size\":\"1Gi\"}}",
				    kube_str(obj, "metadata.resourceVersion"), count + 1);
			json_decref(obj);
			conflicts += code == 409;
		}
		if (code != 200)
			return (void *)-1;
	}
	return (void *)conflicts;
}

static void no_update_is_lost_in_a_storm(void **state)
{
	_cleanup_json_ json_t *obj = NULL;
	pthread_t threads[THREADS];
	struct fixture f;
	char expected[16];

	fixture_open(&f, 0, 0);
	assert_int_equal(create_volume(&f, "c", ",\"labels\":{\"n\":\"0\"}"), 201);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_to_counter, &f), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_true((intptr_t)result >= 0);
	}
	assert_int_equal(call(&f, "GET", VOLUMES "/c", &obj, NULL), 200);
	(void)snprintf(expected, sizeof(expected), "%d", THREADS * ADDS);
	assert_string_equal(kube_str(obj, "metadata.labels.n"), expected);
	fixture_close(&f);
}

static void a_second_process_is_refused(void **state)
{
	struct store *second = NULL;
	struct err err = {0};
	struct fixture f;

	fixture_open(&f, 0, 0);
	assert_int_equal(create_volume(&f, "a", ""), 201);
	assert_int_equal(store_open(&f.config, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "another process"));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_survives_a_kill),
		cmocka_unit_test(a_full_file_is_told_and_deleting_heals),
		cmocka_unit_test(a_full_disk_is_told_and_space_heals),
		cmocka_unit_test(no_update_is_lost_in_a_storm),
		cmocka_unit_test(a_second_process_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
