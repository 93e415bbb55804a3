/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol buffers from JSON and to JSON by their descriptors, for tests that call services by hand. Names as in the .proto file; maps are objects; enums are numbers. */
#ifndef LITEPOOL_TESTS_CSI_JSON_PB_H
#define LITEPOOL_TESTS_CSI_JSON_PB_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/err.h"

/* The packed message into *ret_data (malloc'ed). -EINVAL with err: a member that the message has not, or of another type. */
int json_pb_pack(const json_t *json, const ProtobufCMessageDescriptor *type, uint8_t **ret_data,
		 size_t *ret_len, struct err *err);
/* New reference; NULL: not a message of this type. Fields with their default value are left out. */
json_t *json_pb_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len);

#endif
