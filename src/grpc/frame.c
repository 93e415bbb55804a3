/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/frame.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "grpc/status.h"

#define TIMEOUT_DIGITS_MAX 8
#define FIRST_ALLOC        ((size_t)1024)

const char *grpc_code_name(enum grpc_code code)
{
	static const char *const names[] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return (unsigned)code < ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

void grpc_frame_init(struct grpc_frame *frame, size_t max_len)
{
	*frame = (struct grpc_frame){.max_len = max_len};
}

void grpc_frame_fini(struct grpc_frame *frame)
{
	free(frame->data);
	frame->data = NULL;
}

void grpc_frame_reset(struct grpc_frame *frame)
{
	grpc_frame_fini(frame);
	grpc_frame_init(frame, frame->max_len);
}

bool grpc_frame_empty(const struct grpc_frame *frame)
{
	return frame->head_len == 0;
}

void grpc_frame_put_head(uint8_t head[GRPC_FRAME_HEAD], size_t len)
{
	head[0] = 0;
	head[1] = (uint8_t)(len >> 24);
	head[2] = (uint8_t)(len >> 16);
	head[3] = (uint8_t)(len >> 8);
	head[4] = (uint8_t)len;
}

static enum grpc_frame_result head_check(struct grpc_frame *frame)
{
	const uint8_t *h = frame->head;

	if (h[0] > 1)
		return GRPC_FRAME_BAD_FLAG;
	if (h[0] == 1)
		return GRPC_FRAME_COMPRESSED;
	frame->want_len = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
	return frame->want_len > frame->max_len ? GRPC_FRAME_TOO_LONG : GRPC_FRAME_MESSAGE;
}

static bool reserve(struct grpc_frame *frame, size_t len)
{
	size_t size = MAX(MAX(len, frame->data_size * 2), FIRST_ALLOC);
	uint8_t *data;

	if (len <= frame->data_size)
		return true;
	size = MIN(size, MAX(frame->want_len, FIRST_ALLOC));
	data = realloc(frame->data, size);
	if (!data)
		return false;
	frame->data = data;
	frame->data_size = size;
	return true;
}

enum grpc_frame_result grpc_frame_feed(struct grpc_frame *frame, const uint8_t *buf, size_t len,
				       size_t *ret_taken)
{
	size_t head = MIN(len, GRPC_FRAME_HEAD - frame->head_len), body;

	if (head) {
		memcpy(frame->head + frame->head_len, buf, head);
		frame->head_len += head;
		*ret_taken = head;
		if (frame->head_len < GRPC_FRAME_HEAD)
			return GRPC_FRAME_MORE;
		if (head_check(frame) != GRPC_FRAME_MESSAGE)
			return head_check(frame);
	}
	if (frame->head_len < GRPC_FRAME_HEAD)
		return GRPC_FRAME_MORE;
	body = MIN(len - head, frame->want_len - frame->data_len);
	if (body) {
		if (!reserve(frame, frame->data_len + body))
			return GRPC_FRAME_NO_MEMORY;
		memcpy(frame->data + frame->data_len, buf + head, body);
		frame->data_len += body;
	}
	*ret_taken = head + body;
	return frame->data_len == frame->want_len ? GRPC_FRAME_MESSAGE : GRPC_FRAME_MORE;
}

static uint64_t unit_ns(char unit)
{
	switch (unit) {
	case 'H':
		return 3600 * NSEC_PER_SEC;
	case 'M':
		return 60 * NSEC_PER_SEC;
	case 'S':
		return NSEC_PER_SEC;
	case 'm':
		return NSEC_PER_MSEC;
	case 'u':
		return NSEC_PER_USEC;
	case 'n':
		return 1;
	default:
		return 0;
	}
}

bool grpc_timeout_parse(const char *text, size_t len, uint64_t *ret_ns)
{
	uint64_t value = 0, unit, ns;

	if (len < 2 || len > TIMEOUT_DIGITS_MAX + 1)
		return false;
	for (size_t i = 0; i < len - 1; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	unit = unit_ns(text[len - 1]);
	if (!unit)
		return false;
	*ret_ns = __builtin_mul_overflow(value, unit, &ns) ? UINT64_MAX : ns;
	return true;
}

void grpc_timeout_format(uint64_t ns, char text[16])
{
	static const char units[] = "numSMH";

	for (const char *unit = units; *unit; unit++) {
		uint64_t value = ns / unit_ns(*unit);

		if (value <= 99999999) {
			(void)snprintf(text, 16, "%" PRIu64 "%c", value, *unit);
			return;
		}
	}
	(void)snprintf(text, 16, "99999999H");
}

size_t grpc_percent_encode(const char *text, char *dst, size_t size)
{
	size_t used = 0;

	for (const uint8_t *c = (const uint8_t *)text; *c; c++) {
		bool plain = *c >= 0x20 && *c <= 0x7e && *c != '%';

		if (used + (plain ? 1 : 3) + 1 > size)
			break;
		if (plain)
			dst[used++] = (char)*c;
		else
			used += (size_t)snprintf(dst + used, size - used, "%%%02X", *c);
	}
	dst[used] = '\0';
	return used;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_percent_decode(const char *text, size_t len, char *dst, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 1 < size; i++) {
		bool coded = text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
			     hex_digit(text[i + 2]) >= 0;

		if (coded) {
			dst[used++] = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
			i += 2;
		} else {
			dst[used++] = text[i];
		}
	}
	dst[used] = '\0';
}
