/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as block devices. Control thread, but for the submission. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "volume/priv.h"

/* The size that is published to the reactors by now. */
static int dev_rescan(struct blk_dev *dev, uint64_t *ret_size_bytes, struct err *err)
{
	struct volume *v = volume_of_dev(dev);

	*ret_size_bytes = atomic_load(&v->size_bytes);
	atomic_store_explicit(&dev->size_bytes, *ret_size_bytes, memory_order_release);
	return 0;
}

static void dev_destroy(struct blk_dev *dev)
{
	struct volume_dev *vdev = container_of(dev, struct volume_dev, dev);

	vdev->v->dev = NULL;
	blk_dev_fini(dev);
	free(vdev);
}

static const struct blk_ops volume_ops = {
	.product = "Logical Volume",
	.submit = volume_submit,
	.forwarded = volume_forwarded,
	.rescan = dev_rescan,
	.describe = volume_describe,
	.destroy = dev_destroy,
};

static_assert(offsetof(struct volume_dev, dev) == 0, "a volume's device is the device");

struct volume *volume_of_dev(const struct blk_dev *dev)
{
	return dev->ops == &volume_ops ? ((const struct volume_dev *)dev)->v : NULL;
}

static unsigned caps_of(const struct volume *v)
{
	unsigned caps = BLK_CAP_DISCARD | BLK_CAP_WRITE_ZEROES | BLK_CAP_VOLATILE_CACHE;

	caps |= pool_data_dev(v->pool)->caps & BLK_CAP_LOAN;
	if (pool_object_is_snapshot(v->object))
		caps |= BLK_CAP_READ_ONLY;
	return caps;
}

int volume_dev_new(struct volume *v, const char *name, struct blk_dev **ret, struct err *err)
{
	const struct blk_dev *base = pool_dev(v->pool);
	_cleanup_free_ struct volume_dev *vdev = calloc(1, sizeof(*vdev));
	int rc;

	if (!vdev)
		return err_set(err, -ENOMEM, "no memory for the device of volume %s", name);
	if (v->dev)
		return err_set(err, -EEXIST, "volume %s has a device already: %s", name,
			       v->dev->name);
	if (v->object->unusable)
		return err_set(err, -EOPNOTSUPP,
			       "volume %s has properties that this version does not know; use the "
			       "version that "
			       "made them",
			       name);
	if (v->block_size < base->block_size)
		return err_set(err, -EINVAL,
			       "volume %s has blocks of %u bytes, its pool is on a device (%s) "
			       "with blocks of "
			       "%u; move the pool back to a device with smaller blocks",
			       name, v->block_size, base->name, base->block_size);
	rc = blk_dev_init(&vdev->dev, &volume_ops, name, &v->object->uuid,
			  atomic_load(&v->size_bytes), v->block_size, caps_of(v), err);
	if (rc)
		return rc;
	vdev->dev.phys_block_size = LAYOUT_PAGE;
	vdev->v = v;
	*ret = &TAKE_PTR(vdev)->dev;
	v->dev = *ret;
	return 0;
}
