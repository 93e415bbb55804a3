/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of reservations (Base 8.19) as a pure function of state and command: no clock, no I/O, no objects. reservation.c feeds it and
 * carries out what it says.
 */
#ifndef LITEPOOL_NVME_RESV_H
#define LITEPOOL_NVME_RESV_H

#include "nvme/model.h"

enum resv_action { /* opcode and its action field */
		   RESV_REGISTER,
		   RESV_UNREGISTER,
		   RESV_REPLACE,
		   RESV_ACQUIRE,
		   RESV_PREEMPT, /* and Preempt and Abort, which ends what waits, too: resv_abort.c */
		   RESV_RELEASE,
		   RESV_CLEAR,
};

enum resv_note { /* Reservation Notification log page types */
		 RESV_NOTE_NONE,
		 RESV_NOTE_REGISTRATION_PREEMPTED,
		 RESV_NOTE_RELEASED,
		 RESV_NOTE_PREEMPTED,
};

enum resv_cptpl { RESV_CPTPL_KEEP = 0, RESV_CPTPL_CLEAR = 2, RESV_CPTPL_SET = 3 };

struct resv_cmd {
	enum resv_action action;
	bool ignore_key; /* IEKEY */
	uint8_t type;    /* RTYPE */
	enum resv_cptpl cptpl;
	uint64_t key, other_key; /* CRKEY; NRKEY or PRKEY */
	uint8_t hostid[16];
};

/* Changes *r as the command says and fills notes (hosts to be told); or returns a status and *r is as before. */
uint16_t resv_apply(struct resv *r, const struct resv_cmd *cmd, struct resv_notes *notes);
/*
 * resv_abort.c: ends what waits of the hosts whose registrations ns->resv_notes says were preempted, then done(ns, 0), perhaps inside the
 * call. Control thread.
 */
void resv_abort_preempted(struct nvme_ns *ns, nvme_done_fn done);
/* Index of the registrant, -1: none. */
int resv_find(const struct resv *r, const uint8_t hostid[16]);
/* Whether registrant i holds the reservation. */
bool resv_holds(const struct resv *r, int i);

#endif
