/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry of block devices. Invariants:
 *  1. A name or alias leads to one device: names and UUIDs share one space.
 *  2. The list is in order of creation, so its calls replayed in order find every base.
 */
#include "engine/bdev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

#define MEGABYTE (UINT64_C(1) << 20) /* SPDK's mbytes are powers of two */

void bdev_registry_init(struct bdev_registry *reg)
{
	list_init(&reg->list);
	reg->count = 0;
}

struct bdev *bdev_find(struct bdev_registry *reg, const char *name)
{
	list_for_each (it, &reg->list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (strcmp(bdev->dev->name, name) == 0 || strcasecmp(bdev->uuid_text, name) == 0 ||
		    (bdev->alias[0] && strcmp(bdev->alias, name) == 0))
			return bdev;
	}
	return NULL;
}

struct bdev *bdev_of(struct bdev_registry *reg, const struct blk_dev *dev)
{
	list_for_each (it, &reg->list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (bdev->dev == dev)
			return bdev;
	}
	return NULL;
}

int bdev_check_free(struct bdev_registry *reg, const char *name, const struct uuid *uuid,
		    struct err *err)
{
	char text[UUID_TEXT_SIZE];
	struct bdev *other = bdev_find(reg, name);

	if (other)
		return err_set(
			err, -EEXIST,
			"a block device named %s exists already (%s); choose another name or "
			"delete it first",
			name, other->create_method);
	other = bdev_find(reg, uuid_format(uuid, text));
	if (other)
		return err_set(err, -EEXIST, "the UUID %s belongs to block device %s already", text,
			       other->dev->name);
	return 0;
}

int bdev_add(struct bdev_registry *reg, struct blk_dev *dev, const char *method, json_t *params,
	     struct bdev **ret, struct err *err)
{
	struct bdev *bdev = calloc(1, sizeof(*bdev));
	struct nvme_qos *qos = nvme_qos_new();

	ASSERT(!bdev_find(reg, dev->name));
	if (!bdev || !qos) {
		free(bdev);
		nvme_qos_free(qos);
		return err_set(err, -ENOMEM, "out of memory for block device %s", dev->name);
	}
	bdev->dev = dev;
	bdev->qos = qos;
	bdev->create_method = method;
	bdev->create_params = params;
	uuid_format(&dev->uuid, bdev->uuid_text);
	list_push_back(&reg->list, &bdev->link);
	reg->count++;
	*ret = bdev;
	return 0;
}

void bdev_remove(struct bdev_registry *reg, struct bdev *bdev)
{
	ASSERT(bdev->dev->claims == 0);
	list_remove(&bdev->link);
	reg->count--;
	bdev->dev->ops->destroy(bdev->dev);
	nvme_qos_free(bdev->qos);
	json_decref(bdev->create_params);
	json_decref(bdev->props);
	free(bdev);
}

void bdev_remove_all(struct bdev_registry *reg)
{
	while (!list_empty(&reg->list))
		bdev_remove(reg, list_entry(reg->list.prev, struct bdev, link));
}

void bdev_set_limits(struct bdev *bdev, const struct nvme_qos_limits *limits)
{
	bdev->limits = *limits;
	nvme_qos_set(bdev->qos, limits);
}

static json_t *limits_json(const struct nvme_qos_limits *limits)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "rw_ios_per_sec",
			 (json_int_t)limits->rw_ios_per_sec, "rw_mbytes_per_sec",
			 (json_int_t)(limits->rw_bytes_per_sec / MEGABYTE), "r_mbytes_per_sec",
			 (json_int_t)(limits->r_bytes_per_sec / MEGABYTE), "w_mbytes_per_sec",
			 (json_int_t)(limits->w_bytes_per_sec / MEGABYTE));
}

static json_t *io_types_json(const struct blk_dev *dev)
{
	static const char *const never[] = {"nvme_admin",      "nvme_io",     "nvme_io_md",
					    "nvme_iov_md",     "zcopy",       "get_zone_info",
					    "zone_management", "zone_append", "seek_hole",
					    "seek_data",       "copy"};
	bool writable = !(dev->caps & BLK_CAP_READ_ONLY);
	json_t *types =
		json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "read", true, "write",
			  writable, "unmap", writable && (dev->caps & BLK_CAP_DISCARD), "flush",
			  true, "reset", true, "write_zeroes", writable, "compare", true,
			  "compare_and_write", writable, "abort", true);

	for (size_t i = 0; types && i < sizeof(never) / sizeof(never[0]); i++)
		(void)json_object_set_new(types, never[i], json_false());
	return types;
}

json_t *bdev_info_json(const struct bdev *bdev)
{
	const struct blk_dev *dev = bdev->dev;
	json_t *driver = dev->ops->describe ? dev->ops->describe(dev) : NULL;
	json_t *info = json_pack(
		"{s:s, s:[s], s:s, s:I, s:I, s:s, s:o*, s:b, s:b, s:o*, s:[], s:o}", "name",
		dev->name, "aliases", bdev->alias[0] ? bdev->alias : bdev->uuid_text,
		"product_name", dev->ops->product, "block_size", (json_int_t)dev->block_size,
		"num_blocks", (json_int_t)(atomic_load(&dev->size_bytes) / dev->block_size), "uuid",
		bdev->uuid_text, "assigned_rate_limits", limits_json(&bdev->limits), "claimed",
		dev->claims > 0, "zoned", false, "supported_io_types", io_types_json(dev),
		"memory_domains", "driver_specific", driver ? driver : json_object());

	if (info && dev->claims > 0)
		(void)json_object_set_new(info, "claim_type", json_string("exclusive_write"));
	return info;
}

static void put_u64(json_t *object, const char *name, uint64_t value)
{
	(void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *bdev_iostat_json(const struct bdev *bdev)
{
	static const struct {
		enum blk_op op;
		const char *bytes, *ops, *latency;
	} rows[] = {
		{BLK_READ, "bytes_read", "num_read_ops", "read_latency_ticks"},
		{BLK_WRITE, "bytes_written", "num_write_ops", "write_latency_ticks"},
		{BLK_DISCARD, "bytes_unmapped", "num_unmap_ops", "unmap_latency_ticks"},
		{BLK_FLUSH, NULL, "num_flush_ops", "flush_latency_ticks"},
		{BLK_WRITE_ZEROES, "bytes_write_zeroes", "num_write_zeroes_ops",
		 "write_zeroes_latency_ticks"},
	};
	struct blk_stats *sum = calloc(1, sizeof(*sum));
	json_t *stat = json_object(), *errors = json_object();

	if (!sum || !stat || !errors) {
		free(sum);
		json_decref(stat);
		json_decref(errors);
		return NULL;
	}
	blk_stats_sum(bdev->dev, sum);
	(void)json_object_set_new(stat, "name", json_string(bdev->dev->name));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum blk_op op = rows[i].op;

		if (rows[i].bytes)
			put_u64(stat, rows[i].bytes, counter_get(&sum->bytes[op]));
		put_u64(stat, rows[i].ops, counter_get(&sum->ops[op]));
		put_u64(stat, rows[i].latency, counter_get(&sum->latency[op].sum_ns));
		if (counter_get(&sum->errors[op]))
			put_u64(errors, blk_op_name[op], counter_get(&sum->errors[op]));
	}
	put_u64(stat, "bytes_copied", 0);
	put_u64(stat, "num_copy_ops", 0);
	put_u64(stat, "copy_latency_ticks", 0);
	(void)json_object_set_new(stat, "io_error", errors);
	free(sum);
	return stat;
}

static json_t *op_metrics_json(const struct blk_stats *sum, enum blk_op op)
{
	const struct hist *h = &sum->latency[op];

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ops",
			 (json_int_t)counter_get(&sum->ops[op]), "bytes",
			 (json_int_t)counter_get(&sum->bytes[op]), "errors",
			 (json_int_t)counter_get(&sum->errors[op]), "latency_sum_ns",
			 (json_int_t)counter_get(&h->sum_ns), "p50_ns",
			 (json_int_t)hist_quantile(h, 0.5), "p99_ns",
			 (json_int_t)hist_quantile(h, 0.99), "p999_ns",
			 (json_int_t)hist_quantile(h, 0.999));
}

json_t *bdev_metrics_json(const struct bdev *bdev)
{
	struct blk_stats *sum = calloc(1, sizeof(*sum));
	json_t *metrics = json_pack("{s:s}", "name", bdev->dev->name);

	if (metrics && bdev->alias[0])
		(void)json_object_set_new(metrics, "alias", json_string(bdev->alias));
	if (sum && metrics) {
		blk_stats_sum(bdev->dev, sum);
		for (unsigned op = 0; op < BLK_OPS; op++)
			(void)json_object_set_new(metrics, blk_op_name[op],
						  op_metrics_json(sum, op));
	}
	free(sum);
	return metrics;
}

int bdev_config_append(const struct bdev *bdev, json_t *array)
{
	const struct nvme_qos_limits *limits = &bdev->limits;
	bool limited = limits->rw_ios_per_sec || limits->rw_bytes_per_sec ||
		       limits->r_bytes_per_sec || limits->w_bytes_per_sec;
	json_t *params;

	if (bdev->pool)
		return 0; /* its disk tells */
	if (json_array_append_new(array, json_pack("{s:s, s:O}", "method", bdev->create_method,
						   "params", bdev->create_params)) < 0)
		return -ENOMEM;
	if (!limited)
		return 0;
	params = limits_json(limits);
	if (!params)
		return -ENOMEM;
	(void)json_object_set_new(params, "name", json_string(bdev->dev->name));
	if (limits->burst_ms)
		put_u64(params, "burst_ms", limits->burst_ms);
	return json_array_append_new(array, json_pack("{s:s, s:o}", "method", "bdev_set_qos_limit",
						      "params", params)) < 0
		       ? -ENOMEM
		       : 0;
}
