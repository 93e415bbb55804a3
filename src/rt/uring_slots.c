/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered files: each ring has a sparse table, in which a file gets a place when the reactor first uses it.
 *
 * Invariants:
 *  1. Only the ring's own thread changes its table, so a place is never given away while an entry that names it
 *     waits to be submitted: a file is closed only when no I/O on it is under way.
 *  2. A table holds the open file, and with it the lock on the device: file_close() returns when no table names it.
 */
#include <errno.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "rt/reactor_priv.h"
#include "rt/uring_priv.h"

/* How long file_close() waits for a reactor that does not answer. */
#define RELEASE_SECONDS_MAX 5

static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER; /* innermost */
static pthread_cond_t slots_changed = PTHREAD_COND_INITIALIZER;

static int slot_take(struct uenv *u, struct ufile *f)
{
	unsigned id = u->base.reactor->id;
	int place;

	for (place = 0; place < FILE_SLOTS && u->slots[place]; place++)
		;
	if (place == FILE_SLOTS ||
	    io_uring_register_files_update(&u->ring, (unsigned)place, &f->fd, 1) != 1)
		return -1;
	u->slots[place] = f;
	(void)pthread_mutex_lock(&slots_lock);
	f->holder[id] = u;
	(void)pthread_mutex_unlock(&slots_lock);
	return place + 1;
}

int ufile_slot(struct uenv *u, struct ufile *f)
{
	int *slot = &f->slot[u->base.reactor->id];

	if (!*slot)
		*slot = u->files_fixed ? slot_take(u, f) : -1;
	return *slot > 0 ? *slot - 1 : -1;
}

/* On the ring's thread. answered: as the answer to a release; in one step with it, since f may go at once then. */
static void slot_drop(struct uenv *u, struct ufile *f, bool answered)
{
	unsigned id = u->base.reactor->id;
	int place = f->slot[id] - 1;
	int none = -1;

	ASSERT(place >= 0);
	ASSERT(u->slots[place] == f);
	(void)io_uring_register_files_update(&u->ring, (unsigned)place, &none, 1);
	u->slots[place] = NULL;
	f->slot[id] = 0;
	(void)pthread_mutex_lock(&slots_lock);
	f->holder[id] = NULL;
	f->releases_run += answered;
	(void)pthread_cond_broadcast(&slots_changed);
	(void)pthread_mutex_unlock(&slots_lock);
}

void ufile_drop_slots(struct uenv *u)
{
	for (int place = 0; place < FILE_SLOTS; place++)
		if (u->slots[place])
			slot_drop(u, u->slots[place], false);
}

static void release_run(struct msg *msg)
{
	struct ufile_release *release = container_of(msg, struct ufile_release, msg);
	struct ufile *f = release->file;

	/* Otherwise the ring gave up its places meanwhile; the closer saw that no answer came and left f alone. */
	if (f->slot[release->u->base.reactor->id] > 0)
		slot_drop(release->u, f, true);
}

static struct uenv *holder_of_this_thread(struct ufile *f)
{
	struct uenv *found = NULL;

	(void)pthread_mutex_lock(&slots_lock);
	for (int i = 0; i < REACTORS_MAX && !found; i++)
		if (f->holder[i] && f->holder[i]->tid == gettid())
			found = f->holder[i];
	(void)pthread_mutex_unlock(&slots_lock);
	return found;
}

static bool is_held(const struct ufile *f)
{
	for (int i = 0; i < REACTORS_MAX; i++)
		if (f->holder[i])
			return true;
	return false;
}

/* Posting does not take slots_lock's place in any order: the inbox has no lock. */
static void ask_holders(struct ufile *f)
{
	for (int i = 0; i < REACTORS_MAX; i++) {
		struct uenv *u = f->holder[i];

		if (!u)
			continue;
		f->release[i] = (struct ufile_release){.msg.run = release_run, .file = f, .u = u};
		f->releases_posted++;
		reactor_post(u->base.reactor, &f->release[i].msg);
	}
}

bool ufile_leave_slots(struct ufile *f)
{
	struct timespec until;
	struct uenv *here;
	bool clean;
	int rc = 0;

	while ((here = holder_of_this_thread(f)))
		slot_drop(here, f, false);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RELEASE_SECONDS_MAX;
	(void)pthread_mutex_lock(&slots_lock);
	ask_holders(f);
	while (!rc && is_held(f))
		rc = pthread_cond_timedwait(&slots_changed, &slots_lock, &until);
	clean = f->releases_run == f->releases_posted;
	(void)pthread_mutex_unlock(&slots_lock);
	if (rc)
		log_warn("rt.file.close",
			 "consequence=\"a reactor did not let go of a closed file within %d s; its "
			 "lock may be held until that reactor ends\"",
			 RELEASE_SECONDS_MAX);
	return clean;
}
