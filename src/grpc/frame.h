/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gRPC puts into HTTP/2 ("gRPC over HTTP2", PROTOCOL-HTTP2.md of the gRPC project), as pure code: length-prefixed messages, grpc-timeout,
 * percent-encoded grpc-message.
 */
#ifndef LITEPOOL_GRPC_FRAME_H
#define LITEPOOL_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_FRAME_HEAD 5 /* flag byte, then the length, big-endian */

enum grpc_frame_result {
	GRPC_FRAME_MORE,       /* all taken, the message is not whole */
	GRPC_FRAME_MESSAGE,    /* a message is whole; the rest is not taken */
	GRPC_FRAME_COMPRESSED, /* its flag says so; not supported */
	GRPC_FRAME_BAD_FLAG,   /* neither 0 nor 1 */
	GRPC_FRAME_TOO_LONG,
	GRPC_FRAME_NO_MEMORY,
};

/* Collects one message; grows with what has come, not with what was announced. */
struct grpc_frame {
	uint8_t head[GRPC_FRAME_HEAD];
	size_t head_len;
	uint8_t *data; /* malloc'ed, data_len bytes used */
	size_t data_len, data_size, want_len;
	size_t max_len;
};

void grpc_frame_init(struct grpc_frame *frame, size_t max_len);
void grpc_frame_fini(struct grpc_frame *frame);
/* Ready for the next message. */
void grpc_frame_reset(struct grpc_frame *frame);
/* Takes from buf; *ret_taken bytes. After a result that is neither MORE nor MESSAGE nothing more may be fed. */
enum grpc_frame_result grpc_frame_feed(struct grpc_frame *frame, const uint8_t *buf, size_t len,
				       size_t *ret_taken);
/* Nothing has come, not even a part of a head. */
bool grpc_frame_empty(const struct grpc_frame *frame);
void grpc_frame_put_head(uint8_t head[GRPC_FRAME_HEAD], size_t len);

/* "100m": at most 8 digits and a unit of H M S m u n. False: malformed. What does not fit saturates. */
bool grpc_timeout_parse(const char *text, size_t len, uint64_t *ret_ns);
/* The largest unit that needs no more than 8 digits. */
void grpc_timeout_format(uint64_t ns, char text[16]);

/* Bytes outside 0x20..0x7e and '%' as %XX; cuts at a whole character of the output. Returns the length; dst gets a NUL. */
size_t grpc_percent_encode(const char *text, char *dst, size_t size);
/* What is no valid %XX stays as it is. */
void grpc_percent_decode(const char *text, size_t len, char *dst, size_t size);

#endif
