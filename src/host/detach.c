/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_detach, with the subsystem's lock held throughout:
 *
 *   FIND -> LOCK -> LOOK -> HOLD -> FORGET -> DISCONNECT -> WAIT -> done
 *
 * From HOLD to the end the device is claimed exclusively, so that nobody mounts it between the question and the deed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "host/attach.h"
#include "host/fabrics.h"
#include "host/hold.h"
#include "host/record.h"
#include "host/sys.h"
#include "host/watch.h"
#include "rt/blocking.h"

enum detach_state {
	DETACH_FIND,
	DETACH_LOCK,
	DETACH_LOOK,
	DETACH_HOLD,
	DETACH_FORGET,
	DETACH_DISCONNECT,
	DETACH_WAIT,
	DETACH_DONE
};

struct detach {
	const struct host_env *env;
	const struct host_detach_req *req;
	struct err *err;
	enum detach_state state;
	int result;
	int64_t deadline;
	int lock, events, claim;
	bool there; /* device is the namespace's */
	bool shared;
	char nqn[HOST_NQN_SIZE];
	struct host_device device;
};

/* Which subsystem it is about: said, told by the device, or noted at the attach. False: nothing of it is here. */
static bool find(struct detach *d)
{
	const char *name = d->req->device;

	if (name) {
		name = strncmp(name, "/dev/", 5) == 0 ? name + 5 : name;
		d->there = host_device_read(d->env, name, true, &d->device);
	} else {
		d->there = host_device_find(d->env, d->req->nqn, &d->req->id, &d->device);
	}
	if (d->there)
		return str_copy(d->nqn, sizeof(d->nqn), d->device.nqn);
	if (d->req->nqn)
		return str_copy(d->nqn, sizeof(d->nqn), d->req->nqn);
	return !name && record_find(d->env, &d->req->id, d->nqn);
}

/* Again under the lock: whoever had it may have changed everything. */
static int look(struct detach *d)
{
	char name[sizeof(d->device.name)];

	memcpy(name, d->device.name, sizeof(name));
	d->there = d->req->device ? host_device_read(d->env, name, true, &d->device)
				  : host_device_find(d->env, d->nqn, &d->req->id, &d->device);
	d->there = d->there && strcmp(d->device.nqn, d->nqn) == 0;
	return 0;
}

struct others {
	const struct detach *d;
	char used[40]; /* the first that is in use */
};

static bool other_used(void *ctx, const struct host_device *device)
{
	struct others *o = ctx;
	bool self = o->d->there && strcmp(device->name, o->d->device.name) == 0;

	/* Without native multipath a second path to the same volume is a device, too; it has to be free as well, and goes with it. */
	if (self || strcmp(device->nqn, o->d->nqn) != 0)
		return true;
	if (hold_check(o->d->env, device->name, NULL, NULL) != -EBUSY)
		return true;
	(void)str_copy(o->used, sizeof(o->used), device->name);
	return false;
}

/* Whether the controllers must stay for somebody else. */
static bool needed(const struct detach *d)
{
	struct others o = {.d = d};

	if (record_count(d->env, d->nqn) > 0)
		return true;
	host_device_each(d->env, false, other_used, &o);
	return o.used[0] != '\0';
}

static int disconnect(const struct host_env *env, const char *nqn, struct err *err)
{
	struct host_ctrls ctrls;

	host_ctrls_read(env, nqn, &ctrls);
	for (unsigned i = 0; i < ctrls.n; i++) {
		int res = fabrics_disconnect(env, ctrls.at[i].name);

		if (res < 0)
			return err_set(err, res,
				       "the kernel does not disconnect %s (%s:%s of %s): %s",
				       ctrls.at[i].name, ctrls.at[i].traddr, ctrls.at[i].trsvcid,
				       nqn, strerror(-res));
	}
	return 0;
}

/* The block device's name can be taken by another at once: sysfs says whose it is. */
static bool gone(const struct detach *d)
{
	char nqn[HOST_NQN_SIZE];

	return !d->there ||
	       !sys_read(d->env, nqn, sizeof(nqn), "/sys/block/%s/device/subsysnqn",
			 d->device.name) ||
	       strcmp(nqn, d->nqn) != 0;
}

static int wait_gone(struct detach *d)
{
	while (!gone(d)) {
		struct uevent e;
		int res = watch_next(d->env, d->events, d->deadline, &e);

		if (res < 0)
			return err_set(d->err, res, "%s is disconnected, but %s is still there: %s",
				       d->nqn, d->device.path, strerror(-res));
	}
	return 0;
}

static void forget(struct detach *d)
{
	if (d->req->id.kind != HOST_ID_NONE)
		record_forget(d->env, d->nqn, &d->req->id);
	if (d->there)
		record_forget_device(d->env, &d->device);
}

static enum detach_state next(struct detach *d, int res, enum detach_state state)
{
	d->result = res;
	return res < 0 ? DETACH_DONE : state;
}

static void run(struct detach *d)
{
	int res;

	while (d->state != DETACH_DONE) {
		switch (d->state) {
		case DETACH_FIND:
			d->state = find(d) ? DETACH_LOCK : DETACH_DONE;
			break;
		case DETACH_LOCK:
			res = host_nqn_check(d->nqn, d->err);
			if (res == 0)
				res = record_lock(d->env, d->nqn, d->deadline, &d->lock, d->err);
			d->state = next(d, res, DETACH_LOOK);
			break;
		case DETACH_LOOK:
			d->state = next(d, look(d), d->there ? DETACH_HOLD : DETACH_FORGET);
			break;
		case DETACH_HOLD:
			res = hold_check(d->env, d->device.name, &d->claim, d->err);
			d->state = next(d, res == -ENOENT ? 0 : res, DETACH_FORGET);
			break;
		case DETACH_FORGET:
			forget(d);
			d->shared = needed(d);
			/* What was never there cannot stay. */
			d->result = d->shared && d->there ? 1 : 0;
			d->state = d->shared ? DETACH_DONE : DETACH_DISCONNECT;
			break;
		case DETACH_DISCONNECT:
			d->events = fabrics_uevents(d->env, d->err);
			res = d->events < 0 ? d->events : disconnect(d->env, d->nqn, d->err);
			d->state = next(d, res, DETACH_WAIT);
			break;
		case DETACH_WAIT:
			d->state = next(d, wait_gone(d), DETACH_DONE);
			break;
		case DETACH_DONE:
		default:
			break;
		}
	}
}

int host_detach(const struct host_env *env, const struct host_detach_req *req, struct err *err)
{
	struct detach d = {.env = env,
			   .req = req,
			   .err = err,
			   .deadline = blocking_deadline(req->timeout_ms),
			   .lock = -1,
			   .events = -1,
			   .claim = -1};

	if (!req->device && req->id.kind == HOST_ID_NONE)
		return err_set(err, -EINVAL, "the device or the namespace's identity is missing");
	if (!req->device && req->id.kind == HOST_ID_NSID && !req->nqn)
		return err_set(err, -EINVAL, "a namespace number needs its subsystem's name");
	run(&d);
	record_unlock(env, d.nqn, d.lock);
	if (d.events >= 0)
		(void)close(d.events);
	if (d.claim >= 0)
		(void)close(d.claim);
	return d.result;
}

int host_abandon(const struct host_env *env, const char *nqn, int timeout_ms, struct err *err)
{
	int lock = -1;
	int res = host_nqn_check(nqn, err);

	if (res == 0)
		res = record_lock(env, nqn, blocking_deadline(timeout_ms), &lock, err);
	if (res == 0)
		res = disconnect(env, nqn, err);
	record_unlock(env, nqn, lock);
	return res;
}
