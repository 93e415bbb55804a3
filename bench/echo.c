/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-echo: the ceiling of TCP for messages of NVMe/TCP's sizes. The client sends 72 bytes (with --write
 * the block too), the server answers 24 bytes and (with --read) a block from a random place of a region as
 * large as the disk it stands for; nothing is parsed. Both spin; each drains its input, then sends one
 * batch. With --store the server also copies what is written into its region, as a RAM disk must.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "raw.h"

#define REQUEST_LEN 72u
#define REPLY_LEN   24u
#define CHUNK       ((size_t)(128 * KIB))

static const char usage[] =
	"Usage: lp-echo [--read|--write] [--store] [--bs SIZE] [--qd N] [--region SIZE]\n"
	"               [--seconds S] [--warmup S] [--cpu N] [--server-cpu N]\n"
	"\n"
	"Example: lp-echo --read --qd 128 --cpu 1 --server-cpu 0\n";

/* A stream of messages of one length, counted as they become whole. */
struct stream {
	size_t message_len;
	uint64_t bytes, taken;
	uint8_t *chunk;
};

/* Whole messages that came, after receiving until the socket is empty; ends the program at end of stream. */
static uint64_t stream_recv(struct stream *s, int fd)
{
	uint64_t whole;

	for (;;) {
		ssize_t n = recv(fd, s->chunk, CHUNK, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			exit(0);
		if (n < 0)
			break;
		s->bytes += (uint64_t)n;
		if ((size_t)n < CHUNK)
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
	raw_out_add(out, head + i % o->qd * REPLY_LEN, REPLY_LEN);
	if (!o->write)
		raw_out_add(out, random_block(region, o), o->bs);
}

__attribute__((noreturn)) static void server(int listener, const struct raw_opts *o)
{
	static struct raw_out out;
	struct stream in = {.message_len = REQUEST_LEN + (o->write ? o->bs : 0),
			    .chunk = raw_alloc(CHUNK)};
	uint8_t *region = raw_alloc(o->region);
	uint8_t *head = raw_alloc((size_t)o->qd * REPLY_LEN);
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
		for (uint64_t i = 0; o->store && i < came; i++)
			memcpy(random_block(region, o), block, o->bs);
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
		raw_out_add(&c->out, c->heads + slot * REQUEST_LEN, REQUEST_LEN);
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
	c.in.message_len = REPLY_LEN + (o->write ? 0 : o->bs);
	c.in.chunk = raw_alloc(CHUNK);
	c.start = raw_alloc(o->qd * sizeof(uint64_t));
	c.heads = raw_alloc((size_t)o->qd * REQUEST_LEN);
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
	if (pid == 0)
		server(listener, &o);
	raw_pin(o.cpu);
	client(raw_connect("127.0.0.1", o.port), &o, &run);
	(void)kill(pid, SIGKILL);
	raw_run_report(&run, &o);
	return 0;
}
