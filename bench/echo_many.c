/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The echo with many connections, one message under way on each: what readiness costs when nothing can be batched. Both sides wait in
 * epoll (edge-triggered, spinning), then receive and send once for each socket that is ready.
 */
#include "echo.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define EVENTS_MAX 256

struct peer {
	int fd;
	size_t bytes; /* of the message that is coming */
	uint64_t start_ns;
};

struct many {
	const struct raw_opts *o;
	struct peer *peers;
	int epoll;
	size_t message_len; /* that comes */
	uint8_t *chunk, *head, *region;
};

static void many_init(struct many *m, const struct raw_opts *o, size_t message_len)
{
	*m = (struct many){.o = o,
			   .peers = calloc(o->conns, sizeof(struct peer)),
			   .epoll = epoll_create1(EPOLL_CLOEXEC),
			   .message_len = message_len,
			   .chunk = raw_alloc(ECHO_CHUNK),
			   .head = raw_alloc(ECHO_REQUEST_LEN)};
	if (!m->peers || m->epoll < 0)
		raw_die("no memory or epoll for %u connections", o->conns);
}

static void many_add(struct many *m, unsigned i, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = &m->peers[i]};

	m->peers[i].fd = fd;
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		raw_die("epoll: %s", strerror(errno));
}

/* A message fits into an idle socket whole. */
static void many_send(struct many *m, struct peer *p, size_t head_len, const uint8_t *block)
{
	struct iovec iov[2] = {{m->head, head_len}, {(void *)(uintptr_t)block, m->o->bs}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = block ? 2 : 1};
	size_t len = head_len + (block ? m->o->bs : 0);
	ssize_t n = sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		exit(0); /* the other side has seen enough */
	if ((size_t)n != len)
		raw_die("a socket took %zd of %zu bytes: use a smaller block", n, len);
}

/* True when a message is whole. Ends the program at the end of a stream. */
static bool many_recv(struct many *m, struct peer *p)
{
	ssize_t n = recv(p->fd, m->chunk, ECHO_CHUNK, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		exit(0);
	if (n < 0)
		return false;
	p->bytes += (size_t)n;
	if (p->bytes < m->message_len)
		return false;
	p->bytes -= m->message_len;
	return true;
}

static uint8_t *random_block(struct many *m)
{
	return m->region + raw_random(m->o->region / m->o->bs) * m->o->bs;
}

static void answer(struct many *m, struct peer *p)
{
	if (m->o->write && m->o->store)
		memcpy(random_block(m), m->chunk + ECHO_REQUEST_LEN, m->o->bs);
	many_send(m, p, ECHO_REPLY_LEN, m->o->write ? NULL : random_block(m));
}

void echo_many_server(int listener, const struct raw_opts *o)
{
	static struct many m;
	struct epoll_event events[EVENTS_MAX];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	raw_pin(o->server_cpu);
	many_init(&m, o, ECHO_REQUEST_LEN + (o->write ? o->bs : 0));
	m.region = raw_alloc(o->region);
	for (unsigned i = 0; i < o->conns; i++)
		many_add(&m, i, raw_accept(listener));
	raw_write_full(m.peers[0].fd, "", 1); /* ready */
	for (;;) {
		int n = epoll_wait(m.epoll, events, EVENTS_MAX, 0);

		for (int i = 0; i < n; i++)
			if (many_recv(&m, events[i].data.ptr))
				answer(&m, events[i].data.ptr);
	}
}

static void request(struct many *m, struct peer *p, uint64_t now)
{
	p->start_ns = now;
	many_send(m, p, ECHO_REQUEST_LEN, m->o->write ? m->region : NULL);
}

void echo_many_client(const struct raw_opts *o, struct raw_run *run)
{
	static struct many m;
	struct epoll_event events[EVENTS_MAX];
	uint8_t ready;

	many_init(&m, o, ECHO_REPLY_LEN + (o->write ? 0 : o->bs));
	m.region = raw_alloc(o->bs);
	for (unsigned i = 0; i < o->conns; i++)
		many_add(&m, i, raw_connect("127.0.0.1", o->port));
	raw_read_full(m.peers[0].fd, &ready, 1);
	raw_run_begin(run, o);
	for (unsigned i = 0; i < o->conns; i++)
		request(&m, &m.peers[i], raw_now_ns());
	for (;;) {
		int n = epoll_wait(m.epoll, events, EVENTS_MAX, 0);
		uint64_t now = raw_now_ns();

		if (now >= run->end_ns)
			return;
		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;

			if (!many_recv(&m, p))
				continue;
			raw_run_count(run, p->start_ns, now);
			request(&m, p, now);
		}
	}
}
