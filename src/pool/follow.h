/* SPDX-License-Identifier: Apache-2.0 */
/* A successor's journal, for open.c, apply.c and follow.c alone. */
#ifndef LITEPOOL_POOL_FOLLOW_H
#define LITEPOOL_POOL_FOLLOW_H

#include "pool/priv.h"

/* The pool was loaded up to scan->commit. -ENOMEM; -EUCLEAN: what the old process would have mended is not. */
int follow_new(struct pool *pool, const struct journal_scan *scan, size_t n_torn, struct err *err);
void follow_free(struct pool *pool);
/* A record changes an entry, or takes a layer away: who owns which cluster is looked at when the group is complete. -ENOMEM. */
int follow_note(struct pool *pool, uint64_t old_entry, uint64_t new_entry);
int follow_note_layer(struct pool *pool, const struct pool_layer *layer);

#endif
