/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite behind one file. A connection is used by one thread at a time (the store's lock). Statements are prepared once and found
 * again by the address of their text, which must be a literal.
 */
#ifndef LITEPOOL_APISERVER_SQL_H
#define LITEPOOL_APISERVER_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sql;
struct sql_query;

/* What is there is sound: -EUCLEAN when it is not, why into sql_why(). Reads all of it. */
int sql_verify(struct sql *sql);

/* WAL, every commit synced. max_bytes bounds the file, 0: only the disk does. ":memory:" is no file at all, for fuzzing. */
int sql_open(const char *path, uint64_t max_bytes, struct sql **ret, struct err *err);
void sql_close(struct sql *sql);

/* Statements without parameters and rows, several in one text. 0, -ENOSPC when the disk or the file is full, -EUCLEAN when the file is damaged, -EIO. */
int sql_run(struct sql *sql, const char *text);

/* A prepared statement, reset. NULL after a failure, which the next calls take and report. */
struct sql_query *sql_query(struct sql *sql, const char *literal);
void sql_bind_text(struct sql_query *q, int at,
		   const char *text); /* 1..; borrowed until sql_end(); NULL: null */
void sql_bind_i64(struct sql_query *q, int at, int64_t value);
/* 1: a row, 0: no more, or a negative errno as sql_run(). */
int sql_step(struct sql_query *q);
/* Of the present row, 0..; the text is good until the next step; NULL for null. */
const char *sql_text(struct sql_query *q, int column, size_t *ret_len);
int64_t sql_i64(struct sql_query *q, int column);
void sql_end(struct sql_query *q);
/* Step that returns no row, then end. */
int sql_finish(struct sql_query *q);

/* Why the last call failed. */
const char *sql_why(struct sql *sql);

#endif
