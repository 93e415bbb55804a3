/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLKDISCARD for devices on which punching a hole is not supported: an ioctl that blocks, on a thread of its own.
 *
 * Invariants:
 *  1. The thread runs exactly while refs > 0.
 *  2. The ring's owner outlives each io handed over: uenv.ioctls_live counts them until they are delivered, and the
 *     thread touches uenv only under ioctl_lock.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/check.h"
#include "rt/thread.h"
#include "rt/uring_priv.h"

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER; /* before lock */
static unsigned refs;
static pthread_t thread;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct list queue = {&queue, &queue};
static bool stopping;

static void give_back(struct file_io *io, int res)
{
	struct uenv *u = uenv_of(reactor_env(io->reactor));

	io->progress = (uint64_t)(int64_t)res;
	(void)pthread_mutex_lock(&u->ioctl_lock);
	list_push_back(&u->ioctl_done, &io->link);
	atomic_store(&u->ioctl_ready, true);
	u->base.ops->wake(&u->base);
	(void)pthread_mutex_unlock(&u->ioctl_lock);
}

static void *run(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "discard");
	(void)pthread_mutex_lock(&lock);
	for (;;) {
		struct file_io *io;
		uint64_t range[2];
		int res;

		while (list_empty(&queue) && !stopping)
			(void)pthread_cond_wait(&changed, &lock);
		if (list_empty(&queue))
			break;
		io = list_entry(list_pop_front(&queue), struct file_io, link);
		(void)pthread_mutex_unlock(&lock);
		range[0] = io->offset;
		range[1] = io->length;
		res = ioctl(((struct ufile *)io->file)->fd, BLKDISCARD, range) < 0 ? -errno : 0;
		give_back(io, res);
		(void)pthread_mutex_lock(&lock);
	}
	(void)pthread_mutex_unlock(&lock);
	return NULL;
}

int udiscard_ref(struct err *err)
{
	int rc = 0;

	(void)pthread_mutex_lock(&life);
	if (!refs)
		rc = thread_create_quiet(&thread, run, NULL);
	if (!rc)
		refs++;
	(void)pthread_mutex_unlock(&life);
	return rc < 0 ? err_set(err, rc, "cannot start the discard thread: %s", strerror(-rc)) : 0;
}

void udiscard_unref(void)
{
	(void)pthread_mutex_lock(&life);
	ASSERT(refs > 0);
	if (!--refs) {
		(void)pthread_mutex_lock(&lock);
		stopping = true;
		(void)pthread_cond_signal(&changed);
		(void)pthread_mutex_unlock(&lock);
		(void)pthread_join(thread, NULL);
		stopping = false;
	}
	(void)pthread_mutex_unlock(&life);
}

void udiscard_submit(struct uenv *u, struct file_io *io)
{
	u->ioctls_live++;
	(void)pthread_mutex_lock(&lock);
	list_push_back(&queue, &io->link);
	(void)pthread_cond_signal(&changed);
	(void)pthread_mutex_unlock(&lock);
}
