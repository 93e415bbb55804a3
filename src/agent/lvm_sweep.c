/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LVM has of ours and no object declares: LVs of our names in groups of pools of this node; and block devices in the engine on a group whose pool is another node's now, or
 * gone. As in sweep.c the API must say so twice.
 */
#include <errno.h>
#include <string.h>

#include "agent/lvm.h"
#include "agent/pool.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/meta.h"
#include "kube/text.h"

typedef bool (*certain_fn)(struct agent *a, const char *key, bool gone);

static bool declared(struct informer *inf, const char *name, const char *uid)
{
	_cleanup_json_ json_t *obj = informer_get(inf, "", name);

	return obj && !strcmp(kube_uid(obj), uid);
}

static void lv_look(struct agent *a, const json_t *pool, const json_t *row, certain_fn certain)
{
	static const char *const prefixes[] = {"vol-", "new-", "grow-", "from-", "snap-"};
	const char *lv = kube_str(row, "lv_name"), *uid = NULL;
	char name[KUBE_NAME_MAX + 1];
	bool snapshot = !strncmp(lv, "snap-", 5);
	const char *kind = snapshot ? "StorageSnapshot" : "StorageVolume";
	struct err err = {0};
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (!strncmp(lv, prefixes[i], strlen(prefixes[i])))
			uid = lv + strlen(prefixes[i]);
	/* Without our tag it is somebody else's, whatever its name. */
	if (!uid || !lvm_tag_name(row, name, sizeof(name))[0] ||
	    declared(snapshot ? a->snapshots : a->volumes, name, uid) ||
	    !certain(a, uid, object_exists(a, kind, name, uid) == 0))
		return;
	rc = snapshot ? lvm_snapshot_remove(a, pool, uid, &err)
		      : lvm_volume_remove(a, pool, uid, &err);
	if (rc)
		log_warn("agent.orphan.stays", "kind=%s name=%s uid=%s reason=\"%s\"", kind, name,
			 uid, err.text);
	else
		log_info("agent.orphan.removed", "kind=%s name=%s uid=%s", kind, name, uid);
}

static void pool_sweep(struct agent *a, const json_t *pool, certain_fn certain)
{
	_cleanup_json_ json_t *rows = NULL;
	const json_t *row;
	struct err err = {0};
	struct lvm l;
	size_t i;

	if (lvm_open(a, pool, &l, NULL, &err) || lvm_lvs(&l, &rows, &err))
		return; /* its pool tells why */
	json_array_foreach (rows, i, row)
		lv_look(a, pool, row, certain);
}

/* ---- what the engine has on a group that is not here to be served ---- */

/* 1: a pool of this UUID is declared on this node; 0: none; -1: nobody knows. */
static int pool_declared(struct agent *a, const char *uuid)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref = object_ref("StoragePool", NULL, NULL);
	const json_t *one;
	size_t i;

	if (kube_list(a->api, &ref, NULL, &list, &error))
		return -1;
	json_array_foreach (list.items, i, one)
		if (!strcmp(pool_uuid(one), uuid) &&
		    !strcmp(kube_str(one, "spec.nodeName"), a->node))
			return 1;
	return 0;
}

static bool pool_known(const json_t *pools, const char *uuid)
{
	const json_t *one;
	size_t i;

	json_array_foreach (pools, i, one)
		if (!strcmp(pool_uuid(one), uuid))
			return true;
	return false;
}

static void bdev_look(struct agent *a, const json_t *bdev, const json_t *pools, certain_fn certain)
{
	static const char prefix[] = "/dev/" LVM_VG_PREFIX;
	const char *path = kube_str(bdev, "driver_specific.aio.filename");
	const char *uid = kube_str(bdev, "name");
	char nqn[224], uuid[LVM_NAME_SIZE];
	struct err err = {0};
	size_t len;
	int rc;

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return;
	path += sizeof(prefix) - 1;
	len = strcspn(path, "/");
	if (!len || len >= sizeof(uuid))
		return;
	memcpy(uuid, path, len);
	uuid[len] = '\0';
	if (pool_known(pools, uuid) || !certain(a, uid, pool_declared(a, uuid) == 0))
		return;
	engine_nqn(uid, nqn);
	rc = engine_subsystem_delete(a, nqn, &err);
	if (!rc)
		rc = engine_do(a, "bdev_aio_delete", json_pack("{s:s}", "name", uid), &err);
	if (rc)
		log_warn("agent.pool.stays", "uuid=%s volume=%s reason=\"%s\"", uuid, uid,
			 err.text);
	else
		log_info("agent.pool.left", "uuid=%s volume=%s", uuid, uid);
}

void lvm_sweep(struct agent *a, certain_fn certain)
{
	_cleanup_json_ json_t *pools = informer_list(a->pools), *bdevs = NULL;
	const json_t *one;
	struct err err = {0};
	size_t i;

	if (!pools)
		return;
	json_array_foreach (pools, i, one)
		if (pool_is_lvm(one) && !strcmp(kube_str(one, "spec.nodeName"), a->node))
			pool_sweep(a, one, certain);
	if (engine_call(a, "bdev_get_bdevs", NULL, &bdevs, &err))
		return;
	json_array_foreach (bdevs, i, one)
		bdev_look(a, one, pools, certain);
}
