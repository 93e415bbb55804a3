/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for calls that block.
 *
 * Invariants:
 *  1. Work is taken in the order in which it was submitted; done() comes as a message, in whatever order it ends.
 *  2. After worker_pool_free() no thread touches a work any more; its done() may still be on its way as a message.
 */
#include "rt/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rt/thread.h"

struct worker_pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list queue; /* work.link */
	bool stopping;
	unsigned n_threads;
	pthread_t threads[];
};

static void work_done(struct msg *msg)
{
	struct work *work = container_of(msg, struct work, msg);

	work->done(work);
}

static void run_one(struct work *work)
{
	struct reactor *reactor = work->reactor;

	work->run(work);
	if (!reactor)
		return;
	work->msg.run = work_done;
	reactor_post(reactor, &work->msg);
}

static void *worker_thread(void *arg)
{
	struct worker_pool *pool = arg;

	(void)pthread_setname_np(pthread_self(), "worker");
	(void)pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct list *node = list_pop_front(&pool->queue);

		if (!node && pool->stopping)
			break;
		if (!node) {
			(void)pthread_cond_wait(&pool->changed, &pool->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&pool->lock);
		run_one(list_entry(node, struct work, link));
		(void)pthread_mutex_lock(&pool->lock);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int worker_pool_new(unsigned n_threads, struct worker_pool **ret, struct err *err)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool) + n_threads * sizeof(pool->threads[0]));
	int rc;

	if (!pool)
		return err_set(err, -ENOMEM, "no memory for worker threads");
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->changed, NULL);
	list_init(&pool->queue);
	for (; pool->n_threads < n_threads; pool->n_threads++) {
		rc = thread_create_quiet(&pool->threads[pool->n_threads], worker_thread, pool);
		if (rc < 0) {
			worker_pool_free(pool);
			return err_set(err, rc, "cannot start a worker thread: %s", strerror(-rc));
		}
	}
	*ret = pool;
	return 0;
}

void worker_pool_free(struct worker_pool *pool)
{
	if (!pool)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	(void)pthread_cond_broadcast(&pool->changed);
	(void)pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		(void)pthread_join(pool->threads[i], NULL);
	(void)pthread_cond_destroy(&pool->changed);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void enqueue(struct worker_pool *pool, struct work *work)
{
	(void)pthread_mutex_lock(&pool->lock);
	list_push_back(&pool->queue, &work->link);
	(void)pthread_cond_signal(&pool->changed);
	(void)pthread_mutex_unlock(&pool->lock);
}

void worker_submit_alone(struct worker_pool *pool, struct work *work)
{
	ASSERT(work->run);
	ASSERT(pool->n_threads);
	work->reactor = NULL;
	enqueue(pool, work);
}

void worker_submit(struct worker_pool *pool, struct work *work)
{
	ASSERT(work->run);
	ASSERT(work->done);
	work->reactor = reactor_current();
	ASSERT(work->reactor);
	if (!pool->n_threads) {
		run_one(work);
		return;
	}
	enqueue(pool, work);
}
