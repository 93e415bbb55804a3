/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two documents of a hand-over and the bags of descriptors around them.
 *
 *   plan    (bag 0): JSON. What the successor carries out while the old engine serves.
 *             fds: 0 the plan, 1 the RPC socket, 2 the lock of the state directory, 3 the hand-over socket, then listeners, then disks
 *   state   (bag 1): a TLV blob. What only the stop can tell.
 *             fds: 0 the blob, 1 a memory file with the parts of the reactors, then RPC clients, then the parts' own
 */
#ifndef LITEPOOL_ENGINE_HANDOVER_DOC_H
#define LITEPOOL_ENGINE_HANDOVER_DOC_H

#include "base/tlv.h"
#include "engine/handover.h"

enum { PLAN_FD_DOCUMENT, PLAN_FD_RPC, PLAN_FD_LOCK, PLAN_FD_HANDOVER, PLAN_FD_MORE };
enum { STATE_FD_DOCUMENT, STATE_FD_PARTS, STATE_FD_MORE };

#define PLAN_FORMAT 1

/* Records of the state; src/handover/FORMAT.md. */
#define STATE_TLV_ENGINE 0x0100 /* mandatory: JSON: pools, report, notifications */
#define STATE_TLV_PART   0x0101 /* mandatory: a nest: */
#define STATE_TLV_OFFSET 0x0102
#define STATE_TLV_LENGTH 0x0103
#define STATE_TLV_FD     0x0104 /* its first descriptor, index into the bag */
#define STATE_TLV_FDS    0x0105
/* Optional, in store_handover.h: 0x0106 to 0x0108. */

/* Mandatory types of all that a state may hold: what is written, and what is known. */
size_t handover_state_types(uint16_t *ret, size_t max);

/* Old side: fill old.fds, n_fds, own_fds (the first ones, to be closed), document_bytes. */
int handover_doc_plan(struct engine *e, struct err *err);
int handover_doc_state(struct engine *e, struct err *err);

/* Sends them, as far as the peer takes them, then the last message of that bag. 0: all is out; -EAGAIN: again in a moment; else it is gone. */
int handover_doc_send(struct engine *e, unsigned bag, enum handover_type type);
/* They are sent, or never will be. */
void handover_doc_drop(struct handover_old *o);

/* New side. */
int handover_doc_plan_read(struct engine *e, struct handover_bag *bag, uint64_t bytes,
			   struct err *err);
int handover_doc_state_read(struct engine *e, struct handover_bag *bag, uint64_t bytes,
			    struct err *err);

#endif
