/* SPDX-License-Identifier: Apache-2.0 */
/* Compares a pool, as its tables and maps are in RAM, with what the model allows. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "crash/stamp.h"
#include "pool/checkpoint.h"

#define BLOCK_SECTORS 8u

__attribute__((format(printf, 2, 3))) static int wrong(struct seen *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	return -1;
}

static int expect_counts(struct seen *s, const struct model *m, int counts, const char *why)
{
	if (s->counts >= 0 && s->counts != counts)
		return wrong(s, "half of %s counts: %s", change_name[m->pending.change], why);
	s->counts = counts;
	return 0;
}

static void hash_add(struct seen *s, uint64_t v)
{
	s->hash = (s->hash ^ v) * 0x100000001b3u;
	s->hash ^= s->hash >> 29;
}

/* ---- objects ---- */

static int check_known(struct model *m, struct seen *s)
{
	bool there[OBJECTS_MAX] = {false};

	list_for_each (it, pool_objects((struct pool *)(uintptr_t)s->pool)) {
		const struct pool_object *p = list_entry(it, struct pool_object, link);
		struct object *o = model_by_uuid(m, &p->uuid);

		if (!o)
			return wrong(s, "object %s is there and should not be", p->name);
		there[o - m->object] = true;
		if (o->state == OBJECT_COMING && expect_counts(s, m, 1, p->name))
			return -1;
		if (o->state == OBJECT_GOING && expect_counts(s, m, 0, p->name))
			return -1;
	}
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		const struct object *o = &m->object[i];

		if (o->state == OBJECT_NONE || there[i])
			continue;
		if (o->state == OBJECT_LIVE)
			return wrong(s, "%s is lost", o->now.name);
		if (expect_counts(s, m, o->state == OBJECT_GOING, o->now.name))
			return -1;
	}
	return 0;
}

static bool attrs_match(const struct attrs *a, const struct pool_object *p)
{
	return !strcmp(a->name, p->name) && a->size == p->layer->disk.size_bytes &&
	       a->of == get_le32(p->snapshot_of.b) && a->revision == p->revision &&
	       a->thick == ((p->flags & PROPS_F_THICK) != 0);
}

static int check_attrs(struct model *m, struct seen *s, const struct object *o,
		       const struct pool_object *p)
{
	struct attrs if_counts;
	bool changes = model_then(m, o, &if_counts);
	bool now = attrs_match(&o->now, p), then = changes && attrs_match(&if_counts, p);

	if (!now && !then)
		return wrong(s,
			     "%s is name=%s size=%" PRIu64 " revision=%" PRIu64
			     " flags=%u of=%u; should be name=%s size=%" PRIu64 " revision=%" PRIu64
			     " thick=%d of=%u",
			     o->now.name, p->name, p->layer->disk.size_bytes, p->revision, p->flags,
			     get_le32(p->snapshot_of.b), o->now.name, o->now.size, o->now.revision,
			     o->now.thick, o->now.of);
	if (pool_object_is_snapshot(p) != o->snapshot)
		return wrong(s, "%s is%s a snapshot", p->name, o->snapshot ? " not" : "");
	if (now && then)
		return 0;
	return changes ? expect_counts(s, m, then, o->now.name) : 0;
}

/* ---- cells ---- */

static const uint8_t *find_page(struct seen *s, const struct pool_object *p, uint64_t block)
{
	for (const struct pool_layer *l = p->layer; l; l = l->parent) {
		struct map_run run;

		if (l->emptied)
			continue;
		map_find(l->map, block, 1, &run);
		if (run.found == MAP_HERE) {
			const uint8_t *page = s->page(s->disk, run.place);

			if (!sums_fit(s, run.place, page) && !s->misfit)
				s->misfit = run.place;
			return page;
		}
		if (run.found == MAP_ZERO)
			return NULL;
	}
	return NULL;
}

/* Index in the history; -1: not allowed; with several that fit the newest, and *ret_sure false. */
static int cell_match(const struct model *m, const struct cell *c, uint32_t value, bool *ret_sure)
{
	int at = -1;

	*ret_sure = true;
	for (int k = 0; k < c->n; k++) {
		bool fits = value ? c->value[k] == value : m->value[c->value[k]].zero;

		if (fits && at >= 0)
			*ret_sure = false;
		if (fits)
			at = k;
	}
	return at;
}

struct instant { /* when a cut can have been */
	uint64_t after, before;
};

static void instant_narrow(const struct model *m, const struct cell *c, int at, struct instant *t)
{
	const struct value *v = &m->value[c->value[at]];

	if (at > 0 && v->begun > t->after)
		t->after = v->begun;
	for (int k = at + 1; k < c->n; k++)
		if (m->value[c->value[k]].acked < t->before)
			t->before = m->value[c->value[k]].acked;
}

static int wrong_cell(const struct model *m, struct seen *s, const struct object *o, unsigned i,
		      const uint8_t *data, uint32_t value)
{
	const struct cell *c = &o->cell[i];
	char text[128] = "";
	size_t len = 0;

	for (unsigned k = 0; k < c->n; k++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %u%s", c->value[k],
					m->value[c->value[k]].zero ? "(zeros)" : "");
	return wrong(s,
		     "%s sector %" PRIu64 " has %s %u (volume %u, sector %" PRIu64
		     "), allowed:%s, answered %u%s",
		     o->now.name, cell_sector(i), value == STAMP_BAD ? "foreign or torn" : "value",
		     data ? get_le32(data + 8) : 0, data ? get_le32(data + 4) : 0,
		     data ? get_le64(data + 16) : 0, text, c->value[c->acked],
		     s->answered ? ", which must be there" : "");
}

/* Whether all of o is as history (its own cells, or another's) says. */
static int check_cells(struct model *m, struct seen *s, const struct object *o,
		       const struct object *history, const struct pool_object *p, struct instant *t)
{
	const uint8_t *page = NULL;
	uint64_t size = p->layer->disk.size_bytes;

	for (unsigned i = 0; i < CELLS; i++) {
		const struct cell *c = &history->cell[i];
		uint64_t sector = cell_sector(i);
		const uint8_t *data;
		uint32_t value;
		bool sure;
		int at;

		if ((sector + 1) * DISK_SECTOR > size) {
			i = CELLS - 1; /* windows ascend */
			continue;
		}
		if (i % WIN_SECTORS == 0 || sector % BLOCK_SECTORS == 0)
			page = find_page(s, p, sector / BLOCK_SECTORS);
		if (s->misfit)
			return wrong(s,
				     "%s sector %" PRIu64 ": place %" PRIu64
				     " does not match its sum",
				     o->now.name, sector, s->misfit);
		data = page ? page + sector % BLOCK_SECTORS * DISK_SECTOR : NULL;
		value = stamp_value(m, data, sector);
		at = value == STAMP_BAD ? -1 : cell_match(m, c, value, &sure);
		if (at < 0 || (s->answered && at < c->acked))
			return wrong_cell(m, s, history, i, data, value);
		if (t && sure)
			instant_narrow(m, c, at, t);
		hash_add(s, value);
	}
	return 0;
}

static int check_content(struct model *m, struct seen *s, struct object *o,
			 const struct pool_object *p, struct instant *t)
{
	bool reverts = m->pending.change == CHANGE_REVERT && m->pending.object == o;
	int rc = s->counts == 1 && reverts ? -1 : check_cells(m, s, o, o, p, t);

	if (!rc || !reverts || s->counts == 0)
		return rc;
	rc = check_cells(m, s, o, m->pending.source, p, NULL);
	return rc ? rc : expect_counts(s, m, 1, o->now.name);
}

static int check_object(struct model *m, struct seen *s, struct object *o, struct instant *t)
{
	const struct pool_object *p = pool_object_by_uuid(s->pool, &o->uuid);
	int rc;

	hash_add(s, o->uid);
	if (!p)
		return 0;
	rc = check_attrs(m, s, o, p);
	if (!rc)
		rc = check_content(m, s, o, p,
				   m->pending.change == CHANGE_SNAPSHOT && o->state == OBJECT_COMING
					   ? t
					   : NULL);
	hash_add(s, p->revision ^ p->layer->disk.size_bytes << 8);
	return rc;
}

static int check_instant(struct seen *s, const struct instant *t)
{
	return t->after < t->before
		       ? 0
		       : wrong(s,
			       "the snapshots have no common moment: a write that began at %" PRIu64
			       " is in, one that had ended at %" PRIu64 " is not",
			       t->after, t->before);
}

/* ---- the pool ---- */

static int check_space(struct seen *s)
{
	struct pool_space_info info;
	uint64_t mapped = 0;

	pool_space_info(s->pool, &info);
	for (struct pool_layer *l = pool_layer_next(s->pool, NULL); l;
	     l = pool_layer_next(s->pool, l))
		mapped += map_mapped(l->map);
	info.metadata +=
		s->pool->checkpoint->n_new; /* a round that notes led to may have begun one */
	if (mapped + info.free + info.stocked + info.freeing + info.metadata == info.total)
		return 0;
	return wrong(s,
		     "of %" PRIu64 " clusters %" PRIu64 " are mapped, %" PRIu64 " free, %" PRIu64
		     " metadata, %" PRIu64 " stocked, %" PRIu64 " being freed",
		     info.total, mapped, info.free, info.metadata, info.stocked, info.freeing);
}

static int check_options(struct model *m, struct seen *s)
{
	uint32_t percent = pool_superblock(s->pool)->commit_percent;

	if (m->pending.change == CHANGE_OPTIONS && m->pending.percent != m->percent &&
	    percent == m->pending.percent)
		return expect_counts(s, m, 1, "commit limit");
	return percent == m->percent
		       ? 0
		       : wrong(s, "the commit limit is %u, should be %u", percent, m->percent);
}

/* ---- settling ---- */

static void settle_object(struct model *m, struct seen *s, struct object *o)
{
	const struct pool_object *p = pool_object_by_uuid(s->pool, &o->uuid);

	ASSERT(p); /* it was checked */
	for (unsigned i = 0; i < CELLS; i++) {
		uint64_t sector = cell_sector(i);
		const uint8_t *page = find_page(s, p, sector / BLOCK_SECTORS);
		bool inside = (sector + 1) * DISK_SECTOR <= p->layer->disk.size_bytes;
		uint32_t value =
			page && inside ? stamp_value(m, page + sector % BLOCK_SECTORS * DISK_SECTOR,
						     sector)
				       : 0;

		o->cell[i] = (struct cell){.n = 1, .value = {value}};
	}
}

static void settle(struct model *m, struct seen *s)
{
	model_changed(m, s->counts == 1);
	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		if (m->object[i].state != OBJECT_NONE)
			settle_object(m, s, &m->object[i]);
}

int model_settle_snapshots(struct model *m, struct seen *s)
{
	struct instant t = {0, UINT64_MAX};

	for (unsigned i = 0; i < m->pending.n; i++) {
		struct object *o = m->pending.snap[i];
		const struct pool_object *p = pool_object_by_uuid(s->pool, &o->uuid);

		if (!p)
			return wrong(s, "snapshot %s was answered and is not there", o->now.name);
		if (check_cells(m, s, o, o, p, &t))
			return -1;
	}
	if (check_instant(s, &t))
		return -1;
	for (unsigned i = 0; i < m->pending.n; i++)
		settle_object(m, s, m->pending.snap[i]);
	return 0;
}

int model_check(struct model *m, struct seen *s)
{
	struct instant t = {0, UINT64_MAX};
	int rc = check_known(m, s);

	s->hash = 0xcbf29ce484222325u;
	if (!rc)
		rc = check_space(s);
	if (!rc)
		rc = check_options(m, s);
	for (unsigned i = 0; i < OBJECTS_MAX && !rc; i++)
		if (m->object[i].state != OBJECT_NONE)
			rc = check_object(m, s, &m->object[i], &t);
	if (!rc)
		rc = check_instant(s, &t);
	if (!rc && s->settle)
		settle(m, s);
	return rc;
}
