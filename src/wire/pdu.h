/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDUs of the NVM Express TCP Transport Specification 1.0c: structures, flags, builders and
 * digests. Field names are the specification's. These structures are parsed and built, never kept
 * as state; they may lie at any address.
 *
 * A PDU is: header (HLEN bytes), header digest (4 bytes, if HDGSTF), padding up to PDO, data, data
 * digest (4 bytes, if DDGSTF). PLEN counts all of it. The header digest covers the header alone,
 * the data digest the data alone.
 */
#ifndef LITEPOOL_WIRE_PDU_H
#define LITEPOOL_WIRE_PDU_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "nvme/spec.h"

enum pdu_type {
	PDU_ICREQ = 0x00,
	PDU_ICRESP = 0x01,
	PDU_H2C_TERM = 0x02,
	PDU_C2H_TERM = 0x03,
	PDU_CAPSULE_CMD = 0x04,
	PDU_CAPSULE_RESP = 0x05,
	PDU_H2C_DATA = 0x06,
	PDU_C2H_DATA = 0x07,
	PDU_R2T = 0x09,
};

enum {
	PDU_F_HDGST = 0x01,
	PDU_F_DDGST = 0x02,
	PDU_F_LAST = 0x04,    /* H2CData, C2HData */
	PDU_F_SUCCESS = 0x08, /* C2HData: no CapsuleResp follows, the command succeeded */
};

/* Fatal Error Status of a TermReq. */
enum pdu_fes {
	PDU_FES_HEADER_FIELD = 0x01, /* FEI: offset of the field */
	PDU_FES_SEQUENCE = 0x02,
	PDU_FES_HEADER_DIGEST = 0x03, /* FEI: the digest received */
	PDU_FES_OUT_OF_RANGE = 0x04,
	PDU_FES_LIMIT_EXCEEDED = 0x05, /* H2CTermReq: R2T limit exceeded */
	PDU_FES_UNSUPPORTED = 0x06,    /* FEI: offset of the field */
};

#define PDU_DIGEST_LEN     4u
#define PDU_PDA_MAX        31u /* HPDA, CPDA: dwords, 0's based */
#define PDU_HEADER_MAX     128u
#define PDU_TERM_DATA_MAX  128u
#define PDU_MAXH2CDATA_MIN 4096u

#define PDU_PACKED         __attribute__((packed)) /* parsed in place: no alignment */

struct pdu_ch { /* common header */
	uint8_t pdu_type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	le32 plen;
} PDU_PACKED;
static_assert(sizeof(struct pdu_ch) == 8, "common header");

struct pdu_icreq {
	struct pdu_ch ch;
	le16 pfv;
	uint8_t hpda;
	uint8_t dgst; /* PDU_DGST_* */
	le32 maxr2t;  /* 0's based */
	uint8_t rsvd16[112];
} PDU_PACKED;
static_assert(sizeof(struct pdu_icreq) == 128, "ICReq");
#define PDU_DGST_HEADER 0x01
#define PDU_DGST_DATA   0x02

struct pdu_icresp {
	struct pdu_ch ch;
	le16 pfv;
	uint8_t cpda;
	uint8_t dgst;
	le32 maxh2cdata;
	uint8_t rsvd16[112];
} PDU_PACKED;
static_assert(sizeof(struct pdu_icresp) == 128, "ICResp");

struct pdu_term { /* H2CTermReq, C2HTermReq */
	struct pdu_ch ch;
	le16 fes;
	uint8_t fei[4]; /* 32 bits, not aligned */
	uint8_t rsvd14[10];
} PDU_PACKED;
static_assert(sizeof(struct pdu_term) == 24, "TermReq");
static_assert(offsetof(struct pdu_term, fei) == 10, "TermReq FEI");

struct pdu_cmd { /* CapsuleCmd */
	struct pdu_ch ch;
	struct nvme_sqe sqe;
} PDU_PACKED;
static_assert(sizeof(struct pdu_cmd) == 72, "CapsuleCmd");

struct pdu_resp { /* CapsuleResp */
	struct pdu_ch ch;
	struct nvme_cqe cqe;
} PDU_PACKED;
static_assert(sizeof(struct pdu_resp) == 24, "CapsuleResp");

struct pdu_data { /* H2CData, C2HData */
	struct pdu_ch ch;
	le16 cccid;
	le16 ttag; /* C2HData: reserved */
	le32 datao;
	le32 datal;
	uint8_t rsvd20[4];
} PDU_PACKED;
static_assert(sizeof(struct pdu_data) == 24, "Data PDU");

struct pdu_r2t {
	struct pdu_ch ch;
	le16 cccid;
	le16 ttag;
	le32 r2to;
	le32 r2tl;
	uint8_t rsvd20[4];
} PDU_PACKED;
static_assert(sizeof(struct pdu_r2t) == 24, "R2T");

/* What both sides agreed on, as far as builders need it. */
struct pdu_format {
	bool hdgst, ddgst;
	uint8_t pda; /* the receiver's HPDA or CPDA */
};

/*
 * Builders write header and, where negotiated, header digest; they return the bytes written. out
 * has room for the header plus PDU_DIGEST_LEN. ret_pad: zero bytes to send before the data so that
 * PDO is aligned as the receiver asked.
 */
size_t pdu_build_icreq(void *out, uint8_t hpda, uint8_t dgst, uint32_t maxr2t);
size_t pdu_build_icresp(void *out, uint8_t cpda, uint8_t dgst, uint32_t maxh2cdata);
/* h2c: H2CTermReq, else C2HTermReq. echo_len bytes (at most PDU_TERM_DATA_MAX) of the offending
 * header are to follow. */
size_t pdu_build_term(void *out, bool h2c, uint16_t fes, uint32_t fei, uint32_t echo_len);
/* data_len: in-capsule data that follows, 0: none. */
size_t pdu_build_cmd(void *out, const struct pdu_format *fmt, const struct nvme_sqe *sqe,
		     uint32_t data_len, uint8_t *ret_pad);
size_t pdu_build_resp(void *out, const struct pdu_format *fmt, const struct nvme_cqe *cqe);
size_t pdu_build_r2t(void *out, const struct pdu_format *fmt, uint16_t cccid, uint16_t ttag,
		     uint32_t r2to, uint32_t r2tl);

struct pdu_data_fields {
	uint16_t cccid, ttag; /* ttag: H2CData only */
	uint32_t datao, datal;
	uint8_t flags; /* PDU_F_LAST, PDU_F_SUCCESS */
};
size_t pdu_build_h2c_data(void *out, const struct pdu_format *fmt, const struct pdu_data_fields *f,
			  uint8_t *ret_pad);
size_t pdu_build_c2h_data(void *out, const struct pdu_format *fmt, const struct pdu_data_fields *f,
			  uint8_t *ret_pad);

/* The digest of data as it is sent: 4 bytes to out. */
void pdu_put_digest(void *out, uint32_t crc);
/* "C2HData" and the like; "?" for a type that does not exist. */
const char *pdu_type_name(uint8_t type);

#endif
