/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole target, in one thread unless asked otherwise: a control and a data reactor on the kernel's ring, one subsystem with a RAM disk behind a fault layer, a
 * listener on a loopback port; and a raw client that reads and writes PDUs. Nothing runs unless the rig is pumped, and every wait is
 * bounded by RIG_PASSES passes.
 */
#ifndef LITEPOOL_TESTS_TRANSPORT_RIG_H
#define LITEPOOL_TESTS_TRANSPORT_RIG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <semaphore.h>
#include <setjmp.h>

#include <cmocka.h>

#include "disk/disk.h"
#include "nvme/target.h"
#include "rt/iobuf.h"
#include "rt/reactor.h"
#include "transport/tcp.h"
#include "wire/rx.h"

#define RIG_PASSES  20000
#define RIG_BLOCK   4096u
#define RIG_BLOCKS  4096u
#define RIG_SUBNQN  "nqn.2024-01.io.litepool:test"
#define RIG_HOSTNQN "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000001"

struct rig_opts {
	struct tcp_transport_opts tcp;
	struct iobuf_counts bufs;
	bool threads;  /* the reactors run in threads of their own */
	uint16_t port; /* not 0: a successor, which serves nothing yet; it takes listen_fd */
	int listen_fd;
};
struct rig_opts rig_opts_default(void);
struct client;

struct rig {
	struct rig_opts opts;
	bool threads;
	int wait_fd; /* threads: of the client that waits */
	sem_t done;
	struct reactor *data, *control;
	struct iobuf_arena *arena;
	struct nvme_target *target;
	struct tcp_transport *transport;
	struct tcp_listener *listener;
	struct nvme_subsystem *ss;
	struct blk_dev *ram, *slow, *fault; /* namespace 1: ram; 2: fault over slow */
	uint16_t port;
};

struct rig *rig_new(const struct rig_opts *opts);
/* Everything is taken down in order; no buffer may be in use after it. */
void rig_free(struct rig *rig);
void rig_pump(struct rig *rig);
/* On the control reactor, to its end. */
void rig_call(struct rig *rig, void (*fn)(struct rig *rig));
/* What a call of the target is given as done (ctx: the rig), and the wait until it ran once more. */
void rig_done(void *ctx, int res);
void rig_wait(struct rig *rig);
uint64_t rig_stat(struct rig *rig, const char *name); /* sum over the reactors */
uint32_t rig_bufs_in_use(struct rig *rig);
unsigned rig_conns(struct rig *rig); /* accepted and not gone */

/*
 * rig_handover.c, without threads. A hand-over to another engine as in a hot upgrade, while nothing is pumped for the clients. Everything goes along but what is on the RAM disks: those
 * of the other are empty. Taken: returns the new one, which serves the clients (they are told), and frees the old. In vain: the new one is discarded, the old goes on.
 */
void rig_take_listener(struct rig *rig); /* of a successor, when its transport is made */
struct rig *rig_hand_over(struct rig *rig, struct client *const clients[], unsigned n);
void rig_hand_over_in_vain(struct rig *rig);

/* A client: one connection. */
struct client {
	struct rig *rig;
	int fd;
	struct wire_rx rx;
	struct pdu_format fmt;
	uint32_t maxh2cdata;
	uint16_t cntlid;
	bool eof;
	uint8_t header[PDU_HEADER_MAX]; /* of the last PDU */
	uint8_t *payload;
	uint32_t payload_len;
	bool digest_ok;
};

struct client *client_new(struct rig *rig);
void client_free(struct client *c);
/* ICReq and ICResp. */
void client_ic(struct client *c, uint8_t dgst, uint8_t hpda);
/* Connect of the queue; asserts success. cntlid: of the admin queue's answer, or FFFFh. */
void client_connect(struct client *c, uint16_t qid, uint16_t sqsize, bool sqfc, uint16_t cntlid);
/* Sends the Connect and waits for nothing. */
void client_connect_begin(struct client *c, uint16_t qid, uint16_t sqsize, bool sqfc,
			  uint16_t cntlid);
/* CC.EN = 1. */
void client_enable(struct client *c);
/* An admin queue, enabled, and an I/O queue of the same controller. */
void client_pair(struct rig *rig, uint8_t dgst, uint16_t sqsize, bool sqfc,
		 struct client **ret_admin, struct client **ret_io);

void client_send(struct client *c, const void *bytes, size_t len);
/* data in the capsule if in_capsule_len, else the SGL offers sgl_len. */
void client_command(struct client *c, const struct nvme_sqe *sqe, const void *data, uint32_t len);
void client_h2c(struct client *c, const struct pdu_data_fields *f, const void *data);
struct nvme_sqe client_rw(bool write, uint16_t cid, uint64_t lba, uint32_t blocks, bool in_capsule);

/* All that was sent lies in the target's socket: congestion control may have held some of it back for a moment. */
void client_sent_all(struct client *c);
/* Type of the next PDU, which is in header and payload; -1: the connection ended. Fails the test when neither comes. */
int client_next(struct client *c);
/* Whether nothing comes for some passes. */
void client_expect_quiet(struct client *c);
/* The next PDU is the answer to cid; returns its status. */
uint16_t client_answer(struct client *c, uint16_t cid);
void client_expect_term(struct client *c, uint16_t fes, uint32_t fei);
void client_expect_eof(struct client *c);

#endif
