/* SPDX-License-Identifier: Apache-2.0 */
/* The schemas of LitePool's own kinds, of Leases and of Events. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "kube/resource.h"
#include "kube/text.h"

#define NODE_NAME KUBE_FMT_NAME, .max = KUBE_NAME_MAX

static const char *const statuses[] = {"True", "False", "Unknown", NULL};
static const char *const engines[] = {"native", "lvm", NULL};
static const char *const provisionings[] = {"Thin", "Thick", NULL};
static const char *const positions[] = {"Any",       "PreferLocal", "PreferRemote",
					"MustLocal", "MustRemote",  NULL};
static const char *const maintenances[] = {"Schedulable", "Cordoned", "Draining", NULL};
static const char *const healths[] = {"Healthy", "Degraded", "Failed", "Unknown", NULL};
static const char *const format_states[] = {"Never", "Begun", "Done", NULL};
static const char *const volume_phases[] = {"Pending", "Bound",    "Ready",
					    "Failed",  "Deleting", NULL};
static const char *const reservation_phases[] = {"Pending", "Reserved", "Failed", "Expired", NULL};
static const char *const event_types[] = {"Normal", "Warning", NULL};

static const struct kube_prop condition[] = {
	{"type", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_QUALIFIED, .max = 316},
	{"status", KUBE_STRING, KUBE_REQUIRED, .values = statuses},
	{"reason", KUBE_STRING},
	{"message", KUBE_STRING, .max = 32768},
	{"lastTransitionTime", KUBE_TIME},
	{"observedGeneration", KUBE_INT},
	{NULL},
};
#define CONDITIONS {"conditions", KUBE_OBJECT, KUBE_LIST, .props = condition, .items_max = 32}
#define OBSERVED   {"observedGeneration", KUBE_INT}

/* StorageNode */

static const struct kube_prop node_topology[] = {
	{"rack", KUBE_STRING, .format = KUBE_FMT_LABEL_VALUE},
	{"accessPoint", KUBE_STRING, .format = KUBE_FMT_LABEL_VALUE},
	{"zone", KUBE_STRING, .format = KUBE_FMT_LABEL_VALUE},
	{NULL},
};

static const struct kube_prop node_spec[] = {
	{"hostNQN", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_NQN, .max = 223,
	 .doc = "the NVMe qualified name of this node as a host"},
	{"hostID", KUBE_STRING, .format = KUBE_FMT_UUID},
	{"addresses", KUBE_STRING, KUBE_LIST, .format = KUBE_FMT_ADDRESS, .max = 255,
	 .items_max = 16, .doc = "where its targets listen, the best first"},
	{"topology", KUBE_OBJECT, .props = node_topology},
	{"maxAttachedVolumes", KUBE_INT, .min = 0, .max = 4096, .def = "256"},
	{NULL},
};

static const struct kube_prop node_status[] = {
	OBSERVED,
	{"engineVersion", KUBE_STRING},
	{"agentVersion", KUBE_STRING},
	{"kernelVersion", KUBE_STRING},
	{"attachedVolumes", KUBE_INT, .min = 0, .max = 1000000},
	CONDITIONS,
	{NULL},
};

static const struct kube_prop node_props[] = {
	{"spec", KUBE_OBJECT, KUBE_REQUIRED, .props = node_spec},
	{"status", KUBE_OBJECT, .props = node_status},
	{NULL},
};

static const struct kube_column node_columns[] = {
	{"Ready", "string", "status.conditions", .condition = "Ready"},
	{"Address", "string", "spec.addresses", .list = true},
	{"Rack", "string", "spec.topology.rack"},
	{"Zone", "string", "spec.topology.zone", 1},
	{"Engine", "string", "status.engineVersion"},
	{"Host NQN", "string", "spec.hostNQN", 1},
};

/* StoragePool */

static const struct kube_prop pool_device[] = {
	{"id", KUBE_STRING, KUBE_IMMUTABLE, .format = KUBE_FMT_ADDRESS, .max = 255,
	 .doc = "a stable identity, as under /dev/disk/by-id (wwn-..., nvme-eui....)"},
	{"file", KUBE_STRING, KUBE_IMMUTABLE, .max = 4095, .doc = "or the path of a file"},
	{NULL},
};

static const struct kube_prop pool_watermarks[] = {
	{"warnPercent", KUBE_INT, .min = 1, .max = 100, .def = "80"},
	{"fullPercent", KUBE_INT, .min = 1, .max = 100, .def = "95"},
	{NULL},
};

static const struct kube_prop pool_spec[] = {
	{"nodeName", KUBE_STRING, KUBE_REQUIRED, .format = NODE_NAME,
	 .doc = "the node that has the disk now"},
	{"engine", KUBE_STRING, KUBE_IMMUTABLE, .values = engines, .def = "\"native\""},
	{"device", KUBE_OBJECT, KUBE_REQUIRED, .props = pool_device},
	{"size", KUBE_SIZE, KUBE_GROWS, .min = (int64_t)MIB, .max = INT64_MAX,
	 .doc = "of a file that is made; a disk is used whole"},
	{"commitLimitPercent", KUBE_INT, .min = 100, .max = 10000, .def = "100"},
	{"watermarks", KUBE_OBJECT, .props = pool_watermarks, .def = "{}"},
	{"maintenance", KUBE_STRING, .values = maintenances, .def = "\"Schedulable\""},
	{NULL},
};

static const struct kube_prop pool_status[] = {
	OBSERVED,
	{"uuid", KUBE_STRING, .format = KUBE_FMT_UUID},
	{"capacity", KUBE_SIZE},
	{"allocated", KUBE_SIZE, .doc = "bytes that hold data"},
	{"committed", KUBE_SIZE, .doc = "bytes promised to volumes and reservations"},
	{"free", KUBE_SIZE},
	{"health", KUBE_STRING, .values = healths},
	{"reason", KUBE_STRING},
	{"counters", KUBE_MAP, .items_max = 128},
	CONDITIONS,
	{NULL},
};

static const struct kube_prop pool_props[] = {
	{"spec", KUBE_OBJECT, KUBE_REQUIRED, .props = pool_spec},
	{"status", KUBE_OBJECT, .props = pool_status},
	{NULL},
};

static const struct kube_column pool_columns[] = {
	{"Node", "string", "spec.nodeName"},       {"Engine", "string", "spec.engine"},
	{"Capacity", "string", "status.capacity"}, {"Free", "string", "status.free"},
	{"Health", "string", "status.health"},     {"Maintenance", "string", "spec.maintenance"},
	{"Device", "string", "spec.device.id", 1},
};

static const struct kube_rule pool_rules[] = {
	{"spec.device", "(has(self.id) && self.id != '') != (has(self.file) && self.file != '')",
	 "exactly one of id and file must be set"},
	{"spec.device", "!has(self.file) || self.file == '' || self.file.startsWith('/')",
	 "file must be an absolute path"},
	{"spec.watermarks",
	 "!has(self.warnPercent) || !has(self.fullPercent) || self.warnPercent <= self.fullPercent",
	 "warnPercent must not be above fullPercent"},
	{NULL},
};

static void pool_check(const json_t *old, const json_t *obj, struct kube_problems *problems)
{
	const json_t *marks = kube_at(obj, "spec.watermarks");
	bool id = kube_str(obj, "spec.device.id")[0], file = kube_str(obj, "spec.device.file")[0];

	if (id == file)
		kube_problem(problems, id ? KUBE_CAUSE_INVALID : KUBE_CAUSE_REQUIRED, "spec.device",
			     NULL, "exactly one of id and file must be set");
	if (file && kube_str(obj, "spec.device.file")[0] != '/')
		kube_problem(problems, KUBE_CAUSE_INVALID, "spec.device.file",
			     kube_at(obj, "spec.device.file"), "must be an absolute path");
	if (json_integer_value(json_object_get(marks, "warnPercent")) >
	    json_integer_value(json_object_get(marks, "fullPercent")))
		kube_problem(problems, KUBE_CAUSE_INVALID, "spec.watermarks.warnPercent",
			     json_object_get(marks, "warnPercent"),
			     "must not be above spec.watermarks.fullPercent");
}

/* StorageVolume */

static const struct kube_prop volume_qos[] = {
	{"iops", KUBE_INT, .min = 0, .max = 1000000000, .doc = "0: no limit"},
	{"readBytesPerSecond", KUBE_SIZE},
	{"writeBytesPerSecond", KUBE_SIZE},
	{"bytesPerSecond", KUBE_SIZE},
	{NULL},
};

static const struct kube_prop volume_source[] = {
	{"snapshotName", KUBE_STRING, KUBE_IMMUTABLE, .format = NODE_NAME},
	{"volumeName", KUBE_STRING, KUBE_IMMUTABLE, .format = NODE_NAME},
	{NULL},
};

static const struct kube_prop volume_spec[] = {
	{"size", KUBE_SIZE, KUBE_REQUIRED, .min = (int64_t)MIB, .max = INT64_MAX,
	 .doc = "the whole size in bytes; an expansion sets a larger one, and can be taken back "
		"down to status.promised"},
	{"provisioning", KUBE_STRING, KUBE_IMMUTABLE, .values = provisionings, .def = "\"Thin\""},
	{"engine", KUBE_STRING, KUBE_IMMUTABLE, .values = engines, .def = "\"native\""},
	{"position", KUBE_STRING, .values = positions, .def = "\"Any\"",
	 .doc = "relative to nodeName"},
	{"nodeName", KUBE_STRING, .format = NODE_NAME,
	 .doc = "the node that will use it, if known"},
	{"nodeSelector", KUBE_MAP, .format = KUBE_FMT_LABELS},
	{"poolSelector", KUBE_MAP, .format = KUBE_FMT_LABELS},
	{"antiAffinityGroup", KUBE_STRING, .format = KUBE_FMT_LABEL_VALUE},
	{"reservationName", KUBE_STRING, .format = NODE_NAME},
	{"qos", KUBE_OBJECT, .props = volume_qos},
	{"allowedNodes", KUBE_STRING, KUBE_LIST, .format = NODE_NAME, .items_max = 1024,
	 .doc = "nodes that may attach it; none: any"},
	{"attachedNodes", KUBE_STRING, KUBE_LIST, .format = NODE_NAME, .items_max = 64,
	 .doc = "nodes that shall have it attached"},
	{"source", KUBE_OBJECT, KUBE_IMMUTABLE, .props = volume_source},
	{NULL},
};

static const struct kube_prop volume_target[] = {
	{"address", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_ADDRESS, .max = 255},
	{"port", KUBE_INT, KUBE_REQUIRED, .min = 1, .max = 65535},
	{"nqn", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_NQN, .max = 223},
	{"nsid", KUBE_INT, .min = 1, .max = 4294967294},
	{"nguid", KUBE_STRING, .format = KUBE_FMT_ADDRESS, .max = 36},
	{NULL},
};

/* Written by the CSI driver; a snapshot's is what its volume's was right after the cut. */
static const struct kube_prop format_record[] = {
	{"state", KUBE_STRING, KUBE_REQUIRED, .values = format_states,
	 .doc = "whether a file system was made; Done: it is never made again"},
	{"fs", KUBE_STRING, .format = KUBE_FMT_LABEL_VALUE,
	 .doc = "which; missing: not known, whatever is found"},
	{"clone", KUBE_BOOL, .doc = "the file system's identity is that of another volume's, too"},
	{NULL},
};
#define FORMAT                                                                                     \
	{"format", KUBE_OBJECT, .props = format_record,                                            \
	 .doc = "what is known of the content; missing: never formatted, unless there is a "       \
		"source"}

static const struct kube_prop volume_status[] = {
	OBSERVED,
	{"phase", KUBE_STRING, .values = volume_phases},
	{"reason", KUBE_STRING},
	{"poolName", KUBE_STRING, .format = NODE_NAME},
	{"nodeName", KUBE_STRING, .format = NODE_NAME},
	{"uuid", KUBE_STRING, .format = KUBE_FMT_UUID},
	{"promised", KUBE_SIZE,
	 .doc = "bytes that the controller has set aside on the pool: the agent makes it so large, "
		"and no larger"},
	{"size", KUBE_SIZE},
	{"allocated", KUBE_SIZE},
	{"targets", KUBE_OBJECT, KUBE_LIST, .props = volume_target, .items_max = 16},
	{"attachedNodes", KUBE_STRING, KUBE_LIST, .format = NODE_NAME},
	{"attached", KUBE_STRING, .max = 16384, .doc = "attachedNodes for people: a,b"},
	{"devicePath", KUBE_STRING, .max = 255,
	 .doc = "on nodeName alone: the volume is used there as this device, not over the network"},
	FORMAT,
	CONDITIONS,
	{NULL},
};

static const struct kube_prop volume_props[] = {
	{"spec", KUBE_OBJECT, KUBE_REQUIRED, .props = volume_spec},
	{"status", KUBE_OBJECT, .props = volume_status},
	{NULL},
};

static const struct kube_column volume_columns[] = {
	{"Size", "string", "spec.size"},
	{"Phase", "string", "status.phase"},
	{"Pool", "string", "status.poolName"},
	{"Attached", "string", "status.attached"},
	{"Provisioning", "string", "spec.provisioning", 1},
	{"Position", "string", "spec.position", 1},
	{"Allocated", "string", "status.allocated", 1},
};

static const char *const volume_fields[] = {"spec.nodeName", "status.poolName", "status.nodeName",
					    "status.phase", NULL};

/* What was promised may be in use. A wish beyond that is nobody's yet. */
#define AT_LEAST(x, y) "quantity(string(" x ")).compareTo(quantity(string(" y "))) >= 0"
static const struct kube_rule volume_rules[] = {
	{"",
	 AT_LEAST("self.spec.size",
		  "oldSelf.spec.size") " || (has(oldSelf.status) && "
				       "has(oldSelf.status.promised) && " AT_LEAST(
					       "self.spec.size", "oldSelf.status.promised") ")",
	 "may not become smaller, but for what status.promised does not have yet", ".spec.size"},
	{"spec.source", "has(self.snapshotName) != has(self.volumeName)",
	 "exactly one of snapshotName and volumeName must be set"},
	{"spec", "has(oldSelf.source) || !has(self.source)",
	 "source can only be set when the volume is created"},
	{"spec",
	 "!has(self.position) || !self.position.startsWith('Must') || (has(self.nodeName) && "
	 "self.nodeName != '')",
	 "a position of MustLocal or MustRemote is relative to nodeName, which is missing"},
	{NULL},
};

static void volume_size_check(const json_t *old, const json_t *obj, struct kube_problems *problems)
{
	uint64_t before, now, promised;

	if (!kube_size_parse(kube_at(old, "spec.size"), &before, NULL) ||
	    !kube_size_parse(kube_at(obj, "spec.size"), &now, NULL) || now >= before)
		return;
	if (!kube_size_parse(kube_at(old, "status.promised"), &promised, NULL) || now < promised)
		kube_problem(problems, KUBE_CAUSE_FORBIDDEN, "spec.size", NULL,
			     "may not become smaller (%" PRIu64 " to %" PRIu64
			     " bytes), but for what status.promised does not have yet",
			     before, now);
}

static void volume_check(const json_t *old, const json_t *obj, struct kube_problems *problems)
{
	const json_t *source = kube_at(obj, "spec.source");
	const char *position = kube_str(obj, "spec.position");
	bool snapshot = json_object_get(source, "snapshotName") != NULL;
	bool volume = json_object_get(source, "volumeName") != NULL;

	if (old)
		volume_size_check(old, obj, problems);
	if (source && snapshot == volume)
		kube_problem(problems, snapshot ? KUBE_CAUSE_INVALID : KUBE_CAUSE_REQUIRED,
			     "spec.source", NULL,
			     "exactly one of snapshotName and volumeName must be set");
	if (old && source && !kube_at(old, "spec.source"))
		kube_problem(problems, KUBE_CAUSE_FORBIDDEN, "spec.source", NULL,
			     "can only be set when the volume is created");
	if (!strncmp(position, "Must", 4) && !kube_str(obj, "spec.nodeName")[0])
		kube_problem(problems, KUBE_CAUSE_REQUIRED, "spec.nodeName", NULL,
			     "position %s is relative to a node", position);
}

/* StorageSnapshot */

static const struct kube_prop snapshot_spec[] = {
	{"volumeName", KUBE_STRING, KUBE_REQUIRED | KUBE_IMMUTABLE, .format = NODE_NAME},
	{NULL},
};

/* A page of what a snapshot holds, for who asked by the annotation litepool.io/blocks (agent/blocks.h). */
static const struct kube_prop snapshot_blocks[] = {
	{"request", KUBE_STRING, KUBE_REQUIRED, .doc = "the annotation that is answered"},
	{"list", KUBE_STRING, .max = 131072, .doc = "OFFSET+LENGTH OFFSET+LENGTH, in bytes"},
	{"next", KUBE_SIZE, .doc = "the offset to go on at"},
	{"end", KUBE_BOOL, .doc = "nothing follows"},
	{"reason", KUBE_STRING, .doc = "why there is no list"},
	{"message", KUBE_STRING, .max = 4096},
	{NULL},
};

static const struct kube_prop snapshot_status[] = {
	OBSERVED,
	{"readyToUse", KUBE_BOOL},
	{"reason", KUBE_STRING},
	{"creationTime", KUBE_TIME},
	{"poolName", KUBE_STRING, .format = NODE_NAME},
	{"uuid", KUBE_STRING, .format = KUBE_FMT_UUID},
	{"size", KUBE_SIZE},
	{"allocated", KUBE_SIZE},
	FORMAT,
	{"blocks", KUBE_OBJECT, .props = snapshot_blocks},
	CONDITIONS,
	{NULL},
};

static const struct kube_prop snapshot_props[] = {
	{"spec", KUBE_OBJECT, KUBE_REQUIRED, .props = snapshot_spec},
	{"status", KUBE_OBJECT, .props = snapshot_status},
	{NULL},
};

static const struct kube_column snapshot_columns[] = {
	{"Volume", "string", "spec.volumeName"},
	{"Ready", "string", "status.readyToUse"},
	{"Size", "string", "status.size"},
	{"Pool", "string", "status.poolName"},
};

static const char *const snapshot_fields[] = {"spec.volumeName", "status.poolName", NULL};
static const char *const pool_fields[] = {"spec.nodeName", NULL};

/* StorageReservation */

static const struct kube_prop reservation_spec[] = {
	{"size", KUBE_SIZE, KUBE_REQUIRED, .min = (int64_t)MIB, .max = INT64_MAX},
	{"poolName", KUBE_STRING, .format = NODE_NAME,
	 .doc = "one pool; else nodeName or poolSelector"},
	{"nodeName", KUBE_STRING, .format = NODE_NAME},
	{"poolSelector", KUBE_MAP, .format = KUBE_FMT_LABELS},
	{"expirationTime", KUBE_TIME},
	{NULL},
};

static const struct kube_prop reservation_status[] = {
	OBSERVED,
	{"phase", KUBE_STRING, .values = reservation_phases},
	{"reason", KUBE_STRING},
	{"poolName", KUBE_STRING, .format = NODE_NAME},
	{"reserved", KUBE_SIZE},
	{"used", KUBE_SIZE},
	CONDITIONS,
	{NULL},
};

static const struct kube_prop reservation_props[] = {
	{"spec", KUBE_OBJECT, KUBE_REQUIRED, .props = reservation_spec},
	{"status", KUBE_OBJECT, .props = reservation_status},
	{NULL},
};

static const struct kube_column reservation_columns[] = {
	{"Size", "string", "spec.size"},
	{"Phase", "string", "status.phase"},
	{"Pool", "string", "status.poolName"},
	{"Used", "string", "status.used"},
};

/* coordination.k8s.io/v1 Lease */

static const struct kube_prop lease_spec[] = {
	{"holderIdentity", KUBE_STRING},
	{"leaseDurationSeconds", KUBE_INT, .min = 1, .max = INT32_MAX},
	{"acquireTime", KUBE_TIME},
	{"renewTime", KUBE_TIME},
	{"leaseTransitions", KUBE_INT, .min = 0, .max = INT32_MAX},
	{"strategy", KUBE_STRING},
	{"preferredHolder", KUBE_STRING},
	{NULL},
};

static const struct kube_prop lease_props[] = {
	{"spec", KUBE_OBJECT, .props = lease_spec},
	{NULL},
};

static const struct kube_column lease_columns[] = {
	{"Holder", "string", "spec.holderIdentity"},
	{"Renewed", "date", "spec.renewTime"},
};

/* v1 Event */

static const struct kube_prop object_reference[] = {
	{"kind", KUBE_STRING},       {"namespace", KUBE_STRING},
	{"name", KUBE_STRING},       {"uid", KUBE_STRING},
	{"apiVersion", KUBE_STRING}, {"resourceVersion", KUBE_STRING},
	{"fieldPath", KUBE_STRING},  {NULL},
};

static const struct kube_prop event_source[] = {
	{"component", KUBE_STRING},
	{"host", KUBE_STRING},
	{NULL},
};

static const struct kube_prop event_series[] = {
	{"count", KUBE_INT},
	{"lastObservedTime", KUBE_TIME},
	{NULL},
};

static const struct kube_prop event_props[] = {
	{"involvedObject", KUBE_OBJECT, KUBE_REQUIRED, .props = object_reference},
	{"reason", KUBE_STRING, .max = 128},
	{"message", KUBE_STRING},
	{"source", KUBE_OBJECT, .props = event_source},
	{"firstTimestamp", KUBE_TIME},
	{"lastTimestamp", KUBE_TIME},
	{"count", KUBE_INT},
	{"type", KUBE_STRING, .values = event_types, .def = "\"Normal\""},
	{"eventTime", KUBE_TIME},
	{"series", KUBE_OBJECT, .props = event_series},
	{"action", KUBE_STRING, .max = 128},
	{"related", KUBE_OBJECT, .props = object_reference},
	{"reportingComponent", KUBE_STRING},
	{"reportingInstance", KUBE_STRING, .max = 128},
	{NULL},
};

static const struct kube_column event_columns[] = {
	{"Last Seen", "date", "lastTimestamp"},
	{"Type", "string", "type"},
	{"Reason", "string", "reason"},
	{"Kind", "string", "involvedObject.kind"},
	{"Object", "string", "involvedObject.name"},
	{"Message", "string", "message"},
};

static const char *const event_fields[] = {
	"involvedObject.kind",
	"involvedObject.namespace",
	"involvedObject.name",
	"involvedObject.uid",
	"involvedObject.apiVersion",
	"involvedObject.resourceVersion",
	"involvedObject.fieldPath",
	"reason",
	"reportingComponent",
	"source",
	"type",
	NULL,
};

static void event_check(const json_t *old, const json_t *obj, struct kube_problems *problems)
{
	const char *about = kube_str(obj, "involvedObject.namespace");

	/* As in Kubernetes: events about objects without a namespace live in default. */
	if (strcmp(about[0] ? about : "default", kube_str(obj, "metadata.namespace")) != 0)
		kube_problem(problems, KUBE_CAUSE_INVALID, "involvedObject.namespace",
			     kube_at(obj, "involvedObject.namespace"),
			     "does not match event.namespace");
}

#define COLUMNS(list) .columns = (list), .n_columns = ARRAY_LEN(list)

static const struct kube_resource resources[] = {
	{KUBE_GROUP, KUBE_VERSION, "storagenodes", "storagenode", "StorageNode", "sn",
	 .custom = true, .props = node_props, COLUMNS(node_columns)},
	{KUBE_GROUP, KUBE_VERSION, "storagepools", "storagepool", "StoragePool", "sp",
	 .custom = true, .props = pool_props, COLUMNS(pool_columns), .fields = pool_fields,
	 .rules = pool_rules, .check = pool_check},
	{KUBE_GROUP, KUBE_VERSION, "storagevolumes", "storagevolume", "StorageVolume", "sv",
	 .custom = true, .props = volume_props, COLUMNS(volume_columns), .fields = volume_fields,
	 .rules = volume_rules, .check = volume_check},
	{KUBE_GROUP, KUBE_VERSION, "storagesnapshots", "storagesnapshot", "StorageSnapshot", "ss",
	 .custom = true, .props = snapshot_props, COLUMNS(snapshot_columns),
	 .fields = snapshot_fields},
	{KUBE_GROUP, KUBE_VERSION, "storagereservations", "storagereservation",
	 "StorageReservation", "sr", .custom = true, .props = reservation_props,
	 COLUMNS(reservation_columns)},
	{"coordination.k8s.io", "v1", "leases", "lease", "Lease", NULL, .namespaced = true,
	 .props = lease_props, COLUMNS(lease_columns)},
	{"", "v1", "events", "event", "Event", "ev", .namespaced = true, .ttl_s = 3600,
	 .props = event_props, COLUMNS(event_columns), .fields = event_fields,
	 .check = event_check},
};

const struct kube_resource *kube_resource_at(size_t i)
{
	return i < ARRAY_LEN(resources) ? &resources[i] : NULL;
}

const struct kube_resource *kube_resource_find(const char *group, const char *version,
					       const char *plural)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		const struct kube_resource *r = &resources[i];

		if (!strcmp(r->group, group) && !strcmp(r->version, version) &&
		    !strcmp(r->plural, plural))
			return r;
	}
	return NULL;
}

const struct kube_resource *kube_resource_by_kind(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++)
		if (!strcmp(resources[i].kind, kind))
			return &resources[i];
	return NULL;
}

const char *kube_api_version(const struct kube_resource *res, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s", res->group, res->group[0] ? "/" : "", res->version);
	return buf;
}
