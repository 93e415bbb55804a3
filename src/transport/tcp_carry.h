/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of connections, 0x1200 .. 0x12ff, as src/handover/FORMAT.md describes them. Numbers are for ever.
 */
#ifndef LITEPOOL_TRANSPORT_TCP_CARRY_H
#define LITEPOOL_TRANSPORT_TCP_CARRY_H

#include "transport/tcp_priv.h"

enum tcp_carry_type {
	TCP_CARRY_CONN = 0x1200, /* M: nest, each */
	TCP_CARRY_SOCKET = 0x1201,
	TCP_CARRY_STATE = 0x1202,
	TCP_CARRY_FLAGS = 0x1203,
	TCP_CARRY_PDA = 0x1204,
	TCP_CARRY_PORT = 0x1205,
	TCP_CARRY_RX = 0x1206,
	TCP_CARRY_RX_COMMAND = 0x1207,
	TCP_CARRY_UNPARSED = 0x1208,
	TCP_CARRY_UNSENT = 0x1209,
	TCP_CARRY_TIME_LEFT = 0x120a,
	TCP_CARRY_PEER = 0x120b,
	TCP_CARRY_LOCAL = 0x120c,
	TCP_CARRY_COMMAND = 0x1210, /* M: nest, each */
	TCP_CARRY_COMMAND_HEAD = 0x1211,
	TCP_CARRY_COMMAND_DATA = 0x1212,
	TCP_CARRY_COUNTERS = 0x1220, /* of the part's reactor: tcp_stat[], 64 bits each */
};

enum tcp_carry_state { /* as carried: the numbers are for ever */
		       TCP_CARRY_ICREQ = 0,
		       TCP_CARRY_CONNECT = 1,
		       TCP_CARRY_READY = 2,
		       TCP_CARRY_FLUSH = 3,
};

enum tcp_carry_flag {
	TCP_CARRY_HDGST = 1,
	TCP_CARRY_DDGST = 2,
	TCP_CARRY_NEGOTIATED = 4,
	TCP_CARRY_LINGER = 8,
	TCP_CARRY_CONNECT_OK =
		16, /* a Connect succeeded; its answer is not sent, or the queue not moved yet */
	TCP_CARRY_CLOSES = 32, /* Disconnect was answered: closed when all is sent */
};
#define TCP_CARRY_FLAGS_ALL 63u

enum tcp_carry_kind {
	TCP_CARRY_NEW = 0,     /* to be begun, with all of its data, if it has any */
	TCP_CARRY_CAPSULE = 1, /* the data of its capsule is arriving */
	TCP_CARRY_R2T = 2,     /* an R2T was sent */
};

enum tcp_carry_command_flag {
	TCP_CARRY_IN_CAPSULE = 1,
	TCP_CARRY_SGL_BAD = 2,
	TCP_CARRY_ADMITTED = 4,
	TCP_CARRY_DIGEST_BAD = 8,
	TCP_CARRY_ANSWER_DUE = 16,
	TCP_CARRY_PAIRED = 32,
};
#define TCP_CARRY_COMMAND_FLAGS_ALL 63u

/*
 * COMMAND_HEAD: sqe 64 bytes | xfer_len:32 flags:32 | kind:16 sgl_status:16 status:16 ttag:16 | data_len:32 toff:32 | age:32 slot:16 zero:16.
 * age: commands that came after it on its connection, and 1.
 */
#define TCP_CARRY_HEAD_BYTES 96u

struct tcp_carry_head {
	struct nvme_sqe sqe;
	uint32_t xfer_len, flags, data_len, toff, age;
	uint16_t kind, sgl_status, status, ttag, slot;
};

/* tcp_save.c: the reactors in the order of the parts, the control reactor's first. How many. */
unsigned tcp_parts_order(struct tcp_transport *t, struct tcp_reactor *ret[REACTORS_MAX + 1]);
/* tcp_restore_req.c: the commands of a connection, on its reactor. */
int tcp_restore_commands(struct tcp_conn *c, struct err *err);
/* tcp_serve.c: on its reactor. */
void tcp_conn_serve(struct tcp_conn *c);
/* Instead: gives back the commands that would have begun. */
void tcp_conn_unrestore(struct tcp_conn *c);

#endif
