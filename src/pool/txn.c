/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: encoded records that wait for the next round. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "pool/priv.h"

void pool_txn_init(struct pool_txn *txn, void (*done)(struct pool_txn *txn, int res))
{
	memset(txn, 0, sizeof(*txn));
	txn->done = done;
}

void pool_txn_fini(struct pool_txn *txn)
{
	free(txn->records);
	txn->records = NULL;
	txn->size = txn->capacity = 0;
}

void pool_txn_add(struct pool_txn *txn, const struct record *r)
{
	uint32_t size = record_size(r);

	if (txn->error)
		return;
	if (txn->size + size > txn->capacity) {
		uint32_t capacity = (txn->capacity ? txn->capacity * 2 : 1024) + size;
		uint8_t *p = realloc(txn->records, capacity);

		if (!p) {
			txn->error = -ENOMEM;
			return;
		}
		txn->records = p;
		txn->capacity = capacity;
	}
	record_encode(r, txn->records + txn->size);
	txn->size += size;
	if (txn->size > (JOURNAL_GROUP_BLOCKS - 2) * (JOURNAL_ROOM - RECORD_SIZE_MAX / 2))
		txn->error = -E2BIG;
}

void pool_txn_add_props(struct pool_txn *txn, uint64_t object, uint64_t revision,
			const struct props *props)
{
	uint8_t *blob = malloc(PROPS_BLOB_MAX);
	uint32_t len;

	if (!blob) {
		txn->error = -ENOMEM;
		return;
	}
	len = props_encode(props, blob);
	for (uint32_t i = 0; i < PROPS_CHUNKS; i++) {
		struct record r = {.type = RECORD_PROPS_SET, .props_set.object = object};

		if (props_cut(blob, len, revision, i, &r.props_set.chunk))
			pool_txn_add(txn, &r);
	}
	free(blob);
}

void pool_txn_commit(struct pool *pool, struct pool_txn *txn)
{
	list_push_back(&pool->log.txns, &txn->link);
	log_kick(pool);
}

/* ---- for log.c ---- */

/* Calls fn for each record; stops at an error of fn. */
static int txn_each(struct pool *pool, const struct pool_txn *txn,
		    int (*fn)(struct pool *pool, const struct record *r))
{
	int res = 0;

	for (uint32_t at = 0; at < txn->size && !res;) {
		struct record r;
		uint32_t size;
		struct err err = {0};

		res = record_decode(txn->records + at, txn->size - at, &pool->rules, &r, &size,
				    &err);
		ASSERT(!res); /* we made it */
		res = fn(pool, &r);
		at += size;
	}
	return res;
}

static int add_record(struct pool *pool, const struct record *r)
{
	return journal_add(&pool->log.builder, r);
}

static int apply_record(struct pool *pool, const struct record *r)
{
	struct err err = {0};
	int res = pool_apply(pool, r, true, &err);

	if (res)
		pool_fail(pool, res, err.text);
	return res;
}

int txn_to_journal(struct pool *pool, const struct pool_txn *txn)
{
	struct journal_builder *b = &pool->log.builder;
	int res;

	journal_txn_begin(b);
	res = txn_each(pool, txn, add_record);
	if (res)
		journal_txn_abort(b);
	else
		journal_txn_end(b);
	return res;
}

int txn_apply(struct pool *pool, const struct pool_txn *txn)
{
	return txn_each(pool, txn, apply_record);
}
