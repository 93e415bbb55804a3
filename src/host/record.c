/* SPDX-License-Identifier: Apache-2.0 */
#include "host/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/str.h"
#include "host/sys.h"
#include "rt/blocking.h"
#include "rt/fs.h"

#define RECORDS   "/run/litepool/host"
#define LOCK_NAME "lock"
#define ID_SIZE   48
/* A name is made once in a host's life, in milliseconds. */
#define IDENTITY_LOCK_MS 10000

static void swap_char(char *text, char from, char to)
{
	for (; *text; text++)
		if (*text == from)
			*text = to;
}

/* The subsystem's folder: its NQN, which has no '%' (host_nqn_check), with '%' for '/'. */
static const char *folder_of(const char *nqn, char buf[HOST_NQN_SIZE])
{
	(void)str_copy(buf, HOST_NQN_SIZE, nqn);
	swap_char(buf, '/', '%');
	return buf;
}

static const char *id_name(const struct host_id *id, char buf[ID_SIZE])
{
	char hex[33];

	if (id->kind == HOST_ID_NSID)
		(void)snprintf(buf, ID_SIZE, "nsid-%u", id->nsid);
	else
		(void)snprintf(buf, ID_SIZE, "%s-%s", id->kind == HOST_ID_UUID ? "uuid" : "nguid",
			       hex_format(id->b, sizeof(id->b), hex));
	return buf;
}

int record_lock(const struct host_env *env, const char *nqn, int64_t deadline, int *ret_fd,
		struct err *err)
{
	char path[SYS_PATH], folder[HOST_NQN_SIZE];
	int res =
		fs_make_dir(sys_path(env, path, RECORDS "/%s", folder_of(nqn, folder)), 0700, err);

	if (res < 0)
		return res;
	return blocking_lock(sys_path(env, path, RECORDS "/%s/" LOCK_NAME, folder), env->cancel_fd,
			     deadline, ret_fd, err);
}

int record_identity_lock(const struct host_env *env, int *ret_fd, struct err *err)
{
	char path[SYS_PATH];
	int res = fs_make_dir(sys_path(env, path, RECORDS), 0700, err);

	if (res < 0)
		return res;
	return blocking_lock(sys_path(env, path, RECORDS "/.identity"), env->cancel_fd,
			     blocking_deadline(IDENTITY_LOCK_MS), ret_fd, err);
}

int record_want(const struct host_env *env, const char *nqn, const struct host_id *id,
		struct err *err)
{
	char path[SYS_PATH], folder[HOST_NQN_SIZE], name[ID_SIZE];
	_cleanup_close_ int fd = -1;

	sys_path(env, path, RECORDS "/%s/%s", folder_of(nqn, folder), id_name(id, name));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		return 1;
	return errno == EEXIST ? 0
			       : err_set(err, -errno, "cannot note in %s what is attached: %s",
					 path, strerror(errno));
}

void record_forget(const struct host_env *env, const char *nqn, const struct host_id *id)
{
	char path[SYS_PATH], folder[HOST_NQN_SIZE], name[ID_SIZE];

	/* Not there is as good; a record that stays keeps a device, and loses nothing. */
	(void)unlink(
		sys_path(env, path, RECORDS "/%s/%s", folder_of(nqn, folder), id_name(id, name)));
}

void record_forget_device(const struct host_env *env, const struct host_device *device)
{
	struct host_id id;

	if (host_id_parse(HOST_ID_NGUID, device->nguid, &id))
		record_forget(env, device->nqn, &id);
	if (host_id_parse(HOST_ID_UUID, device->uuid, &id))
		record_forget(env, device->nqn, &id);
	record_forget(env, device->nqn,
		      &(struct host_id){.kind = HOST_ID_NSID, .nsid = device->nsid});
}

unsigned record_count(const struct host_env *env, const char *nqn)
{
	char folder[HOST_NQN_SIZE];
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, RECORDS "/%s", folder_of(nqn, folder));
	const char *name;
	unsigned n = 0;

	while ((name = sys_next(dir)))
		n += strcmp(name, LOCK_NAME) != 0;
	return n;
}

bool record_find(const struct host_env *env, const struct host_id *id, char nqn[HOST_NQN_SIZE])
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, RECORDS);
	char name[ID_SIZE];
	const char *folder;

	while ((folder = sys_next(dir))) {
		if (!sys_exists(env, RECORDS "/%s/%s", folder, id_name(id, name)) ||
		    !str_copy(nqn, HOST_NQN_SIZE, folder))
			continue;
		swap_char(nqn, '%', '/');
		return true;
	}
	return false;
}
