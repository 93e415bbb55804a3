/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-nbd: random reads or writes on an NBD export at a queue depth, of the same build as lp-echo's client: it spins,
 * drains its input, and sends one batch. Fixed newstyle handshake with NBD_OPT_EXPORT_NAME, simple replies.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "raw.h"

#define NBD_MAGIC           0x4e42444d41474943ull /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC    0x49484156454f5054ull /* "IHAVEOPT" */
#define NBD_REQUEST_MAGIC   0x25609513u
#define NBD_REPLY_MAGIC     0x67446698u
#define NBD_FIXED_NEWSTYLE  1u
#define NBD_NO_ZEROES       2u
#define NBD_OPT_EXPORT_NAME 1u
#define CHUNK               ((size_t)(128 * KIB))

static const char usage[] =
	"Usage: lp-nbd --port N [--addr IP] [--read|--write] [--bs SIZE] [--qd N]\n"
	"              [--seconds S] [--warmup S] [--cpu N]\n"
	"\n"
	"Example: lp-nbd --port 10809 --read --qd 128 --cpu 1\n";

struct nbd_greeting {
	uint64_t magic, option_magic;
	uint16_t flags;
} __attribute__((packed));

struct nbd_option {
	uint32_t client_flags;
	uint64_t magic;
	uint32_t option, len;
} __attribute__((packed));

struct nbd_export {
	uint64_t size;
	uint16_t flags;
} __attribute__((packed));

struct nbd_request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t len;
} __attribute__((packed));

struct nbd_reply {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));

struct nbd {
	const struct raw_opts *o;
	struct raw_run *run;
	int fd;
	uint64_t size;
	struct raw_out out;
	struct nbd_request *req;
	uint8_t *bufs, *chunk;
	uint64_t *start;
	uint32_t *ready; /* slots to send next */
	uint32_t n_ready;

	/* Receiving. */
	struct nbd_reply reply;
	size_t reply_have;
	uint32_t slot;
	size_t data_left;
};

static void nbd_handshake(struct nbd *n)
{
	struct nbd_greeting hello;
	struct nbd_option option = {0};
	struct nbd_export export;

	raw_read_full(n->fd, &hello, sizeof(hello));
	if (be64toh(hello.magic) != NBD_MAGIC || be64toh(hello.option_magic) != NBD_OPTION_MAGIC ||
	    !(be16toh(hello.flags) & NBD_FIXED_NEWSTYLE) || !(be16toh(hello.flags) & NBD_NO_ZEROES))
		raw_die("the server does not speak fixed newstyle NBD without zeroes");
	option.client_flags = htobe32(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	option.magic = htobe64(NBD_OPTION_MAGIC);
	option.option = htobe32(NBD_OPT_EXPORT_NAME);
	raw_write_full(n->fd, &option, sizeof(option));
	raw_read_full(n->fd, &export, sizeof(export));
	n->size = MIN(be64toh(export.size), n->o->region);
	if (n->size < n->o->bs)
		raw_die("the export is smaller than a block");
}

static void nbd_send(struct nbd *n, uint64_t now)
{
	while (n->n_ready && raw_out_room(&n->out) >= 2) {
		uint32_t slot = n->ready[--n->n_ready];
		struct nbd_request *req = &n->req[slot];

		req->magic = htobe32(NBD_REQUEST_MAGIC);
		req->flags = 0;
		req->type = htobe16(n->o->write ? 1 : 0);
		req->cookie = slot;
		req->offset = htobe64(raw_random(n->size / n->o->bs) * n->o->bs);
		req->len = htobe32(n->o->bs);
		n->start[slot] = now;
		raw_out_add(&n->out, req, sizeof(*req));
		if (n->o->write)
			raw_out_add(&n->out, n->bufs + (size_t)slot * n->o->bs, n->o->bs);
	}
}

static void nbd_ended(struct nbd *n, uint64_t now)
{
	raw_run_count(n->run, n->start[n->slot], now);
	n->ready[n->n_ready++] = n->slot;
	n->reply_have = 0;
}

/* A reply's head is whole. */
static void nbd_reply_head(struct nbd *n, uint64_t now)
{
	if (be32toh(n->reply.magic) != NBD_REPLY_MAGIC || n->reply.error ||
	    n->reply.cookie >= n->o->qd)
		raw_die("bad reply, error %u", be32toh(n->reply.error));
	n->slot = (uint32_t)n->reply.cookie;
	n->data_left = n->o->write ? 0 : n->o->bs;
	if (!n->data_left)
		nbd_ended(n, now);
}

static void nbd_parse(struct nbd *n, const uint8_t *p, size_t len, uint64_t now)
{
	while (len) {
		bool data = n->data_left > 0;
		size_t want = data ? n->data_left : sizeof(n->reply) - n->reply_have;
		size_t take = MIN(want, len);
		uint8_t *to = data ? n->bufs + (size_t)(n->slot + 1) * n->o->bs - n->data_left
				   : (uint8_t *)&n->reply + n->reply_have;

		memcpy(to, p, take);
		p += take;
		len -= take;
		if (data) {
			n->data_left -= take;
			if (!n->data_left)
				nbd_ended(n, now);
		} else {
			n->reply_have += take;
			if (n->reply_have == sizeof(n->reply))
				nbd_reply_head(n, now);
		}
	}
}

static void nbd_recv(struct nbd *n, uint64_t now)
{
	for (;;) {
		ssize_t got = recv(n->fd, n->chunk, CHUNK, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			raw_die("the server closed the connection");
		if (got < 0)
			return;
		nbd_parse(n, n->chunk, (size_t)got, now);
		if ((size_t)got < CHUNK)
			return;
	}
}

static void nbd_alloc(struct nbd *n)
{
	const struct raw_opts *o = n->o;

	n->req = raw_alloc(o->qd * sizeof(*n->req));
	n->bufs = raw_alloc((size_t)o->qd * o->bs);
	n->chunk = raw_alloc(CHUNK);
	n->start = raw_alloc(o->qd * sizeof(*n->start));
	n->ready = raw_alloc(o->qd * sizeof(*n->ready));
	for (uint32_t i = 0; i < o->qd; i++)
		n->ready[n->n_ready++] = i;
}

int main(int argc, char **argv)
{
	struct raw_opts o = raw_options(argc, argv, usage);
	static struct raw_run run;
	static struct nbd n;

	n.o = &o;
	n.run = &run;
	raw_pin(o.cpu);
	nbd_alloc(&n);
	n.fd = raw_connect(o.addr, o.port);
	nbd_handshake(&n);
	raw_run_begin(&run, &o);
	for (uint64_t now = raw_now_ns(); now < run.end_ns; now = raw_now_ns()) {
		if (n.out.n == 0)
			nbd_send(&n, now);
		(void)raw_out_flush(&n.out, n.fd);
		nbd_recv(&n, raw_now_ns());
	}
	raw_run_report(&run, &o);
	return 0;
}
