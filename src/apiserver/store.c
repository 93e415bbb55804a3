/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: object (what is), history (what changed: new and previous text, either may be null), owner (who names whom as owner), gc
 * (owners whose dependents are to go), meta (the counters and the format). format changes only with a migration from each older one.
 */
#include "apiserver/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/sql.h"
#include "apiserver/store_priv.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/lock.h"

#define FORMAT       1
#define HISTORY_KEEP 10000

static const char create_tables[] =
	"CREATE TABLE IF NOT EXISTS meta(id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT "
	"NULL,"
	" version INTEGER NOT NULL, oldest INTEGER NOT NULL) STRICT;"
	"INSERT OR IGNORE INTO meta VALUES(1, 1, 1, 1);"
	"CREATE TABLE IF NOT EXISTS object(res TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" uid TEXT NOT NULL, version INTEGER NOT NULL, touched_s INTEGER NOT NULL, body TEXT NOT "
	"NULL,"
	" PRIMARY KEY(res, ns, name)) STRICT;"
	"CREATE UNIQUE INDEX IF NOT EXISTS object_uid ON object(uid);"
	"CREATE INDEX IF NOT EXISTS object_touched ON object(res, touched_s);"
	"CREATE TABLE IF NOT EXISTS history(version INTEGER PRIMARY KEY, res TEXT NOT NULL,"
	" ns TEXT NOT NULL, name TEXT NOT NULL, body TEXT, prev TEXT) STRICT;"
	"CREATE INDEX IF NOT EXISTS history_key ON history(res, ns, name, version);"
	"CREATE INDEX IF NOT EXISTS history_res ON history(res, version);"
	"CREATE TABLE IF NOT EXISTS owner(owner_uid TEXT NOT NULL, uid TEXT NOT NULL,"
	" PRIMARY KEY(owner_uid, uid)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS owner_of ON owner(uid);"
	"CREATE TABLE IF NOT EXISTS gc(owner_uid TEXT PRIMARY KEY, mode INTEGER NOT NULL) STRICT;";

const char *store_res_text(const struct kube_resource *res, char *buf)
{
	(void)snprintf(buf, STORE_RES_SIZE, "%s/%s", res->group, res->plural);
	return buf;
}

static int read_meta(struct store *store, struct err *err)
{
	struct sql_query *q =
		sql_query(store->sql, "SELECT format, version, oldest FROM meta WHERE id=1");
	int rc = sql_step(q);
	int64_t format = rc == 1 ? sql_i64(q, 0) : 0;

	if (rc == 1) {
		store->version = (uint64_t)sql_i64(q, 1);
		store->oldest = (uint64_t)sql_i64(q, 2);
	}
	sql_end(q);
	if (rc != 1)
		return err_set(err, rc < 0 ? rc : -EIO, "cannot read the API store: %s",
			       rc < 0 ? sql_why(store->sql) : "it has no meta row");
	if (format != FORMAT)
		return err_set(err, -EPROTO,
			       "the API store has format %" PRId64 ", this version knows only %d; "
			       "use the version that wrote it, or a newer one",
			       format, FORMAT);
	return 0;
}

static unsigned kind_index(const struct kube_resource *res)
{
	unsigned i = 0;

	while (kube_resource_at(i) != res)
		i++;
	ASSERT(i < STORE_KINDS_MAX);
	return i;
}

/* The kinds before the version: who sees the version sees what it changed. */
static void publish(struct store *store)
{
	for (unsigned i = 0; i < STORE_KINDS_MAX; i++)
		if (store->touched & 1u << i)
			atomic_store(&store->kind_changed[i], store->version);
	atomic_store(&store->committed, store->version);
}

uint64_t store_committed(struct store *store)
{
	return atomic_load(&store->committed);
}

uint64_t store_kind_changed(struct store *store, const struct kube_resource *res)
{
	return atomic_load(&store->kind_changed[kind_index(res)]);
}

int store_open(const struct store_config *config, struct store **ret, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store || lock_new(&store->lock)) {
		free(store);
		return err_set(err, -ENOMEM, "no memory for the API store");
	}
	store->wall_ns = config->wall_ns;
	store->history_keep = config->history_keep ? config->history_keep : HISTORY_KEEP;
	rc = sql_open(config->path, config->max_bytes, &store->sql, err);
	if (!rc) {
		rc = sql_verify(store->sql);
		if (rc)
			(void)err_set(err, rc,
				      "the API store %s is damaged (%s): restore it from a backup",
				      config->path, sql_why(store->sql));
	}
	if (!rc) {
		rc = sql_run(store->sql, "BEGIN IMMEDIATE");
		if (!rc)
			rc = sql_run(store->sql, create_tables);
		if (rc)
			(void)err_set(err, rc, "cannot prepare the API store %s: %s", config->path,
				      sql_why(store->sql));
	}
	/* A store of another format is left as it is. */
	if (!rc)
		rc = read_meta(store, err);
	if (!rc) {
		rc = sql_run(store->sql, "COMMIT");
		if (rc)
			(void)err_set(err, rc, "cannot prepare the API store %s: %s", config->path,
				      sql_why(store->sql));
	}
	if (rc) {
		store_close(store);
		return rc;
	}
	publish(store);
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	sql_close(store->sql);
	lock_free(store->lock);
	free(store);
}

int store_begin(struct store *store, bool change)
{
	int rc = 0;

	lock_take(store->lock);
	store->changing = change;
	store->touched = 0;
	store->new_version = store->version;
	store->new_oldest = store->oldest;
	if (change)
		rc = sql_run(store->sql, "BEGIN IMMEDIATE");
	if (rc) {
		(void)str_copy(store->why, sizeof(store->why), sql_why(store->sql));
		lock_drop(store->lock);
	}
	return rc;
}

static int write_meta(struct store *store)
{
	struct sql_query *q;

	if (store->new_version == store->version && store->new_oldest == store->oldest)
		return 0;
	q = sql_query(store->sql, "UPDATE meta SET version=?1, oldest=?2 WHERE id=1");
	sql_bind_i64(q, 1, (int64_t)store->new_version);
	sql_bind_i64(q, 2, (int64_t)store->new_oldest);
	return sql_finish(q);
}

int store_end(struct store *store, bool keep)
{
	int rc = 0;

	if (store->changing && keep) {
		rc = write_meta(store);
		if (!rc)
			rc = sql_run(store->sql, "COMMIT");
		if (rc)
			(void)str_copy(store->why, sizeof(store->why), sql_why(store->sql));
	}
	/* A failed statement may have rolled back by itself: then this one fails, harmlessly. */
	if (store->changing && (!keep || rc))
		(void)sql_run(store->sql, "ROLLBACK");
	if (store->changing && keep && !rc) {
		store->version = store->new_version;
		store->oldest = store->new_oldest;
		publish(store);
	}
	store->changing = false;
	lock_drop(store->lock);
	return rc;
}

const char *store_why(struct store *store)
{
	return store->why[0] ? store->why : sql_why(store->sql);
}

uint64_t store_version(struct store *store)
{
	return store->new_version;
}

uint64_t store_oldest(struct store *store)
{
	return store->new_oldest;
}

uint32_t store_history_keep(struct store *store)
{
	return store->history_keep;
}

/* Text of ours; that it does not parse means a damaged file. */
static int load(const char *text, size_t len, json_t **ret)
{
	*ret = text ? json_loadb(text, len, 0, NULL) : NULL;
	return *ret ? 0 : -EIO;
}

int store_load_column(struct sql_query *q, int column, json_t **ret)
{
	size_t len;
	const char *text = sql_text(q, column, &len);

	return load(text, len, ret);
}

int store_get(struct store *store, const struct store_key *key, json_t **ret)
{
	struct sql_query *q =
		sql_query(store->sql, "SELECT body FROM object WHERE res=?1 AND ns=?2 AND name=?3");
	char res[STORE_RES_SIZE];
	int rc;

	sql_bind_text(q, 1, store_res_text(key->res, res));
	sql_bind_text(q, 2, key->ns);
	sql_bind_text(q, 3, key->name);
	rc = sql_step(q);
	if (rc == 1)
		rc = store_load_column(q, 0, ret);
	else if (rc == 0)
		rc = -ENOENT;
	sql_end(q);
	return rc;
}

/* "group/plural" -> the resource; NULL for one that this version does not serve. */
static const struct kube_resource *res_of(const char *text)
{
	char buf[STORE_RES_SIZE];
	const struct kube_resource *res;

	for (size_t i = 0; (res = kube_resource_at(i)); i++)
		if (!strcmp(store_res_text(res, buf), text))
			return res;
	return NULL;
}

/* Row of (body, res). */
int store_take_object(struct sql_query *q, json_t **ret, const struct kube_resource **ret_res)
{
	const struct kube_resource *res;
	int rc = sql_step(q);

	if (rc == 0)
		rc = -ENOENT;
	if (rc == 1) {
		res = res_of(sql_text(q, 1, NULL));
		rc = res ? store_load_column(q, 0, ret) : -EIO;
		*ret_res = res;
	}
	sql_end(q);
	return rc;
}

int store_get_uid(struct store *store, const char *uid, json_t **ret,
		  const struct kube_resource **ret_res)
{
	struct sql_query *q = sql_query(store->sql, "SELECT body, res FROM object WHERE uid=?1");

	sql_bind_text(q, 1, uid);
	return store_take_object(q, ret, ret_res);
}

bool store_has_uid(struct store *store, const char *uid)
{
	struct sql_query *q = sql_query(store->sql, "SELECT 1 FROM object WHERE uid=?1");
	int rc;

	sql_bind_text(q, 1, uid);
	rc = sql_step(q);
	sql_end(q);
	return rc == 1;
}

static int put_history(struct store *store, const struct store_key *key, const char *body,
		       const json_t *prev)
{
	_cleanup_free_ char *before = prev ? json_text(prev) : NULL;
	struct sql_query *q =
		sql_query(store->sql, "INSERT INTO history(version, res, ns, name, body, prev)"
				      " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
	char res[STORE_RES_SIZE];

	store->touched |= 1u << kind_index(key->res);
	sql_bind_i64(q, 1, (int64_t)store->new_version);
	sql_bind_text(q, 2, store_res_text(key->res, res));
	sql_bind_text(q, 3, key->ns);
	sql_bind_text(q, 4, key->name);
	sql_bind_text(q, 5, body);
	sql_bind_text(q, 6, before);
	return sql_finish(q);
}

static int drop_owners(struct store *store, const char *uid)
{
	struct sql_query *q = sql_query(store->sql, "DELETE FROM owner WHERE uid=?1");

	sql_bind_text(q, 1, uid);
	return sql_finish(q);
}

static int put_owners(struct store *store, const json_t *obj)
{
	const json_t *list = kube_at(obj, "metadata.ownerReferences");
	int rc = 0;

	for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
		struct sql_query *q =
			sql_query(store->sql, "INSERT OR IGNORE INTO owner VALUES(?1, ?2)");

		sql_bind_text(q, 1, kube_str(json_array_get(list, i), "uid"));
		sql_bind_text(q, 2, kube_uid(obj));
		rc = sql_finish(q);
	}
	return rc;
}

static int put_object(struct store *store, const struct store_key *key, const json_t *obj,
		      const char *body)
{
	struct sql_query *q =
		sql_query(store->sql,
			  "INSERT INTO object(res, ns, name, uid, version, touched_s, body)"
			  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(res, ns, name) DO UPDATE"
			  " SET uid=?4, version=?5, touched_s=?6, body=?7");
	char res[STORE_RES_SIZE];

	sql_bind_text(q, 1, store_res_text(key->res, res));
	sql_bind_text(q, 2, key->ns);
	sql_bind_text(q, 3, key->name);
	sql_bind_text(q, 4, kube_uid(obj));
	sql_bind_i64(q, 5, (int64_t)store->new_version);
	sql_bind_i64(q, 6, (int64_t)(store->wall_ns() / NSEC_PER_SEC));
	sql_bind_text(q, 7, body);
	return sql_finish(q);
}

int store_put(struct store *store, const struct store_key *key, const json_t *old, json_t *obj)
{
	_cleanup_free_ char *body = NULL;
	int rc;

	ASSERT(store->changing);
	ASSERT(kube_uid(obj)[0]);
	store->new_version++;
	kube_resource_version_set(obj, store->new_version);
	body = json_text(obj);
	if (!body)
		return -ENOMEM;
	rc = put_object(store, key, obj, body);
	if (!rc)
		rc = put_history(store, key, body, old);
	if (!rc && old && kube_at(old, "metadata.ownerReferences"))
		rc = drop_owners(store, kube_uid(obj));
	if (!rc)
		rc = put_owners(store, obj);
	return rc;
}

int store_remove(struct store *store, const struct store_key *key, json_t *old)
{
	struct sql_query *q;
	char res[STORE_RES_SIZE];
	int rc;

	ASSERT(store->changing);
	store->new_version++;
	/* The previous state is kept under its own version: a paged list may still ask for it. */
	rc = put_history(store, key, NULL, old);
	if (rc)
		return rc;
	q = sql_query(store->sql, "DELETE FROM object WHERE res=?1 AND ns=?2 AND name=?3");
	sql_bind_text(q, 1, store_res_text(key->res, res));
	sql_bind_text(q, 2, key->ns);
	sql_bind_text(q, 3, key->name);
	rc = sql_finish(q);
	if (!rc)
		rc = drop_owners(store, kube_uid(old));
	kube_resource_version_set(old, store->new_version);
	return rc;
}
