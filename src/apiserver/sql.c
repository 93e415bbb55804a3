/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite. */
#include "apiserver/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define QUERIES_MAX 48
#define PAGE_BYTES  4096
#define BUSY_MS     5000

struct sql_query {
	const char *text;
	sqlite3_stmt *stmt;
	struct sql *sql;
	bool used; /* between sql_query() and sql_end() */
};

struct sql {
	sqlite3 *db;
	struct sql_query queries[QUERIES_MAX];
	char why[256];
};

/*
 * The kernel's reason tells a full disk (ENOSPC, EDQUOT) or a file size limit (EFBIG) from a broken one. SQLite does not keep it for every
 * write, but leaves errno alone after the call that failed; callers set it to 0 first.
 */
static int code_of(struct sql *sql, int rc)
{
	int last = errno, sys = sqlite3_system_errno(sql->db);

	sys = sys ? sys : last;
	(void)snprintf(sql->why, sizeof(sql->why), "%s", sqlite3_errmsg(sql->db));
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? -ENOSPC : -EIO;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int sql_run(struct sql *sql, const char *text)
{
	int rc;

	errno = 0;
	rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : code_of(sql, rc);
}

static int set_up(struct sql *sql, uint64_t max_bytes)
{
	char limit[64];
	int rc;

	(void)sqlite3_extended_result_codes(sql->db, 1);
	(void)sqlite3_busy_timeout(sql->db, BUSY_MS);
	/* Exclusive before the log is looked at: then its index is in memory, and a store on a full disk needs no file of shared memory to be opened. */
	rc = sql_run(sql, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096;"
			  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			  "PRAGMA trusted_schema=OFF;"
			  "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=16777216;");
	if (rc || !max_bytes)
		return rc;
	(void)snprintf(limit, sizeof(limit), "PRAGMA max_page_count=%" PRIu64,
		       max_bytes / PAGE_BYTES + 1);
	return sql_run(sql, limit);
}

/* The file is for its owner alone; SQLite gives its companions the same mode. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 || close(fd) < 0 ? -errno : 0;
}

int sql_open(const char *path, uint64_t max_bytes, struct sql **ret, struct err *err)
{
	struct sql *sql = calloc(1, sizeof(*sql));
	int rc;

	if (!sql)
		return err_set(err, -ENOMEM, "no memory for the store");
	rc = strcmp(path, ":memory:") ? make_file(path) : 0;
	if (rc) {
		free(sql);
		return err_set(err, rc, "cannot open the API store %s: %s", path, strerror(-rc));
	}
	rc = sqlite3_open_v2(path, &sql->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (rc == SQLITE_OK)
		rc = set_up(sql, max_bytes);
	else
		rc = code_of(sql, rc);
	if (rc) {
		(void)err_set(err, rc, "cannot open the API store %s: %s%s", path, sql->why,
			      rc == -EBUSY     ? "; another process uses it"
			      : rc == -ENOSPC  ? "; free space on its disk"
			      : rc == -EUCLEAN ? "; restore it from a backup"
					       : "");
		sql_close(sql);
		return rc;
	}
	*ret = sql;
	return 0;
}

int sql_verify(struct sql *sql)
{
	struct sql_query *q = sql_query(sql, "PRAGMA quick_check(1)");
	int rc = sql_step(q);

	if (rc == 1) {
		const char *said = sql_text(q, 0, NULL);

		rc = said && !strcmp(said, "ok") ? 0 : -EUCLEAN;
		if (rc)
			(void)snprintf(sql->why, sizeof(sql->why), "%.200s",
				       said ? said : "nothing said");
		for (char *p = sql->why; *p; p++)
			if (*p == '\n')
				*p = ' ';
	} else if (rc == 0) {
		rc = -EUCLEAN;
	}
	sql_end(q);
	return rc;
}

void sql_close(struct sql *sql)
{
	if (!sql)
		return;
	for (size_t i = 0; i < QUERIES_MAX; i++)
		(void)sqlite3_finalize(sql->queries[i].stmt);
	(void)sqlite3_close(sql->db);
	free(sql);
}

struct sql_query *sql_query(struct sql *sql, const char *literal)
{
	struct sql_query *q = sql->queries;

	while (q->text && q->text != literal)
		ASSERT(++q < sql->queries + QUERIES_MAX);
	if (!q->stmt) {
		int rc = sqlite3_prepare_v3(sql->db, literal, -1, SQLITE_PREPARE_PERSISTENT,
					    &q->stmt, NULL);

		if (rc != SQLITE_OK) {
			(void)code_of(sql, rc);
			return NULL;
		}
		q->text = literal;
		q->sql = sql;
	}
	ASSERT(!q->used);
	q->used = true;
	return q;
}

void sql_bind_text(struct sql_query *q, int at, const char *text)
{
	if (q)
		(void)sqlite3_bind_text(q->stmt, at, text, -1, SQLITE_STATIC);
}

void sql_bind_i64(struct sql_query *q, int at, int64_t value)
{
	if (q)
		(void)sqlite3_bind_int64(q->stmt, at, value);
}

int sql_step(struct sql_query *q)
{
	int rc;

	if (!q)
		return -EIO;
	errno = 0;
	rc = sqlite3_step(q->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : code_of(q->sql, rc);
}

const char *sql_text(struct sql_query *q, int column, size_t *ret_len)
{
	const unsigned char *text = sqlite3_column_text(q->stmt, column);

	if (ret_len)
		*ret_len = (size_t)sqlite3_column_bytes(q->stmt, column);
	return (const char *)text;
}

int64_t sql_i64(struct sql_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

void sql_end(struct sql_query *q)
{
	if (!q)
		return;
	(void)sqlite3_reset(q->stmt);
	(void)sqlite3_clear_bindings(q->stmt);
	q->used = false;
}

int sql_finish(struct sql_query *q)
{
	int rc = sql_step(q);

	ASSERT(rc <= 0);
	sql_end(q);
	return rc;
}

const char *sql_why(struct sql *sql)
{
	return sql->why;
}
