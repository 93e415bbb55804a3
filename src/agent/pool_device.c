/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool stands on: a file, or a disk by its stable identity. Here it is decided whether something may be written over. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pool.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "host/devices.h"
#include "kube/meta.h"
#include "kube/text.h"

static uint64_t declared_size(const json_t *pool)
{
	const char *why;
	uint64_t bytes = 0;

	if (!kube_at(pool, "spec.size") ||
	    !kube_size_parse(kube_at(pool, "spec.size"), &bytes, &why))
		return 0;
	return bytes;
}

/* Only the space that was asked for, and now, so that the pool cannot run into a full file system later. */
static int allocate(int fd, const char *path, uint64_t size, struct err *err)
{
	int rc = posix_fallocate(fd, 0, (off_t)size);

	if (!rc && fsync(fd) < 0)
		rc = errno;
	return rc ? err_set(err, -rc, "no %" PRIu64 " bytes for %s: %s", size, path, strerror(rc))
		  : 0;
}

static int file_make(const json_t *pool, struct pool_device *ret, struct err *err)
{
	uint64_t size = declared_size(pool);
	_cleanup_close_ int fd = -1;
	int rc;

	if (!size) {
		ret->reason = "SizeMissing";
		return err_set(err, -EINVAL,
			       "%s does not exist; to have it made, set spec.size of the pool",
			       ret->path);
	}
	ret->reason = "FileNotMade";
	fd = open(ret->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s cannot be made: %s", ret->path, strerror(errno));
	rc = allocate(fd, ret->path, size, err);
	if (rc)
		(void)unlink(ret->path); /* made a moment ago, by us */
	return rc;
}

/* Holes and space that was never written are empty; a file system that cannot tell says that all is data. */
static void file_look(int fd, struct pool_device *ret)
{
	off_t at = lseek(fd, 0, SEEK_DATA);

	ret->found = at < 0 && errno == ENXIO ? POOL_FOUND_EMPTY : POOL_FOUND_SOMETHING;
	if (ret->found == POOL_FOUND_SOMETHING)
		(void)snprintf(
			ret->why, sizeof(ret->why),
			"the file has data at offset %lld; if nobody needs it, remove the file",
			(long long)at);
}

static int file_find(const json_t *pool, struct pool_device *ret, struct err *err)
{
	_cleanup_close_ int fd = open(ret->path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT && kube_str(pool, "status.uuid")[0]) {
		ret->reason = "DeviceMissing";
		return err_set(err, -ENOENT,
			       "%s is not there, and the pool had data: it is not made anew. Bring "
			       "the file back, or delete the StoragePool",
			       ret->path);
	}
	if (fd < 0 && errno == ENOENT) {
		int rc = file_make(pool, ret, err);

		ret->found = POOL_FOUND_EMPTY;
		return rc;
	}
	ret->reason = "DeviceUnusable";
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", ret->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "%s is no regular file; a disk is declared by spec.device.id",
			       ret->path);
	file_look(fd, ret);
	/* We were cut between making it and its space. */
	if (ret->found == POOL_FOUND_EMPTY && (uint64_t)st.st_size < declared_size(pool) &&
	    !kube_str(pool, "status.uuid")[0])
		return allocate(fd, ret->path, declared_size(pool), err);
	return 0;
}

static int disk_find(struct agent *a, const char *id, bool in_use, struct pool_device *ret,
		     struct err *err)
{
	struct disk disk;
	int rc;

	ret->reason = "DeviceMissing";
	(void)snprintf(ret->path, sizeof(ret->path), "/dev/disk/by-id/%s", id);
	rc = host_disk_find(&a->host, ret->path, 0, &disk, err);
	if (rc)
		return rc;
	ret->found = POOL_FOUND_SOMETHING;
	(void)str_copy(ret->why, sizeof(ret->why), disk.why);
	if (in_use || disk.verdict == DISK_POOL)
		return 0;
	if (disk.verdict == DISK_SAFE) {
		ret->found = POOL_FOUND_EMPTY;
		return 0;
	}
	ret->reason = "DeviceUnsafe";
	return err_set(err, -EPERM, "%s (%s) is not taken: %s", id, disk.path, disk.why);
}

int pool_device_find(struct agent *a, const json_t *pool, bool in_use, struct pool_device *ret,
		     struct err *err)
{
	const char *file = kube_str(pool, "spec.device.file");

	*ret = (struct pool_device){.reason = "DeviceUnusable"};
	if (!file[0])
		return disk_find(a, kube_str(pool, "spec.device.id"), in_use, ret, err);
	if (!str_copy(ret->path, sizeof(ret->path), file))
		return err_set(err, -ENAMETOOLONG, "the path of the file is too long");
	return file_find(pool, ret, err);
}

int pool_device_grow(const json_t *pool, uint64_t known, struct err *err)
{
	const char *file = kube_str(pool, "spec.device.file");
	uint64_t size = declared_size(pool);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int rc;

	if (!file[0] || !size)
		return 0;
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", file, strerror(errno));
	if ((uint64_t)st.st_size >= size)
		return (uint64_t)st.st_size > known;
	rc = allocate(fd, file, size, err);
	return rc ? rc : 1;
}
