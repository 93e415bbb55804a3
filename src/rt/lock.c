/* SPDX-License-Identifier: Apache-2.0 */
/* Locks and background threads on pthread. */
#include "rt/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "rt/thread.h"

struct lock {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
};

struct background {
	background_fn fn;
	void *ctx;
	pthread_t thread;
	pthread_mutex_t mutex; /* protects what follows */
	pthread_cond_t cond;
	bool kicked, ending;
};

/* On the clock that nobody sets. */
static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

int lock_new(struct lock **ret)
{
	struct lock *lock = calloc(1, sizeof(*lock));

	if (!lock)
		return -ENOMEM;
	if (pthread_mutex_init(&lock->mutex, NULL)) {
		free(lock);
		return -ENOMEM;
	}
	cond_init(&lock->cond);
	*ret = lock;
	return 0;
}

void lock_free(struct lock *lock)
{
	if (!lock)
		return;
	(void)pthread_cond_destroy(&lock->cond);
	(void)pthread_mutex_destroy(&lock->mutex);
	free(lock);
}

void lock_take(struct lock *lock)
{
	int rc = pthread_mutex_lock(&lock->mutex);

	ASSERT(rc == 0);
}

void lock_drop(struct lock *lock)
{
	int rc = pthread_mutex_unlock(&lock->mutex);

	ASSERT(rc == 0);
}

static struct timespec after_ms(int ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

void lock_wait(struct lock *lock, int timeout_ms)
{
	struct timespec deadline = after_ms(timeout_ms < 0 ? 0 : timeout_ms);

	if (timeout_ms < 0)
		(void)pthread_cond_wait(&lock->cond, &lock->mutex);
	else
		(void)pthread_cond_timedwait(&lock->cond, &lock->mutex, &deadline);
}

void lock_wake(struct lock *lock)
{
	(void)pthread_cond_broadcast(&lock->cond);
}

/* With the mutex held: until there is reason to run (true) or to end (false). */
static bool background_wait(struct background *bg, int delay_ms)
{
	struct timespec deadline = after_ms(delay_ms < 0 ? 0 : delay_ms);

	while (!bg->kicked && !bg->ending) {
		if (delay_ms < 0)
			(void)pthread_cond_wait(&bg->cond, &bg->mutex);
		else if (pthread_cond_timedwait(&bg->cond, &bg->mutex, &deadline) == ETIMEDOUT)
			break;
	}
	bg->kicked = false;
	return !bg->ending;
}

static void *background_main(void *arg)
{
	struct background *bg = arg;
	int delay_ms = 0;

	(void)pthread_mutex_lock(&bg->mutex);
	while (background_wait(bg, delay_ms)) {
		(void)pthread_mutex_unlock(&bg->mutex);
		delay_ms = bg->fn(bg->ctx);
		(void)pthread_mutex_lock(&bg->mutex);
	}
	(void)pthread_mutex_unlock(&bg->mutex);
	return NULL;
}

int background_new(background_fn fn, void *ctx, struct background **ret, struct err *err)
{
	struct background *bg = calloc(1, sizeof(*bg));
	int rc;

	if (!bg)
		return err_set(err, -ENOMEM, "no memory for a background thread");
	bg->fn = fn;
	bg->ctx = ctx;
	(void)pthread_mutex_init(&bg->mutex, NULL);
	cond_init(&bg->cond);
	rc = thread_create_quiet(&bg->thread, background_main, bg);
	if (rc) {
		(void)pthread_cond_destroy(&bg->cond);
		(void)pthread_mutex_destroy(&bg->mutex);
		free(bg);
		return err_set(err, rc, "cannot start a background thread: %s", strerror(-rc));
	}
	*ret = bg;
	return 0;
}

void background_kick(struct background *bg)
{
	(void)pthread_mutex_lock(&bg->mutex);
	bg->kicked = true;
	(void)pthread_cond_signal(&bg->cond);
	(void)pthread_mutex_unlock(&bg->mutex);
}

void background_free(struct background *bg)
{
	if (!bg)
		return;
	(void)pthread_mutex_lock(&bg->mutex);
	bg->ending = true;
	(void)pthread_cond_signal(&bg->cond);
	(void)pthread_mutex_unlock(&bg->mutex);
	(void)pthread_join(bg->thread, NULL);
	(void)pthread_cond_destroy(&bg->cond);
	(void)pthread_mutex_destroy(&bg->mutex);
	free(bg);
}
