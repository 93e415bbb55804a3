/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving half of a connection, sans I/O, for both ends: bytes in, events out. The owner
 * receives into two places at once: first the rest of the payload under way, straight to its
 * destination, then a chunk, from which headers are parsed in place. A header that ends in a later
 * chunk is collected in the machine (at most 132 bytes).
 *
 *	if (wire_rx_want(rx, &iov[0]))       payload under way: iov[0] is the rest of its destination
 *		...
 *	n = recv(iov[0] and the chunk);
 *	n -= wire_rx_received(rx, n);        what is left of n lies in the chunk
 *	in = { chunk, chunk + n };
 *	for (;;) switch (wire_rx_step(rx, &in)) {
 *	case WIRE_EV_MORE:                   in is empty; receive again
 *	case WIRE_EV_HEADER:                 rx->hdr; type and lengths are checked
 *		when rx->data_len != 0:
 *		wire_rx_dest(rx, buffer);    now, or later: no step before it (this is how a
 *	                                     connection stalls)
 *	case WIRE_EV_DATA:                   all data_len bytes are there; rx->digest_ok
 *	case WIRE_EV_ERROR:                  fatal; rx->error and rx->echo say what to put in a
 *	                                     TermReq
 *	}
 *
 * Invariants: (1) the machine never looks past in->end and never keeps a pointer into the chunk
 * across a return of MORE; (2) rx->hdr is valid until the next step or until the chunk is reused;
 * (3) after ERROR every step returns ERROR; (4) how the bytes are cut makes no difference to the
 * events.
 */
#ifndef LITEPOOL_WIRE_RX_H
#define LITEPOOL_WIRE_RX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/pdu.h"

enum wire_role { WIRE_TARGET, WIRE_HOST }; /* the end that receives */

enum wire_event { WIRE_EV_MORE, WIRE_EV_HEADER, WIRE_EV_DATA, WIRE_EV_ERROR };

struct wire_error {
	uint16_t fes;
	uint32_t fei;
};

enum wire_rx_state {
	WIRE_RX_HEADER, /* common header, rest of the header, header digest */
	WIRE_RX_DEST,   /* waits for wire_rx_dest() */
	WIRE_RX_PAD,
	WIRE_RX_DATA,
	WIRE_RX_DDGST,
	WIRE_RX_FAILED,
};

struct wire_in {
	const uint8_t *p, *end;
};

struct wire_rx {
	/* Of the PDU that the last event was about. */
	union {
		const struct pdu_ch *hdr;
		const struct pdu_icreq *icreq;
		const struct pdu_icresp *icresp;
		const struct pdu_term *term;
		const struct pdu_cmd *cmd;
		const struct pdu_resp *resp;
		const struct pdu_data *data;
		const struct pdu_r2t *r2t;
	};
	uint32_t data_len; /* bytes of payload in this PDU */
	bool digest_ok;    /* with WIRE_EV_DATA; true when data digests are off */
	struct wire_error error;
	uint8_t echo_len; /* with WIRE_EV_ERROR: bytes of the offending header in buf[] */

	/* The machine's own. */
	enum wire_role role;
	enum wire_rx_state state;
	bool ready; /* ICReq or ICResp has come: wire_rx_negotiated() */
	bool hdgst, ddgst;
	bool has_ddgst; /* this PDU ends with a data digest */
	uint8_t have;   /* bytes in buf */
	uint8_t pad_left;
	uint32_t data_max; /* largest payload of one PDU */
	uint32_t data_done;
	uint8_t *dst; /* of byte 0 of the payload; NULL: drop it */
	uint32_t crc;
	uint8_t buf[PDU_HEADER_MAX + PDU_DIGEST_LEN];
};

/*
 * data_max: a command capsule with more data is a fatal error (PLEN). Data PDUs are bounded by
 * their owner, who knows what was asked for: wire_h2c_check().
 */
void wire_rx_init(struct wire_rx *rx, enum wire_role role, uint32_t data_max);
/* ICReq (target) or ICResp (host) was accepted: from here on digests are as agreed and other PDUs
 * are allowed. */
void wire_rx_negotiated(struct wire_rx *rx, bool hdgst, bool ddgst);

enum wire_event wire_rx_step(struct wire_rx *rx, struct wire_in *in);

/* Where the payload of the PDU whose header came goes: rx->data_len bytes at dst, or NULL: read and
 * drop it. */
void wire_rx_dest(struct wire_rx *rx, void *dst);
/* Somebody else owns the destination now: the rest of the payload under way, if any, is read and dropped. */
void wire_rx_drop(struct wire_rx *rx);
/* Whether payload can be received directly now, and where the rest of it goes. */
bool wire_rx_want(const struct wire_rx *rx, struct iovec *iov);
/* n bytes were received into { wire_rx_want(), chunk }: accounts for them; returns how many
 * belonged to the payload. */
size_t wire_rx_received(struct wire_rx *rx, size_t n);
/*
 * Where the next PDU begins: *ret bytes behind what wire_rx_want() asks for; negative: so many of its bytes are here already. False: that
 * cannot be said now.
 */
bool wire_rx_next_pdu(const struct wire_rx *rx, int *ret);
/*
 * Bytes that are certain to belong to the PDU under way (header, padding, digest), at most
 * sizeof(rx->buf); for an owner without a chunk, who must not read further. Never 0, except while
 * waiting for wire_rx_dest() or with payload to be received directly.
 */
size_t wire_rx_need(const struct wire_rx *rx);

/* The owner found the PDU, whose header was just given, to be wrong: enters FAILED and keeps the
 * echo. Returns WIRE_EV_ERROR. */
enum wire_event wire_rx_fail(struct wire_rx *rx, uint16_t fes, uint32_t fei);

/*
 * The machine between two steps as bytes, for another process that goes on with the connection, and back. Version of the layout: whoever writes it, in the type of his record.
 *   state:8 has_ddgst:8 have:8 pad_left:8 data_len:32 data_done:32 crc:32 drops:32, then have bytes
 * Not after WIRE_EV_ERROR.
 */
#define WIRE_RX_SAVED_HEAD 20u
#define WIRE_RX_SAVED_MAX  (WIRE_RX_SAVED_HEAD + PDU_HEADER_MAX + PDU_DIGEST_LEN)
size_t wire_rx_save(const struct wire_rx *rx, uint8_t out[WIRE_RX_SAVED_MAX]);
/*
 * After wire_rx_init(), and wire_rx_negotiated() if that had happened. False: no machine can be in that state. Payload under way (data_len, data_done) needs its destination again by
 * wire_rx_restore_dest(), unless the state is DEST: then by wire_rx_dest(). *ret_drops: there was none, by intent.
 */
bool wire_rx_restore(struct wire_rx *rx, const uint8_t *in, size_t len, bool *ret_drops);
void wire_rx_restore_dest(struct wire_rx *rx, void *dst);

/* --- checks on a whole header, used by the target --- */

/* Data transfer of a command, as its SGL and its capsule say. */
struct wire_xfer {
	uint32_t len; /* bytes that the SGL offers */
	bool in_capsule;
	uint16_t sgl_status; /* NVME_SC_*: the command fails with it and payload, if any, is dropped
			      */
};
/* capsule_max: the in-capsule data that was promised (IOCCSZ). False with *ret_error: fatal. */
bool wire_cmd_check(const struct nvme_sqe *sqe, uint32_t data_len, uint32_t capsule_max,
		    struct wire_xfer *ret_xfer, struct wire_error *ret_error);

/* What the target expects of the next H2CData of a command. */
struct wire_h2c_expect {
	uint16_t cccid;
	uint32_t offset; /* first byte not received */
	uint32_t end;    /* end of the R2T's range */
	uint32_t max_h2c_data;
};
/* The tag was found already. False with *ret_error: fatal. */
bool wire_h2c_check(const struct pdu_data *pdu, const struct wire_h2c_expect *expect,
		    struct wire_error *ret_error);

#endif
