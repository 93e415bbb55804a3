/* SPDX-License-Identifier: Apache-2.0 */
/* Messages are written directly in the wire format, field by field; they are read by protobuf-c and walked by their descriptor. */
#include "json_pb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define WIRE_VARINT 0
#define WIRE_LENGTH 2

struct out {
	uint8_t *data;
	size_t len, size;
};

static void put(struct out *out, const void *data, size_t len)
{
	if (out->len + len > out->size) {
		uint8_t *grown = realloc(out->data, (out->len + len) * 2);

		if (!grown)
			abort();
		out->data = grown;
		out->size = (out->len + len) * 2;
	}
	if (len)
		memcpy(out->data + out->len, data, len);
	out->len += len;
}

static void put_varint(struct out *out, uint64_t n)
{
	uint8_t byte;

	do {
		byte = (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		put(out, &byte, 1);
		n >>= 7;
	} while (n);
}

static void put_bytes(struct out *out, uint32_t id, const void *data, size_t len)
{
	put_varint(out, (uint64_t)id << 3 | WIRE_LENGTH);
	put_varint(out, len);
	put(out, data, len);
}

static int put_message(struct out *out, const json_t *json, const ProtobufCMessageDescriptor *type,
		       struct err *err);

static int put_sub(struct out *out, const ProtobufCFieldDescriptor *field, const json_t *json,
		   struct err *err)
{
	struct out sub = {.data = NULL};
	int rc = put_message(&sub, json, field->descriptor, err);

	if (!rc)
		put_bytes(out, field->id, sub.data, sub.len);
	free(sub.data);
	return rc;
}

static int put_value(struct out *out, const ProtobufCFieldDescriptor *field, const json_t *json,
		     struct err *err)
{
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return put_sub(out, field, json, err);
	if (field->type == PROTOBUF_C_TYPE_STRING && json_is_string(json)) {
		put_bytes(out, field->id, json_string_value(json), json_string_length(json));
		return 0;
	}
	if (field->type != PROTOBUF_C_TYPE_STRING &&
	    (json_is_integer(json) || json_is_boolean(json))) {
		put_varint(out, (uint64_t)field->id << 3 | WIRE_VARINT);
		put_varint(out, json_is_integer(json) ? (uint64_t)json_integer_value(json)
						      : (uint64_t)json_is_true(json));
		return 0;
	}
	return err_set(err, -EINVAL, "%s has a value of another type", field->name);
}

/* A map is a list of messages with a key and a value. */
static int put_map(struct out *out, const ProtobufCFieldDescriptor *field, json_t *json,
		   struct err *err)
{
	const char *key;
	json_t *value;
	int rc = 0;

	json_object_foreach (json, key, value) {
		_cleanup_json_ json_t *entry = json_pack("{s:s, s:O}", "key", key, "value", value);

		if (!rc)
			rc = put_sub(out, field, entry, err);
	}
	return rc;
}

static int put_message(struct out *out, const json_t *json, const ProtobufCMessageDescriptor *type,
		       struct err *err)
{
	const char *key;
	json_t *value, *item;
	size_t i;
	int rc = 0;

	if (!json_is_object(json))
		return err_set(err, -EINVAL, "%s is to be an object", type->short_name);
	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field_by_name(type, key);

		if (!field)
			return err_set(err, -EINVAL, "%s has no field %s", type->short_name, key);
		if (field->label != PROTOBUF_C_LABEL_REPEATED)
			rc = put_value(out, field, value, err);
		else if (json_is_object(value))
			rc = put_map(out, field, value, err);
		else
			json_array_foreach (value, i, item)
				rc = rc ? rc : put_value(out, field, item, err);
		if (rc)
			return rc;
	}
	return 0;
}

int json_pb_pack(const json_t *json, const ProtobufCMessageDescriptor *type, uint8_t **ret_data,
		 size_t *ret_len, struct err *err)
{
	struct out out = {.data = NULL};
	int rc = put_message(&out, json, type, err);

	if (rc) {
		free(out.data);
		return rc;
	}
	*ret_data = out.data;
	*ret_len = out.len;
	return 0;
}

static json_t *show(const ProtobufCMessage *message);

static json_t *show_value(const ProtobufCFieldDescriptor *field, const void *at)
{
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(ProtobufCMessage *const *)at ? show(*(ProtobufCMessage *const *)at) : NULL;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return **(char *const *)at ? json_string(*(char *const *)at) : NULL;
	if (field->type == PROTOBUF_C_TYPE_BOOL)
		return *(const protobuf_c_boolean *)at ? json_true() : NULL;
	if (field->type == PROTOBUF_C_TYPE_INT64)
		return *(const int64_t *)at ? json_integer(*(const int64_t *)at) : NULL;
	/* CSI has no other types than these and 32-bit integers. */
	return *(const int32_t *)at ? json_integer(*(const int32_t *)at) : NULL;
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
		return sizeof(void *);
	return field->type == PROTOBUF_C_TYPE_INT64 ? 8 : 4;
}

static json_t *show_list(const ProtobufCFieldDescriptor *field, const uint8_t *list, size_t n)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *value = show_value(field, list + i * size_of(field));

		(void)json_array_append_new(ret, value ? value : json_null());
	}
	return ret;
}

static json_t *show_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const uint8_t *base = (const uint8_t *)message;
	const uint8_t *at = base + field->offset, *quantity = base + field->quantifier_offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(const size_t *)(const void *)quantity;

		return n ? show_list(field, *(uint8_t *const *)(const void *)at, n) : NULL;
	}
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
	    *(const uint32_t *)(const void *)quantity != field->id)
		return NULL;
	return show_value(field, at);
}

/* Maps stay lists of pairs. */
static json_t *show(const ProtobufCMessage *message)
{
	json_t *ret = json_object();

	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		json_t *value = show_field(message, field);

		if (value)
			(void)json_object_set_new(ret, field->name, value);
	}
	return ret;
}

json_t *json_pb_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len)
{
	ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, len, data);
	json_t *ret = message ? show(message) : NULL;

	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
	return ret;
}
