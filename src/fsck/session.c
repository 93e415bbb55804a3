/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/session.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "disk/disk.h"
#include "rt/uring.h"

/* Past the page cache, so that what is judged is what the device has; through it where the file system has nothing else. */
static int open_device(struct session *session, const char *path, bool read_only, struct err *err)
{
	struct disk_file_opts opts = {.name = path, .path = path, .read_only = read_only};
	const char *slash = strrchr(path, '/');
	struct err direct = {0};
	int res;

	opts.name = slash && slash[1] ? slash + 1 : path;
	res = disk_file_new(reactor_env(session->home), &opts, &session->dev, &direct);
	if (res != -EINVAL && res != -EOPNOTSUPP) {
		*err = direct;
		return res;
	}
	opts.buffered = true;
	return disk_file_new(reactor_env(session->home), &opts, &session->dev, err);
}

int session_open(struct session *session, const char *path, bool read_only, struct err *err)
{
	struct reactor_opts opts = {.name = "pool", .cpu = -1, .poll_us = POLL_US_NEVER};
	struct env *env;
	int res;

	memset(session, 0, sizeof(*session));
	log_set_level(LOG_LEVEL_ERROR);
	res = uring_env_new(NULL, &env, err);
	if (!res)
		res = reactor_new(&opts, env, &session->home, err);
	if (res)
		return res;
	session->env = (struct pool_env){session->home, &session->home, 1};
	res = reactor_prepare(session->home, err);
	if (!res)
		res = open_device(session, path, read_only, err);
	if (res)
		session_close(session);
	return res;
}

static void begin(struct msg *msg)
{
	struct session *session = container_of(msg, struct session, msg);

	session->begin(session);
}

int session_run(struct session *session, void (*fn)(struct session *session), struct err *err)
{
	session->begin = fn;
	session->msg.run = begin;
	reactor_post(session->home, &session->msg);
	reactor_run(session->home);
	if (session->res)
		*err = session->err;
	return session->res;
}

void session_done(void *ctx, int res, const struct err *err)
{
	struct session *session = ctx;

	session->res = res;
	if (res)
		session->err = *err;
	reactor_stop(session->home);
}

void session_close(struct session *session)
{
	if (session->dev)
		session->dev->ops->destroy(session->dev);
	if (session->home)
		reactor_free(session->home);
	memset(session, 0, sizeof(*session));
}
