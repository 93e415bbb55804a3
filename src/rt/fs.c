/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small whole files.
 *
 * fs_write_atomic: the new text is written beside the old one and synced, then renamed over it, then the folder is
 * synced. A crash at any point leaves the old or the new text, and perhaps a temporary file, which the next write of the
 * same path replaces.
 */
#include "rt/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/str.h"

static int read_all(int fd, size_t max, char **ret_text, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t got;

		if (len == room) {
			char *more = realloc(text, room * 2 + 4096 + 1);

			if (!more)
				return -ENOMEM;
			text = more;
			room = room * 2 + 4096;
		}
		got = read(fd, text + len, room - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		len += (size_t)got;
		if (len > max)
			return -EFBIG;
		if (!got)
			break;
	}
	text[len] = '\0';
	*ret_text = TAKE_PTR(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fs_read(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	rc = read_all(fd, max, ret_text, ret_len);
	if (rc == -EFBIG)
		return err_set(err, rc, "%s is larger than the %zu bytes allowed", path, max);
	return rc < 0 ? err_set(err, rc, "cannot read %s: %s", path, strerror(-rc)) : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, data, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		len -= (size_t)put;
	}
	return 0;
}

static int write_temporary(const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	int rc;

	if (fd < 0)
		return -errno;
	/* open() honours the umask and leaves the mode of a file that is there already. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	rc = write_all(fd, data, len);
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	return rc;
}

/* Makes a rename or a new folder in path's folder durable. */
static int sync_folder_of(const char *path)
{
	_cleanup_close_ int fd = -1;
	char folder[PATH_MAX];
	char *slash;

	if (!str_copy(folder, sizeof(folder), path))
		return -ENAMETOOLONG;
	slash = strrchr(folder, '/');
	if (!slash)
		(void)str_copy(folder, sizeof(folder), ".");
	else
		slash[slash == folder] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	char temporary[PATH_MAX];
	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
	int rc;

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return err_set(err, -ENAMETOOLONG, "the path %.64s... is too long", path);
	rc = write_temporary(temporary, data, len, mode);
	if (!rc && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0) {
		(void)unlink(temporary);
		return err_set(err, rc, "cannot write %s: %s; the old content is kept", path,
			       strerror(-rc));
	}
	rc = sync_folder_of(path);
	return rc < 0 ? err_set(err, rc, "%s is written but may not survive a power cut: %s", path,
				strerror(-rc))
		      : 0;
}

static int make_one(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (!mkdir(path, mode)) {
		(void)sync_folder_of(
			path); /* a folder that a power cut takes is made again at the next start */
		return 0;
	}
	if (errno != EEXIST)
		return err_set(err, -errno, "cannot create the folder %s: %s", path,
			       strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is in the way: it is not a folder", path);
	return 0;
}

int fs_make_dir(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	int rc = 0;

	if (!*path || !str_copy(part, sizeof(part), path))
		return err_set(err, -EINVAL, "'%.64s' is not a path of a folder", path);
	for (char *at = part + 1; *at && !rc; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		rc = make_one(part, mode, err);
		*at = '/';
	}
	return rc < 0 ? rc : make_one(part, mode, err);
}

int fs_lock(const char *path, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(err, -errno, "cannot create the lock file %s: %s", path,
			       strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;

		return err_set(err, rc,
			       rc == -EBUSY ? "%s is locked by another running process; stop it, "
					      "or use another folder"
					    : "cannot lock %s",
			       path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
