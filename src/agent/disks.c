/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of this machine as an annotation of the StorageNode: which could become pools, and why the others not. It is what `litepool host disks` shows here.
 */
#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "host/devices.h"
#include "kube/meta.h"
#include "kube/text.h"

#define DISKS     "litepool.io/disks"
#define DISKS_MAX 64

static bool one(void *ctx, const struct disk *disk)
{
	json_t *list = ctx;

	/* Loop devices and our own volumes come and go and are nobody's disks. */
	if (disk->verdict == DISK_UNFIT && disk->by_id[0] == '\0')
		return true;
	(void)json_array_append_new(
		list, json_pack("{s:s, s:s, s:s, s:I, s:b, s:s, s:s}", "name", disk->name, "id",
				disk->by_id, "model", disk->model, "size",
				(json_int_t)disk->size_bytes, "rotational", disk->rotational,
				"verdict", disk_verdict_name(disk->verdict), "why", disk->why));
	return json_array_size(list) < DISKS_MAX;
}

int disks_reconcile(struct agent *a, const char *name)
{
	_cleanup_json_ json_t *node = informer_get(a->nodes, "", a->node);
	_cleanup_json_ json_t *list = json_array(), *patch = NULL;
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_free_ char *text = NULL;
	const char *old =
		json_string_value(json_object_get(kube_at(node, "metadata.annotations"), DISKS));
	struct kube_ref ref = object_ref("StorageNode", a->node, NULL);
	int rc;

	if (!node)
		return 1000;
	host_disks_each(&a->host, DISK_MIN_BYTES_DEFAULT, one, list);
	text = json_text(list);
	if (!text)
		return -ENOMEM;
	if (old && !strcmp(old, text))
		return 0;
	patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", DISKS, text);
	rc = kube_merge(a->api, &ref, patch, NULL, &error);
	if (rc)
		log_warn("agent.disks.not_told", "reason=\"%s\"", error.err.text);
	return rc;
}
