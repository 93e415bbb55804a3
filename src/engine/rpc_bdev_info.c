/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that look at block devices or change their limits, size and faults. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "disk/disk.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

#define MEGABYTE   (UINT64_C(1) << 20)
#define MBYTES_MAX ((uint64_t)INT64_MAX / MEGABYTE)

static struct bdev *find_or_fail(struct engine *e, struct rpc_call *call, const char *name)
{
	struct bdev *bdev = bdev_find(&e->bdevs, name);

	if (!bdev)
		rpc_fail(call, -ENODEV, "no block device is named '%.128s'", name);
	return bdev;
}

struct list_params {
	const char *name, *reset_mode;
	uint64_t timeout;
	bool per_channel;
};
#define LIST_AT(member) offsetof(struct list_params, member)

static const struct json_field get_bdevs_fields[] = {
	{"name", JSON_KIND_STRING, LIST_AT(name)},
	{"timeout", JSON_KIND_U64,
	 LIST_AT(timeout)}, /* SPDK waits for the device to appear; ours appear at once */
};

/* An array of what describe_one() says of the device of that name, or of all when name is NULL. False: there is none, and the call has failed. */
static bool describe(struct engine *e, struct rpc_call *call, const char *name,
		     json_t *(*describe_one)(const struct bdev *bdev), json_t **ret_array)
{
	struct bdev *one = name ? find_or_fail(e, call, name) : NULL;

	if (name && !one)
		return false;
	*ret_array = json_array();
	list_for_each (it, &e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (!one || one == bdev)
			(void)json_array_append_new(*ret_array, describe_one(bdev));
	}
	return true;
}

void rpc_bdev_get_bdevs(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct list_params p = {0};
	json_t *bdevs;

	if (!RPC_PARAMS(call, params, get_bdevs_fields, &p))
		return;
	if (!describe(e, call, p.name, bdev_info_json, &bdevs))
		return;
	rpc_reply_json(call, bdevs);
}

static const struct json_field get_iostat_fields[] = {
	{"name", JSON_KIND_STRING, LIST_AT(name)},
	{"per_channel", JSON_KIND_BOOL, LIST_AT(per_channel)},
	{"reset_mode", JSON_KIND_STRING, LIST_AT(reset_mode)},
};

void rpc_bdev_get_iostat(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct list_params p = {0};
	json_t *bdevs;

	if (!RPC_PARAMS(call, params, get_iostat_fields, &p))
		return;
	if (p.per_channel || (p.reset_mode && strcmp(p.reset_mode, "none") != 0)) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "per_channel and reset_mode are not supported: counters only grow, take "
			 "the difference of two readings");
		return;
	}
	if (!describe(e, call, p.name, bdev_iostat_json, &bdevs))
		return;
	rpc_reply_json(call,
		       json_pack("{s:I, s:I, s:o}", "tick_rate", (json_int_t)1000000000, "ticks",
				 (json_int_t)reactor_now_exact(e->control), "bdevs", bdevs));
}

void rpc_bdev_wait_for_examine(struct rpc_call *call, const json_t *params, void *ctx)
{
	if (rpc_no_params(call, params))
		store_wait_examined(ctx, call);
}

static const struct json_field rescan_fields[] = {
	{"name", JSON_KIND_STRING, LIST_AT(name), true},
};

void rpc_bdev_aio_rescan(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct list_params p = {0};
	struct bdev *bdev;
	struct err err = {0};
	uint64_t before, size;

	if (!RPC_PARAMS(call, params, rescan_fields, &p))
		return;
	bdev = find_or_fail(e, call, p.name);
	if (!bdev)
		return;
	if (!bdev->dev->ops->rescan) {
		rpc_fail(call, -EOPNOTSUPP, "%s is a %s: its size is fixed", bdev->dev->name,
			 bdev->dev->ops->product);
		return;
	}
	before = atomic_load(&bdev->dev->size_bytes);
	if (bdev->dev->ops->rescan(bdev->dev, &size, &err) < 0) {
		rpc_fail_err(call, &err);
		return;
	}
	if (size != before) {
		log_info("engine.bdev.resized", "bdev=%s from=%llu to=%llu", bdev->dev->name,
			 (unsigned long long)before, (unsigned long long)size);
		nvme_target_dev_changed(e->target, bdev->dev);
	}
	rpc_reply(call, NULL);
}

#define QOS_UNSET UINT64_MAX

struct qos_params {
	const char *name;
	uint64_t rw_ios, rw_mbytes, r_mbytes, w_mbytes, burst_ms;
};
#define QOS_AT(member) offsetof(struct qos_params, member)

static const struct json_field qos_fields[] = {
	{"name", JSON_KIND_STRING, QOS_AT(name), true},
	{"rw_ios_per_sec", JSON_KIND_U64, QOS_AT(rw_ios), false, 0, INT64_MAX},
	{"rw_mbytes_per_sec", JSON_KIND_U64, QOS_AT(rw_mbytes), false, 0, MBYTES_MAX},
	{"r_mbytes_per_sec", JSON_KIND_U64, QOS_AT(r_mbytes), false, 0, MBYTES_MAX},
	{"w_mbytes_per_sec", JSON_KIND_U64, QOS_AT(w_mbytes), false, 0, MBYTES_MAX},
	{"burst_ms", JSON_KIND_U64, QOS_AT(burst_ms), false, 0, 60000},
};

void rpc_bdev_set_qos_limit(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct qos_params p = {NULL, QOS_UNSET, QOS_UNSET, QOS_UNSET, QOS_UNSET, QOS_UNSET};
	struct nvme_qos_limits limits;
	struct change *change;
	struct bdev *bdev;

	if (!RPC_PARAMS(call, params, qos_fields, &p))
		return;
	if ((p.rw_ios & p.rw_mbytes & p.r_mbytes & p.w_mbytes & p.burst_ms) == QOS_UNSET) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "no limit is given; give at least one of rw_ios_per_sec, "
			 "rw_mbytes_per_sec, r_mbytes_per_sec, w_mbytes_per_sec, burst_ms");
		return;
	}
	bdev = find_or_fail(e, call, p.name);
	change = bdev ? change_begin(e, call) : NULL;
	if (!change)
		return;
	limits = bdev->limits;
	if (p.rw_ios != QOS_UNSET)
		limits.rw_ios_per_sec = p.rw_ios;
	if (p.rw_mbytes != QOS_UNSET)
		limits.rw_bytes_per_sec = p.rw_mbytes * MEGABYTE;
	if (p.r_mbytes != QOS_UNSET)
		limits.r_bytes_per_sec = p.r_mbytes * MEGABYTE;
	if (p.w_mbytes != QOS_UNSET)
		limits.w_bytes_per_sec = p.w_mbytes * MEGABYTE;
	if (p.burst_ms != QOS_UNSET)
		limits.burst_ms = (uint32_t)p.burst_ms;
	bdev_set_limits(bdev, &limits);
	change_commit(change, NULL);
}

struct fault_params {
	const char *name, *kind;
	json_t *ops;
	uint64_t offset, length, skip, count, delay_us, tear_bytes;
	double probability;
	json_t *error; /* a name such as "EIO", or a number */
	uint32_t id;
};
#define FAULT_AT(member) offsetof(struct fault_params, member)

static const struct json_field fault_add_fields[] = {
	{"name", JSON_KIND_STRING, FAULT_AT(name), true},
	{"kind", JSON_KIND_STRING, FAULT_AT(kind), true},
	{"ops", JSON_KIND_ARRAY, FAULT_AT(ops)},
	{"offset", JSON_KIND_U64, FAULT_AT(offset)},
	{"length", JSON_KIND_U64, FAULT_AT(length)},
	{"probability", JSON_KIND_DOUBLE, FAULT_AT(probability)},
	{"skip", JSON_KIND_U64, FAULT_AT(skip)},
	{"count", JSON_KIND_U64, FAULT_AT(count)},
	{"error", JSON_KIND_ANY, FAULT_AT(error)},
	{"delay_us", JSON_KIND_U64, FAULT_AT(delay_us), false, 0, 3600000000ull},
	{"tear_bytes", JSON_KIND_U64, FAULT_AT(tear_bytes)},
};

/* -EINVAL: answered. */
static int fault_ops(struct rpc_call *call, const json_t *ops, unsigned *ret_mask)
{
	unsigned mask = 0;

	for (size_t i = 0; i < json_array_size(ops); i++) {
		const char *name = json_string_value(json_array_get(ops, i));
		unsigned op = 0;

		while (op < BLK_OPS && (!name || strcmp(name, blk_op_name[op]) != 0))
			op++;
		if (op == BLK_OPS) {
			rpc_fail(call, RPC_ERR_INVALID_PARAMS,
				 "ops[%zu]: '%.32s' is not one of %s, %s, %s, %s, %s", i,
				 name ? name : "?", blk_op_name[0], blk_op_name[1], blk_op_name[2],
				 blk_op_name[3], blk_op_name[4]);
			return -EINVAL;
		}
		mask |= 1u << op;
	}
	*ret_mask = mask;
	return 0;
}

/* -EINVAL: answered. Default: EIO. */
static int fault_error(struct rpc_call *call, const json_t *error, int *ret_error)
{
	static const struct {
		const char *name;
		int number;
	} rows[] = {{"EIO", EIO},
		    {"ENOSPC", ENOSPC},
		    {"EROFS", EROFS},
		    {"EILSEQ", EILSEQ},
		    {"ENODEV", ENODEV},
		    {"ETIMEDOUT", ETIMEDOUT},
		    {"EOPNOTSUPP", EOPNOTSUPP},
		    {"ENOMEM", ENOMEM},
		    {"0", 0}};
	const char *name = json_string_value(error);

	if (!error || (json_is_integer(error) && json_integer_value(error) >= 0 &&
		       json_integer_value(error) < 4096)) {
		*ret_error = error ? -(int)json_integer_value(error) : -EIO;
		return 0;
	}
	for (size_t i = 0; name && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			*ret_error = -rows[i].number;
			return 0;
		}
	}
	rpc_fail(call, RPC_ERR_INVALID_PARAMS,
		 "error: expected a number, or EIO, ENOSPC, EROFS, EILSEQ, ENODEV, ETIMEDOUT, "
		 "EOPNOTSUPP or ENOMEM");
	return -EINVAL;
}

void rpc_litepool_fault_add(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct fault_params p = {.probability = 1.0};
	struct disk_fault_rule rule = {0};
	struct err err = {0};
	struct bdev *bdev;
	unsigned kind = 0;
	uint32_t id;

	if (!RPC_PARAMS(call, params, fault_add_fields, &p))
		return;
	bdev = find_or_fail(ctx, call, p.name);
	if (!bdev || fault_ops(call, p.ops, &rule.ops) < 0 ||
	    fault_error(call, p.error, &rule.error) < 0)
		return;
	while (kind < DISK_FAULT_KINDS && strcmp(disk_fault_kind_name[kind], p.kind) != 0)
		kind++;
	if (kind == DISK_FAULT_KINDS) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "kind '%.32s': expected error, delay, drop, tear, hang or corrupt",
			 p.kind);
		return;
	}
	rule.kind = (enum disk_fault_kind)kind;
	rule.offset = p.offset;
	rule.length = p.length;
	rule.probability = p.probability;
	rule.skip = p.skip;
	rule.count = p.count;
	rule.delay_ns = p.delay_us * 1000;
	rule.tear_bytes = p.tear_bytes;
	if (disk_fault_add(bdev->dev, &rule, &id, &err) < 0)
		rpc_fail_err(call, &err);
	else
		rpc_reply_json(call, json_integer((json_int_t)id));
}

static const struct json_field fault_remove_fields[] = {
	{"name", JSON_KIND_STRING, FAULT_AT(name), true},
	{"id", JSON_KIND_U32, FAULT_AT(id)},
};

void rpc_litepool_fault_remove(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct fault_params p = {0};
	struct err err = {0};
	struct bdev *bdev;

	if (!RPC_PARAMS(call, params, fault_remove_fields, &p))
		return;
	bdev = find_or_fail(ctx, call, p.name);
	if (!bdev)
		return;
	if (disk_fault_remove(bdev->dev, p.id, &err) < 0)
		rpc_fail_err(call, &err);
	else
		rpc_reply(call, NULL);
}

static const struct json_field fault_list_fields[] = {
	{"name", JSON_KIND_STRING, FAULT_AT(name), true},
};

void rpc_litepool_fault_list(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct fault_params p = {0};
	struct bdev *bdev;

	if (!RPC_PARAMS(call, params, fault_list_fields, &p))
		return;
	bdev = find_or_fail(ctx, call, p.name);
	if (bdev && strcmp(bdev->create_method, "litepool_fault_create") != 0)
		rpc_fail(call, -ENODEV, "%s is not a fault layer", bdev->dev->name);
	else if (bdev)
		rpc_reply_json(call, disk_fault_list(bdev->dev));
}
