/* SPDX-License-Identifier: Apache-2.0 */
/* Disks through a hot upgrade: descriptors by name, and the rules of fault disks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "engine/store_handover_priv.h"

struct passed_disk {
	struct list link;
	char name[BLK_NAME_MAX];
	int fd;        /* owned; -1: none, or taken */
	json_t *rules; /* owned; of a fault disk */
};

/* ---- the old engine ---- */

static json_t *disk_json(const struct bdev *bdev, int *fds, unsigned *n)
{
	int fd = disk_export(bdev->dev);

	if (fd >= 0) {
		fds[*n] = fd;
		return json_pack("{s:s, s:i}", "name", bdev->dev->name, "fd", (int)(*n)++);
	}
	if (bdev->base)
		return json_pack("{s:s, s:o}", "name", bdev->dev->name, "rules",
				 disk_fault_list(bdev->dev));
	return NULL; /* nothing of it has to be carried: null disks, volumes */
}

int store_disks(struct engine *e, int *fds, unsigned max, unsigned *ret_n, json_t **ret,
		struct err *err)
{
	json_t *disks = json_array();
	unsigned n = 0;

	list_for_each (it, &e->bdevs.list) {
		const struct bdev *bdev = list_entry(it, struct bdev, link);
		json_t *one;

		if (n == max && disk_export(bdev->dev) >= 0) {
			json_decref(disks);
			return err_set(err, -ENOSPC, "more than %u disks have descriptors", max);
		}
		one = bdev->pool ? NULL : disk_json(bdev, fds, &n);
		if (one)
			(void)json_array_append_new(disks, one);
	}
	*ret = json_pack("{s:o}", "disks", disks);
	if (!*ret)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_n = n;
	return 0;
}

/* ---- the new engine ---- */

static struct passed_disk *find(struct engine *e, const char *name)
{
	struct store_handover *h = e->store.handover;

	if (!h)
		return NULL;
	list_for_each (it, &h->disks) {
		struct passed_disk *disk = list_entry(it, struct passed_disk, link);

		if (strcmp(disk->name, name) == 0)
			return disk;
	}
	return NULL;
}

/* fds that are taken become -1. */
static int adopt_one(struct engine *e, const json_t *one, int *fds, unsigned n, struct err *err)
{
	const char *name = json_string_value(json_object_get(one, "name"));
	const json_t *fd = json_object_get(one, "fd");
	json_int_t index = json_integer_value(fd);
	struct passed_disk *disk;

	if (!name || !name[0] || strlen(name) >= sizeof(disk->name) || find(e, name) ||
	    (fd && (!json_is_integer(fd) || index < 0 || index >= (json_int_t)n || fds[index] < 0)))
		return err_set(err, -EBADMSG, "the list of passed disks is not well formed");
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(disk->name, name, strlen(name) + 1);
	disk->fd = -1;
	if (fd) {
		disk->fd = fds[index];
		fds[index] = -1;
	}
	disk->rules = json_incref(json_object_get(one, "rules"));
	list_push_back(&e->store.handover->disks, &disk->link);
	return 0;
}

int store_disks_adopt(struct engine *e, const json_t *disks, int *fds, unsigned n, struct err *err)
{
	const json_t *list = json_object_get(disks, "disks");
	int rc = store_handover_get(e) ? 0 : err_set(err, -ENOMEM, "out of memory");

	if (!rc && !json_is_array(list))
		rc = err_set(err, -EBADMSG, "there is no list of passed disks");
	for (size_t i = 0; i < json_array_size(list) && !rc; i++)
		rc = adopt_one(e, json_array_get(list, i), fds, n, err);
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]); /* nothing was written by it */
	if (rc && e->store.handover)
		(void)store_disks_left(e);
	return rc;
}

unsigned store_disks_left(struct engine *e)
{
	struct store_handover *h = e->store.handover;
	unsigned n = 0;

	if (!h)
		return 0;
	for (struct list *link; (link = list_pop_front(&h->disks));) {
		struct passed_disk *disk = list_entry(link, struct passed_disk, link);

		if (disk->fd >= 0) {
			(void)close(disk->fd);
			n++;
		}
		json_decref(disk->rules);
		free(disk);
	}
	return n;
}

int store_disk_take(struct engine *e, const char *name)
{
	struct passed_disk *disk = find(e, name);
	int fd = disk ? disk->fd : -1;

	if (disk)
		disk->fd = -1;
	return fd;
}

int store_disk_restore(struct engine *e, struct blk_dev *dev, struct err *err)
{
	const struct passed_disk *disk = find(e, dev->name);

	return disk && disk->rules ? disk_fault_restore(dev, disk->rules, err) : 0;
}
