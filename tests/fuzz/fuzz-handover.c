/* SPDX-License-Identifier: Apache-2.0 */
/* A packet from another process: what is taken has ended texts and counts within their arrays, and comes out the same when it is sent again. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "handover/message.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct handover_message msg, again;
	static uint8_t packet[HANDOVER_MESSAGE_MAX];
	_cleanup_free_ uint8_t *copy =
		malloc(size ? size : 1); /* exact, so that the sanitizer sees a read past the end */
	struct err err = {0};
	int len;

	ASSERT(copy);
	memcpy(copy, data, size);
	if (handover_decode(copy, size, &msg, &err) < 0) {
		ASSERT(err.code < 0 && err.text[0]);
		return 0;
	}
	ASSERT(strnlen(msg.text, sizeof(msg.text)) < sizeof(msg.text));
	ASSERT(msg.n_types <= HANDOVER_TYPES_MAX && msg.n_beats <= HANDOVER_BEATS_MAX);
	len = handover_encode(&msg, packet, sizeof(packet));
	ASSERT(len > 0);
	ASSERT(handover_decode(packet, (size_t)len, &again, NULL) == 0);
	ASSERT(memcmp(&msg, &again, sizeof(msg)) == 0);
	return 0;
}
