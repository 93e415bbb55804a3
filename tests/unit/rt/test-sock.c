/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: life and death, options, addresses, and which events come. */
#include "rt_link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

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

static int tcp_option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void accepted_sockets_watch_for_a_dead_peer(void **state)
{
	const struct sock_opts opts = {.dead_peer_s = 60};
	struct reactor *r = test_reactor(0, 0, NULL);
	struct sock *listener, *server = NULL;
	struct sock_addr addr;
	struct err err = {0};
	unsigned n = 0;
	int fd;

	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	if (sock_listen(r, &addr, &opts, count_events, &n, &listener, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sock_local_addr(listener, &addr), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr.ss, addr.len), 0);
	run_until(r, n);
	assert_int_equal(sock_accept(listener, &server, NULL), 0);
	assert_int_equal(tcp_option(sock_fd(server), SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(tcp_option(sock_fd(server), IPPROTO_TCP, TCP_KEEPIDLE), 30);
	assert_int_equal(tcp_option(sock_fd(server), IPPROTO_TCP, TCP_KEEPINTVL), 10);
	assert_int_equal(tcp_option(sock_fd(server), IPPROTO_TCP, TCP_KEEPCNT), 3);
	assert_int_equal(tcp_option(sock_fd(server), IPPROTO_TCP, TCP_USER_TIMEOUT), 60000);
	(void)close(fd);
	sock_close(server);
	sock_close(listener);
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
		cmocka_unit_test(no_event_comes_after_close_or_detach),
		cmocka_unit_test(close_frees_the_port_at_once),
		cmocka_unit_test(peer_that_closes_is_seen_once_its_bytes_are_read),
		cmocka_unit_test(end_of_stream_behind_a_short_receive_is_not_lost),
		cmocka_unit_test(owner_that_does_not_receive_is_not_called_for_ever),
		cmocka_unit_test(refused_connect_tells_why),
		cmocka_unit_test(tcp_sockets_have_nodelay_and_congestion_control),
		cmocka_unit_test(accepted_sockets_watch_for_a_dead_peer),
		cmocka_unit_test(unix_listener_replaces_a_dead_one_and_respects_a_live_one),
		cmocka_unit_test(addresses_go_to_text_and_back),
		cmocka_unit_test(sockets_outlive_their_reactors_ring),
	};

	return cmocka_run_group_tests_name("rt.sock", tests, NULL, NULL);
}
