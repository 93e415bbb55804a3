/* SPDX-License-Identifier: Apache-2.0 */
#include "host/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/str.h"
#include "host/sys.h"
#include "rt/blocking.h"
#include "rt/fs.h"

#define RECORDS   "/run/litepool/host"
#define LOCK_NAME "lock"
#define ID_SIZE   48
#define TEXT_SIZE 1024
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

/* Whoever had the lock may have removed the file with the folder: then it is not this lock any more. */
static bool is_the_file(int fd, const char *path)
{
	struct stat held, there;

	return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_ino == there.st_ino &&
	       held.st_dev == there.st_dev;
}

int record_lock(const struct host_env *env, const char *nqn, int64_t deadline, int *ret_fd,
		struct err *err)
{
	char path[SYS_PATH], folder[HOST_NQN_SIZE];
	int res;

	/* Another turn means that somebody else had a whole one. */
	for (;;) {
		res = fs_make_dir(sys_path(env, path, RECORDS "/%s", folder_of(nqn, folder)), 0700,
				  err);
		if (res < 0)
			return res;
		sys_path(env, path, RECORDS "/%s/" LOCK_NAME, folder);
		res = blocking_lock(path, env->cancel_fd, deadline, ret_fd, err);
		if (res < 0 && res != -ENOENT) /* removed between the two */
			return res;
		if (res == 0 && is_the_file(*ret_fd, path))
			return 0;
		if (res == 0)
			blocking_unlock(*ret_fd);
		*ret_fd = -1;
	}
}

void record_unlock(const struct host_env *env, const char *nqn, int fd)
{
	char path[SYS_PATH], folder[HOST_NQN_SIZE];

	if (fd < 0)
		return;
	if (record_count(env, nqn) == 0) {
		(void)unlink(sys_path(env, path, RECORDS "/%s/" LOCK_NAME, folder_of(nqn, folder)));
		(void)rmdir(sys_path(env, path, RECORDS "/%s", folder));
	}
	blocking_unlock(fd);
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

static const char *record_path(const struct host_env *env, const char *nqn,
			       const struct host_id *id, char path[SYS_PATH])
{
	char folder[HOST_NQN_SIZE], name[ID_SIZE];

	return sys_path(env, path, RECORDS "/%s/%s", folder_of(nqn, folder), id_name(id, name));
}

int record_update(const struct record_claim *claim, struct err *err)
{
	char text[TEXT_SIZE] = "waiting";
	size_t n = strlen(text);

	for (unsigned i = 0; i < claim->n_made; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", claim->made[i]);
	/* The file is not seen empty meanwhile. */
	if (pwrite(claim->fd, text, n, 0) == (ssize_t)n && ftruncate(claim->fd, (off_t)n) == 0)
		return 0;
	return err_set(err, errno ? -errno : -EIO, "cannot note what is attached: %s",
		       strerror(errno));
}

/* False: the file is empty. */
static bool inherit(struct record_claim *claim)
{
	char text[TEXT_SIZE], *rest = NULL, *word;
	ssize_t n = pread(claim->fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	word = strtok_r(text, " ", &rest); /* "waiting" */
	claim->n_made = 0;
	while (word && (word = strtok_r(NULL, " ", &rest)) && claim->n_made < RECORD_MADE_MAX)
		if (str_copy(claim->made[claim->n_made], sizeof(claim->made[0]), word))
			claim->n_made++;
	return n > 0;
}

int record_want(const struct host_env *env, const char *nqn, const struct host_id *id, bool stale,
		struct record_claim *claim, struct err *err)
{
	char path[SYS_PATH];
	bool made;
	int res;

	record_path(env, nqn, id, path);
	claim->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	made = claim->fd >= 0;
	if (!made && errno == EEXIST)
		claim->fd = open(path, O_RDWR | O_CLOEXEC);
	if (claim->fd < 0)
		return err_set(err, -errno, "cannot note in %s what is attached: %s", path,
			       strerror(errno));
	if (!inherit(claim) && !made && !stale) {
		(void)close(claim->fd);
		claim->fd = -1;
		return 0;
	}
	/* Nobody holds it exclusively without the subsystem's lock. */
	res = flock(claim->fd, LOCK_SH | LOCK_NB) < 0
		      ? err_set(err, -errno, "cannot lock %s: %s", path, strerror(errno))
		      : record_update(claim, err);
	return res < 0 ? res : 1;
}

bool record_settle(const struct host_env *env, const char *nqn, const struct host_id *id,
		   const struct record_claim *claim)
{
	char path[SYS_PATH];

	return is_the_file(claim->fd, record_path(env, nqn, id, path)) &&
	       ftruncate(claim->fd, 0) == 0;
}

bool record_give_up(const struct host_env *env, const char *nqn, const struct host_id *id,
		    const struct record_claim *claim)
{
	char path[SYS_PATH];
	struct stat st;

	record_path(env, nqn, id, path);
	/* Detached meanwhile; or attached, by another; or others wait on. */
	if (!is_the_file(claim->fd, path) || fstat(claim->fd, &st) < 0 || st.st_size == 0 ||
	    flock(claim->fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	(void)unlink(path);
	return true;
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
