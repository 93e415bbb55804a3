/* SPDX-License-Identifier: Apache-2.0 */
/* Reading much of the store: lists now and in the past, changes, what is to be collected. */
#include <errno.h>
#include <string.h>

#include "apiserver/sql.h"
#include "apiserver/store_priv.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/meta.h"

/* Rows of (ns, name, body). */
static int scan_rows(struct sql_query *q, store_scan_fn fn, void *ctx)
{
	int rc;

	while ((rc = sql_step(q)) == 1) {
		_cleanup_json_ json_t *obj = NULL;

		rc = store_load_column(q, 2, &obj);
		if (!rc)
			rc = fn(ctx, sql_text(q, 0, NULL), sql_text(q, 1, NULL), obj);
		if (rc)
			break;
	}
	sql_end(q);
	return rc;
}

/*
 * The state at version ?6 is: objects not changed since, and of those changed since what they were before their first change
 * after it.
 */
static const char scan_past[] =
	"SELECT ns, name, body FROM object WHERE res=?1 AND (?2 IS NULL OR ns=?2)"
	" AND (ns, name) > (?3, ?4) AND version <= ?5"
	" UNION ALL "
	"SELECT h.ns, h.name, h.prev FROM history h WHERE h.res=?1 AND (?2 IS NULL OR h.ns=?2)"
	" AND (h.ns, h.name) > (?3, ?4) AND h.version > ?5 AND h.prev IS NOT NULL"
	" AND NOT EXISTS (SELECT 1 FROM history e WHERE e.res=h.res AND e.ns=h.ns AND e.name=h.name"
	" AND e.version > ?5 AND e.version < h.version)"
	" ORDER BY 1, 2";
static const char scan_now[] =
	"SELECT ns, name, body FROM object WHERE res=?1 AND (?2 IS NULL OR ns=?2)"
	" AND (ns, name) > (?3, ?4) ORDER BY ns, name";

int store_scan(struct store *store, const struct store_scan *scan, store_scan_fn fn, void *ctx)
{
	bool past = scan->version && scan->version < store_version(store);
	struct sql_query *q;
	char res[STORE_RES_SIZE];

	if (past && scan->version < store_oldest(store))
		return -ESTALE;
	q = sql_query(store->sql, past ? scan_past : scan_now);
	sql_bind_text(q, 1, store_res_text(scan->res, res));
	sql_bind_text(q, 2, scan->ns);
	sql_bind_text(q, 3, scan->after_ns ? scan->after_ns : "");
	sql_bind_text(q, 4, scan->after_name ? scan->after_name : "");
	if (past)
		sql_bind_i64(q, 5, (int64_t)scan->version);
	return scan_rows(q, fn, ctx);
}

static int give_change(struct sql_query *q, store_change_fn fn, void *ctx)
{
	_cleanup_json_ json_t *obj = NULL, *prev = NULL;
	struct store_change change = {.version = (uint64_t)sql_i64(q, 0)};
	int rc = 0;

	if (sql_text(q, 1, NULL))
		rc = store_load_column(q, 1, &obj);
	if (!rc && sql_text(q, 2, NULL))
		rc = store_load_column(q, 2, &prev);
	if (rc)
		return rc;
	if (prev)
		kube_resource_version_set(prev, change.version);
	change.obj = obj;
	change.prev = prev;
	return fn(ctx, &change);
}

int store_changes(struct store *store, const struct kube_resource *res, uint64_t after,
		  unsigned max, store_change_fn fn, void *ctx)
{
	struct sql_query *q;
	char text[STORE_RES_SIZE];
	int rc;

	if (after < store_oldest(store))
		return -ESTALE;
	q = sql_query(store->sql, "SELECT version, body, prev FROM history WHERE res=?1"
				  " AND version>?2 ORDER BY version LIMIT ?3");
	sql_bind_text(q, 1, store_res_text(res, text));
	sql_bind_i64(q, 2, (int64_t)after);
	sql_bind_i64(q, 3, max);
	while ((rc = sql_step(q)) == 1) {
		rc = give_change(q, fn, ctx);
		if (rc)
			break;
	}
	sql_end(q);
	return rc;
}

int store_compact(struct store *store, uint32_t keep)
{
	uint64_t oldest = store->new_version > keep ? store->new_version - keep : 0;
	struct sql_query *q;

	if (oldest <= store->new_oldest)
		return 0;
	q = sql_query(store->sql, "DELETE FROM history WHERE version<=?1");
	sql_bind_i64(q, 1, (int64_t)oldest);
	store->new_oldest = oldest;
	return sql_finish(q);
}

int store_gc_add(struct store *store, const char *owner_uid, enum store_gc mode)
{
	struct sql_query *q = sql_query(store->sql, "INSERT OR REPLACE INTO gc VALUES(?1, ?2)");

	sql_bind_text(q, 1, owner_uid);
	sql_bind_i64(q, 2, mode);
	return sql_finish(q);
}

int store_gc_drop(struct store *store, const char *owner_uid)
{
	struct sql_query *q = sql_query(store->sql, "DELETE FROM gc WHERE owner_uid=?1");

	sql_bind_text(q, 1, owner_uid);
	return sql_finish(q);
}

enum store_gc store_gc_next(struct store *store, unsigned n, char *uid, size_t size)
{
	struct sql_query *q = sql_query(
		store->sql, "SELECT owner_uid, mode FROM gc ORDER BY owner_uid LIMIT 1 OFFSET ?1");
	enum store_gc mode = STORE_GC_NONE;

	sql_bind_i64(q, 1, n);
	if (sql_step(q) == 1 && str_copy(uid, size, sql_text(q, 0, NULL)))
		mode = (enum store_gc)sql_i64(q, 1);
	sql_end(q);
	return mode;
}

int store_dependent(struct store *store, const char *owner_uid, unsigned skip, json_t **ret,
		    const struct kube_resource **ret_res)
{
	struct sql_query *q =
		sql_query(store->sql, "SELECT o.body, o.res FROM owner w JOIN object o USING(uid)"
				      " WHERE w.owner_uid=?1 ORDER BY w.uid LIMIT 1 OFFSET ?2");

	sql_bind_text(q, 1, owner_uid);
	sql_bind_i64(q, 2, skip);
	return store_take_object(q, ret, ret_res);
}

int store_expired(struct store *store, const struct kube_resource *res, json_t **ret)
{
	uint64_t now_s = store->wall_ns() / NSEC_PER_SEC;
	const struct kube_resource *found;
	struct sql_query *q;
	char text[STORE_RES_SIZE];

	if (!res->ttl_s || now_s <= res->ttl_s)
		return -ENOENT;
	q = sql_query(store->sql, "SELECT body, res FROM object WHERE res=?1 AND touched_s<?2"
				  " ORDER BY touched_s LIMIT 1");
	sql_bind_text(q, 1, store_res_text(res, text));
	sql_bind_i64(q, 2, (int64_t)(now_s - res->ttl_s));
	return store_take_object(q, ret, &found);
}
