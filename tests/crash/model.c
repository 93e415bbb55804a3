/* SPDX-License-Identifier: Apache-2.0 */
/* Objects, cells and their histories. model_check.c compares them with a pool. */
#include "crash/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crash/stamp.h"

const char *const change_name[CHANGES] = {
	"none",   "create", "delete",  "snapshot", "clone",   "rename",  "edit",      "grow",
	"shrink", "revert", "inflate", "decouple", "promote", "options", "grow-pool",
};

/* In blocks of 4 KiB: the beginning, across clusters 0 and 1, inside one, across the leaves of a map, behind. */
static const uint64_t window_block[WINDOWS] = {
	0, 248, 2 * 256 + 100, 503 * 256 + 248, 600 * 256 + 3,
};
#define BLOCK_SECTORS 8u

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->capacity = 1024;
	m->value = calloc(m->capacity, sizeof(*m->value));
	ASSERT(m->value);
	m->value[0] = (struct value){.zero = true};
	m->n_values = 1;
	m->next_uid = 1;
	m->percent = 0;
	m->max_size = 700 * MIB;
}

void model_fini(struct model *m)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		free(m->object[i].cell);
	free(m->value);
}

struct object *model_new(struct model *m, enum object_state state)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		struct object *o = &m->object[i];

		if (o->state != OBJECT_NONE)
			continue;
		*o = (struct object){.state = state, .uid = m->next_uid++};
		put_le32(o->uuid.b, o->uid);
		o->uuid.b[15] = 1;
		o->cell = calloc(CELLS, sizeof(*o->cell));
		ASSERT(o->cell);
		cells_zero(o, 0);
		return o;
	}
	return NULL;
}

void model_drop(struct object *o)
{
	ASSERT(!o->dev && !o->inflight);
	free(o->cell);
	*o = (struct object){0};
}

struct object *model_by_uid(struct model *m, uint32_t uid)
{
	for (unsigned i = 0; uid && i < OBJECTS_MAX; i++)
		if (m->object[i].state != OBJECT_NONE && m->object[i].uid == uid)
			return &m->object[i];
	return NULL;
}

struct object *model_by_uuid(struct model *m, const struct uuid *uuid)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		if (m->object[i].state != OBJECT_NONE && uuid_equal(&m->object[i].uuid, uuid))
			return &m->object[i];
	return NULL;
}

uint64_t model_moment(struct model *m)
{
	return ++m->moment;
}

/* ---- cells ---- */

uint64_t cell_sector(unsigned cell)
{
	return window_block[cell / WIN_SECTORS] * BLOCK_SECTORS + cell % WIN_SECTORS;
}

unsigned cell_from(uint64_t sector)
{
	for (unsigned w = 0; w < WINDOWS; w++) {
		uint64_t first = window_block[w] * BLOCK_SECTORS;

		if (sector < first)
			return w * WIN_SECTORS;
		if (sector < first + WIN_SECTORS)
			return w * WIN_SECTORS + (unsigned)(sector - first);
	}
	return CELLS;
}

void cells_zero(struct object *o, uint64_t from_bytes)
{
	unsigned first = cell_from((from_bytes + DISK_SECTOR - 1) / DISK_SECTOR);

	for (unsigned i = first; i < CELLS; i++)
		o->cell[i] = (struct cell){.n = 1};
}

void cells_copy(struct object *to, const struct object *from)
{
	for (unsigned i = 0; i < CELLS; i++)
		to->cell[i] = (struct cell){.n = 1, .value = {from->cell[i].value[0]}};
}

static struct object *pending_snapshot(const struct model *m, const struct object *o)
{
	for (unsigned i = 0; m->pending.change == CHANGE_SNAPSHOT && i < m->pending.n; i++)
		if (m->pending.of[i] == o)
			return m->pending.snap[i];
	return NULL;
}

bool model_may_write(const struct model *m, const struct object *o, uint64_t first, uint64_t end)
{
	const struct object *snap = pending_snapshot(m, o);

	for (unsigned i = cell_from(first); i < CELLS && cell_sector(i) < end; i++)
		if (o->cell[i].busy || o->cell[i].n == CELL_VALUES ||
		    (snap && snap->cell[i].n == CELL_VALUES))
			return false;
	return true;
}

uint32_t model_write_begin(struct model *m, struct object *o, uint64_t first, uint64_t end,
			   bool zero)
{
	struct object *snap = pending_snapshot(m, o);
	uint32_t value = m->n_values++;

	if (value == m->capacity) {
		m->capacity *= 2;
		m->value = realloc(m->value, m->capacity * sizeof(*m->value));
		ASSERT(m->value);
	}
	m->value[value] = (struct value){o->uid, zero, model_moment(m), UINT64_MAX};
	for (unsigned i = cell_from(first); i < CELLS && cell_sector(i) < end; i++) {
		struct cell *c = &o->cell[i];

		ASSERT(!c->busy && c->n < CELL_VALUES);
		c->value[c->n++] = value;
		c->busy = true;
		if (snap)
			snap->cell[i].value[snap->cell[i].n++] = value;
	}
	return value;
}

/* The first n values can not come back. */
static void cell_forget(struct cell *c, unsigned n)
{
	memmove(c->value, c->value + n, (c->n - n) * sizeof(c->value[0]));
	c->n = (uint8_t)(c->n - n);
	c->acked = (uint8_t)(c->acked - n);
}

static void cell_floor(struct cell *c, uint32_t value)
{
	for (unsigned i = 1; i <= c->acked; i++)
		if (c->value[i] == value) {
			cell_forget(c, i);
			return;
		}
}

void model_write_end(struct model *m, struct object *o, uint64_t first, uint64_t end,
		     uint32_t value, bool good, bool durable)
{
	if (good)
		m->value[value].acked = model_moment(m);
	for (unsigned i = cell_from(first); i < CELLS && cell_sector(i) < end; i++) {
		struct cell *c = &o->cell[i];

		ASSERT(c->busy && c->value[c->n - 1] == value);
		c->busy = false;
		if (!good)
			continue;
		c->acked = (uint8_t)(c->n - 1);
		if (durable)
			cell_floor(c, value);
	}
}

void model_flush_begin(const struct object *o, uint32_t *ret_covered)
{
	for (unsigned i = 0; i < CELLS; i++)
		ret_covered[i] = o->cell[i].value[o->cell[i].acked];
}

void model_flush_end(struct object *o, const uint32_t *covered)
{
	for (unsigned i = 0; i < CELLS; i++)
		cell_floor(&o->cell[i], covered[i]);
}

void model_fill(const struct object *o, uint64_t first, uint64_t end, uint32_t value, uint8_t *data)
{
	for (uint64_t s = first; s < end; s++, data += DISK_SECTOR)
		stamp_fill(data, o->uid, s, value);
}

const char *model_check_read(const struct model *m, const struct object *o, uint64_t first,
			     uint64_t end, const uint8_t *data, const uint32_t *since)
{
	for (unsigned i = cell_from(first); i < CELLS && cell_sector(i) < end; i++) {
		const struct cell *c = &o->cell[i];
		const uint8_t *sector = data + (cell_sector(i) - first) * DISK_SECTOR;
		uint32_t value = stamp_value(m, sector, cell_sector(i));
		bool found = false, moved = true;
		unsigned k = 0;

		if (value == STAMP_BAD)
			return "neither zeros nor a whole stamp of this address";
		for (unsigned j = 0; j < c->n && moved; j++)
			if (c->value[j] == since[i]) {
				k = j;
				moved = false;
			}
		/* What lay between was forgotten by a flush meanwhile. */
		if (moved)
			found = value == 0 || value >= since[i];
		for (; k < c->n && !found; k++)
			found = value ? c->value[k] == value : m->value[c->value[k]].zero;
		if (!found) {
			static char text[96];

			snprintf(text, sizeof(text),
				 "value %u in sector %u, which is not %u or newer", value,
				 (unsigned)cell_sector(i), since[i]);
			return text;
		}
	}
	return NULL;
}

/* ---- the end of a change ---- */

bool model_then(const struct model *m, const struct object *o, struct attrs *ret)
{
	const struct pending *p = &m->pending;

	*ret = o->now;
	if (p->change == CHANGE_PROMOTE) {
		for (unsigned i = 0; i < p->n_taken; i++) {
			if (p->taken[i] != o)
				continue;
			ret->of = p->object->uid;
			ret->revision++;
			return true;
		}
		return false;
	}
	if (p->object != o || o->state != OBJECT_LIVE || p->change == CHANGE_OPTIONS)
		return false;
	*ret = p->then;
	return true;
}

static void snapshots_changed(struct model *m, bool counts)
{
	struct pending *p = &m->pending;

	for (unsigned i = 0; i < p->n; i++) {
		if (!counts) {
			model_drop(p->snap[i]);
			continue;
		}
		p->snap[i]->state = OBJECT_LIVE;
		p->snap[i]->parent = p->of[i]->parent;
		p->of[i]->parent = p->snap[i]->uid;
	}
}

static void deleted(struct model *m, struct object *o)
{
	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		if (m->object[i].parent == o->uid)
			m->object[i].parent = o->parent;
	model_drop(o);
}

static void object_changed(struct model *m, bool counts)
{
	struct pending *p = &m->pending;

	if (p->change == CHANGE_CREATE || p->change == CHANGE_CLONE) {
		if (counts)
			p->object->state = OBJECT_LIVE;
		else
			model_drop(p->object);
		return;
	}
	if (p->change == CHANGE_DELETE) {
		if (counts)
			deleted(m, p->object);
		else
			p->object->state = OBJECT_LIVE;
		return;
	}
	for (unsigned i = 0; counts && i < p->n_taken; i++)
		(void)model_then(m, p->taken[i], &p->taken[i]->now);
	if (p->change == CHANGE_OPTIONS)
		m->percent = counts ? p->percent : m->percent;
	if (p->change == CHANGE_OPTIONS || p->change == CHANGE_GROW_POOL ||
	    p->change == CHANGE_PROMOTE)
		return;
	if (p->change == CHANGE_SHRINK && counts)
		cells_zero(p->object, p->then.size);
	if (p->change == CHANGE_REVERT && counts) {
		cells_copy(p->object, p->source);
		p->object->parent = p->source->uid;
	}
	if (counts)
		p->object->now = p->then;
}

void model_changed(struct model *m, bool counts)
{
	if (m->pending.change == CHANGE_SNAPSHOT)
		snapshots_changed(m, counts);
	else if (m->pending.change != CHANGE_NONE)
		object_changed(m, counts);
	m->pending = (struct pending){0};
}
