/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share. */
#ifndef LITEPOOL_APISERVER_STORE_PRIV_H
#define LITEPOOL_APISERVER_STORE_PRIV_H

#include <stdatomic.h>

#include "apiserver/store.h"

#define STORE_KINDS_MAX 32

struct lock;
struct sql;
struct sql_query;

struct store {
	struct sql *sql;
	struct lock *lock; /* protects all that follows and the connection */
	uint64_t (*wall_ns)(void);
	uint32_t history_keep;
	uint64_t version, oldest;         /* committed */
	uint64_t new_version, new_oldest; /* within a change */
	bool changing;
	uint32_t touched; /* within a change: kinds, by their place in the table of resources */
	/* Written under the lock at commit, read by any thread: the latest version, and that of the last change of each kind since the start. */
	_Atomic uint64_t committed, kind_changed[STORE_KINDS_MAX];
	char why[256];
};

#define STORE_RES_SIZE 128

/* "group/plural", the key of a resource in the tables; buf of STORE_RES_SIZE. */
const char *store_res_text(const struct kube_resource *res, char *buf);
/* The JSON in a column of the present row; -EIO when it is damaged. */
int store_load_column(struct sql_query *q, int column, json_t **ret);
/* Steps to a row of (body, res) and ends the query. -ENOENT: no row. */
int store_take_object(struct sql_query *q, json_t **ret, const struct kube_resource **ret_res);

#endif
