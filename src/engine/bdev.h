/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block devices of the engine by name, alias and UUID, each with the RPC call that makes it again and its limits. Control thread.
 */
#ifndef LITEPOOL_ENGINE_BDEV_H
#define LITEPOOL_ENGINE_BDEV_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "blk/blk.h"
#include "nvme/target.h"

struct bdev {
	struct list link;
	struct blk_dev *dev;  /* owned */
	struct nvme_qos *qos; /* owned; every namespace on it shares it */
	struct nvme_qos_limits limits;
	const char *create_method; /* literal */
	json_t *create_params;     /* owned; with the UUID spelled out */
	struct bdev *base;         /* fault: what it stands on */
	char uuid_text[UUID_TEXT_SIZE];

	/* Of volumes and snapshots only (create_params is NULL); engine/store.h. */
	struct store_pool *pool;
	struct volume *volume;    /* belongs to the pool reactor */
	char alias[BLK_NAME_MAX]; /* "pool/volume"; "": none */
	json_t *props;            /* owned; store_props_json() */
	bool exports_live;        /* what props say of exports has been carried out */
	uint64_t seen;            /* mark of the catalog */
};

struct bdev_registry {
	struct list list; /* in order of creation: a base comes before what stands on it */
	unsigned count;
};

void bdev_registry_init(struct bdev_registry *reg);
/* By name, alias or UUID. NULL. */
struct bdev *bdev_find(struct bdev_registry *reg, const char *name);
struct bdev *bdev_of(struct bdev_registry *reg, const struct blk_dev *dev);
/* -EEXIST when the name or the UUID is taken, as name or as alias. */
int bdev_check_free(struct bdev_registry *reg, const char *name, const struct uuid *uuid,
		    struct err *err);
/* Takes dev and params on success. -ENOMEM. */
int bdev_add(struct bdev_registry *reg, struct blk_dev *dev, const char *method, json_t *params,
	     struct bdev **ret, struct err *err);
/* Destroys the device. Nobody may have claimed it (ASSERT). */
void bdev_remove(struct bdev_registry *reg, struct bdev *bdev);
/* Every device, the last created first. */
void bdev_remove_all(struct bdev_registry *reg);

void bdev_set_limits(struct bdev *bdev, const struct nvme_qos_limits *limits);

/* New JSON: an element of bdev_get_bdevs, one of bdev_get_iostat, and the calls that make the device again (appended). */
json_t *bdev_info_json(const struct bdev *bdev);
json_t *bdev_iostat_json(const struct bdev *bdev);
json_t *bdev_metrics_json(const struct bdev *bdev);
int bdev_config_append(const struct bdev *bdev, json_t *array);

#endif
