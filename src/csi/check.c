/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants:
 *  1. Values are never in an error's text: they may be secrets. Field names are.
 *  2. The depth of the walk is that of csi.proto, whose messages do not contain themselves.
 */
#include "csi/check.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "csi/csi.pb-c.h"

static const void *member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (const char *)message + field->offset;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);
}

/* Length of the sequence at c; 0: none that is allowed (overlong forms, surrogates and what is above U+10FFFF are not). */
static size_t utf8_len(const uint8_t *c)
{
	size_t len = c[0] < 0x80                    ? 1
		     : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
		     : c[0] >= 0xe0 && c[0] <= 0xef ? 3
		     : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
						    : 0;

	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return len;
}

bool csi_utf8_ok(const char *text)
{
	for (const uint8_t *c = (const uint8_t *)text; *c;) {
		size_t len = utf8_len(c);

		if (!len)
			return false;
		c += len;
	}
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static size_t string_max(const char *field)
{
	if (strcmp(field, "node_id") == 0)
		return CSI_NODE_ID_MAX;
	return ends_with(field, "_path") || ends_with(field, "_token") ? CSI_LONG_MAX
								       : CSI_STRING_MAX;
}

static int check_string(const char *text, const char *field, size_t max, struct err *err)
{
	if (strlen(text) > max)
		return err_set(err, -EINVAL, "%s has %zu bytes; at most %zu are allowed", field,
			       strlen(text), max);
	if (!csi_utf8_ok(text))
		return err_set(err, -EINVAL, "%s is not valid UTF-8", field);
	return 0;
}

/* Entries of a map are messages of key and value. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;

	return field->type == PROTOBUF_C_TYPE_MESSAGE &&
	       field->label == PROTOBUF_C_LABEL_REPEATED && entry->n_fields == 2 &&
	       strcmp(entry->fields[0].name, "key") == 0 &&
	       strcmp(entry->fields[1].name, "value") == 0 &&
	       entry->fields[1].type == PROTOBUF_C_TYPE_STRING;
}

static int check_map(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		     struct err *err)
{
	size_t n = count_of(message, field), sum = 0;
	ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)member(message, field);

	for (size_t i = 0; i < n; i++) {
		const ProtobufCFieldDescriptor *parts = items[i]->descriptor->fields;

		for (unsigned part = 0; part < 2; part++) {
			const char *text = *(const char *const *)member(items[i], &parts[part]);

			sum += strlen(text);
			if (!csi_utf8_ok(text))
				return err_set(err, -EINVAL, "%s holds what is not valid UTF-8",
					       field->name);
		}
	}
	if (sum > CSI_MAP_MAX)
		return err_set(err, -EINVAL, "%s has %zu bytes; at most %d are allowed",
			       field->name, sum, CSI_MAP_MAX);
	return 0;
}

static int check_capability(const Csi__V1__VolumeCapability *cap, struct err *err)
{
	if (cap->access_type_case == CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE__NOT_SET)
		return err_set(err, -EINVAL,
			       "volume_capability has no access type: say block or mount");
	if (!cap->access_mode || cap->access_mode->mode == 0)
		return err_set(err, -EINVAL, "volume_capability has no access mode");
	if (cap->access_mode->mode < 0 || cap->access_mode->mode > 7)
		return err_set(err, -EINVAL, "access mode %d is not known", cap->access_mode->mode);
	return 0;
}

static int check_range(const Csi__V1__CapacityRange *range, struct err *err)
{
	if (range->required_bytes < 0 || range->limit_bytes < 0)
		return err_set(err, -EINVAL, "capacity_range is negative");
	if (range->limit_bytes && range->required_bytes > range->limit_bytes)
		return err_set(err, -EINVAL,
			       "capacity_range asks for %lld bytes at least and %lld at most",
			       (long long)range->required_bytes, (long long)range->limit_bytes);
	return 0;
}

/* What a message of this type must be like, wherever it stands. */
static int check_type(const ProtobufCMessage *message, struct err *err)
{
	if (message->descriptor == &csi__v1__volume_capability__descriptor)
		return check_capability((const Csi__V1__VolumeCapability *)(const void *)message,
					err);
	if (message->descriptor == &csi__v1__capacity_range__descriptor)
		return check_range((const Csi__V1__CapacityRange *)(const void *)message, err);
	return 0;
}

static int check_fields(const ProtobufCMessage *message, struct err *err);

static int check_repeated(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
			  struct err *err)
{
	size_t n = count_of(message, field), sum = 0;
	void *const *items = *(void *const *const *)member(message, field);

	if (is_map(field))
		return check_map(message, field, err);
	for (size_t i = 0; i < n; i++) {
		int rc = 0;

		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			rc = check_fields(items[i], err);
		else if (field->type == PROTOBUF_C_TYPE_STRING)
			rc = check_string(items[i], field->name, CSI_STRING_MAX, err);
		if (rc)
			return rc;
		if (field->type == PROTOBUF_C_TYPE_STRING)
			sum += strlen(items[i]);
	}
	if (sum > CSI_MAP_MAX && strcmp(field->name, "mount_flags") == 0)
		return err_set(err, -EINVAL, "mount_flags has %zu bytes; at most %d are allowed",
			       sum, CSI_MAP_MAX);
	return 0;
}

static int check_single(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
			struct err *err)
{
	const void *at = member(message, field);

	/* Members of a oneof share their place: only the one that is set is looked at. */
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
	    *(const uint32_t *)(const void *)((const char *)message + field->quantifier_offset) !=
		    field->id)
		return 0;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return check_string(*(const char *const *)at, field->name, string_max(field->name),
				    err);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(const ProtobufCMessage *const *)at)
		return check_fields(*(const ProtobufCMessage *const *)at, err);
	if (field->type == PROTOBUF_C_TYPE_INT32 && *(const int32_t *)at < 0)
		return err_set(err, -EINVAL, "%s is negative", field->name);
	return 0;
}

static int check_fields(const ProtobufCMessage *message, struct err *err)
{
	int rc = check_type(message, err);

	for (unsigned i = 0; !rc && i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

		rc = field->label == PROTOBUF_C_LABEL_REPEATED ? check_repeated(message, field, err)
							       : check_single(message, field, err);
	}
	return rc;
}

static bool is_there(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return count_of(message, field) != 0;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return (*(const char *const *)member(message, field))[0] != '\0';
	return *(const void *const *)member(message, field) != NULL;
}

static int check_required(const ProtobufCMessage *message, const char *required, struct err *err)
{
	char name[64];

	while (*required) {
		size_t n = strcspn(required, " ");
		const ProtobufCFieldDescriptor *field;

		memcpy(name, required, n);
		name[n] = '\0';
		field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
		if (!is_there(message, field))
			return err_set(err, -EINVAL, "%s is missing", name);
		required += n + strspn(required + n, " ");
	}
	return 0;
}

int csi_check(const ProtobufCMessage *request, const char *required, struct err *err)
{
	int rc = check_required(request, required, err);

	return rc ? rc : check_fields(request, err);
}
