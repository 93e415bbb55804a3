/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_attach:
 *
 *   LOCK -> LOOK -> CONNECT -> WAIT -> VERIFY -> done
 *              \        \         \        \
 *               +--------+---------+--------+--> UNDO -> failed
 *
 * The event descriptor is open before LOOK, so that what LOOK did not see is heard in WAIT: nothing is looked at twice. The subsystem's lock is held
 * from LOCK to the end of CONNECT; in WAIT the record of what is wanted speaks for this attach. Of several
 * that wait for one namespace the last one that gives up takes back what all have made; once one has found the device, none does.
 */
#include "host/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "host/fabrics.h"
#include "host/hold.h"
#include "host/identity.h"
#include "host/record.h"
#include "host/sys.h"
#include "host/watch.h"
#include "rt/blocking.h"

#define PROBE_MS                                                                                   \
	5000 /* a path that is silent for so long is passed by, while there are others to try */
#define UNDO_MS 30000 /* for the lock: taking back comes after the deadline */

/* For what holds a picture of the controllers (6 KiB): each in a frame of its own, none in that of host_attach(). */
#define OWN_FRAME __attribute__((noinline))

enum attach_state {
	ATTACH_LOCK,
	ATTACH_LOOK,
	ATTACH_CONNECT,
	ATTACH_WAIT,
	ATTACH_VERIFY,
	ATTACH_UNDO,
	ATTACH_DONE
};

struct attach {
	const struct host_env *env;
	struct host_attach_req req; /* with the host's names filled in */
	struct host_identity identity;
	struct host_attach_result *ret;
	struct err *err;
	enum attach_state state;
	int result; /* of the whole, once it has failed */
	int64_t deadline;
	int lock, events;
	bool found;   /* ret->device is the namespace */
	bool claimed; /* it was not attached before */
	struct record_claim claim;
	unsigned n_usable;
};

static int check(struct attach *a)
{
	int res = host_nqn_check(a->req.nqn, a->err);

	if (res == 0 && a->req.n_paths == 0)
		return err_set(a->err, -EINVAL, "no address to connect to is given");
	if (res == 0 && a->req.n_paths > HOST_PATHS_MAX)
		return err_set(a->err, -EINVAL, "%u paths are given; %d are possible",
			       a->req.n_paths, HOST_PATHS_MAX);
	if (res == 0 && a->req.id.kind == HOST_ID_NONE)
		return err_set(a->err, -EINVAL, "the namespace's NGUID, UUID or number is missing");
	if (res == 0 && (!a->req.hostnqn || !a->req.hostid)) {
		res = host_identity_get(a->env, &a->identity, a->err);
		a->req.hostid = a->req.hostid ? a->req.hostid : a->identity.id;
		a->req.hostnqn = a->req.hostnqn ? a->req.hostnqn : a->identity.nqn;
	}
	return res < 0 ? res : host_nqn_check(a->req.hostnqn, a->err);
}

OWN_FRAME static int lock_and_note(struct attach *a)
{
	struct host_ctrls ctrls;
	int res;

	a->events = fabrics_uevents(a->env, a->err);
	if (a->events < 0)
		return a->events;
	res = record_lock(a->env, a->req.nqn, a->deadline, &a->lock, a->err);
	if (res < 0)
		return res;
	host_ctrls_read(a->env, a->req.nqn, &ctrls);
	res = record_want(a->env, a->req.nqn, &a->req.id, ctrls.n == 0, &a->claim, a->err);
	a->claimed = res == 1;
	return res < 0 ? res : 0;
}

/* An NGUID is unique in the world: of another subsystem it is another volume's, or the same volume under a second name. */
static int look(struct attach *a)
{
	const char *nqn = a->req.id.kind == HOST_ID_NSID ? a->req.nqn : NULL;
	struct host_device *d = &a->ret->device;
	char id[64];

	a->found = host_device_find(a->env, nqn, &a->req.id, d);
	if (!a->found || strcmp(d->nqn, a->req.nqn) == 0)
		return 0;
	a->found = false;
	return err_set(a->err, -EEXIST,
		       "%s is attached already as %s, but from the subsystem %s and not from %s",
		       host_id_format(&a->req.id, id), d->path, d->nqn, a->req.nqn);
}

static bool leads_to(const struct host_ctrl *ctrl, const struct host_path *path,
		     const char *hostnqn)
{
	return strcmp(ctrl->traddr, path->traddr) == 0 &&
	       strcmp(ctrl->trsvcid, path->trsvcid) == 0 &&
	       (!ctrl->hostnqn[0] || strcmp(ctrl->hostnqn, hostnqn) == 0) &&
	       (!path->iface[0] || strcmp(ctrl->iface, path->iface) == 0);
}

static bool has_ctrl(const struct host_ctrls *ctrls, const struct host_path *path,
		     const char *hostnqn)
{
	for (unsigned i = 0; i < ctrls->n; i++)
		if (leads_to(&ctrls->at[i], path, hostnqn))
			return true;
	return false;
}

/* 0: connected; 1: the kernel has it already; or a negative errno with err. */
static int connect_path(struct attach *a, const struct host_path *path, struct err *err)
{
	int64_t until = a->req.n_paths > 1 ? blocking_deadline(PROBE_MS) : a->deadline;
	char options[FABRICS_OPTIONS_SIZE];
	struct err log = {0};
	int res = fabrics_options(&a->req, path, options, err);

	if (res < 0)
		return res;
	/* The kernel makes one connection at a time on the whole host: an engine that hangs shall not be what all wait for. */
	res = fabrics_probe(a->env, path, until < a->deadline ? until : a->deadline);
	if (res == -ECANCELED)
		return err_set(err, res, "cancelled");
	if (res == -EINVAL)
		return err_set(err, res, "'%s' port '%s' is no IP address with a TCP port",
			       path->traddr, path->trsvcid);
	if (res == 0)
		res = fabrics_connect(a->env, options, a->req.nqn, &log);
	if (res == -EALREADY)
		return 1;
	if (res < 0)
		return fabrics_words(a->env, &a->req, path, res, log.text, err);
	if (a->claim.n_made < RECORD_MADE_MAX)
		(void)snprintf(a->claim.made[a->claim.n_made++], sizeof(a->claim.made[0]), "nvme%d",
			       res);
	return 0;
}

/* Without native multipath each path is a block device of its own, with the same data: one is right, two are a trap. */
OWN_FRAME static int connect_paths(struct attach *a)
{
	bool multipath = host_multipath(a->env);
	struct host_ctrls ctrls;
	int first = 0;

	host_ctrls_read(a->env, a->req.nqn, &ctrls);
	for (unsigned i = 0; i < a->req.n_paths; i++)
		if (has_ctrl(&ctrls, &a->req.paths[i], a->req.hostnqn)) {
			a->ret->paths[i] = HOST_PATH_REUSED;
			a->n_usable++;
		}
	for (unsigned i = 0; i < a->req.n_paths; i++) {
		int res;

		if (a->ret->paths[i] == HOST_PATH_REUSED || (!multipath && a->n_usable > 0))
			continue;
		res = connect_path(a, &a->req.paths[i], &a->ret->path_err[i]);
		a->ret->paths[i] = res == 0   ? HOST_PATH_CONNECTED
				   : res == 1 ? HOST_PATH_REUSED
					      : HOST_PATH_FAILED;
		a->n_usable += res >= 0;
		if (res < 0 && first == 0)
			first = (int)i + 1;
		if (res == -ECANCELED)
			return err_set(a->err, res, "cancelled");
	}
	if (a->n_usable > 0)
		return 0;
	ASSERT(first > 0);
	return err_set(a->err, a->ret->path_err[first - 1].code, "%s",
		       a->ret->path_err[first - 1].text);
}

static bool is_wanted(const struct attach *a, const char *name, struct host_device *ret)
{
	return host_device_read(a->env, name, false, ret) && strcmp(ret->nqn, a->req.nqn) == 0 &&
	       host_id_matches(&a->req.id, ret) && host_device_read(a->env, name, true, ret);
}

struct seen {
	const char *nqn;
	char words[256];
};

static bool seen_one(void *ctx, const struct host_device *device)
{
	struct seen *s = ctx;
	size_t len = strlen(s->words);

	if (strcmp(device->nqn, s->nqn) == 0 && len < sizeof(s->words) - 64)
		(void)snprintf(s->words + len, sizeof(s->words) - len, "%s%s %s", len ? ", " : "",
			       device->name, device->nguid);
	return true;
}

/* A path that the kernel knows and gives no device for, because it is not accessible. */
OWN_FRAME static bool hidden_path(const struct attach *a, char ana[HOST_STATE_SIZE])
{
	struct host_device d = {0};
	struct host_ctrls ctrls;
	unsigned nr[3];

	host_ctrls_read(a->env, a->req.nqn, &ctrls);
	for (unsigned i = 0; i < ctrls.n; i++) {
		const char *ctrl = ctrls.at[i].name, *name;
		_cleanup_(sys_dir_closep) DIR *dir = sys_dir(a->env, "/sys/class/nvme/%s", ctrl);

		while ((name = sys_next(dir))) {
			if (sscanf(name, "nvme%uc%un%u", &nr[0], &nr[1], &nr[2]) != 3)
				continue;
			(void)sys_read(a->env, d.nguid, sizeof(d.nguid),
				       "/sys/class/nvme/%s/%s/nguid", ctrl, name);
			(void)sys_read(a->env, d.uuid, sizeof(d.uuid), "/sys/class/nvme/%s/%s/uuid",
				       ctrl, name);
			d.nsid = (uint32_t)sys_number(a->env, 0, "/sys/class/nvme/%s/%s/nsid", ctrl,
						      name);
			if (host_id_matches(&a->req.id, &d))
				return sys_read(a->env, ana, HOST_STATE_SIZE,
						"/sys/class/nvme/%s/%s/ana_state", ctrl, name);
		}
	}
	return false;
}

static int wait_failed(struct attach *a, int code)
{
	struct seen seen = {.nqn = a->req.nqn};
	char id[64], ana[HOST_STATE_SIZE];

	host_id_format(&a->req.id, id);
	if (code == -ECANCELED)
		return err_set(a->err, code, "cancelled while waiting for %s of %s", id,
			       a->req.nqn);
	if (code != -ETIMEDOUT)
		return err_set(a->err, code, "cannot hear the kernel's device events: %s",
			       strerror(-code));
	if (hidden_path(a, ana))
		return err_set(a->err, code,
			       "connected to %s, but the path to %s is %s and no device is made of "
			       "it: give the address of the "
			       "path that is optimized, or see why it is not: litepool engine "
			       "listener list %s",
			       a->req.nqn, id, ana[0] ? ana : "not ready", a->req.nqn);
	host_device_each(a->env, false, seen_one, &seen);
	if (seen.words[0])
		return err_set(a->err, -ENOENT, "connected to %s, but it has no %s; it has: %s",
			       a->req.nqn, id, seen.words);
	return err_set(a->err, -ENOENT,
		       "connected to %s, but no namespace of it appeared in %d ms: it has none yet "
		       "(litepool engine subsystem show %s), or "
		       "the engine does not answer",
		       a->req.nqn, a->req.timeout_ms, a->req.nqn);
}

static int wait_device(struct attach *a)
{
	while (!a->found) {
		struct uevent e;
		int res = watch_next(a->env, a->events, a->deadline, &e);

		if (res < 0)
			return wait_failed(a, res);
		if (res == 1)
			a->found =
				host_device_find(a->env, a->req.nqn, &a->req.id, &a->ret->device);
		else if (e.block_disk && e.action != UEVENT_REMOVE)
			a->found = is_wanted(a, e.name, &a->ret->device);
	}
	return 0;
}

/* The kernel makes the node with the device (devtmpfs); a container with a /dev of its own does not see it. */
static int verify(struct attach *a)
{
	struct host_device *d = &a->ret->device;
	unsigned major_nr = 0, minor_nr = 0;
	char path[SYS_PATH], dev[32];
	struct stat st;

	(void)sys_read(a->env, dev, sizeof(dev), "/sys/block/%s/dev", d->name);
	(void)sscanf(dev, "%u:%u", &major_nr, &minor_nr);
	if (stat(sys_path(a->env, path, "/dev/%s", d->name), &st) < 0)
		return err_set(a->err, -ENODEV,
			       "the kernel has made %s, but there is no %s: /dev must be the "
			       "host's devtmpfs (in a container, mount "
			       "the host's /dev), or a device manager such as udev must run",
			       d->name, d->path);
	if (!a->env->kernel && (!S_ISBLK(st.st_mode) || st.st_rdev != makedev(major_nr, minor_nr)))
		return err_set(a->err, -ENODEV,
			       "%s is not the kernel's device %s (%s): an old node is in the way; "
			       "remove it",
			       d->path, d->name, dev);
	return 0;
}

static void unlock(struct attach *a)
{
	record_unlock(a->env, a->req.nqn, a->lock);
	a->lock = -1;
}

/* From now on no other attach takes it back. */
static int settle(struct attach *a)
{
	int res = record_lock(a->env, a->req.nqn, a->deadline, &a->lock, a->err);

	if (res < 0)
		return res;
	if (!record_settle(a->env, a->req.nqn, &a->req.id, &a->claim))
		return err_set(a->err, -ECANCELED,
			       "it was detached while it was being attached; attach it again");
	return 0;
}

static bool is_of(const struct host_ctrls *ctrls, const char *name)
{
	for (unsigned i = 0; i < ctrls->n; i++)
		if (strcmp(ctrls->at[i].name, name) == 0)
			return true;
	return false;
}

/* Who waits on, and who has the device, keep what was made; so does who wants another namespace of the subsystem. */
OWN_FRAME static void undo(struct attach *a)
{
	struct host_env env = *a->env;
	struct host_ctrls left;

	env.cancel_fd = -1; /* taking back is not cancelled */
	if (a->lock < 0 &&
	    record_lock(&env, a->req.nqn, blocking_deadline(UNDO_MS), &a->lock, NULL) < 0)
		return;
	if (!a->claimed || !record_give_up(&env, a->req.nqn, &a->req.id, &a->claim) ||
	    record_count(&env, a->req.nqn) > 0)
		return;
	/* A number may be another subsystem's by now. Gone already is as good; the cause is told. */
	host_ctrls_read(&env, a->req.nqn, &left);
	for (unsigned i = 0; i < a->claim.n_made; i++)
		if (is_of(&left, a->claim.made[i]))
			(void)fabrics_disconnect(&env, a->claim.made[i]);
}

static enum attach_state failed(struct attach *a, int res)
{
	a->result = res;
	return ATTACH_UNDO;
}

static void run(struct attach *a)
{
	int res;

	while (a->state != ATTACH_DONE) {
		switch (a->state) {
		case ATTACH_LOCK:
			res = lock_and_note(a);
			a->result = res;
			a->state = res < 0 ? ATTACH_DONE : ATTACH_LOOK; /* nothing is made yet */
			break;
		case ATTACH_LOOK:
			res = look(a);
			a->state = res < 0 ? failed(a, res) : ATTACH_CONNECT;
			break;
		case ATTACH_CONNECT:
			res = connect_paths(a);
			if (res == 0 && a->claimed)
				res = record_update(&a->claim, a->err);
			a->state = res < 0 ? failed(a, res) : ATTACH_WAIT;
			if (res == 0)
				unlock(a);
			break;
		case ATTACH_WAIT:
			res = wait_device(a);
			a->state = res < 0 ? failed(a, res) : ATTACH_VERIFY;
			break;
		case ATTACH_VERIFY:
			res = verify(a);
			if (res == 0 && a->claimed)
				res = settle(a);
			a->state = res < 0 ? failed(a, res) : ATTACH_DONE;
			break;
		case ATTACH_UNDO:
			undo(a);
			a->state = ATTACH_DONE;
			break;
		case ATTACH_DONE:
		default:
			break;
		}
	}
}

int host_attach(const struct host_env *env, const struct host_attach_req *req,
		struct host_attach_result *ret, struct err *err)
{
	struct attach a = {.env = env,
			   .req = *req,
			   .ret = ret,
			   .err = err,
			   .deadline = blocking_deadline(req->timeout_ms),
			   .lock = -1,
			   .events = -1,
			   .claim.fd = -1};
	int res;

	memset(ret, 0, sizeof(*ret));
	res = check(&a);
	if (res < 0)
		return res;
	run(&a);
	unlock(&a);
	if (a.claim.fd >= 0)
		(void)close(a.claim.fd);
	if (a.events >= 0)
		(void)close(a.events);
	return a.result;
}
