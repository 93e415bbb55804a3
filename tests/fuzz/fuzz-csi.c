/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of any CSI method: unpacked within the limit of a call, checked by its descriptor. The first byte chooses the method. What passes the check
 * can be packed again; protobuf-c keeps unknown fields as they came, so it need not be readable.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "csi/check.h"
#include "csi/dispatch.h"

#include "fuzz.h"

#define LIMIT ((size_t)1 << 20)

static void pack_again(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(len + 1);

	ASSERT(packed);
	ASSERT(protobuf_c_message_pack(message, packed) == len);
	free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct csi_method *method;
	ProtobufCMessage *message;
	struct arena arena;
	struct err err = {0};

	if (size < 1)
		return 0;
	method = &csi_method_table[data[0] % csi_n_methods];
	arena_init(&arena, LIMIT);
	message = protobuf_c_message_unpack(method->request, &arena.pb, size - 1, data + 1);
	if (message && csi_check(message, method->required, &err) == 0)
		pack_again(message);
	else if (message)
		ASSERT(err.code < 0 && err.text[0]);
	arena_fini(&arena);
	return 0;
}
