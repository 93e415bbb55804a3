/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations that persist through power loss, kept in the state directory until a volume keeps its own. A reservation belongs to a namespace's
 * UUID: another disk under the same number does not inherit it. Control thread.
 */
#ifndef LITEPOOL_ENGINE_RESV_STORE_H
#define LITEPOOL_ENGINE_RESV_STORE_H

#include <jansson.h>
#include <stdint.h>

#include "base/uuid.h"
#include "engine/saver.h"
#include "nvme/target.h"

struct resv_store {
	struct saver saver;
	json_t *entries; /* array of {nqn, nsid, uuid, reservation} */
};

int resv_store_init(struct resv_store *store, struct reactor *control, struct worker_pool *workers,
		    const char *dir, struct err *err);
/* Reads the file; none there is fine. Blocking. -EINVAL with what to do when it is not what we wrote. */
int resv_store_load(struct resv_store *store, struct err *err);
void resv_store_fini(struct resv_store *store);
/* For text: the same checks as resv_store_load(). */
int resv_store_parse(const char *text, size_t len, json_t **ret_entries, struct err *err);

/*
 * The reservation of namespace nsid of nqn from now on, in place of any before. Then saves; saved runs later, or inside for want of memory.
 * When it hears of an error all is as before.
 */
void resv_store_put(struct resv_store *store, const char *nqn, uint32_t nsid, const char *uuid,
		    const json_t *resv, nvme_done_fn saved, void *saved_ctx);
/* Borrowed, or NULL. */
const json_t *resv_store_get(const struct resv_store *store, const char *nqn, uint32_t nsid,
			     const char *uuid);
/* Forgets namespace nsid of nqn (0: all of nqn) in memory and, soon, on disk. */
void resv_store_drop(struct resv_store *store, const char *nqn, uint32_t nsid);

#endif
