/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters of StorageClasses (all of them) and of VolumeAttributesClasses (the mutable ones) as members of a StorageVolume's spec. One table: what is
 * known, what it may say, where it goes, and what the documentation says of it.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/str.h"
#include "csi/plane_priv.h"
#include "kube/text.h"

#define SIDECAR "csi.storage.k8s.io/"

enum kind {
	KIND_CHOICE,   /* of values */
	KIND_SELECTOR, /* "key=value,key=value" */
	KIND_LABELS,   /* the same, of the object; "key=" removes one */
	KIND_TEXT,     /* a label's value */
	KIND_OBJECT,   /* an object's name */
	KIND_NUMBER,
	KIND_SIZE, /* "200Mi" */
	KIND_ACCESS,
};

struct row {
	const char *name;
	enum kind kind;
	const char *path; /* in spec: "qos.iops" */
	bool change;      /* also later, by a VolumeAttributesClass */
	const char *values[6];
	const char *doc;
};

static const struct row rows[] = {
	{"provisioning",
	 KIND_CHOICE,
	 "provisioning",
	 false,
	 {"Thin", "Thick"},
	 "Thin takes space as data is written; Thick sets all of it aside at once. Default: Thin"},
	{"engine",
	 KIND_CHOICE,
	 "engine",
	 false,
	 {"native", "lvm"},
	 "which kind of pool it goes to. Default: native"},
	{"position",
	 KIND_CHOICE,
	 "position",
	 false,
	 {"Any", "PreferLocal", "PreferRemote", "MustLocal", "MustRemote"},
	 "where its data is, relative to the node of the first pod (with volumeBindingMode "
	 "WaitForFirstConsumer). Default: Any"},
	{"access",
	 KIND_ACCESS,
	 NULL,
	 false,
	 {"any", "node"},
	 "from where it may be used: any node, by network; or only from the node that has its "
	 "data (position MustLocal; with volumeBindingMode Immediate pods go where the data is), "
	 "and of an lvm pool its device itself, without the engine, as long as it has no limits. "
	 "Default: any"},
	{"nodeSelector",
	 KIND_SELECTOR,
	 "nodeSelector",
	 false,
	 {NULL},
	 "labels that the StorageNode with its data has: `disk=nvme,rack=r1`"},
	{"poolSelector",
	 KIND_SELECTOR,
	 "poolSelector",
	 false,
	 {NULL},
	 "labels that its StoragePool has"},
	{"antiAffinityGroup",
	 KIND_TEXT,
	 "antiAffinityGroup",
	 false,
	 {NULL},
	 "volumes of one group are kept on different nodes"},
	{"reservation",
	 KIND_OBJECT,
	 "reservationName",
	 false,
	 {NULL},
	 "the StorageReservation that its space comes out of"},
	{"iops", KIND_NUMBER, "qos.iops", true, {NULL}, "reads and writes a second; 0: no limit"},
	{"readBytesPerSecond",
	 KIND_SIZE,
	 "qos.readBytesPerSecond",
	 true,
	 {NULL},
	 "`200Mi`; 0: no limit"},
	{"writeBytesPerSecond",
	 KIND_SIZE,
	 "qos.writeBytesPerSecond",
	 true,
	 {NULL},
	 "the same for writes"},
	{"bytesPerSecond", KIND_SIZE, "qos.bytesPerSecond", true, {NULL}, "for both together"},
	{"labels",
	 KIND_LABELS,
	 NULL,
	 true,
	 {NULL},
	 "labels of the StorageVolume: `team=db,tier=gold`; `tier=` removes one"},
};

void csi_plane_parameters_print(void (*line)(void *ctx, const char *text), void *ctx)
{
	char text[512];

	line(ctx, "| parameter | values | can be changed | meaning |");
	line(ctx, "|---|---|---|---|");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char values[128] = "";

		for (size_t v = 0; v < ARRAY_LEN(rows[i].values) && rows[i].values[v]; v++)
			(void)snprintf(values + strlen(values), sizeof(values) - strlen(values),
				       "%s%s", v ? ", " : "", rows[i].values[v]);
		(void)snprintf(text, sizeof(text), "| `%s` | %s | %s | %s |", rows[i].name, values,
			       rows[i].change ? "yes" : "no", rows[i].doc);
		line(ctx, text);
	}
}

void plane_class_fini(struct plane_class *klass)
{
	json_decref(klass->spec);
	json_decref(klass->labels);
}

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static enum grpc_code unknown(struct csi_op *op, const char *name, bool mutable_only)
{
	char known[256] = "";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].change || !mutable_only)
			(void)snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
				       known[0] ? ", " : "", rows[i].name);
	return csi_fail(op, GRPC_INVALID_ARGUMENT, "the parameter %s %s; these can be: %s", name,
			find(name) ? "cannot be changed later" : "is not known", known);
}

static enum grpc_code bad(struct csi_op *op, const struct row *row, const char *value,
			  const char *expected)
{
	return csi_fail(op, GRPC_INVALID_ARGUMENT, "the parameter %s is \"%.100s\"; expected %s",
			row->name, value, expected);
}

/* The choice as the API spells it; people may write "thin". */
static const char *choice(const struct row *row, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(row->values) && row->values[i]; i++)
		if (strcasecmp(row->values[i], value) == 0)
			return row->values[i];
	return NULL;
}

/* "a=b,c=d" into an object. False: it is something else. A "key=" is null when it removes, else an empty value. */
static bool pairs(const char *text, bool removes, json_t *ret)
{
	while (*text) {
		size_t len = strcspn(text, ",");
		const char *equals = memchr(text, '=', len);
		char key[320], value[KUBE_LABEL_MAX + 1];
		size_t klen = equals ? (size_t)(equals - text) : len;
		size_t vlen = equals ? len - klen - 1 : 0;

		if (!equals || klen >= sizeof(key) || vlen >= sizeof(value))
			return false;
		(void)snprintf(key, sizeof(key), "%.*s", (int)klen, text);
		(void)snprintf(value, sizeof(value), "%.*s", (int)vlen, equals + 1);
		if (!kube_qualified_valid(key) || !kube_label_value_valid(value) ||
		    json_object_set_new(ret, key,
					removes && !vlen ? json_null() : json_string(value)) < 0)
			return false;
		text += len + (text[len] == ',');
	}
	return true;
}

/* Sets "qos.iops" in spec; takes value. */
static bool put(json_t *spec, const char *path, json_t *value)
{
	const char *dot = strchr(path, '.');
	char outer[32];
	json_t *inner = spec;

	if (dot) {
		(void)snprintf(outer, sizeof(outer), "%.*s", (int)(dot - path), path);
		inner = json_object_get(spec, outer);
		if (!inner) {
			inner = json_object();
			if (json_object_set_new(spec, outer, inner) < 0)
				inner = NULL;
		}
	}
	return json_object_set_new(inner, dot ? dot + 1 : path, value) == 0;
}

static bool reserved_label(const char *key)
{
	const char *slash = strchr(key, '/');

	return slash && slash - key >= 11 && strncmp(slash - 11, KUBE_GROUP, 11) == 0;
}

static enum grpc_code take_labels(struct csi_op *op, const struct row *row, const char *value,
				  struct plane_class *klass)
{
	const char *key;
	json_t *label;

	if (!klass->labels)
		klass->labels = json_object();
	if (!pairs(value, true, klass->labels))
		return bad(op, row, value, "labels such as team=db,tier=gold");
	json_object_foreach (klass->labels, key, label)
		if (reserved_label(key))
			return bad(op, row, value, "no labels of litepool.io: they are LitePool's");
	return GRPC_OK;
}

static json_t *read_scalar(const struct row *row, const char *value, const char **ret_expected)
{
	_cleanup_json_ json_t *text = json_string(value);
	const char *why, *chosen = choice(row, value);
	uint64_t n;

	switch (row->kind) {
	case KIND_CHOICE:
		*ret_expected = "one of the values in docs/kubernetes.md";
		return chosen ? json_string(chosen) : NULL;
	case KIND_TEXT:
		*ret_expected = "at most 63 letters, digits, '-', '_' and '.'";
		return kube_label_value_valid(value) ? json_string(value) : NULL;
	case KIND_OBJECT:
		*ret_expected = "the name of an object";
		return kube_name_valid(value) ? json_string(value) : NULL;
	case KIND_NUMBER:
		*ret_expected = "a number up to 1000000000";
		return str_to_u64(value, 0, 1000000000, &n) ? json_integer((json_int_t)n) : NULL;
	case KIND_SIZE:
		*ret_expected = "a size such as 200Mi";
		return text && kube_size_parse(text, &n, &why) && n <= INT64_MAX
			       ? json_integer((json_int_t)n)
			       : NULL;
	case KIND_SELECTOR:
	case KIND_LABELS:
	case KIND_ACCESS:
	default:
		return NULL;
	}
}

static enum grpc_code take_access(struct csi_op *op, const struct row *row, const char *value,
				  struct plane_class *klass)
{
	const char *chosen = choice(row, value);

	if (!chosen)
		return bad(op, row, value, "any or node");
	klass->only_node = strcmp(chosen, "node") == 0;
	return GRPC_OK;
}

static enum grpc_code take(struct csi_op *op, const struct row *row, const char *value,
			   struct plane_class *klass)
{
	const char *expected = "";
	json_t *json;

	if (row->kind == KIND_LABELS)
		return take_labels(op, row, value, klass);
	if (row->kind == KIND_ACCESS)
		return take_access(op, row, value, klass);
	if (row->kind == KIND_SELECTOR) {
		json = json_object();
		if (!pairs(value, false, json)) {
			json_decref(json);
			return bad(op, row, value, "labels such as disk=nvme,rack=r1");
		}
	} else {
		json = read_scalar(row, value, &expected);
		if (!json)
			return bad(op, row, value, expected);
	}
	return put(klass->spec, row->path, json) ? GRPC_OK : plane_no_memory(op);
}

/* What nobody else may have needs no export: the agent tells its node which device it is. */
static enum grpc_code use_device(struct csi_op *op, struct plane_class *klass)
{
	if (!klass->labels)
		klass->labels = json_object();
	return json_object_set_new(klass->labels, PLANE_LABEL_LOCAL, json_string("true")) == 0
		       ? GRPC_OK
		       : plane_no_memory(op);
}

/* Data that may only be used where it is must be there. */
static enum grpc_code settle(struct csi_op *op, struct plane_class *klass)
{
	const char *position = kube_str(klass->spec, "position");

	if (!klass->only_node)
		return GRPC_OK;
	if (position[0] && strcmp(position, "MustLocal") != 0)
		return csi_fail(op, GRPC_INVALID_ARGUMENT,
				"the parameters access=node and position=%s contradict each other",
				position);
	if (!put(klass->spec, "position", json_string("MustLocal")))
		return plane_no_memory(op);
	return strcmp(kube_str(klass->spec, "engine"), "lvm") == 0 ? use_device(op, klass)
								   : GRPC_OK;
}

enum grpc_code plane_class_read(struct csi_op *op, const struct csi_map *parameters,
				bool mutable_only, struct plane_class *klass)
{
	enum grpc_code code = GRPC_OK;

	if (!klass->spec)
		klass->spec = json_object();
	if (!klass->spec)
		return plane_no_memory(op);
	for (size_t i = 0; i < parameters->n && code == GRPC_OK; i++) {
		const struct csi_pair *pair = &parameters->items[i];
		const struct row *row = find(pair->key);

		if (!mutable_only && strncmp(pair->key, SIDECAR, strlen(SIDECAR)) == 0)
			continue;
		code = row && (row->change || !mutable_only) ? take(op, row, pair->value, klass)
							     : unknown(op, pair->key, mutable_only);
	}
	return code == GRPC_OK ? settle(op, klass) : code;
}

enum grpc_code plane_no_parameters(struct csi_op *op, const struct csi_map *parameters)
{
	for (size_t i = 0; i < parameters->n; i++)
		if (strncmp(parameters->items[i].key, SIDECAR, strlen(SIDECAR)) != 0)
			return csi_fail(op, GRPC_INVALID_ARGUMENT,
					"the parameter %s is not known: snapshots have none",
					parameters->items[i].key);
	return GRPC_OK;
}
