/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of property TLVs, for props_encode.c and props_decode.c alone. */
#ifndef LITEPOOL_LAYOUT_PROPS_FORMAT_H
#define LITEPOOL_LAYOUT_PROPS_FORMAT_H

#include "layout/props.h"

struct tlv_format { /* values are padded with zeros to a multiple of 4 */
	le16 tag, len;
} __attribute__((packed));
static_assert(sizeof(struct tlv_format) == 4, "TLV head");
#define TLV_ALIGN 4u

struct qos_format {
	le64 rw_ios, r_ios, w_ios, rw_bytes, r_bytes, w_bytes;
} __attribute__((packed));
static_assert(sizeof(struct qos_format) == 48, "QOS");

struct export_format {
	le32 nsid, anagrpid, flags;
	/* NQN */
} __attribute__((packed));
static_assert(sizeof(struct export_format) == 12, "EXPORT");

struct host_format {
	uint8_t export_no;
	/* NQN */
} __attribute__((packed));
static_assert(sizeof(struct host_format) == 1, "HOST");

struct listener_format {
	uint8_t export_no, ana, trtype, adrfam, traddr_len;
	/* traddr, trsvcid */
} __attribute__((packed));
static_assert(sizeof(struct listener_format) == 5, "LISTENER");

struct reservation_format {
	uint8_t export_no, type;
	le16 n;
	le32 holder, generation;
	/* n registrants */
} __attribute__((packed));
static_assert(sizeof(struct reservation_format) == 12, "RESERVATION");

struct registrant_format {
	uint8_t hostid[16];
	le64 key;
} __attribute__((packed));
static_assert(sizeof(struct registrant_format) == 24, "registrant");

struct label_format {
	le16 key_len;
	/* key, value */
} __attribute__((packed));
static_assert(sizeof(struct label_format) == 2, "LABEL");

/* Upper bound of the whole, term by term: fixed fields, then what repeats. */
static_assert(256 + PROPS_EXPORTS_MAX * (4 + 12 + 224) + PROPS_HOSTS_MAX * (4 + 224) +
			      PROPS_LISTENERS_MAX * (4 + 5 + 64 + 16) +
			      PROPS_EXPORTS_MAX * (4 + 12 + 24 * PROPS_REGISTRANTS_MAX) +
			      PROPS_LABELS_MAX * (4 + 2 + 320 + 256) + PROPS_UNKNOWN_MAX <=
		      PROPS_BLOB_MAX,
	      "what is allowed fits");

#endif
