/* SPDX-License-Identifier: Apache-2.0 */
/* What the watches have told and the loop has not looked at yet, in order. Put from any thread, taken by the loop's. */
#ifndef LITEPOOL_CONTROLLER_INBOX_H
#define LITEPOOL_CONTROLLER_INBOX_H

#include "base/list.h"
#include "controller/objects.h"

struct inbox;

struct news {
	struct list link;
	enum object_kind kind;
	bool gone;
	json_t *obj; /* owned; with gone: what it was last */
};

int inbox_new(struct inbox **ret);
void inbox_free(struct inbox *inbox);
/* False without memory: then all has to be listed again. */
bool inbox_put(struct inbox *inbox, enum object_kind kind, const json_t *obj, bool gone);
/* The oldest, or NULL. */
struct news *inbox_take(struct inbox *inbox);
/* Something could not be put since the last call. */
bool inbox_lost(struct inbox *inbox);
void news_free(struct news *news);

#endif
