/* SPDX-License-Identifier: Apache-2.0 */
/* Streams by readiness: nothing is lost, nothing comes twice, whatever the sizes, the sleeps and the reactor. */
#include "rt_link.h"

#define STREAM_BYTES (10 * MIB)

/* The byte at a position of the test stream. */
static uint8_t stream_byte(uint64_t at)
{
	return (uint8_t)(at * 167 + (at >> 8) * 13 + (at >> 16));
}

/* A sender of random pieces and a receiver of random pieces, which checks each byte. */
struct stream {
	struct sock *from, *to;
	struct rng rng_from, rng_to;
	uint64_t sent;
	_Atomic uint64_t received;
	bool ended;
	unsigned empty_reads;
	_Atomic unsigned wrong;
	uint8_t out[65536], in[65536];
};

static void stream_send(void *ctx, unsigned events)
{
	struct stream *st = ctx;

	while (st->sent < STREAM_BYTES) {
		uint64_t piece = 1 + rng_below(&st->rng_from, sizeof(st->out));
		size_t want = MIN(piece, STREAM_BYTES - st->sent);
		struct iovec iov[2] = {{st->out, want / 2}, {st->out + want / 2, want - want / 2}};
		ssize_t put;

		for (size_t i = 0; i < want; i++)
			st->out[i] = stream_byte(st->sent + i);
		put = sock_send(st->from, iov, 2);
		if (put == -EAGAIN) {
			sock_want_write(st->from);
			return;
		}
		assert_true(put > 0);
		st->sent += (uint64_t)put;
	}
	sock_shutdown_write(st->from);
}

/* Receives once, sometimes several times, a random amount: the rest is for the events to come. */
static void stream_receive(void *ctx, unsigned events)
{
	struct stream *st = ctx;

	for (uint64_t n = 1 + rng_below(&st->rng_to, 3); n > 0 && !st->ended; n--) {
		size_t room = 1 + rng_below(&st->rng_to, sizeof(st->in));
		struct iovec iov[2] = {{st->in, room / 3}, {st->in + room / 3, room - room / 3}};
		ssize_t got = sock_recv(st->to, iov, 2);

		if (got == -EAGAIN) {
			st->empty_reads++;
			return;
		}
		if (got < 0)
			fail_msg("recv: %s", strerror((int)-got));
		if (!got)
			st->ended = true;
		for (ssize_t i = 0; i < got; i++)
			if (st->in[i] != stream_byte(st->received + (uint64_t)i))
				st->wrong++;
		st->received += (uint64_t)got;
	}
}

static struct stream *stream_new(uint64_t seed)
{
	struct stream *st = calloc(1, sizeof(*st));

	assert_non_null(st);
	rng_seed(&st->rng_from, seed);
	rng_seed(&st->rng_to, seed + 1);
	return st;
}

static void carry_stream(const char *where, int64_t poll_us, uint64_t seed)
{
	struct reactor *r = test_reactor(0, poll_us, NULL);
	struct stream *st = stream_new(seed);
	struct link l;

	link_open(&l, r, where);
	st->from = l.client;
	st->to = l.server;
	assert_int_equal(sock_attach(st->to, r, stream_receive, st), 0);
	sock_detach(st->from);
	assert_int_equal(sock_attach(st->from, r, stream_send, st), 0);
	sock_want_write(st->from);
	run_until(r, st->ended);
	assert_int_equal(st->received, STREAM_BYTES);
	assert_int_equal(st->wrong, 0);
	assert_int_equal(counter_get(&reactor_stats(r)->recv_bytes), STREAM_BYTES);
	assert_int_equal(counter_get(&reactor_stats(r)->send_bytes), STREAM_BYTES);
	link_close(&l);
	reactor_free(r);
	free(st);
}

static void stream_over_ip4_arrives_whole(void **state)
{
	carry_stream("127.0.0.1", 0, 11);
	carry_stream("127.0.0.1", POLL_US_DEFAULT, 12);
}

static void stream_over_ip6_arrives_whole(void **state)
{
	carry_stream("::1", 0, 13);
}

static void stream_over_unix_arrives_whole(void **state)
{
	char dir[] = "/tmp/rt-sock-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	carry_stream(path, POLL_US_DEFAULT, 14);
	assert_int_equal(rmdir(dir), 0); /* the listener took its path away */
}

/* The receiver wanders from reactor to reactor while the sender keeps going. */
struct wander {
	struct stream *st;
	struct reactor *at[2];
	unsigned here, moves;
	struct msg msg;
	_Atomic bool done;
};

static void wander_receive(void *ctx, unsigned events)
{
	struct wander *w = ctx;

	assert_true(reactor_current() == w->at[w->here]);
	stream_receive(w->st, events);
	if (w->st->ended) {
		atomic_store(&w->done, true);
		return;
	}
	if (rng_chance(&w->st->rng_to, 0.2)) {
		sock_detach(w->st->to);
		w->here = !w->here;
		w->moves++;
		reactor_post(w->at[w->here], &w->msg);
	}
}

static void wander_arrive(struct msg *msg)
{
	struct wander *w = container_of(msg, struct wander, msg);

	assert_int_equal(sock_attach(w->st->to, w->at[w->here], wander_receive, w), 0);
}

static void wander_leave(void *arg)
{
	struct wander *w = arg;

	sock_detach(w->st->to);
}

static void socket_that_moves_between_reactors_loses_nothing(void **state)
{
	for (int64_t poll_us = 0; poll_us <= POLL_US_DEFAULT; poll_us += POLL_US_DEFAULT) {
		struct reactor *r = test_reactor(2, 0, NULL);
		struct wander w = {.st = stream_new(21), .msg.run = wander_arrive};
		struct link l;

		for (unsigned i = 0; i < 2; i++) {
			w.at[i] = test_reactor(i, poll_us, NULL);
			test_start(w.at[i]);
		}
		link_open(&l, r, "127.0.0.1");
		w.st->from = l.client;
		w.st->to = l.server;
		sock_detach(w.st->from);
		assert_int_equal(sock_attach(w.st->from, r, stream_send, w.st), 0);
		sock_want_write(w.st->from);
		reactor_post(w.at[0], &w.msg);
		run_until(r, atomic_load(&w.done));
		test_call(w.at[w.here], wander_leave, &w);
		assert_int_equal(w.st->received, STREAM_BYTES);
		assert_int_equal(w.st->wrong, 0);
		assert_true(w.moves > 10);
		link_close(&l);
		/* The last post from one to the other may still be on its way out: end both, then free both. */
		for (unsigned i = 0; i < 2; i++) {
			reactor_stop(w.at[i]);
			reactor_join(w.at[i]);
		}
		for (unsigned i = 0; i < 2; i++)
			reactor_free(w.at[i]);
		reactor_free(r);
		free(w.st);
	}
}

/*
 * A client that thinks for a random time between requests against an echo on a thread of its own: the echo spins,
 * polls hot, disarms its poll, re-arms it and sleeps, in all orders. One lost wake-up and the run does not end.
 */
struct echo {
	struct reactor *r;
	struct sock *s;
	unsigned echoed;
};

static void echo_event(void *ctx, unsigned events)
{
	struct echo *e = ctx;
	uint8_t buf[256];
	struct iovec iov = {buf, sizeof(buf)};
	ssize_t got = sock_recv(e->s, &iov, 1);

	if (got <= 0)
		return;
	iov.iov_len = (size_t)got;
	assert_int_equal(sock_send(e->s, &iov, 1), got);
	e->echoed++;
}

static void echo_attach(void *arg)
{
	struct echo *e = arg;

	assert_int_equal(sock_attach(e->s, e->r, echo_event, e), 0);
}

static void echo_detach(void *arg)
{
	sock_detach(((struct echo *)arg)->s);
}

struct asker {
	struct reactor *r;
	struct sock *s;
	struct timer think;
	struct rng rng;
	unsigned asked, answered, total;
	size_t missing;
};

static void ask(struct timer *t)
{
	struct asker *a = container_of(t, struct asker, think);
	uint8_t buf[256] = {0};
	struct iovec iov = {buf, 1 + rng_below(&a->rng, sizeof(buf))};

	a->asked++;
	a->missing = iov.iov_len;
	assert_int_equal(sock_send(a->s, &iov, 1), (ssize_t)iov.iov_len);
}

static void answer(void *ctx, unsigned events)
{
	struct asker *a = ctx;
	uint8_t buf[256];
	struct iovec iov = {buf, sizeof(buf)};
	ssize_t got = sock_recv(a->s, &iov, 1);
	uint64_t think_ns = 0;

	if (got <= 0)
		return;
	assert_true((size_t)got <= a->missing);
	a->missing -= (size_t)got;
	if (a->missing || ++a->answered == a->total)
		return;
	/* Mostly none, so that sockets become hot; then around the 50 us of polling; sometimes well beyond. */
	if (rng_chance(&a->rng, 0.15))
		think_ns = rng_below(&a->rng, 120 * NSEC_PER_USEC);
	if (rng_chance(&a->rng, 0.01))
		think_ns = rng_below(&a->rng, 3 * NSEC_PER_MSEC);
	assert_int_equal(timer_start(a->r, &a->think, reactor_now_exact(a->r) + think_ns), 0);
}

static void ping_pong(int64_t poll_us, unsigned total)
{
	struct reactor *r = test_reactor(1, 0, NULL);
	struct echo e = {.r = test_reactor(0, poll_us, NULL)};
	struct asker a = {.r = r, .think.run = ask, .total = total};
	struct link l;

	rng_seed(&a.rng, (uint64_t)poll_us + 31);
	test_start(e.r);
	link_open(&l, r, "127.0.0.1");
	e.s = l.server;
	a.s = l.client;
	sock_detach(a.s);
	assert_int_equal(sock_attach(a.s, r, answer, &a), 0);
	test_call(e.r, echo_attach, &e);
	assert_int_equal(timer_start(r, &a.think, 0), 0);
	run_until(r, a.answered == total);
	test_call(e.r, echo_detach, &e);
	if (poll_us == POLL_US_ALWAYS) {
		/* A hot socket is served by receives alone; each event through the ring would cost a system call. */
		print_message("# %u requests, %u enters\n", total,
			      (unsigned)counter_get(&reactor_stats(e.r)->enters));
		assert_true(counter_get(&reactor_stats(e.r)->enters) < total);
	}
	link_close(&l);
	test_stop(e.r);
	reactor_free(r);
}

static void ping_pong_over_sleep_and_hot_loses_no_wakeup(void **state)
{
	ping_pong(POLL_US_NEVER, 2000);
	ping_pong(20, 6000);
	ping_pong(POLL_US_DEFAULT, 6000);
	ping_pong(POLL_US_ALWAYS, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_over_ip4_arrives_whole),
		cmocka_unit_test(stream_over_ip6_arrives_whole),
		cmocka_unit_test(stream_over_unix_arrives_whole),
		cmocka_unit_test(socket_that_moves_between_reactors_loses_nothing),
		cmocka_unit_test(ping_pong_over_sleep_and_hot_loses_no_wakeup),
	};

	return cmocka_run_group_tests_name("rt.stream", tests, NULL, NULL);
}
