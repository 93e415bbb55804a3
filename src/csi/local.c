/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/local.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "rt/fs.h"

#define LOCAL_RUN    "/run/litepool/local"
#define LOCAL_PREFIX "/dev/litepool-"
#define LOCAL_LV     "/vol-"

bool local_path_valid(const char *path, const struct uuid *uid)
{
	const char *pool, *slash;
	char text[UUID_TEXT_SIZE];
	struct uuid parsed;

	if (strncmp(path, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) != 0)
		return false;
	pool = path + strlen(LOCAL_PREFIX);
	slash = strchr(pool, '/');
	if (!slash || slash - pool != UUID_TEXT_SIZE - 1)
		return false;
	(void)snprintf(text, sizeof(text), "%.*s", (int)(slash - pool), pool);
	return uuid_parse(text, &parsed) && strncmp(slash, LOCAL_LV, strlen(LOCAL_LV)) == 0 &&
	       strcmp(slash + strlen(LOCAL_LV), uuid_format(uid, text)) == 0;
}

static const char *link_of(const char *root, const struct uuid *uid, char link[PATH_MAX])
{
	char text[UUID_TEXT_SIZE];

	(void)snprintf(link, PATH_MAX, "%s" LOCAL_RUN "/%s", root ? root : "",
		       uuid_format(uid, text));
	return link;
}

/* Where the link leads; false: none, or nowhere that we would have made it lead. */
static bool read_link(const char *root, const struct uuid *uid, char device[CSI_DEVICE_MAX])
{
	char link[PATH_MAX];
	ssize_t len = readlink(link_of(root, uid, link), device, CSI_DEVICE_MAX - 1);

	if (len < 0 || len >= CSI_DEVICE_MAX - 1)
		return false;
	device[len] = '\0';
	return local_path_valid(device, uid);
}

static int check_device(const char *root, const char *path, struct err *err)
{
	char full[PATH_MAX];
	struct stat st;

	(void)snprintf(full, sizeof(full), "%s%s", root ? root : "", path);
	if (stat(full, &st) < 0)
		return err_set(
			err, -errno,
			"cannot look at %s: %s. The agent of this node activates it: see its "
			"log, and the StorageVolume's conditions",
			path, strerror(errno));
	return S_ISBLK(st.st_mode) ? 0 : err_set(err, -ENOTBLK, "%s is not a block device", path);
}

int local_attach(const char *root, const struct uuid *uid, const char *path, struct err *err)
{
	char folder[PATH_MAX], link[PATH_MAX], now[CSI_DEVICE_MAX];
	int rc;

	if (!local_path_valid(path, uid))
		return err_set(err, -EINVAL, "%.100s is not the device of this volume", path);
	rc = check_device(root, path, err);
	if (rc)
		return rc;
	if (read_link(root, uid, now) && strcmp(now, path) == 0)
		return 0;
	(void)snprintf(folder, sizeof(folder), "%s" LOCAL_RUN, root ? root : "");
	rc = fs_make_dir(folder, 0755, err);
	if (rc < 0)
		return rc;
	/* One that leads elsewhere is of another pool that had the volume. */
	if (unlink(link_of(root, uid, link)) < 0 && errno != ENOENT)
		return err_set(err, -errno, "cannot remove %s: %s", link, strerror(errno));
	return symlink(path, link) < 0
		       ? err_set(err, -errno, "cannot make %s: %s", link, strerror(errno))
		       : 0;
}

bool local_find(const char *root, const struct uuid *uid, char device[CSI_DEVICE_MAX])
{
	struct err err = {0};

	return read_link(root, uid, device) && check_device(root, device, &err) == 0;
}

int local_detach(const char *root, const struct uuid *uid, struct err *err)
{
	char link[PATH_MAX];

	return unlink(link_of(root, uid, link)) < 0 && errno != ENOENT
		       ? err_set(err, -errno, "cannot remove %s: %s", link, strerror(errno))
		       : 0;
}
