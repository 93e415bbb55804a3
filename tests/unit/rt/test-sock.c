/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by readiness: nothing is lost, nothing comes twice, whatever the sizes, the sleeps and the reactor. */
#include "rt_test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "rt/sock.h"

#define STREAM_BYTES (10 * MIB)

/* One listener and, once run, both ends of one connection. */
struct link {
	struct reactor *r;
	struct sock *listener, *client, *server;
	bool connected;
};

/* The byte at a position of the test stream. */
static uint8_t stream_byte(uint64_t at)
{
	return (uint8_t)(at * 167 + (at >> 8) * 13 + (at >> 16));
}

static void link_accept(void *ctx, unsigned events)
{
	struct link *l = ctx;
	struct sock_addr peer;
	struct sock *s;
	int rc;

	assert_true(events & SOCK_EV_READ);
	rc = sock_accept(l->listener, &s, &peer);
	if (rc == -EAGAIN) /* READ is repeated until then */
		return;
	assert_int_equal(rc, 0);
	assert_null(l->server);
	l->server = s;
}

static void link_connected(void *ctx, unsigned events)
{
	struct link *l = ctx;

	if (events & SOCK_EV_WRITE)
		l->connected = true;
}

static void link_open(struct link *l, struct reactor *r, const char *where)
{
	struct sock_addr addr;
	struct err err = {0};

	*l = (struct link){.r = r};
	if (where[0] == '/')
		assert_int_equal(sock_addr_unix(where, &addr), 0);
	else
		assert_int_equal(sock_addr_ip(where, 0, &addr), 0);
	if (sock_listen(r, &addr, NULL, link_accept, l, &l->listener, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sock_local_addr(l->listener, &addr), 0);
	if (sock_connect(r, &addr, NULL, link_connected, l, &l->client, &err) < 0)
		fail_msg("%s", err.text);
	run_until(r, l->connected && l->server);
	assert_int_equal(sock_error(l->client), 0);
}

static void link_close(struct link *l)
{
	sock_close(l->client);
	sock_close(l->server);
	sock_close(l->listener);
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
	link_close(&l);
	test_stop(e.r);
	reactor_free(r);
}

static void ping_pong_over_sleep_and_hot_loses_no_wakeup(void **state)
{
	ping_pong(POLL_US_NEVER, 5000);
	ping_pong(20, 20000);
	ping_pong(POLL_US_DEFAULT, 20000);
	ping_pong(POLL_US_ALWAYS, 5000);
}

static void count_events(void *ctx, unsigned events)
{
	++*(unsigned *)ctx;
}

static void no_event_comes_after_close_or_detach(void **state)
{
	struct reactor *r = test_reactor(0, POLL_US_DEFAULT, NULL);
	struct iovec iov = {(char[]){"hello"}, 5};
	unsigned events = 0;
	struct link l;

	for (int round = 0; round < 20; round++) {
		link_open(&l, r, "127.0.0.1");
		assert_int_equal(sock_attach(l.server, r, count_events, &events), 0);
		if (round % 2)
			(void)reactor_pass(r, 0); /* the poll is in the ring */
		assert_int_equal(sock_send(l.client, &iov, 1), 5);
		if (round % 4 > 1)
			sock_want_write(l.server);
		if (round % 3)
			sock_detach(l.server);
		events = 0;
		link_close(&l);
		for (int i = 0; i < 3; i++)
			(void)reactor_pass(r, 0);
		assert_int_equal(events, 0);
	}
	reactor_free(r);
}

static void close_frees_the_port_at_once(void **state)
{
	struct reactor *r = test_reactor(0, POLL_US_DEFAULT, NULL);
	struct sock_addr addr;
	struct err err = {0};
	struct sock *s;
	unsigned n = 0;

	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(sock_listen(r, &addr, NULL, count_events, &n, &s, &err), 0);
	assert_int_equal(sock_local_addr(s, &addr), 0);
	(void)reactor_pass(r, 0);
	sock_close(s);
	reactor_free(r);
	r = test_reactor(0, POLL_US_DEFAULT, NULL);
	if (sock_listen(r, &addr, NULL, count_events, &n, &s, &err) < 0)
		fail_msg("%s", err.text);
	sock_close(s);
	reactor_free(r);
}

static struct link early;
static unsigned early_end;

static void early_event(void *ctx, unsigned events)
{
	uint8_t c;
	struct iovec iov = {&c, 1};

	if (events & SOCK_EV_READ)
		early_end += sock_recv(early.server, &iov, 1) == 0;
}

static void peer_that_closes_is_seen_once_its_bytes_are_read(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct iovec iov = {(char[]){"hello"}, 5};

	early_end = 0;
	link_open(&early, r, "127.0.0.1");
	assert_int_equal(sock_attach(early.server, r, early_event, NULL), 0);
	assert_int_equal(sock_send(early.client, &iov, 1), 5);
	sock_close(early.client);
	early.client = NULL;
	run_until(r, early_end);
	link_close(&early);
	reactor_free(r);
}

/* A receive that is short of what was asked, with the end of the stream right behind the bytes. */
static void short_event(void *ctx, unsigned events)
{
	uint8_t buf[64];
	struct iovec iov = {buf, sizeof(buf)};

	if (events & SOCK_EV_READ)
		early_end += sock_recv(early.server, &iov, 1) == 0;
}

static void end_of_stream_behind_a_short_receive_is_not_lost(void **state)
{
	struct reactor *r = test_reactor(0, POLL_US_DEFAULT, NULL);
	struct iovec iov = {(char[]){"hello"}, 5};

	for (int round = 0; round < 10; round++) {
		early_end = 0;
		link_open(&early, r, "127.0.0.1");
		if (round % 2)
			assert_int_equal(sock_attach(early.server, r, short_event, NULL), 0);
		assert_int_equal(sock_send(early.client, &iov, 1), 5);
		if (round % 3)
			(void)reactor_pass(r, 0);
		sock_close(early.client);
		early.client = NULL;
		if (!(round % 2))
			assert_int_equal(sock_attach(early.server, r, short_event, NULL), 0);
		run_until(r, early_end);
		link_close(&early);
	}
	reactor_free(r);
}

static void owner_that_does_not_receive_is_not_called_for_ever(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct iovec iov = {(char[]){"hello"}, 5};
	unsigned events = 0;
	struct link l;

	link_open(&l, r, "127.0.0.1");
	assert_int_equal(sock_attach(l.server, r, count_events, &events), 0);
	assert_int_equal(sock_send(l.client, &iov, 1), 5);
	run_until(r, events > 0);
	events = 0;
	assert_false(reactor_pass(r, (int64_t)(2 * NSEC_PER_MSEC)));
	assert_int_equal(events, 0);
	sock_want_read(l.server);
	assert_true(reactor_pass(r, -1));
	assert_int_equal(events, 1);
	link_close(&l);
	reactor_free(r);
}

static struct {
	struct sock *s;
	int error;
	bool decided;
} refused;

static void refused_event(void *ctx, unsigned events)
{
	if (!(events & SOCK_EV_WRITE))
		return;
	refused.error = sock_error(refused.s);
	refused.decided = true;
}

static void refused_connect_tells_why(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct sock_addr addr;
	struct err err = {0};
	int rc, fd;

	/* A port that is taken, but where nobody listens. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr.ss, addr.len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr.ss, &addr.len), 0);
	rc = sock_connect(r, &addr, NULL, refused_event, NULL, &refused.s, &err);
	if (!rc) {
		run_until(r, refused.decided);
		rc = refused.error;
		sock_close(refused.s);
	}
	assert_int_equal(rc, -ECONNREFUSED);
	(void)close(fd);
	reactor_free(r);
}

static void tcp_sockets_have_nodelay_and_congestion_control(void **state)
{
	struct sock_opts opts = {.congestion = "reno"};
	struct reactor *r = test_reactor(0, 0, NULL);
	struct sock_addr addr;
	struct err err = {0};
	socklen_t len = sizeof(int);
	unsigned n = 0;
	int value = 0;
	struct sock *s;
	struct link l;

	link_open(&l, r, "127.0.0.1");
	assert_int_equal(getsockopt(sock_fd(l.server), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
	assert_int_equal(getsockopt(sock_fd(l.client), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
	link_close(&l);
	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	if (sock_listen(r, &addr, &opts, count_events, &n, &s, &err) < 0)
		fail_msg("%s", err.text);
	sock_close(s);
	opts.congestion = "nosuch";
	assert_int_equal(sock_listen(r, &addr, &opts, count_events, &n, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "reno"));
	reactor_free(r);
}

static void unix_listener_replaces_a_dead_one_and_respects_a_live_one(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	char dir[] = "/tmp/rt-sock-XXXXXX", path[64];
	struct sock_addr addr;
	struct err err = {0};
	struct sock *s, *other;
	struct stat st;
	unsigned n = 0;
	int fd;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(sock_addr_unix(path, &addr), 0);
	/* A socket whose server died. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr.ss, addr.len), 0);
	(void)close(fd);
	if (sock_listen(r, &addr, NULL, count_events, &n, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(sock_listen(r, &addr, NULL, count_events, &n, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	sock_close(s);
	assert_int_equal(stat(path, &st), -1);
	/* What is not a socket is left alone. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	(void)close(fd);
	assert_int_equal(sock_listen(r, &addr, NULL, count_events, &n, &other, &err), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	reactor_free(r);
}

static void addresses_go_to_text_and_back(void **state)
{
	char text[SOCK_ADDR_TEXT];
	struct sock_addr addr;
	uint16_t port = 0;

	assert_int_equal(sock_addr_ip("192.0.2.1", 4420, &addr), 0);
	assert_string_equal(sock_addr_format(&addr, text), "192.0.2.1:4420");
	assert_true(sock_addr_host(&addr, text, &port));
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(port, 4420);
	assert_int_equal(sock_addr_ip("2001:db8::1", 4420, &addr), 0);
	assert_string_equal(sock_addr_format(&addr, text), "[2001:db8::1]:4420");
	assert_int_equal(sock_addr_unix("/run/x", &addr), 0);
	assert_string_equal(sock_addr_format(&addr, text), "unix:/run/x");
	assert_false(sock_addr_host(&addr, text, &port));
	assert_int_equal(sock_addr_ip("localhost", 1, &addr), -EINVAL);
	assert_int_equal(sock_addr_ip("", 1, &addr), -EINVAL);
	assert_int_equal(sock_addr_ip("1.2.3.4.5", 1, &addr), -EINVAL);
	assert_int_equal(sock_addr_ip("fe80::1%nosuchif", 1, &addr), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(sock_addr_unix(text, &addr), -ENAMETOOLONG);
}

/* Sockets that are attached when their reactor ends may be closed afterwards. */
static void sockets_outlive_their_reactors_ring(void **state)
{
	struct reactor *r = test_reactor(0, POLL_US_DEFAULT, NULL);
	struct link l;
	unsigned n = 0;

	link_open(&l, r, "127.0.0.1");
	assert_int_equal(sock_attach(l.server, r, count_events, &n), 0);
	(void)reactor_pass(r, 0);
	reactor_leave(r);
	link_close(&l);
	reactor_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_over_ip4_arrives_whole),
		cmocka_unit_test(stream_over_ip6_arrives_whole),
		cmocka_unit_test(stream_over_unix_arrives_whole),
		cmocka_unit_test(socket_that_moves_between_reactors_loses_nothing),
		cmocka_unit_test(ping_pong_over_sleep_and_hot_loses_no_wakeup),
		cmocka_unit_test(no_event_comes_after_close_or_detach),
		cmocka_unit_test(close_frees_the_port_at_once),
		cmocka_unit_test(peer_that_closes_is_seen_once_its_bytes_are_read),
		cmocka_unit_test(end_of_stream_behind_a_short_receive_is_not_lost),
		cmocka_unit_test(owner_that_does_not_receive_is_not_called_for_ever),
		cmocka_unit_test(refused_connect_tells_why),
		cmocka_unit_test(tcp_sockets_have_nodelay_and_congestion_control),
		cmocka_unit_test(unix_listener_replaces_a_dead_one_and_respects_a_live_one),
		cmocka_unit_test(addresses_go_to_text_and_back),
		cmocka_unit_test(sockets_outlive_their_reactors_ring),
	};

	return cmocka_run_group_tests_name("rt.sock", tests, NULL, NULL);
}
