/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-echo: the ceiling of TCP for messages of NVMe/TCP's sizes. The client sends 72 bytes (with --write
 * the block too), the server answers 24 bytes and (with --read) a block from a random place of a region as
 * large as the disk it stands for; nothing is parsed. Both spin; each drains its input, then sends one
 * batch. With --store the server also copies a block into its region, as a RAM disk must.
 *
 * What is written is received into one chunk that stays in the cache, and with --store it is one hot block that is copied: that is the ceiling
 * of TCP. With --cold what is written is received into a place of its own for each message under way, and copied from there: what a target does
 * that cannot choose where its data is needed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"

static const char usage[] =
	"Usage: lp-echo [--read|--write] [--store] [--cold] [--congestion NAME] [--bs SIZE] [--qd "
	"N | --conns N]\n"
	"               [--region SIZE] [--seconds S] [--warmup S] [--cpu N] [--server-cpu N]\n"
	"\n"
	"Example: lp-echo --read --qd 128 --cpu 1 --server-cpu 0\n";

/* A stream of messages of one length, counted as they become whole. */
struct stream {
	size_t message_len;
	uint64_t bytes, taken;
	uint8_t *chunk;
	size_t size; /* of chunk */
	bool ring; /* what comes lies there one behind another, else each receive begins at its start */
};

/* Whole messages that came, after receiving until the socket is empty; ends the program at end of stream. */
static uint64_t stream_recv(struct stream *s, int fd)
{
	uint64_t whole;

	for (;;) {
		size_t at = s->ring ? s->bytes % s->size : 0;
		size_t room = MIN(s->size - at, ECHO_CHUNK);
		ssize_t n = recv(fd, s->chunk + at, room, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			exit(0);
		if (n < 0)
			break;
		s->bytes += (uint64_t)n;
		if ((size_t)n < room)
			break;
	}
	whole = s->bytes / s->message_len - s->taken;
	s->taken += whole;
	return whole;
}

static uint8_t *random_block(uint8_t *region, const struct raw_opts *o)
{
	return region + raw_random(o->region / o->bs) * o->bs;
}

static void server_answer(struct raw_out *out, const struct raw_opts *o, uint8_t *region,
			  const uint8_t *head, uint64_t i)
{
	raw_out_add(out, head + i % o->qd * ECHO_REPLY_LEN, ECHO_REPLY_LEN);
	if (!o->write)
		raw_out_add(out, random_block(region, o), o->bs);
}

static struct stream server_stream(const struct raw_opts *o)
{
	struct stream s = {.message_len = ECHO_REQUEST_LEN + (o->write ? o->bs : 0),
			   .size = ECHO_CHUNK,
			   .ring = o->write && o->cold};

	if (s.ring)
		s.size = s.message_len * o->qd;
	s.chunk = raw_alloc(s.size);
	return s;
}

/* Where the block of message i was received. */
static const uint8_t *ring_block(const struct stream *s, const struct raw_opts *o, uint64_t i)
{
	return s->chunk + i % o->qd * s->message_len + ECHO_REQUEST_LEN;
}

__attribute__((noreturn)) static void server(int listener, const struct raw_opts *o)
{
	static struct raw_out out;
	struct stream in = server_stream(o);
	uint8_t *region = raw_alloc(o->region);
	uint8_t *head = raw_alloc((size_t)o->qd * ECHO_REPLY_LEN);
	uint8_t *block = raw_alloc(o->bs);
	uint64_t owed = 0;
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	raw_pin(o->server_cpu);
	fd = raw_accept(listener);
	raw_write_full(fd, "", 1); /* ready */
	for (;;) {
		uint64_t came;

		if (!raw_out_flush(&out, fd))
			continue;
		came = stream_recv(&in, fd);
		for (uint64_t i = in.taken - came; o->store && i < in.taken; i++)
			memcpy(random_block(region, o), in.ring ? ring_block(&in, o, i) : block,
			       o->bs);
		owed += came;
		for (; owed && raw_out_room(&out) >= 2; owed--)
			server_answer(&out, o, region, head, owed - 1);
	}
}

/* Requests in flight are answered in order: a ring of their start times is all the client keeps. */
struct client {
	const struct raw_opts *o;
	struct raw_out out;
	struct stream in;
	uint64_t *start;
	uint64_t sent, ended;
	uint8_t *heads, *blocks;
};

static void client_fill(struct client *c, uint64_t now)
{
	while (c->sent - c->ended < c->o->qd && raw_out_room(&c->out) >= 2) {
		uint64_t slot = c->sent++ % c->o->qd;

		c->start[slot] = now;
		raw_out_add(&c->out, c->heads + slot * ECHO_REQUEST_LEN, ECHO_REQUEST_LEN);
		if (c->o->write)
			raw_out_add(&c->out, c->blocks + slot * c->o->bs, c->o->bs);
	}
}

static void client(int fd, const struct raw_opts *o, struct raw_run *run)
{
	static struct client c;
	uint64_t now;

	c.o = o;
	raw_read_full(fd, &now, 1);
	c.in.message_len = ECHO_REPLY_LEN + (o->write ? 0 : o->bs);
	c.in.chunk = raw_alloc(ECHO_CHUNK);
	c.in.size = ECHO_CHUNK;
	c.start = raw_alloc(o->qd * sizeof(uint64_t));
	c.heads = raw_alloc((size_t)o->qd * ECHO_REQUEST_LEN);
	c.blocks = raw_alloc((size_t)o->qd * o->bs);
	raw_run_begin(run, o);
	client_fill(&c, raw_now_ns());
	for (;;) {
		uint64_t came;

		(void)raw_out_flush(&c.out, fd);
		came = stream_recv(&c.in, fd);
		now = raw_now_ns();
		if (now >= run->end_ns)
			return;
		for (; came; came--)
			raw_run_count(run, c.start[c.ended++ % o->qd], now);
		if (c.out.n == 0)
			client_fill(&c, now);
	}
}

int main(int argc, char **argv)
{
	struct raw_opts o = raw_options(argc, argv, usage);
	static struct raw_run run;
	int listener = raw_listen(&o.port);
	pid_t pid = fork();

	if (pid < 0)
		raw_die("fork: %s", strerror(errno));
	if (pid == 0 && o.conns > 1)
		echo_many_server(listener, &o);
	if (pid == 0)
		server(listener, &o);
	raw_pin(o.cpu);
	if (o.conns > 1)
		echo_many_client(&o, &run);
	else
		client(raw_connect("127.0.0.1", o.port), &o, &run);
	(void)kill(pid, SIGKILL);
	raw_run_report(&run, &o);
	return 0;
}
