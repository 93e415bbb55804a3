/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "rt/uring.h"

static void conn_pdu(struct fake_conn *c)
{
	struct fake_pdu *pdu;

	assert_true(c->n_pdus < FAKE_PDUS);
	pdu = &c->pdu[c->n_pdus++];
	*pdu = c->next;
	memset(&c->next, 0, sizeof(c->next));
	if (c->fake->on_pdu)
		c->fake->on_pdu(c, pdu);
}

static void conn_header(struct fake_conn *c)
{
	memcpy(c->next.head, c->rx.hdr, c->rx.hdr->hlen);
	c->next.data_len = c->rx.data_len;
	c->next.digest_ok = true;
	if (c->rx.hdr->pdu_type == PDU_ICREQ)
		wire_rx_negotiated(&c->rx, c->rx.icreq->dgst & PDU_DGST_HEADER,
				   c->rx.icreq->dgst & PDU_DGST_DATA);
	if (!c->next.data_len) {
		conn_pdu(c);
		return;
	}
	c->next.payload = malloc(c->next.data_len);
	wire_rx_dest(&c->rx, c->next.payload);
}

static void conn_parse(struct fake_conn *c, struct wire_in in)
{
	while (c->sock) {
		switch (wire_rx_step(&c->rx, &in)) {
		case WIRE_EV_MORE:
			return;
		case WIRE_EV_HEADER:
			conn_header(c);
			break;
		case WIRE_EV_DATA:
			c->next.digest_ok = c->rx.digest_ok;
			conn_pdu(c);
			break;
		case WIRE_EV_ERROR:
			fail_msg("the host sent a bad PDU: fes=%u fei=%u", c->rx.error.fes,
				 c->rx.error.fei);
		}
	}
}

static void conn_event(void *ctx, unsigned events)
{
	struct fake_conn *c = ctx;
	static uint8_t chunk[65536];

	while (c->sock) {
		struct iovec iov[2];
		int n_iov = 0;
		ssize_t n;

		if (wire_rx_want(&c->rx, &iov[0]))
			n_iov++;
		iov[n_iov++] = (struct iovec){chunk, sizeof(chunk)};
		n = sock_recv(c->sock, iov, n_iov);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			c->ended = true;
			fake_drop(c);
			return;
		}
		n -= (ssize_t)wire_rx_received(&c->rx, (size_t)n);
		conn_parse(c, (struct wire_in){chunk, chunk + n});
	}
}

static void listener_event(void *ctx, unsigned events)
{
	struct fake *f = ctx;
	struct sock_addr peer;
	struct sock *s;

	while (sock_accept(f->listener, &s, &peer) == 0) {
		struct fake_conn *c = calloc(1, sizeof(*c));

		assert_true(c && f->n_conns < FAKE_CONNS);
		c->fake = f;
		c->sock = s;
		wire_rx_init(&c->rx, WIRE_TARGET, 16 << 20);
		f->conn[f->n_conns++] = c;
		assert_int_equal(sock_attach(s, f->r, conn_event, c), 0);
	}
}

void fake_listen(struct fake *f)
{
	struct err err;

	if (sock_listen(f->r, &f->addr, &(struct sock_opts){0}, listener_event, f, &f->listener,
			&err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sock_local_addr(f->listener, &f->addr), 0);
}

void fake_unlisten(struct fake *f)
{
	sock_close(TAKE_PTR(f->listener));
}

void fake_drop(struct fake_conn *c)
{
	sock_close(TAKE_PTR(c->sock));
}

struct fake *fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct reactor_opts opts = {.name = "test", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct env *env;
	struct err err;

	assert_non_null(f);
	if (uring_env_new(NULL, &env, &err) < 0 || reactor_new(&opts, env, &f->r, &err) < 0)
		fail_msg("%s", err.text);
	(void)reactor_pass(f->r, 0);
	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &f->addr), 0);
	fake_listen(f);
	return f;
}

void fake_free(struct fake *f)
{
	for (unsigned i = 0; i < f->n_conns; i++) {
		struct fake_conn *c = f->conn[i];

		fake_drop(c);
		for (unsigned p = 0; p < c->n_pdus; p++)
			free(c->pdu[p].payload);
		free(c->next.payload);
		free(c);
	}
	fake_unlisten(f);
	run_some(f);
	reactor_free(f->r);
	free(f);
}

void run_some(struct fake *f)
{
	for (int i = 0; i < 5; i++)
		(void)reactor_pass(f->r, 1000000);
}

static void send_all(struct fake_conn *c, const uint8_t *p, size_t len)
{
	while (len && c->sock) {
		struct iovec iov = {(void *)(uintptr_t)p, len};
		ssize_t n = sock_send(c->sock, &iov, 1);

		if (n == -EAGAIN) {
			(void)reactor_pass(c->fake->r, 1000000);
			continue;
		}
		if (n < 0)
			return; /* the host closed: what it says about it is the test's business */
		p += n;
		len -= (size_t)n;
	}
}

void fake_send(struct fake_conn *c, const void *bytes, size_t len)
{
	size_t step = c->fake->split ? c->fake->split : len;
	const uint8_t *p = bytes;

	while (len && c->sock) {
		size_t n = len < step ? len : step;

		send_all(c, p, n);
		p += n;
		len -= n;
		if (c->fake->split)
			(void)reactor_pass(c->fake->r, 1000000);
	}
}

struct pdu_format fake_format(const struct fake_conn *c)
{
	uint8_t dgst = c->pdu[0].icreq.dgst;

	return (struct pdu_format){dgst & PDU_DGST_HEADER, dgst & PDU_DGST_DATA,
				   c->pdu[0].icreq.hpda};
}

void fake_icresp(struct fake_conn *c, uint32_t max_h2c_data)
{
	uint8_t head[PDU_HEADER_MAX + 4];

	fake_send(c, head, pdu_build_icresp(head, 0, c->pdu[0].icreq.dgst, max_h2c_data));
}

void fake_resp(struct fake_conn *c, uint16_t cid, uint16_t status, uint64_t result)
{
	struct pdu_format fmt = fake_format(c);
	struct nvme_cqe cqe = {0};
	uint8_t head[64];

	put_le64(&cqe.result, result);
	put_le16(&cqe.cid, cid);
	put_le16(&cqe.status, (uint16_t)(status << 1));
	fake_send(c, head, pdu_build_resp(head, &fmt, &cqe));
}

void fake_c2h(struct fake_conn *c, const struct pdu_data_fields *fields, const void *data)
{
	struct pdu_format fmt = fake_format(c);
	uint8_t *pdu = calloc(1, fields->datal + 512);
	uint8_t pad;
	size_t len = pdu_build_c2h_data(pdu, &fmt, fields, &pad);

	len += pad;
	memcpy(pdu + len, data, fields->datal);
	len += fields->datal;
	if (fmt.ddgst) {
		pdu_put_digest(pdu + len, crc32c(data, fields->datal));
		len += PDU_DIGEST_LEN;
	}
	fake_send(c, pdu, len);
	free(pdu);
}

void fake_r2t(struct fake_conn *c, uint16_t cid, uint16_t ttag, uint32_t off, uint32_t len)
{
	struct pdu_format fmt = fake_format(c);
	uint8_t head[64];

	fake_send(c, head, pdu_build_r2t(head, &fmt, cid, ttag, off, len));
}
