/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers and namespaces in sysfs. With native multipath nvmeSnH is the device, S the number of the subsystem, and nvmeScCnH below controller C are its
 * hidden paths; without, or for a namespace that is not shared, nvmeSnH lies below its only controller. Both have a link "device" to a folder with subsysnqn.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/str.h"
#include "base/uuid.h"
#include "host/host.h"
#include "host/sys.h"

#define ADDRESS_SIZE 256

bool host_id_parse(enum host_id_kind kind, const char *text, struct host_id *ret)
{
	struct host_id id = {.kind = kind};
	struct uuid uuid;
	uint64_t nsid;

	if (kind == HOST_ID_NSID) {
		if (!str_to_u64(text, 1, UINT32_MAX - 1, &nsid))
			return false;
		id.nsid = (uint32_t)nsid;
	} else if (uuid_parse(text, &uuid)) {
		memcpy(id.b, uuid.b, sizeof(id.b));
	} else if (!hex_parse(text, id.b, sizeof(id.b))) {
		return false;
	}
	*ret = id;
	return true;
}

const char *host_id_format(const struct host_id *id, char *text)
{
	struct uuid uuid;
	char hex[UUID_TEXT_SIZE];

	memcpy(uuid.b, id->b, sizeof(uuid.b));
	if (id->kind == HOST_ID_NSID)
		(void)snprintf(text, 64, "namespace %u", id->nsid);
	else if (id->kind == HOST_ID_UUID)
		(void)snprintf(text, 64, "UUID %s", uuid_format(&uuid, hex));
	else
		(void)snprintf(text, 64, "NGUID %s", hex_format(id->b, sizeof(id->b), hex));
	return text;
}

bool host_id_matches(const struct host_id *id, const struct host_device *device)
{
	struct host_id have;

	if (id->kind == HOST_ID_NSID)
		return id->nsid == device->nsid;
	return host_id_parse(id->kind, id->kind == HOST_ID_UUID ? device->uuid : device->nguid,
			     &have) &&
	       memcmp(have.b, id->b, sizeof(id->b)) == 0;
}

int host_nqn_check(const char *nqn, struct err *err)
{
	size_t len = strlen(nqn);
	bool ok = strncmp(nqn, "nqn.", 4) == 0 && len < HOST_NQN_SIZE;

	/* ',' ends an option of the kernel's, '%' stands for '/' in our file names. */
	for (size_t i = 0; ok && i < len; i++)
		ok = isgraph((unsigned char)nqn[i]) && nqn[i] != ',' && nqn[i] != '%';
	return ok ? 0
		  : err_set(err, -EINVAL,
			    "'%.64s' is no NVMe name that a Linux host can use: it begins with "
			    "'nqn.', has at most 223 "
			    "characters, and no blank, ',' or '%%'",
			    nqn);
}

/* "traddr=192.0.2.1,trsvcid=4420,src_addr=192.0.2.7" */
static void address_part(const char *address, const char *key, char *buf, size_t size)
{
	size_t key_len = strlen(key);

	buf[0] = '\0';
	for (const char *at = address; *at; at += strcspn(at, ","), at += *at == ',') {
		if (strncmp(at, key, key_len) != 0 || at[key_len] != '=')
			continue;
		at += key_len + 1;
		(void)snprintf(buf, size, "%.*s", (int)strcspn(at, ","), at);
		return;
	}
}

static bool ctrl_read(const struct host_env *env, const char *name, struct host_ctrl *ret)
{
	char address[ADDRESS_SIZE];
	int used = 0;

	if (sscanf(name, "nvme%u%n", &ret->instance, &used) != 1 || name[used] ||
	    !str_copy(ret->name, sizeof(ret->name), name))
		return false;
	(void)sys_read(env, address, sizeof(address), "/sys/class/nvme/%s/address", name);
	address_part(address, "traddr", ret->traddr, sizeof(ret->traddr));
	address_part(address, "trsvcid", ret->trsvcid, sizeof(ret->trsvcid));
	address_part(address, "host_iface", ret->iface, sizeof(ret->iface));
	(void)sys_read(env, ret->hostnqn, sizeof(ret->hostnqn), "/sys/class/nvme/%s/hostnqn", name);
	return sys_read(env, ret->state, sizeof(ret->state), "/sys/class/nvme/%s/state", name);
}

void host_ctrls_read(const struct host_env *env, const char *nqn, struct host_ctrls *ret)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, "/sys/class/nvme");
	char of[HOST_NQN_SIZE];
	const char *name;

	ret->n = 0;
	while (ret->n < HOST_CTRLS_MAX && (name = sys_next(dir))) {
		struct host_ctrl *ctrl = &ret->at[ret->n];

		*ctrl = (struct host_ctrl){0};
		if (!sys_read(env, of, sizeof(of), "/sys/class/nvme/%s/subsysnqn", name) ||
		    strcmp(of, nqn) != 0)
			continue;
		if (ctrl_read(env, name, ctrl) && strncmp(ctrl->state, "deleting", 8) != 0 &&
		    strcmp(ctrl->state, "dead") != 0)
			ret->n++;
	}
}

/* Leaves only the controllers that lead to this device. */
static void device_paths(const struct host_env *env, struct host_device *d, unsigned subsys,
			 unsigned head)
{
	struct host_ctrls all;
	bool shared = !sys_exists(env, "/sys/block/%s/device/address", d->name);

	host_ctrls_read(env, d->nqn, &all);
	d->ctrls.n = 0;
	for (unsigned i = 0; i < all.n; i++) {
		struct host_ctrl *ctrl = &all.at[i];
		char hidden[64];

		(void)snprintf(hidden, sizeof(hidden), "nvme%uc%un%u", subsys, ctrl->instance,
			       head);
		if (shared ? !sys_exists(env, "/sys/class/nvme/%s/%s", ctrl->name, hidden)
			   : !sys_exists(env, "/sys/class/nvme/%s/%s", ctrl->name, d->name))
			continue;
		(void)sys_read(env, ctrl->ana_state, sizeof(ctrl->ana_state),
			       "/sys/class/nvme/%s/%s/ana_state", ctrl->name,
			       shared ? hidden : d->name);
		d->ctrls.at[d->ctrls.n++] = *ctrl;
	}
}

bool host_device_read(const struct host_env *env, const char *name, bool paths,
		      struct host_device *ret)
{
	unsigned subsys, head;
	uint64_t sectors;
	int used = 0;

	if (sscanf(name, "nvme%un%u%n", &subsys, &head, &used) != 2 || name[used] ||
	    !str_copy(ret->name, sizeof(ret->name), name))
		return false;
	(void)snprintf(ret->path, sizeof(ret->path), "/dev/%s", name);
	if (!sys_read(env, ret->nqn, sizeof(ret->nqn), "/sys/block/%s/device/subsysnqn", name))
		return false;
	sectors = sys_number(env, UINT64_MAX, "/sys/block/%s/size", name);
	if (sectors == UINT64_MAX)
		return false;
	ret->size_bytes = sectors * 512; /* sysfs counts in 512 bytes whatever the block size is */
	ret->block_size =
		(uint32_t)sys_number(env, 0, "/sys/block/%s/queue/logical_block_size", name);
	ret->nsid = (uint32_t)sys_number(env, 0, "/sys/block/%s/nsid", name);
	(void)sys_read(env, ret->nguid, sizeof(ret->nguid), "/sys/block/%s/nguid", name);
	(void)sys_read(env, ret->uuid, sizeof(ret->uuid), "/sys/block/%s/uuid", name);
	(void)sys_read(env, ret->model, sizeof(ret->model), "/sys/block/%s/device/model", name);
	ret->ctrls.n = 0;
	if (paths)
		device_paths(env, ret, subsys, head);
	return true;
}

void host_device_each(const struct host_env *env, bool paths,
		      bool (*fn)(void *ctx, const struct host_device *device), void *ctx)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(env, "/sys/block");
	struct host_device device;
	const char *name;

	while ((name = sys_next(dir)))
		if (host_device_read(env, name, paths, &device) && !fn(ctx, &device))
			return;
}

struct search {
	const struct host_env *env;
	const char *nqn;
	const struct host_id *id;
	struct host_device *ret;
	bool found;
};

static bool search_one(void *ctx, const struct host_device *device)
{
	struct search *s = ctx;
	char state[HOST_STATE_SIZE];

	if ((s->nqn && strcmp(device->nqn, s->nqn) != 0) || !host_id_matches(s->id, device))
		return true;
	/* A controller's own device has the controller's state; a device for many paths has none, and is the only one. */
	if (sys_read(s->env, state, sizeof(state), "/sys/block/%s/device/state", device->name) &&
	    s->found && strcmp(state, "live") != 0)
		return true;
	*s->ret = *device;
	s->found = true;
	return state[0] && strcmp(state, "live") != 0;
}

bool host_device_find(const struct host_env *env, const char *nqn, const struct host_id *id,
		      struct host_device *ret)
{
	struct search s = {.env = env, .nqn = nqn, .id = id, .ret = ret};
	char name[sizeof(ret->name)];

	host_device_each(env, false, search_one, &s);
	if (!s.found)
		return false;
	memcpy(name, ret->name, sizeof(name));
	return host_device_read(env, name, true, ret);
}

bool host_multipath(const struct host_env *env)
{
	char value[8];

	return sys_read(env, value, sizeof(value), "/sys/module/nvme_core/parameters/multipath") &&
	       value[0] == 'Y';
}
