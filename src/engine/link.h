/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's connection to its supervisor (--supervisor PATH): a beat every second, which says how long each reactor has not come round, and the starting of successors.
 * A supervisor that is gone is looked for every second. Control thread; without the option nothing of this runs.
 */
#ifndef LITEPOOL_ENGINE_LINK_H
#define LITEPOOL_ENGINE_LINK_H

#include "engine/handover.h"
#include "rt/reactor.h"

struct engine_pulse { /* of one reactor */
	struct msg msg;
	struct engine_link *link;
	struct reactor *r;
	bool under_way;       /* control thread's: posted, and not seen to have come round */
	uint64_t since_ns;    /* ... and when it was posted */
	_Atomic uint64_t tid; /* of its thread; written by it */
	_Atomic bool
		round; /* it has come round; written by its thread, taken by the control thread */
};

struct engine_link {
	struct engine *e;
	struct handover_wire wire;
	struct timer timer;
	bool wanted;
	struct engine_pulse pulse[REACTORS_MAX];
	unsigned n_pulses;
	unsigned starts;   /* asked for and not answered yet; all but the last have been given up */
	unsigned restarts; /* as the supervisor says */
	char last_end[256];
};

/* The engine serves from now on. */
void engine_link_open(struct engine *e);
void engine_link_close(struct engine *e);
/* Asks for a successor: 0, or -ENOTCONN. */
int engine_link_start(struct engine *e, const char *binary);
/* The successor is not wanted any more. */
void engine_link_stop(struct engine *e);

#endif
