/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller model hands to its successor in a hot upgrade: controllers, queue pairs, reservations, debts of rate limits, and how a command that stands still is to
 * be begun on the other side. The records are described in src/handover/FORMAT.md. Everything that is read is another process's word: it is checked, and refused with the reason.
 *
 *   old: all is frozen (freeze.h)                 new: subsystems, namespaces, hosts and listeners exist
 *   nvme_target_number(), nvme_target_save() ->   nvme_carry_new(); for each record: nvme_carry_restore()
 *   nvme_qpair_save() for each connection    ->   nvme_carry_qpair() for each connection
 *                                                 nvme_carry_check(): whether the whole makes sense
 *                                                 nvme_carry_serve(): timers run, views are published
 *                                                 nvme_carry_free()
 *
 * Control thread, except where a request's reactor is named.
 */
#ifndef LITEPOOL_NVME_CARRY_H
#define LITEPOOL_NVME_CARRY_H

#include "base/tlv.h"
#include "nvme/qpair.h"

/* Numbers of records are for ever. 0x1100 .. 0x11ff are this folder's. M: mandatory. */
enum nvme_carry_type {
	NVME_CARRY_TARGET = 0x1100, /* M: nest, once, the first */
	NVME_CARRY_DISCOVERY_GEN = 0x1101,
	NVME_CARRY_PORT = 0x1102, /* M: nest, each */
	NVME_CARRY_PORT_INDEX = 0x1103,
	NVME_CARRY_TRTYPE = 0x1104,
	NVME_CARRY_ADRFAM = 0x1105,
	NVME_CARRY_TRADDR = 0x1106,
	NVME_CARRY_TRSVCID = 0x1107,
	NVME_CARRY_SUBSYSTEM =
		0x1110, /* M: nest, each; queue pairs name them by position, from 0 */
	NVME_CARRY_NQN = 0x1111,
	NVME_CARRY_NEXT_CNTLID = 0x1112,
	NVME_CARRY_ANA_CHANGES = 0x1113,
	NVME_CARRY_LISTENER = 0x1114, /* nest, each */
	NVME_CARRY_CHANGES = 0x1115,
	NVME_CARRY_ANA_STATES = 0x1116,
	NVME_CARRY_NS = 0x1120, /* M: nest, each */
	NVME_CARRY_NSID = 0x1121,
	NVME_CARRY_UUID = 0x1122,
	NVME_CARRY_RESV = 0x1123, /* M: nest, when there is a registrant or a generation */
	NVME_CARRY_RESV_TYPE = 0x1124,
	NVME_CARRY_RESV_HOLDER = 0x1125,
	NVME_CARRY_RESV_GENERATION = 0x1126,
	NVME_CARRY_RESV_PTPL = 0x1127,
	NVME_CARRY_RESV_REGISTRANTS = 0x1128,
	NVME_CARRY_QOS_DEBT = 0x1129,
	NVME_CARRY_NS_COUNTERS = 0x112a,
	NVME_CARRY_CTRLR = 0x1140, /* M: nest, each */
	NVME_CARRY_CNTLID = 0x1141,
	NVME_CARRY_HOSTID = 0x1142,
	NVME_CARRY_HOSTNQN = 0x1143,
	NVME_CARRY_CTRLR_STATE = 0x1144,
	NVME_CARRY_CC = 0x1145,
	NVME_CARRY_CSTS = 0x1146,
	NVME_CARRY_KATO_MS = 0x1147,
	NVME_CARRY_AEN_CONFIG = 0x1148,
	NVME_CARRY_AEN_PENDING = 0x1149,
	NVME_CARRY_AEN_MASKED = 0x114a,
	NVME_CARRY_CHANGED_NS = 0x114b,
	NVME_CARRY_CHANGED_NS_OVERFLOW = 0x114c, /* of older engines, ignored */
	NVME_CARRY_FEAT_ARBITRATION = 0x114d,
	NVME_CARRY_FEAT_TEMPERATURE = 0x114e,
	NVME_CARRY_FEAT_ERROR_RECOVERY = 0x114f,
	NVME_CARRY_FEAT_WRITE_ATOMICITY = 0x1150,
	NVME_CARRY_RESV_MASK = 0x1151,
	NVME_CARRY_RESV_LOG_COUNT = 0x1152,
	NVME_CARRY_RESV_LOG = 0x1153,
	NVME_CARRY_HOST_BEHAVIOR = 0x1154,
	NVME_CARRY_N_IOQ = 0x1155,
	NVME_CARRY_CONNECTED = 0x1156,
	NVME_CARRY_ERROR_COUNT = 0x1157,
	NVME_CARRY_ERRORS = 0x1158,
	/* In the document of counters, not in the state: */
	NVME_CARRY_LATENCY = 0x1170,      /* nest: NQN, NSID, */
	NVME_CARRY_READ_LATENCY = 0x1171, /* as of hist_pack() */
	NVME_CARRY_WRITE_LATENCY = 0x1172,
	NVME_CARRY_QUEUE = 0x1180, /* M: in a connection's nest */
};

/* Types that are written as mandatory, and known. */
extern const uint16_t nvme_carry_mandatory[];
extern const size_t nvme_carry_mandatory_n;

/* --- old --- */

/* Before anything is saved: subsystems get the numbers by which queue pairs name them. */
void nvme_target_number(struct nvme_target *t);
/* The TARGET record. Allocates nothing. */
void nvme_target_save(struct nvme_target *t, struct tlv_writer *w);
/* More than it will take as things stand, in bytes. */
size_t nvme_target_save_size(struct nvme_target *t);
/*
 * carry_stats.c: histograms of latency, which go along when hosts are served again: one LATENCY record for each namespace that has some, and what becomes of it here. A namespace that
 * is not there (it was removed meanwhile) is left out. Control thread. -EBADMSG, -EOPNOTSUPP.
 */
void nvme_target_save_latency(const struct nvme_target *t, struct tlv_writer *w);
int nvme_target_restore_latency(struct nvme_target *t, const struct tlv *rec, struct err *err);
/* Memory that the controllers take in the engine that they come to, about, in bytes. */
size_t nvme_target_heap_size(struct nvme_target *t);
/* The QUEUE record of a queue pair that has a controller. Any thread: all is frozen. */
void nvme_qpair_save(const struct nvme_qpair *qp, struct tlv_writer *w);
/* A port's number in the PORT records. */
uint32_t nvme_port_number(const struct nvme_port *port);

/* A request that stands still. Whether its data is on the way (an R2T was sent) is known to the transport. */
struct nvme_req_carry {
	bool paired; /* half of a fused pair, data of one of which is on the way: both go on together */
	bool admitted; /* its tokens are paid */
	uint32_t
		data_len; /* bytes of data that it wants; valid when data is on the way, or paired */
	uint32_t have;    /* bytes that came, all of its data; 0: not all */
	const void *data; /* where they are, or come to; NULL: no buffer */
};
/* req was given to nvme and is not DONE. Its reactor, still. */
void nvme_req_save(struct nvme_req *req, struct nvme_req_carry *ret);

/* req is answered; its release will close the queue (Disconnect). */
bool nvme_req_ends_queue(const struct nvme_req *req);

/* --- new --- */

struct nvme_carry;
struct nvme_carry *nvme_carry_new(struct nvme_target *t); /* NULL: no memory */
/* Frees; references to ports go. What was restored stays, unless nvme_carry_forget() came before. */
void nvme_carry_free(struct nvme_carry *carry);
/* The TARGET record. 0, -EBADMSG, -EOPNOTSUPP, -ENOENT (something that the configuration should have made is missing), -ENOMEM, with err. */
int nvme_carry_restore(struct nvme_carry *carry, const struct tlv *rec, struct err *err);
/* The port of that number, borrowed; NULL: there is none. */
struct nvme_port *nvme_carry_port(struct nvme_carry *carry, uint32_t number);
/*
 * Gives qp (nvme_qpair_init() came before) its place in its controller, from a QUEUE record. home: for an I/O queue the reactor that it is to live on; NULL: the least loaded;
 * stays_here: its Connect is not answered yet, so it lives on the control reactor for now.
 */
int nvme_carry_qpair(struct nvme_carry *carry, struct nvme_qpair *qp, const struct tlv *rec,
		     struct reactor *home, struct err *err);
/* After all queue pairs: every controller has what it must. */
int nvme_carry_check(struct nvme_carry *carry, struct err *err);
void nvme_carry_serve(struct nvme_carry *carry);
/* Instead of serving, before the queue pairs end: their ends lead to nothing, no disk is flushed. */
void nvme_carry_disarm(struct nvme_carry *carry);
/* ... after every queue pair is gone: controllers that never had one. */
void nvme_carry_forget(struct nvme_carry *carry);

/* --- requests on the new side; their own reactor --- */

/* A whole first half of a pair, or a capsule, begins by nvme_req_start() with in_capsule set, in whatever buffer. These do not begin: */
/* R2T was sent: nvme_req_fetched() follows. buf holds data_len bytes. */
void nvme_req_restore_fetching(struct nvme_req *req, struct iobuf *buf, uint32_t data_len,
			       bool admitted);
/*
 * Both halves of a pair, one of which is fetching; lens in bytes, *_done: its data is in buf (the second's behind the first's, see nvme_pair_second_off()).
 */
struct nvme_pair_carry {
	struct iobuf *buf;
	uint32_t first_len, second_len;
	bool first_done, second_done, admitted;
};
void nvme_req_restore_pair(struct nvme_req *first, struct nvme_req *second,
			   const struct nvme_pair_carry *pair);
/* Where in the buffer of a pair the second half's data begins. */
uint32_t nvme_pair_second_off(uint32_t first_len);
/* Answered, but its host still sends data: DONE with that status. */
void nvme_req_restore_done(struct nvme_req *req, uint16_t status);

#endif
