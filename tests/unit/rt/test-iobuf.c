/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: division among reactors, waiting in line, leaving it. */
#include "rt_test.h"

#include <fcntl.h>

#include "rt/iobuf.h"

#define WAITERS 5

struct asker {
	struct iobuf_waiter waiter;
	struct iobuf *buf;
	unsigned order;
	bool puts_back, asks_again;
};

static struct {
	struct reactor *r;
	struct iobuf_arena *arena;
	struct iobuf_pool *pool;
	unsigned granted;
	bool inside_put;
	struct asker askers[WAITERS];
} t;

static void asker_ready(struct iobuf_waiter *waiter, struct iobuf *buf)
{
	struct asker *a = container_of(waiter, struct asker, waiter);

	assert_false(t.inside_put);
	assert_true(reactor_current() == t.r);
	a->order = ++t.granted;
	a->buf = buf;
	if (a->puts_back) {
		a->buf = NULL;
		iobuf_put(buf);
	}
	/* Has one at once only when nobody else is in line. */
	if (a->asks_again)
		iobuf_put(iobuf_get(t.pool, IOBUF_LARGE, waiter));
}

static int setup(void **state)
{
	struct iobuf_counts counts = {.n = {4, 4, 4, 2, 2, 2}};
	struct err err = {0};

	memset(&t, 0, sizeof(t));
	assert_int_equal(iobuf_arena_new(&counts, 1, &t.arena, &err), 0);
	t.r = test_reactor(0, 0, t.arena);
	t.pool = iobuf_arena_pool(t.arena, 0);
	reactor_set_iobufs(t.r, t.pool);
	for (int i = 0; i < WAITERS; i++)
		t.askers[i].waiter.ready = asker_ready;
	return 0;
}

static int teardown(void **state)
{
	reactor_free(t.r);
	iobuf_arena_free(t.arena);
	return 0;
}

static void put(struct iobuf *buf)
{
	t.inside_put = true;
	iobuf_put(buf);
	t.inside_put = false;
}

static void empty_class_grants_first_come_first_served(void **state)
{
	struct iobuf *a = iobuf_get(t.pool, IOBUF_LARGE, NULL),
		     *b = iobuf_get(t.pool, IOBUF_LARGE, NULL);
	struct iobuf_usage usage;

	assert_non_null(a);
	assert_non_null(b);
	assert_null(iobuf_get(t.pool, IOBUF_LARGE, NULL));
	for (int i = 0; i < WAITERS; i++)
		assert_null(iobuf_get(t.pool, IOBUF_LARGE, &t.askers[i].waiter));
	iobuf_cancel(&t.askers[1].waiter);
	iobuf_cancel(&t.askers[1].waiter);
	usage = iobuf_usage(t.pool, IOBUF_LARGE);
	assert_int_equal(usage.waiting, WAITERS - 1);
	assert_int_equal(usage.waits, WAITERS);
	assert_int_equal(usage.in_use, 2);
	put(a);
	/* Nobody overtakes those in line, though a buffer is free at this moment. */
	assert_null(iobuf_get(t.pool, IOBUF_LARGE, NULL));
	put(b);
	assert_true(reactor_pass(t.r, 0));
	assert_int_equal(t.granted, 2);
	assert_int_equal(t.askers[0].order, 1);
	assert_int_equal(t.askers[2].order, 2);
	put(t.askers[0].buf);
	put(t.askers[2].buf);
	assert_true(reactor_pass(t.r, 0));
	assert_int_equal(t.askers[3].order, 3);
	assert_int_equal(t.askers[4].order, 4);
	put(t.askers[3].buf);
	put(t.askers[4].buf);
	assert_false(reactor_pass(t.r, 0));
	usage = iobuf_usage(t.pool, IOBUF_LARGE);
	assert_int_equal(usage.in_use, 0);
	assert_int_equal(usage.in_use_max, 2);
	assert_int_equal(usage.waiting, 0);
	assert_int_equal(t.askers[1].order, 0);
}

static void buffers_given_back_at_once_serve_the_whole_line(void **state)
{
	struct iobuf *a = iobuf_get(t.pool, IOBUF_LARGE, NULL),
		     *b = iobuf_get(t.pool, IOBUF_LARGE, NULL);

	for (int i = 0; i < WAITERS; i++) {
		t.askers[i].puts_back = true;
		assert_null(iobuf_get(t.pool, IOBUF_LARGE, &t.askers[i].waiter));
	}
	put(a);
	assert_true(reactor_pass(t.r, 0));
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(t.askers[i].order, i + 1);
	put(b);
}

static void cancel_between_put_and_grant_leaves_the_buffer_free(void **state)
{
	struct iobuf *a = iobuf_get(t.pool, IOBUF_LARGE, NULL),
		     *b = iobuf_get(t.pool, IOBUF_LARGE, NULL);

	assert_null(iobuf_get(t.pool, IOBUF_LARGE, &t.askers[0].waiter));
	put(a);
	iobuf_cancel(&t.askers[0].waiter);
	(void)reactor_pass(t.r, 0);
	assert_int_equal(t.granted, 0);
	a = iobuf_get(t.pool, IOBUF_LARGE, NULL);
	assert_non_null(a);
	put(a);
	put(b);
}

static void asker_that_asks_again_does_not_starve_the_others(void **state)
{
	struct iobuf *a = iobuf_get(t.pool, IOBUF_LARGE, NULL),
		     *b = iobuf_get(t.pool, IOBUF_LARGE, NULL);

	t.askers[0].puts_back = true;
	t.askers[0].asks_again = true;
	t.askers[1].puts_back = true;
	assert_null(iobuf_get(t.pool, IOBUF_LARGE, &t.askers[0].waiter));
	assert_null(iobuf_get(t.pool, IOBUF_LARGE, &t.askers[1].waiter));
	put(a);
	(void)reactor_pass(t.r, 0);
	assert_int_equal(t.askers[1].order, 2);
	while (reactor_pass(t.r, 0))
		;
	iobuf_cancel(&t.askers[0].waiter);
	put(b);
}

static void arena_is_divided_and_each_reactor_has_at_least_one(void **state)
{
	struct iobuf_counts counts = {.n = {10, 1, 3, 2, 1, 1}};
	struct iobuf_arena *arena;
	struct err err = {0};
	size_t size, used = 0;
	char *base;
	int memfd;

	assert_int_equal(iobuf_arena_new(&counts, 3, &arena, &err), 0);
	base = iobuf_arena_base(arena, &size, &memfd);
	assert_true(fcntl(memfd, F_GETFD) & FD_CLOEXEC);
	for (unsigned p = 0; p < 3; p++) {
		struct iobuf_pool *pool = iobuf_arena_pool(arena, p);

		assert_int_equal(iobuf_usage(pool, IOBUF_CAPSULE).total, p ? 3 : 4);
		for (int c = 0; c < IOBUF_CLASSES; c++) {
			struct iobuf *buf;

			assert_true(iobuf_usage(pool, c).total >= 1);
			while ((buf = iobuf_get(pool, c, NULL))) {
				assert_true((char *)buf->data >= base);
				assert_true((char *)buf->data + iobuf_class_size[c] <= base + size);
				assert_int_equal((uintptr_t)buf->data % 4096, 0);
				memset(buf->data, c, iobuf_class_size[c]);
				used += iobuf_class_size[c];
			}
		}
	}
	assert_true(used <= size);
	iobuf_arena_free(arena);
}

static void classes_fit_what_they_are_asked_for(void **state)
{
	struct iobuf_counts counts = iobuf_counts_default();
	size_t bytes = 0;

	assert_int_equal(iobuf_class_for(0), IOBUF_SMALL);
	assert_int_equal(iobuf_class_for(16384), IOBUF_SMALL);
	assert_int_equal(iobuf_class_for(16385), IOBUF_MEDIUM);
	assert_int_equal(iobuf_class_for(131073), IOBUF_LARGE);
	assert_int_equal(iobuf_class_for(IOBUF_MAX_SIZE), IOBUF_LARGE);
	for (int c = 0; c < IOBUF_CLASSES; c++)
		bytes += counts.n[c] * iobuf_class_size[c];
	assert_true(bytes <= 34 * MIB); /* an idle engine stays below 50 MiB in all */
	iobuf_put(NULL);
}

int main(void)
{
#define IOBUF_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		IOBUF_TEST(empty_class_grants_first_come_first_served),
		IOBUF_TEST(buffers_given_back_at_once_serve_the_whole_line),
		IOBUF_TEST(cancel_between_put_and_grant_leaves_the_buffer_free),
		IOBUF_TEST(asker_that_asks_again_does_not_starve_the_others),
		cmocka_unit_test(arena_is_divided_and_each_reactor_has_at_least_one),
		cmocka_unit_test(classes_fit_what_they_are_asked_for),
	};

	return cmocka_run_group_tests_name("rt.iobuf", tests, NULL, NULL);
}
