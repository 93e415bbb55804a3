/* SPDX-License-Identifier: Apache-2.0 */
/* The work queue with a clock of the test's own, and against a model. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kube/workqueue.h"

static uint64_t now_ms;

static uint64_t mono_ms(void *ctx)
{
	return now_ms;
}

static const struct kube_clock test_clock = {.mono_ms = mono_ms};

static struct workqueue *queue(void)
{
	const struct workqueue_config config = {
		.clock = &test_clock, .delay_min_ms = 10, .delay_max_ms = 1000};
	struct workqueue *q = NULL;

	now_ms = 5000;
	assert_int_equal(workqueue_new(&config, &q), 0);
	return q;
}

static void gives(struct workqueue *q, const char *want)
{
	char key[KUBE_KEY_MAX + 1];
	int rc = workqueue_get(q, key, 0);

	if (!want) {
		assert_int_equal(rc, -EAGAIN);
	} else {
		assert_int_equal(rc, 0);
		assert_string_equal(key, want);
	}
}

static void a_key_is_there_once_and_with_one_worker(void **state)
{
	struct workqueue *q = queue();

	assert_int_equal(workqueue_add(q, "a"), 0);
	assert_int_equal(workqueue_add(q, "b"), 0);
	assert_int_equal(workqueue_add(q, "a"), 0);
	gives(q, "a");
	assert_int_equal(workqueue_add(q, "a"), 0);
	gives(q, "b");
	gives(q, NULL);
	workqueue_done(q, "b");
	workqueue_done(q, "a");
	gives(q, "a");
	workqueue_done(q, "a");
	gives(q, NULL);
	workqueue_free(q);
}

static void what_is_delayed_comes_when_it_is_due(void **state)
{
	struct workqueue *q = queue();

	assert_int_equal(workqueue_add_after(q, "late", 300), 0);
	assert_int_equal(workqueue_add_after(q, "soon", 100), 0);
	assert_int_equal(workqueue_add_after(q, "late", 200), 0); /* the earlier time counts */
	assert_int_equal(workqueue_add_after(q, "soon", 5000), 0);
	assert_int_equal(workqueue_next_ms(q), 100);
	gives(q, NULL);
	now_ms += 100;
	gives(q, "soon");
	assert_int_equal(workqueue_add_after(q, "soon", 50), 0);
	workqueue_done(q, "soon");
	gives(q, NULL);
	now_ms += 50;
	gives(q, "soon");
	workqueue_done(q, "soon");
	assert_int_equal(workqueue_add(q, "late"), 0); /* now overtakes later */
	gives(q, "late");
	workqueue_done(q, "late");
	now_ms += 1000;
	gives(q, NULL);
	assert_int_equal(workqueue_next_ms(q), -1);
	workqueue_free(q);
}

static void failures_wait_longer_and_longer(void **state)
{
	static const unsigned want[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000};
	struct workqueue *q = queue();

	assert_int_equal(workqueue_add(q, "a"), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		gives(q, "a");
		assert_int_equal(workqueue_retry(q, "a"), 0);
		workqueue_done(q, "a");
		assert_int_equal(workqueue_next_ms(q), want[i]);
		now_ms += want[i];
	}
	gives(q, "a");
	workqueue_forget(q, "a");
	assert_int_equal(workqueue_retry(q, "a"), 0);
	workqueue_done(q, "a");
	assert_int_equal(workqueue_next_ms(q), 10);
	workqueue_free(q);
}

static void a_shut_queue_gives_nothing(void **state)
{
	struct workqueue *q = queue();
	char key[KUBE_KEY_MAX + 2];

	assert_int_equal(workqueue_add(q, "a"), 0);
	workqueue_shut(q);
	assert_int_equal(workqueue_get(q, key, -1), -ESHUTDOWN);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	assert_int_equal(workqueue_add(q, key), -ENAMETOOLONG);
	workqueue_free(q);
}

/* Each key that was added is given out afterwards, and never twice at once. */
static void nothing_is_lost_by_chance(void **state)
{
	enum { KEYS = 40 };
	bool wanted[KEYS] = {false}, running[KEYS] = {false};
	struct workqueue *q = queue();
	struct rng rng;
	char key[KUBE_KEY_MAX + 1];
	unsigned at;

	rng_seed(&rng, 11);
	for (int step = 0; step < 50000; step++) {
		unsigned i = (unsigned)rng_below(&rng, KEYS);

		(void)snprintf(key, sizeof(key), "%u", i);
		switch (rng_below(&rng, 6)) {
		case 0:
			assert_int_equal(workqueue_add(q, key), 0);
			wanted[i] = true;
			break;
		case 1:
			assert_int_equal(
				workqueue_add_after(q, key, (uint32_t)rng_below(&rng, 500)), 0);
			wanted[i] = true;
			break;
		case 2:
			assert_int_equal(workqueue_retry(q, key), 0);
			wanted[i] = true;
			break;
		case 3:
			now_ms += rng_below(&rng, 100);
			workqueue_forget(q, key);
			break;
		case 4:
			if (workqueue_get(q, key, 0))
				break;
			assert_int_equal(sscanf(key, "%u", &at), 1);
			assert_true(wanted[at] && !running[at]);
			wanted[at] = false;
			running[at] = true;
			break;
		default:
			if (running[i])
				workqueue_done(q, key);
			running[i] = false;
			break;
		}
	}
	for (unsigned i = 0; i < KEYS; i++) {
		(void)snprintf(key, sizeof(key), "%u", i);
		if (running[i])
			workqueue_done(q, key);
	}
	now_ms += 1000000;
	while (!workqueue_get(q, key, 0)) {
		assert_int_equal(sscanf(key, "%u", &at), 1);
		assert_true(wanted[at]);
		wanted[at] = false;
		workqueue_done(q, key);
	}
	for (unsigned i = 0; i < KEYS; i++)
		assert_false(wanted[i]);
	workqueue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_there_once_and_with_one_worker),
		cmocka_unit_test(what_is_delayed_comes_when_it_is_due),
		cmocka_unit_test(failures_wait_longer_and_longer),
		cmocka_unit_test(a_shut_queue_gives_nothing),
		cmocka_unit_test(nothing_is_lost_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
