/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that is handed over: the other end notices nothing, whichever of the two copies is closed first. */
#include "rt_link.h"

#include <netinet/in.h>

#include "rt/carry.h"

struct taker { /* receives what comes on its copy */
	struct sock *sock;
	char got[64];
	size_t n;
	unsigned accepted, events;
	struct sock *conn;
};

static void taker_event(void *ctx, unsigned events)
{
	struct taker *t = ctx;
	struct iovec iov = {t->got + t->n, sizeof(t->got) - t->n};
	ssize_t n;

	t->events++;
	n = sock_recv(t->sock, &iov, 1);
	if (n > 0)
		t->n += (size_t)n;
}

static void accept_event(void *ctx, unsigned events)
{
	struct taker *t = ctx;

	if (sock_accept(t->sock, &t->conn, NULL) == 0)
		t->accepted++;
}

static void ignore_event(void *ctx, unsigned events)
{
}

static void send_text(struct sock *s, const char *text)
{
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};

	assert_int_equal(sock_send(s, &iov, 1), strlen(text));
}

static struct sock *import(struct reactor *r, struct sock *s, bool want_listener)
{
	struct sock *copy = NULL;
	struct err err = {0};
	bool is_listener;
	int fd = dup(sock_export(s)); /* as SCM_RIGHTS does */

	assert_true(fd >= 0);
	if (sock_import(r, fd, &copy, &is_listener, &err))
		fail_msg("%s", err.text);
	assert_int_equal(is_listener, want_listener);
	return copy;
}

static void connection_goes_on_in_the_copy(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct taker t = {0};
	struct link l;

	link_open(&l, r, "127.0.0.1");
	t.sock = import(r, l.server, false);
	send_text(l.client, "hello ");
	sock_close(l.server); /* the old engine ends: no FIN, nothing lost */
	l.server = NULL;
	assert_int_equal(sock_attach(t.sock, r, taker_event, &t), 0);
	send_text(l.client, "world");
	run_until(r, t.n == 11);
	assert_memory_equal(t.got, "hello world", 11);
	send_text(t.sock, "back");
	link_close(&l);
	sock_close(t.sock);
	reactor_free(r);
}

static void copy_that_is_dropped_leaves_the_connection_alone(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct taker t = {0};
	struct link l;

	link_open(&l, r, "127.0.0.1");
	t.sock = l.server;
	assert_int_equal(sock_attach(l.server, r, taker_event, &t), 0);
	sock_close(import(r, l.server, false));
	send_text(l.client, "on");
	run_until(r, t.n == 2);
	link_close(&l);
	reactor_free(r);
}

static void listener_goes_on_in_the_copy(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct sock *old, *client;
	struct sock_addr addr;
	struct taker t = {0};
	struct err err = {0};

	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(sock_listen(r, &addr, NULL, ignore_event, NULL, &old, &err), 0);
	assert_int_equal(sock_local_addr(old, &addr), 0);
	t.sock = import(r, old, true);
	sock_close(old);
	assert_int_equal(sock_connect(r, &addr, NULL, ignore_event, NULL, &client, &err), 0);
	assert_int_equal(sock_attach(t.sock, r, accept_event, &t), 0);
	run_until(r, t.accepted == 1);
	sock_close(t.conn);
	sock_close(client);
	sock_close(t.sock);
	reactor_free(r);
}

static void what_is_no_stream_socket_is_refused(void **state)
{
	struct reactor *r = test_reactor(0, 0, NULL);
	struct err err = {0};
	struct sock *s;
	bool is_listener;
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_true(sock_import(r, p[0], &s, &is_listener, &err) < 0);
	assert_true(err.text[0]);
	assert_int_equal(close(p[1]), 0);
	assert_true(sock_import(r, socket(AF_INET, SOCK_DGRAM, 0), &s, &is_listener, &err) < 0);
	reactor_free(r);
}

static void part_names_its_descriptors(void **state)
{
	uint8_t buf[256];
	int out_fds[1], in_fds[2], fd = -1, p[2];
	struct carry_out out;
	struct carry_in in;
	struct err err = {0};
	struct tlv rec;
	size_t len;

	assert_int_equal(pipe(p), 0);
	carry_out_init(&out, buf, sizeof(buf), out_fds, 1, "1");
	carry_out_fd(&out, 5, TLV_MANDATORY, p[0]);
	assert_int_equal(carry_out_end(&out, &len), 0);
	in_fds[0] = p[0];
	in_fds[1] = p[1];
	assert_int_equal(carry_in_init(&in, buf, len, in_fds, 2, &err), 0);
	assert_int_equal(tlv_next(&in.r, &rec), 1);
	assert_int_equal(carry_in_fd(&in, &rec, &fd, &err), 0);
	assert_int_equal(fd, p[0]);
	assert_int_equal(carry_in_fd(&in, &rec, &fd, &err), -EBADMSG); /* only once */
	carry_in_fini(&in);                                            /* closes the other */
	assert_int_equal(close(p[1]), -1);
	assert_int_equal(close(p[0]), 0);
	carry_out_init(&out, buf, sizeof(buf), out_fds, 1, "1");
	carry_out_fd(&out, 5, 0, 1);
	carry_out_fd(&out, 5, 0, 2);
	assert_int_equal(carry_out_end(&out, &len), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection_goes_on_in_the_copy),
		cmocka_unit_test(copy_that_is_dropped_leaves_the_connection_alone),
		cmocka_unit_test(listener_goes_on_in_the_copy),
		cmocka_unit_test(what_is_no_stream_socket_is_refused),
		cmocka_unit_test(part_names_its_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
