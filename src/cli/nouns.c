/* SPDX-License-Identifier: Apache-2.0 */
/* The nouns of the API and the columns of their tables. */
#include <string.h>

#include "cli/api.h"

#define C(title, path)      {title, path, API_TEXT, false}
#define SIZE(title, path)   {title, path, API_SIZE, false}
#define WIDE(title, path)   {title, path, API_TEXT, true}
#define STATUS(title, type) {title, type, API_CONDITION, false}

static const struct api_column node_columns[] = {
	STATUS("READY", "Ready"),
	C("ADDRESSES", "spec.addresses"),
	C("RACK", "spec.topology.rack"),
	C("ZONE", "spec.topology.zone"),
	C("ATTACHED", "status.attachedVolumes"),
	C("ENGINE", "status.engineVersion"),
	WIDE("AGENT", "status.agentVersion"),
	WIDE("KERNEL", "status.kernelVersion"),
	WIDE("HOST NQN", "spec.hostNQN"),
	{NULL},
};

static const struct api_column pool_columns[] = {
	C("NODE", "spec.nodeName"),
	C("HEALTH", "status.health"),
	C("MAINTENANCE", "spec.maintenance"),
	SIZE("CAPACITY", "status.capacity"),
	SIZE("ALLOCATED", "status.allocated"),
	SIZE("COMMITTED", "status.committed"),
	SIZE("FREE", "status.free"),
	WIDE("ENGINE", "spec.engine"),
	WIDE("DEVICE", "spec.device.id"),
	WIDE("FILE", "spec.device.file"),
	WIDE("REASON", "status.reason"),
	{NULL},
};

static const struct api_column volume_columns[] = {
	SIZE("SIZE", "spec.size"),
	SIZE("ALLOCATED", "status.allocated"),
	C("PHASE", "status.phase"),
	C("POOL", "status.poolName"),
	C("NODE", "status.nodeName"),
	C("ATTACHED", "status.attachedNodes"),
	WIDE("PROVISIONING", "spec.provisioning"),
	WIDE("POSITION", "spec.position"),
	WIDE("UUID", "status.uuid"),
	WIDE("REASON", "status.reason"),
	{NULL},
};

static const struct api_column snapshot_columns[] = {
	C("VOLUME", "spec.volumeName"),
	C("READY", "status.readyToUse"),
	SIZE("SIZE", "status.size"),
	SIZE("ALLOCATED", "status.allocated"),
	C("POOL", "status.poolName"),
	{"CUT", "status.creationTime", API_AGE, false},
	WIDE("UUID", "status.uuid"),
	WIDE("REASON", "status.reason"),
	{NULL},
};

static const struct api_column reservation_columns[] = {
	SIZE("SIZE", "spec.size"),       C("PHASE", "status.phase"),
	C("POOL", "status.poolName"),    SIZE("RESERVED", "status.reserved"),
	SIZE("USED", "status.used"),     C("EXPIRES", "spec.expirationTime"),
	WIDE("REASON", "status.reason"), {NULL},
};

const struct api_column api_event_columns[] = {
	{"LAST SEEN", "lastTimestamp", API_AGE, false},
	C("TYPE", "type"),
	C("REASON", "reason"),
	C("KIND", "involvedObject.kind"),
	C("OBJECT", "involvedObject.name"),
	C("COUNT", "count"),
	WIDE("SOURCE", "source.component"),
	C("MESSAGE", "message"),
	{NULL},
};

static const struct api_noun nouns[] = {
	{"node", "StorageNode", node_columns},
	{"pool", "StoragePool", pool_columns},
	{"volume", "StorageVolume", volume_columns},
	{"snapshot", "StorageSnapshot", snapshot_columns},
	{"reservation", "StorageReservation", reservation_columns},
};

const struct api_noun *api_noun(const struct cli_cmd *cmd)
{
	size_t len = strcspn(cmd->words, " ");

	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (strlen(nouns[i].word) == len && !memcmp(nouns[i].word, cmd->words, len))
			return &nouns[i];
	return NULL;
}

const struct api_noun *api_noun_of_kind(const char *kind)
{
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (!strcmp(nouns[i].kind, kind))
			return &nouns[i];
	return NULL;
}

const struct kube_resource *api_resource(const struct api_noun *noun)
{
	return kube_resource_by_kind(noun->kind);
}
