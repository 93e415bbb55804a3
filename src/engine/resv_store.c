/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations on disk. A host's command waits until the file that has its change is durable (saver.h). */
#include "engine/resv_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rt/fs.h"

#define RESV_FILE     "reservations.json"
#define RESV_VERSION  1
#define RESV_SIZE_MAX ((size_t)64 << 20)

struct resv_save { /* one change on its way to the disk */
	struct saver_wait wait;
	nvme_done_fn saved; /* NULL: nobody waits */
	void *ctx;
};

static json_t *resv_render(void *ctx)
{
	struct resv_store *store = ctx;

	return json_pack("{s:i, s:O}", "version", RESV_VERSION, "reservations", store->entries);
}

int resv_store_init(struct resv_store *store, struct reactor *control, struct worker_pool *workers,
		    const char *dir, struct err *err)
{
	store->saver.control = control;
	store->saver.workers = workers;
	store->saver.render = resv_render;
	store->saver.ctx = store;
	store->entries = json_array();
	if (!store->entries)
		return err_set(err, -ENOMEM, "out of memory");
	return saver_init(&store->saver, dir, RESV_FILE, err);
}

void resv_store_fini(struct resv_store *store)
{
	json_decref(store->entries);
	store->entries = NULL;
}

int resv_store_parse(const char *text, size_t len, json_t **ret_entries, struct err *err)
{
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	json_t *entries = json_object_get(root, "reservations");
	int res = 0;

	if (!root)
		return err_set(err, -EINVAL, "line %d column %d: %s", where.line, where.column,
			       where.text);
	if (json_integer_value(json_object_get(root, "version")) != RESV_VERSION)
		res = err_set(err, -EINVAL, "\"version\" must be %d", RESV_VERSION);
	else if (!json_is_array(entries))
		res = err_set(err, -EINVAL, "\"reservations\" must be an array");
	for (size_t i = 0; res == 0 && i < json_array_size(entries); i++) {
		const json_t *one = json_array_get(entries, i);

		if (!json_is_string(json_object_get(one, "nqn")) ||
		    !json_is_integer(json_object_get(one, "nsid")) ||
		    !json_is_string(json_object_get(one, "uuid")) ||
		    !json_is_object(json_object_get(one, "reservation")))
			res = err_set(err, -EINVAL,
				      "reservations[%zu] needs nqn, nsid, uuid and reservation", i);
	}
	if (res == 0)
		*ret_entries = json_incref(entries);
	json_decref(root);
	return res;
}

int resv_store_load(struct resv_store *store, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	json_t *entries;
	size_t len;
	int res = fs_read(store->saver.path, RESV_SIZE_MAX, &text, &len, err);

	if (res == -ENOENT)
		return 0;
	if (res < 0)
		return res;
	res = resv_store_parse(text, len, &entries, err);
	if (res < 0) {
		(void)err_prefix(err, "%s", store->saver.path);
		return res;
	}
	json_decref(store->entries);
	store->entries = entries;
	return 0;
}

static bool entry_matches(const json_t *one, const char *nqn, uint32_t nsid)
{
	return strcmp(json_string_value(json_object_get(one, "nqn")), nqn) == 0 &&
	       (nsid == 0 || json_integer_value(json_object_get(one, "nsid")) == nsid);
}

static bool entries_remove(struct resv_store *store, const char *nqn, uint32_t nsid)
{
	bool any = false;

	for (size_t i = json_array_size(store->entries); i-- > 0;) {
		if (!entry_matches(json_array_get(store->entries, i), nqn, nsid))
			continue;
		(void)json_array_remove(store->entries, i);
		any = true;
	}
	return any;
}

static void resv_save_done(void *ctx, const struct err *err)
{
	struct resv_save *save = ctx;

	if (save->saved)
		save->saved(save->ctx, err ? err->code : 0);
	free(save);
}

static void resv_save(struct resv_store *store, nvme_done_fn saved, void *ctx)
{
	struct resv_save *save = calloc(1, sizeof(*save));

	if (!save) {
		/* The command fails; its change is in memory and goes out with the next write. */
		if (saved)
			saved(ctx, -ENOMEM);
		return;
	}
	save->wait.done = resv_save_done;
	save->wait.ctx = save;
	save->saved = saved;
	save->ctx = ctx;
	saver_save(&store->saver, &save->wait);
}

void resv_store_put(struct resv_store *store, const char *nqn, uint32_t nsid, const char *uuid,
		    const json_t *resv, nvme_done_fn saved, void *saved_ctx)
{
	json_t *copy = resv ? json_deep_copy(resv) : NULL;

	(void)entries_remove(store, nqn, nsid);
	if (copy)
		(void)json_array_append_new(store->entries,
					    json_pack("{s:s, s:I, s:s, s:o}", "nqn", nqn, "nsid",
						      (json_int_t)nsid, "uuid", uuid, "reservation",
						      copy));
	resv_save(store, saved, saved_ctx);
}

const json_t *resv_store_get(const struct resv_store *store, const char *nqn, uint32_t nsid,
			     const char *uuid)
{
	for (size_t i = 0; i < json_array_size(store->entries); i++) {
		const json_t *one = json_array_get(store->entries, i);

		if (entry_matches(one, nqn, nsid) &&
		    strcmp(json_string_value(json_object_get(one, "uuid")), uuid) == 0)
			return json_object_get(one, "reservation");
	}
	return NULL;
}

void resv_store_drop(struct resv_store *store, const char *nqn, uint32_t nsid)
{
	if (entries_remove(store, nqn, nsid))
		resv_save(store, NULL, NULL);
}
