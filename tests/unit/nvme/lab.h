/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control side of nvme/ as a host meets it: a real target on real reactors (one control, two data), passed by hand in one thread
 * over a clock that the test sets, and a transport that has no network: a connection is a list of commands. An I/O queue moves to the
 * reactor that Connect chose, as the real transport does it.
 */
#ifndef LITEPOOL_TESTS_NVME_LAB_H
#define LITEPOOL_TESTS_NVME_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nvme/model.h"
#include "nvme/spec_identify.h"
#include "nvme/spec_log.h"

#define LAB_DATA       2
#define LAB_NQN        "nqn.2025-01.io.litepool:vol1"
#define LAB_HOST       "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"
#define LAB_OTHER_HOST "nqn.2014-08.org.nvmexpress:uuid:99999999-2222-3333-4444-555555555555"
#define LAB_DNR(sc)    ((sc) | NVME_STATUS_DNR)
#define LAB_DATA_MAX   65536

struct lab_dev { /* a disk that keeps nothing; I/O is held while hold is set */
	struct blk_dev dev;
	bool hold;
	struct blk_io *held[64];
	unsigned n_held, n_flushes;
};

struct lab {
	uint64_t now_ns;
	uint64_t wall_behind_ns;               /* the wall clock was set back by so much */
	struct reactor *reactor[LAB_DATA + 1]; /* the last is control */
	struct iobuf_arena *arena;
	struct nvme_target *t;
	struct nvme_port *port;
	struct nvme_subsystem *ss;
	struct lab_dev *dev; /* under namespace 1 */
	unsigned n_conns;    /* not gone yet */
	/* set: lab_pump() makes only a few passes, of reactors chosen at random */
	struct rng *ragged;
};

struct conn {
	struct nvme_qpair qp;
	struct lab *lab;
	struct list cmds; /* started, not released */
	bool connecting;  /* one command is under way before Connect has succeeded */
	bool closing, disconnected, gone;
	struct msg msg;
};

struct cmd {
	struct nvme_req req;
	struct conn *conn;
	struct msg msg, msg_fetch;
	bool posted; /* on its way to the target */
	unsigned done;
	uint16_t status;
	uint32_t dw0, dw1;
	uint16_t sqhd, sqid;
	uint8_t data[LAB_DATA_MAX] __attribute__((aligned(16)));
};

struct lab *lab_new(void);
/* Everything is stopped and freed; no connection is left. */
void lab_free(struct lab *lab);
void lab_pump(struct lab *lab);
void lab_advance(struct lab *lab, uint64_t ms);
struct lab_dev *lab_dev_new(const char *name, uint32_t block_size, uint64_t size);
void lab_dev_release(struct lab_dev *d); /* lets held I/O go, with success */
void lab_add_ns(struct lab *lab, struct nvme_subsystem *ss, struct lab_dev *d, uint32_t nsid);
struct nvme_subsystem *lab_subsystem(struct lab *lab, const char *nqn, bool any_host);
void lab_done(void *ctx, int res); /* counts in *(unsigned *)ctx */

struct conn *conn_new(struct lab *lab);
void conn_drop(struct conn *conn); /* the host is gone; pumps */
void conn_free(struct conn *conn); /* after gone */

struct cmd *cmd_new(struct conn *conn, uint8_t opcode);
void cmd_cdw(struct cmd *cmd, uint32_t cdw10, uint32_t cdw11, uint32_t cdw12, uint32_t cdw13);
void cmd_start(struct cmd *cmd); /* and pumps */
void cmd_free(struct cmd *cmd);
/* Starts it unless its connection is closing; never pumps. */
void cmd_post(struct cmd *cmd);

/* Connect with everything right; the test spoils it before connect_go(). */
struct cmd *connect_new(struct conn *conn, uint16_t qid, uint16_t cntlid);
struct nvme_connect_cmd *connect_cmd(struct cmd *cmd);
struct nvme_connect_data *connect_data(struct cmd *cmd);
/* Runs cmd and frees it: its status, dw0 in *ret_dw0 (may be NULL). */
uint16_t cmd_finish(struct cmd *cmd, uint32_t *ret_dw0);

uint16_t prop_get(struct conn *conn, uint32_t offset, unsigned size, uint64_t *ret);
uint16_t prop_set(struct conn *conn, uint32_t offset, unsigned size, uint64_t value);
#define LAB_CC_ENABLE (NVME_CC_EN | 6u << 16 | 4u << 20)

/* An admin connection that is connected and enabled. kato in ms. */
struct conn *host_connect(struct lab *lab, const char *nqn, const char *hostnqn, uint32_t kato_ms);
struct conn *host_add_queue(struct conn *admin, uint16_t qid);

struct cmd *identify(struct conn *conn, uint8_t cns, uint32_t nsid, uint32_t cdw11);
struct cmd *get_log(struct conn *conn, uint8_t lid, uint32_t bytes, uint64_t offset,
		    uint32_t cdw10_more);
uint16_t set_feature(struct conn *conn, uint8_t fid, uint32_t value, uint32_t *ret_dw0);
uint16_t get_feature(struct conn *conn, uint8_t fid, unsigned sel, uint32_t *ret_dw0);
struct cmd *aer_start(struct conn *conn);

#endif
