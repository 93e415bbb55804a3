/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations on disk. A host's command waits until the file that has its change is durable (saver.h). When the file cannot be written, the
 * command fails and its change is taken back here, too: else the next write, for whatever namespace, would make durable what a host was
 * told had failed, and a restart would bring it in force.
 */
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
	struct resv_store *store;
	json_t *before, *after; /* entries, owned; NULL: there was none, or nothing to take back */
	nvme_done_fn saved;     /* NULL: nobody waits */
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

static void save_free(struct resv_save *save)
{
	json_decref(save->before);
	json_decref(save->after);
	free(save);
}

/* Unless the namespace was dropped meanwhile. */
static void take_back(const struct resv_save *save)
{
	json_t *entries = save->store->entries;

	for (size_t i = 0; i < json_array_size(entries); i++) {
		if (json_array_get(entries, i) != save->after)
			continue;
		if (save->before)
			(void)json_array_set(entries, i, save->before);
		else
			(void)json_array_remove(entries, i);
		return;
	}
}

static void resv_save_done(void *ctx, const struct err *err)
{
	struct resv_save *save = ctx;

	if (err && save->after)
		take_back(save);
	if (save->saved)
		save->saved(save->ctx, err ? err->code : 0);
	save_free(save);
}

static struct resv_save *save_new(struct resv_store *store, nvme_done_fn saved, void *ctx)
{
	struct resv_save *save = calloc(1, sizeof(*save));

	if (!save)
		return NULL;
	save->store = store;
	save->wait.done = resv_save_done;
	save->wait.ctx = save;
	save->saved = saved;
	save->ctx = ctx;
	return save;
}

/* The entry of namespace nsid, NULL: none; an owner's reference. */
static json_t *entry_get(const struct resv_store *store, const char *nqn, uint32_t nsid)
{
	for (size_t i = 0; i < json_array_size(store->entries); i++) {
		json_t *one = json_array_get(store->entries, i);

		if (entry_matches(one, nqn, nsid))
			return json_incref(one);
	}
	return NULL;
}

void resv_store_put(struct resv_store *store, const char *nqn, uint32_t nsid, const char *uuid,
		    const json_t *resv, nvme_done_fn saved, void *saved_ctx)
{
	struct resv_save *save = save_new(store, saved, saved_ctx);

	if (save)
		save->after =
			json_pack("{s:s, s:I, s:s, s:o}", "nqn", nqn, "nsid", (json_int_t)nsid,
				  "uuid", uuid, "reservation", json_deep_copy(resv));
	if (!save || !save->after) {
		if (save)
			save_free(save);
		saved(saved_ctx, -ENOMEM);
		return;
	}
	save->before = entry_get(store, nqn, nsid);
	(void)entries_remove(store, nqn, nsid);
	if (json_array_append(store->entries, save->after) < 0) {
		if (save->before) /* in the place that has just become free */
			(void)json_array_append(store->entries, save->before);
		save_free(save);
		saved(saved_ctx, -ENOMEM);
		return;
	}
	saver_save(&store->saver, &save->wait);
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
	struct resv_save *save;

	if (!entries_remove(store, nqn, nsid))
		return;
	save = save_new(store, NULL, NULL);
	if (save) /* else it goes out with the next write */
		saver_save(&store->saver, &save->wait);
}
