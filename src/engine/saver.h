/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON file that follows a state in memory, durably, with group commit: all who ask while one write is under way share the next one.
 * Control thread; the writing itself is done by a worker.
 */
#ifndef LITEPOOL_ENGINE_SAVER_H
#define LITEPOOL_ENGINE_SAVER_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "rt/reactor.h"
#include "rt/worker.h"

/* err NULL: the state as it was when saver_save() was called, or a newer one, is durable. */
typedef void (*saver_done_fn)(void *ctx, const struct err *err);

struct saver_wait { /* the asker's, until done */
	struct list link;
	saver_done_fn done;
	void *ctx;
};

struct saver {
	struct reactor *control;
	struct worker_pool *workers;
	char path[PATH_MAX];
	json_t *(*render)(void *ctx); /* a new reference; NULL without memory */
	void *ctx;

	struct list waiting, writing;
	bool busy;
	struct task task;
	struct work work;
	char *text;
	struct err err;
	uint64_t writes, failures;
	struct err last_err; /* of the last write; code 0: it went well */
};

/* -ENAMETOOLONG. dir and name make the path. */
int saver_init(struct saver *s, const char *dir, const char *name, struct err *err);
/* done comes later, never inside. */
void saver_save(struct saver *s, struct saver_wait *wait);
bool saver_idle(const struct saver *s);

#endif
