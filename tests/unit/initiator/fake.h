/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller that does what a test says: it listens on the test's own reactor, keeps every PDU that
 * comes, and sends bytes as they are, cut as the test likes. fake_ctrl.c stands on it and answers by itself.
 */
#ifndef LITEPOOL_TESTS_INITIATOR_FAKE_H
#define LITEPOOL_TESTS_INITIATOR_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "initiator/initiator.h"
#include "rt/reactor.h"
#include "wire/pdu.h"
#include "wire/rx.h"

#define FAKE_PDUS  512
#define FAKE_CONNS 64

struct fake_pdu {
	union {
		uint8_t head[PDU_HEADER_MAX];
		struct pdu_ch ch;
		struct pdu_icreq icreq;
		struct pdu_term term;
		struct pdu_cmd cmd;
		struct pdu_data data;
	};
	uint32_t data_len;
	uint8_t *payload;
	bool digest_ok;
};

struct fake_conn {
	struct fake *fake;
	struct sock *sock; /* NULL: closed by us */
	struct wire_rx rx;
	struct fake_pdu pdu[FAKE_PDUS];
	unsigned n_pdus; /* whole ones */
	struct fake_pdu next;
	bool ended; /* by the host */
	void *ctx;
};

struct fake {
	struct reactor *r;
	struct sock *listener;
	struct sock_addr addr;
	struct fake_conn *conn[FAKE_CONNS];
	unsigned n_conns;
	size_t split; /* bytes per send, 0: all at once */
	void (*on_pdu)(struct fake_conn *c, struct fake_pdu *pdu); /* optional */
	void *ctx;
};

struct fake *fake_new(void);
void fake_free(struct fake *f);
/* Closes the listener: connects are refused; and listens again on the same port. */
void fake_unlisten(struct fake *f);
void fake_listen(struct fake *f);
void fake_drop(struct fake_conn *c);

/* Runs the reactor until cond is true; fails the test after a bounded number of passes. */
#define run_until(f, cond)                                                                         \
	do {                                                                                       \
		for (int pass_ = 0; !(cond) && pass_ < 3000; pass_++)                              \
			(void)reactor_pass((f)->r, 1000000);                                       \
		assert_true(cond);                                                                 \
	} while (0)
/* A few passes in which nothing is expected. */
void run_some(struct fake *f);

void fake_send(struct fake_conn *c, const void *bytes, size_t len);
/* Accepts what the ICReq asked for. */
void fake_icresp(struct fake_conn *c, uint32_t max_h2c_data);
void fake_resp(struct fake_conn *c, uint16_t cid, uint16_t status, uint64_t result);
void fake_c2h(struct fake_conn *c, const struct pdu_data_fields *fields, const void *data);
void fake_r2t(struct fake_conn *c, uint16_t cid, uint16_t ttag, uint32_t off, uint32_t len);
struct pdu_format fake_format(const struct fake_conn *c);

#endif
