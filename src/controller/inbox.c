/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/inbox.h"

#include <errno.h>
#include <stdlib.h>

#include "rt/lock.h"

struct inbox {
	struct lock *lock; /* protects what follows */
	struct list all;
	bool lost;
};

int inbox_new(struct inbox **ret)
{
	struct inbox *inbox = calloc(1, sizeof(*inbox));

	if (!inbox || lock_new(&inbox->lock)) {
		free(inbox);
		return -ENOMEM;
	}
	list_init(&inbox->all);
	*ret = inbox;
	return 0;
}

void news_free(struct news *news)
{
	if (!news)
		return;
	json_decref(news->obj);
	free(news);
}

void inbox_free(struct inbox *inbox)
{
	struct news *news;

	if (!inbox)
		return;
	while ((news = inbox_take(inbox)))
		news_free(news);
	lock_free(inbox->lock);
	free(inbox);
}

bool inbox_put(struct inbox *inbox, enum object_kind kind, const json_t *obj, bool gone)
{
	struct news *news = calloc(1, sizeof(*news));

	if (news) {
		news->kind = kind;
		news->gone = gone;
		/* Objects of an informer are shared and never changed. */
		news->obj = json_incref((json_t *)(uintptr_t)obj);
	}
	lock_take(inbox->lock);
	if (news)
		list_push_back(&inbox->all, &news->link);
	else
		inbox->lost = true;
	lock_drop(inbox->lock);
	return news != NULL;
}

struct news *inbox_take(struct inbox *inbox)
{
	struct news *news = NULL;

	lock_take(inbox->lock);
	if (!list_empty(&inbox->all)) {
		news = container_of(inbox->all.next, struct news, link);
		list_remove(&news->link);
	}
	lock_drop(inbox->lock);
	return news;
}

bool inbox_lost(struct inbox *inbox)
{
	bool lost;

	lock_take(inbox->lock);
	lost = inbox->lost;
	inbox->lost = false;
	lock_drop(inbox->lock);
	return lost;
}
