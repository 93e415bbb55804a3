/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit of a JSON file. Invariants:
 *  1. At most one write is under way; its text is rendered after every waiter of its group has asked.
 *  2. A waiter hears of success only after fs_write_atomic() returned: its change survives a crash from then on.
 *
 *   idle --saver_save--> task queued --saver_begin--> worker writes --saver_end--> idle, or task queued again
 */
#include "engine/saver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rt/fs.h"

static void saver_begin(struct task *task);

int saver_init(struct saver *s, const char *dir, const char *name, struct err *err)
{
	int len = snprintf(s->path, sizeof(s->path), "%s/%s", dir, name);

	if (len < 0 || (size_t)len >= sizeof(s->path))
		return err_set(err, -ENAMETOOLONG, "the path %s/%s is too long", dir, name);
	list_init(&s->waiting);
	list_init(&s->writing);
	s->task.run = saver_begin;
	return 0;
}

void saver_save(struct saver *s, struct saver_wait *wait)
{
	ASSERT(wait->done);
	list_push_back(&s->waiting, &wait->link);
	if (!s->busy)
		reactor_defer(s->control, &s->task);
}

bool saver_idle(const struct saver *s)
{
	return !s->busy && list_empty(&s->waiting);
}

static void saver_write(struct work *work)
{
	struct saver *s = container_of(work, struct saver, work);

	if (!s->text)
		(void)err_set(&s->err, -ENOMEM, "out of memory for the text of %s", s->path);
	else
		(void)fs_write_atomic(s->path, s->text, strlen(s->text), 0600, &s->err);
}

static void saver_end(struct work *work)
{
	struct saver *s = container_of(work, struct saver, work);
	struct list group;
	struct list *link;

	free(s->text);
	s->text = NULL;
	s->busy = false;
	s->writes++;
	if (s->err.code)
		s->failures++;
	s->last_err = s->err;
	list_init(&group);
	list_splice_back(&group, &s->writing);
	while ((link = list_pop_front(&group))) {
		struct saver_wait *wait = list_entry(link, struct saver_wait, link);

		wait->done(wait->ctx, s->last_err.code ? &s->last_err : NULL);
	}
	if (!list_empty(&s->waiting) && !s->busy)
		reactor_defer(s->control, &s->task);
}

static void saver_begin(struct task *task)
{
	struct saver *s = container_of(task, struct saver, task);
	json_t *json;

	if (s->busy)
		return;
	ASSERT(list_empty(&s->writing));
	list_splice_back(&s->writing, &s->waiting);
	s->busy = true;
	s->err.code = 0;
	json = s->render(s->ctx);
	s->text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	s->work.run = saver_write;
	s->work.done = saver_end;
	worker_submit(s->workers, &s->work);
}
