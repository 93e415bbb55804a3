/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of an object (volume or snapshot): what it is called, its identity towards hosts, how it is
 * exported. One blob of TLVs, stored in chunks. Its size is not here but in its layer, because a snapshot
 * keeps the size of its moment and a resize is one record. Pure; any thread. FORMAT.md §7.
 *
 * A tag without PROPS_OPTIONAL that is unknown makes the object unusable for this program (-EOPNOTSUPP);
 * an unknown optional one is kept byte for byte and written again.
 */
#ifndef LITEPOOL_LAYOUT_PROPS_H
#define LITEPOOL_LAYOUT_PROPS_H

#include "layout/layout.h"
#include "layout/record.h"

#define PROPS_EXPORTS_MAX     4u
#define PROPS_HOSTS_MAX       64u  /* over all exports of the object */
#define PROPS_LISTENERS_MAX   16u  /* likewise */
#define PROPS_REGISTRANTS_MAX 128u /* of each export's reservation */
#define PROPS_LABELS_MAX      32u
#define PROPS_UNKNOWN_MAX     1024u
#define PROPS_NQN_MAX         223u
#define PROPS_SERIAL_MAX      20u
#define PROPS_ADDR_MAX        63u
#define PROPS_PORT_MAX        15u
#define PROPS_KEY_MAX         317u /* prefix of 253, slash, name of 63 */
#define PROPS_VALUE_MAX       255u
#define PROPS_NO_HOLDER       UINT32_MAX

#define PROPS_OPTIONAL        0x8000u
enum props_tag {
	PROPS_NAME = 1,
	PROPS_UUID = 2,
	PROPS_FLAGS = 3,
	PROPS_BLOCK_SIZE = 4,
	PROPS_NGUID = 5,
	PROPS_EUI64 = 6,
	PROPS_SERIAL = 7,
	PROPS_EXPORT = 8,
	PROPS_HOST = 9,
	PROPS_LISTENER = 10,
	PROPS_RESERVATION = 11,
	PROPS_CREATED = PROPS_OPTIONAL | 1,
	PROPS_QOS = PROPS_OPTIONAL | 2,
	PROPS_LABEL = PROPS_OPTIONAL | 3,
	PROPS_SNAPSHOT_OF = PROPS_OPTIONAL | 4,
};

enum {
	PROPS_F_THICK = 1, /* all of its space is reserved; without: thin */
	PROPS_F_READ_ONLY = 2,
	PROPS_F_FORMATTED = 4, /* somebody made a file system on it */
};
#define PROPS_F_ALL 7u

enum { PROPS_EXPORT_ANY_HOST = 1 };

struct props_qos { /* per second; 0: no limit */
	uint64_t rw_ios, r_ios, w_ios;
	uint64_t rw_bytes, r_bytes, w_bytes;
};

struct props_registrant {
	uint8_t hostid[16];
	uint64_t key;
};

struct props_reservation { /* only what persists through power loss; none: registrants 0 */
	uint8_t type;      /* NVMe's RTYPE 0..6, 0: none held */
	uint32_t holder;   /* index; PROPS_NO_HOLDER without, and with types 5 and 6 */
	uint32_t generation;
	unsigned n;
	struct props_registrant reg[PROPS_REGISTRANTS_MAX];
};

struct props_export {
	char nqn[PROPS_NQN_MAX + 1]; /* of the subsystem */
	uint32_t nsid;               /* not 0, not ~0 */
	uint32_t anagrpid;           /* not 0 */
	uint32_t flags;
	bool has_reservation;
	struct props_reservation reservation;
};

struct props_host {
	uint8_t export_no;
	char nqn[PROPS_NQN_MAX + 1];
};

struct props_listener {
	uint8_t export_no;
	uint8_t ana;    /* NVMe's ANA state, 1..4 */
	uint8_t trtype; /* NVMe's TRTYPE: 3 is TCP */
	uint8_t adrfam; /* NVMe's ADRFAM: 1 is IPv4, 2 is IPv6 */
	char traddr[PROPS_ADDR_MAX + 1], trsvcid[PROPS_PORT_MAX + 1];
};

struct props_label { /* UTF-8 is not checked; no NUL */
	char key[PROPS_KEY_MAX + 1], value[PROPS_VALUE_MAX + 1];
};

struct props { /* about 50 KiB: not for the stack */
	char name[LAYOUT_NAME_MAX + 1];
	struct uuid uuid;
	struct uuid
		snapshot_of; /* of a snapshot: the volume whose it is, which may be gone; null: not said */
	uint8_t nguid[16], eui64[8];
	char serial[PROPS_SERIAL_MAX + 1]; /* "": none */
	uint32_t flags;
	uint32_t block_size; /* 512 or 4096 */
	uint64_t created_s;
	struct props_qos qos;
	unsigned n_exports, n_hosts, n_listeners, n_labels;
	struct props_export export[PROPS_EXPORTS_MAX];
	struct props_host host[PROPS_HOSTS_MAX];
	struct props_listener listener[PROPS_LISTENERS_MAX];
	struct props_label label[PROPS_LABELS_MAX];
	uint32_t unknown_len;
	uint8_t unknown[PROPS_UNKNOWN_MAX]; /* whole TLVs */
};

/* The rules of every field, as decoding applies them: for what a user asks for. -EINVAL with err. */
int props_check(const struct props *p, struct err *err);
/* Bytes written to out, which has PROPS_BLOB_MAX: enough for whatever props_check() allows. p must pass it (ASSERT). */
uint32_t props_encode(const struct props *p, uint8_t *out);
/* 0; -EUCLEAN: impossible; -EOPNOTSUPP: a tag that is unknown and may not be ignored. ret is undefined after an error. */
int props_decode(const uint8_t *in, uint32_t len, struct props *ret, struct err *err);
/* After -EOPNOTSUPP: only name, UUID, flags, block size and whose snapshot it is, so that what a newer program made is seen. -EUCLEAN: not even those. */
int props_decode_identity(const uint8_t *in, uint32_t len, struct props *ret, struct err *err);
/* Cuts chunk index out of a blob; false: there is none. */
bool props_cut(const uint8_t *blob, uint32_t len, uint64_t revision, uint32_t index,
	       struct props_chunk *ret);

#endif
