/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of a hot upgrade say to each other: old engine and new engine, and each engine and its supervisor. Pure: a message is bytes of one packet.
 * FORMAT.md describes every record; a message of another version is understood by the rules of base/tlv.h.
 */
#ifndef LITEPOOL_HANDOVER_MESSAGE_H
#define LITEPOOL_HANDOVER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HANDOVER_MESSAGE_MAX 8192u /* bytes of a packet */
#define HANDOVER_TYPES_MAX   512u  /* mandatory types of records that an engine knows */
#define HANDOVER_BEATS_MAX   72u   /* threads that are watched */

enum handover_type {
	/* Between engines. */
	HANDOVER_HELLO = 1, /* new: who I am, what I know */
	HANDOVER_OFFER,     /* old: who I am; what will be handed over is being prepared */
	HANDOVER_FDS,       /* old: some descriptors of a bag come with this packet */
	HANDOVER_PREPARE,   /* old: bag 0 is complete, warm up */
	HANDOVER_WARMED,    /* new: ready for the state */
	HANDOVER_STATE,     /* old: stands still; bag 1 is complete */
	HANDOVER_READY,     /* new: everything is built and checked */
	HANDOVER_GO,        /* old: never touches anything again */
	HANDOVER_DONE,      /* new: serves */
	HANDOVER_REFUSE,    /* either: cannot; the old one goes on */
	/* Between an engine and its supervisor. */
	HANDOVER_LINK,    /* engine: who I am, right after it connected */
	HANDOVER_WELCOME, /* supervisor: the same, and how the last engine ended */
	HANDOVER_BEAT,    /* engine, every second: how long each thread has not come round */
	HANDOVER_START,   /* engine: start the successor from this binary */
	HANDOVER_STARTED, /* supervisor: its pid, or why not */
	HANDOVER_ENDED,   /* supervisor: the successor has ended */
	HANDOVER_STOP,    /* engine: end the successor */
	/* Between engines, since there are numbers above. */
	HANDOVER_STATS, /* old: bag 2 is complete: the counters that were asked for */
	HANDOVER_TYPE_END,
};
extern const char *const handover_type_name[HANDOVER_TYPE_END];

struct handover_beat {
	char name[16];
	uint32_t tid;
	uint32_t age_ms; /* since it last came round */
};

/* One message; which members mean something depends on type (FORMAT.md); the others are 0 or "". */
struct handover_message {
	enum handover_type type;
	char version[32]; /* of the program that sends */
	char state_dir[256];
	char path[256]; /* of a binary */
	char step[24];  /* where it went wrong */
	char text[512]; /* why */
	int32_t code;   /* negative errno; 0: well */
	uint32_t pid;
	uint32_t format; /* HANDOVER_FORMAT of the sender */
	bool dry_run, serving, wants_stats;
	uint32_t bag, bag_first,
		bag_total; /* FDS: these descriptors are bag_first ... of bag_total of that bag */
	uint64_t bytes;    /* of the document, descriptor 0 of the bag */
	uint64_t warm_ns, restore_ns, stop_at_ns, saved_at_ns, sent_at_ns, stop_cpu_ns;
	uint32_t restarts, conns, ctrlrs, bdevs, pools;
	uint16_t n_types, n_beats;
	uint16_t types[HANDOVER_TYPES_MAX];
	struct handover_beat beats[HANDOVER_BEATS_MAX];
};

#define HANDOVER_FORMAT 1u

/* Length of the packet in buf, or -ENOSPC. */
int handover_encode(const struct handover_message *msg, uint8_t *buf, size_t size);
/*
 * 0; -EBADMSG: not a message, or one without what its type needs; -EOPNOTSUPP: a type or a mandatory record that this version does not know. err (may be NULL) says which.
 */
int handover_decode(const uint8_t *buf, size_t len, struct handover_message *ret, struct err *err);

#endif
