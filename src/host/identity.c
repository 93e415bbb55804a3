/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Newer kernels want one host ID for each host NQN and refuse a second pairing. So an ID that is missing is taken out of the NQN where it has a UUID in it, and
 * nothing that is there is ever replaced.
 */
#include "host/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "host/record.h"
#include "host/sys.h"
#include "rt/blocking.h"
#include "rt/fs.h"

#define NQN_UUID "nqn.2014-08.org.nvmexpress:uuid:"

static int fresh_uuid(char *text)
{
	uint8_t random[16];
	struct uuid uuid;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	uuid = uuid_from_random(random);
	(void)uuid_format(&uuid, text);
	return 0;
}

static int put(const struct host_env *env, const char *name, const char *text, struct err *err)
{
	char path[SYS_PATH], line[HOST_NQN_SIZE + 1];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	int res = fs_make_dir(sys_path(env, path, "/etc/nvme"), 0755, err);

	if (res == 0)
		res = fs_write_atomic(sys_path(env, path, "/etc/nvme/%s", name), line, (size_t)n,
				      0644, err);
	return res < 0 ? err_prefix(err, "this host has no NVMe name yet, and it cannot be kept "
					 "(give --host-nqn and --host-id)")
		       : 0;
}

static int get_locked(const struct host_env *env, struct host_identity *id, struct err *err)
{
	bool have_nqn = sys_read(env, id->nqn, sizeof(id->nqn), "/etc/nvme/hostnqn") && id->nqn[0];
	bool have_id = sys_read(env, id->id, sizeof(id->id), "/etc/nvme/hostid") && id->id[0];
	struct uuid uuid;
	int res = 0;

	if (have_id && !uuid_parse(id->id, &uuid))
		return err_set(
			err, -EINVAL,
			"/etc/nvme/hostid holds '%s', which is no UUID; correct it, or remove it",
			id->id);
	if (!have_id && have_nqn && strncmp(id->nqn, NQN_UUID, strlen(NQN_UUID)) == 0 &&
	    uuid_parse(id->nqn + strlen(NQN_UUID), &uuid))
		(void)uuid_format(&uuid, id->id);
	else if (!have_id)
		res = fresh_uuid(id->id);
	if (res < 0)
		return err_set(err, res, "no random numbers for this host's ID: %s",
			       strerror(-res));
	if (!have_nqn) {
		(void)snprintf(id->nqn, sizeof(id->nqn), NQN_UUID "%s", id->id);
		res = put(env, "hostnqn", id->nqn, err);
	}
	if (res == 0 && !have_id)
		res = put(env, "hostid", id->id, err);
	return res < 0 ? res : host_nqn_check(id->nqn, err);
}

int host_identity_get(const struct host_env *env, struct host_identity *ret, struct err *err)
{
	int lock = -1, res = record_identity_lock(env, &lock, err);

	if (res == 0)
		res = get_locked(env, ret, err);
	blocking_unlock(lock);
	return res;
}
