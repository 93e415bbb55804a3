/* SPDX-License-Identifier: Apache-2.0 */
/* What saving and restoring share: tables of fields, and the bytes of packed values. */
#ifndef LITEPOOL_NVME_CARRY_PARTS_H
#define LITEPOOL_NVME_CARRY_PARTS_H

#include "nvme/carry.h"
#include "nvme/model.h"

struct carry_u32 { /* a field of struct nvme_ctrlr, as a record with an integer */
	uint16_t type;
	size_t offset;
	uint32_t max;
};
extern const struct carry_u32 nvme_carry_u32[];
extern const size_t nvme_carry_u32_n;

enum { CARRY_CTRLR_DELETING = 1, CARRY_CTRLR_RESETTING = 2, CARRY_CTRLR_SHUTTING_DOWN = 4 };

/* QUEUE: subsystem:32, cntlid:16, qid:16, entries:16, sqhd:16, flags:32 */
#define CARRY_QUEUE_BYTES    16u
#define CARRY_QUEUE_SQFC_OFF 1u
#define CARRY_QUEUE_CLOSING  2u
/* RESV_REGISTRANTS: hostid 16 bytes, key:64, each */
#define CARRY_REGISTRANT_BYTES 24u
/* RESV_LOG: count:64, nsid:32, type:32, each, the oldest first */
#define CARRY_RESV_LOG_BYTES 16u
/* ERRORS: count:64, lba:64, nsid:32, sqid:16, cid:16, status:16, zero:48, each, the oldest first */
#define CARRY_ERROR_BYTES 32u
/* QOS_DEBT: ns:64 for each of rw ios, r ios, w ios, rw bytes, r bytes, w bytes */
#define CARRY_QOS_BUCKETS 6u
#define CARRY_QOS_BYTES   ((size_t)8 * CARRY_QOS_BUCKETS)
/* NS_COUNTERS: reads, writes, others, read bytes, write bytes, errors, failed compares, media errors: 64 bits each */
#define CARRY_NS_COUNTERS 8u

/* --- restoring --- */

struct carried_subsystem {
	struct nvme_subsystem *ss;
	bool publish; /* what reactors know of it is old */
};

struct nvme_carry {
	struct nvme_target *target;
	struct nvme_port *ports[NVME_PORTS_MAX]; /* by number; each a reference */
	struct carried_subsystem *subsystems;
	uint32_t n_subsystems, cap_subsystems;
	struct list *next; /* of the target's subsystems: the one that comes next, most likely */
	struct nvme_ctrlr *last; /* of the queue before: the next one is most likely its, too */
};

/* Runs one() on each record of a nest, and stops at the first error. */
int carry_each(const struct tlv *nest,
	       int (*one)(void *ctx, const struct tlv *rec, struct err *err), void *ctx,
	       struct err *err);
int carry_get_port(struct nvme_carry *carry, const struct tlv *rec, struct nvme_port **ret,
		   struct err *err);
/* carry_ctrlr.c */
int carry_restore_ctrlr(struct nvme_carry *carry, struct nvme_subsystem *ss, const struct tlv *rec,
			struct err *err);

/* --- other files' part --- */

/* qos.c. In ns beyond now; 0: nothing is owed. */
void nvme_qos_debt(const struct nvme_qos *qos, uint64_t now_ns, uint64_t debt_ns[6]);
void nvme_qos_owe(struct nvme_qos *qos, uint64_t now_ns, const uint64_t debt_ns[6]);
/* keepalive.c: the timer of a controller that came, from now on. */
void nvme_keepalive_restart(struct nvme_ctrlr *c);
/* ctrlr.c: a controller that came; NULL without memory. */
struct nvme_ctrlr *nvme_ctrlr_alloc(struct nvme_subsystem *ss, struct nvme_port *port,
				    uint16_t cntlid);
/* Goes on with what the controller's state says was under way. */
void nvme_ctrlr_carry_on(struct nvme_ctrlr *c);
/* It never had a queue pair. */
void nvme_ctrlr_forget(struct nvme_ctrlr *c);

static inline size_t carry_changed_ns_bytes(const struct nvme_subsystem *ss)
{
	return ((size_t)(ss->nn + 31) / 32 + 1) * sizeof(uint32_t);
}

#endif
