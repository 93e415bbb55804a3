/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of volumes, snapshots and of the pool, one at a time, while I/O goes on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "crash/crash.h"

static uint64_t below(struct run *run, uint64_t n)
{
	return rng_below(&run->rng, n);
}

/* ---- the answer ---- */

static bool refusal(int res)
{
	return res == -EBUSY || res == -ENOSPC || res == -EALREADY || res == -EINVAL ||
	       res == -ENOENT;
}

static void answered(struct run *run, int res, const struct err *err)
{
	struct pending *p = &run->m.pending;
	struct seen s = {.pool = run->pool, .disk = run->disk, .page = disk_live, .counts = 1};
	struct object *o = p->object;

	if (run->opts.trace)
		fprintf(stderr, "%10" PRIu64 " %s answered %d %s\n", sim_now(run->sim),
			change_name[p->change], res, res ? err->text : "");
	run->changing = false;
	if (res && (run->dead || run->faulty))
		return; /* nobody knows */
	if (res && !refusal(res)) {
		run_fail(run, "%s failed: %s", change_name[p->change], err->text);
		run->broken = true;
	}
	if (res)
		run->refused[p->change]++;
	else
		run->changes[p->change]++;
	if (!res && p->change == CHANGE_SNAPSHOT && model_settle_snapshots(&run->m, &s)) {
		run_fail(run, "%s", s.text);
		run->broken = true;
	}
	if (o && o->state == OBJECT_LIVE)
		o->quiet = false;
	if (o && o->dev && !res && p->change == CHANGE_GROW)
		(void)o->dev->ops->rescan(o->dev, &run->arg, NULL);
	model_changed(&run->m, !res);
}

static void volume_answered(void *ctx, int res, struct volume *v, const struct err *err)
{
	answered(ctx, res, err);
}

static void pool_answered(void *ctx, int res, const struct err *err)
{
	answered(ctx, res, err);
}

/* ---- the call, on the home reactor ---- */

static int edit(void *ctx, struct props *props, struct err *err)
{
	props->flags ^= PROPS_F_FORMATTED;
	return 0;
}

static struct volume *find(struct run *run, const struct object *o)
{
	struct volume *v = volume_find_uuid(run->set, &o->uuid);

	ASSERT(v);
	return v;
}

static void call_snapshot(struct run *run)
{
	struct volume_snapshot_spec spec[GROUP_MAX];
	struct pending *p = &run->m.pending;

	for (unsigned i = 0; i < p->n; i++)
		spec[i] = (struct volume_snapshot_spec){find(run, p->of[i]), p->snap[i]->now.name,
							p->snap[i]->uuid};
	volume_snapshot(run->set, spec, p->n, volume_answered, run);
}

/* Those of the nearest other owner, found in the pool itself: the model does not know when background work ends. False: such work may end before the answer, and change the chain. */
static bool find_taken(struct run *run, const struct object *o, struct pending *p)
{
	const struct pool_object *head = pool_object_by_uuid(run->pool, &o->uuid);
	uint32_t origin = 0;

	for (const struct pool_layer *l = head->layer; l; l = l->parent) {
		struct object *s = l->object ? model_by_uuid(&run->m, &l->object->uuid) : NULL;

		if (l->disk.flags & LAYER_INFLATING)
			return false;
		if (!s || s == o || s->now.of == o->uid)
			continue;
		origin = p->n_taken ? origin : s->now.of;
		if (s->now.of == origin)
			p->taken[p->n_taken++] = s;
	}
	return true;
}

static void promote_answered(void *ctx, int res, struct volume *v, const struct err *err)
{
	struct run *run = ctx;

	if (res != -EINVAL ? !res && !run->m.pending.n_taken : run->m.pending.n_taken) {
		run_fail(run, "promote answered %d, and %u snapshots were to be taken", res,
			 run->m.pending.n_taken);
		run->broken = true;
	}
	answered(run, res, err);
}

static void call_promote(struct run *run)
{
	struct pending *p = &run->m.pending;
	struct volume *v = find(run, p->object);

	if (find_taken(run, p->object, p)) {
		volume_promote(v, promote_answered, run);
		return;
	}
	p->n_taken = 0;
	answered(run, -EBUSY, &(struct err){-EBUSY, "not now"});
}

static void call_create(struct run *run)
{
	struct pending *p = &run->m.pending;
	struct object *o = p->object;
	struct volume_create_opts opts = {.name = o->now.name,
					  .uuid = o->uuid,
					  .size_bytes = o->now.size,
					  .block_size = o->block_size,
					  .thick = o->now.thick};

	if (p->change == CHANGE_CREATE)
		volume_create(run->set, &opts, volume_answered, run);
	else
		volume_clone(find(run, p->source), &opts, volume_answered, run);
}

static void call(struct msg *msg)
{
	struct run *run = container_of(msg, struct run, change_msg);
	struct pending *p = &run->m.pending;
	struct pool_options opts = {.commit_percent = p->percent, .reserved_bytes = -1};

	switch (p->change) {
	case CHANGE_CREATE:
	case CHANGE_CLONE:
		call_create(run);
		return;
	case CHANGE_DELETE:
		volume_delete(find(run, p->object), volume_answered, run);
		return;
	case CHANGE_SNAPSHOT:
		call_snapshot(run);
		return;
	case CHANGE_RENAME:
		volume_rename(find(run, p->object), p->then.name, volume_answered, run);
		return;
	case CHANGE_EDIT:
		volume_edit(find(run, p->object), edit, NULL, volume_answered, run);
		return;
	case CHANGE_GROW:
	case CHANGE_SHRINK:
		volume_resize(find(run, p->object), p->then.size, true, volume_answered, run);
		return;
	case CHANGE_REVERT:
		volume_revert(find(run, p->object), find(run, p->source), volume_answered, run);
		return;
	case CHANGE_INFLATE:
	case CHANGE_DECOUPLE:
		volume_inflate(find(run, p->object), p->change == CHANGE_DECOUPLE, volume_answered,
			       run);
		return;
	case CHANGE_PROMOTE:
		call_promote(run);
		return;
	case CHANGE_OPTIONS:
		pool_set_options(run->pool, &opts, pool_answered, run);
		return;
	case CHANGE_GROW_POOL:
		disk_grow(run->disk, MIN(atomic_load(&run->disk->dev.size_bytes) + 5 * MIB,
					 run->disk->max_bytes));
		pool_grow(run->pool, pool_answered, run);
		return;
	case CHANGE_NONE:
	case CHANGES:
		break;
	}
	UNREACHABLE();
}

/* ---- choosing ---- */

static void new_name(struct run *run, struct attrs *a, char kind)
{
	snprintf(a->name, sizeof(a->name), "%c%u", kind, run->m.next_name++);
}

static uint64_t some_size(struct run *run)
{
	static const uint64_t mib[] = {1, 2, 3, 4, 505, 610};
	uint64_t size = mib[below(run, ARRAY_LEN(mib))] * MIB;

	return below(run, 3) ? size : size - below(run, 100) * DISK_PAGE;
}

static struct object *some(struct run *run, bool snapshot)
{
	unsigned first = (unsigned)below(run, OBJECTS_MAX);

	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		struct object *o = &run->m.object[(first + i) % OBJECTS_MAX];

		if (o->state == OBJECT_LIVE && o->snapshot == snapshot)
			return o;
	}
	return NULL;
}

static unsigned count(const struct run *run)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		n += run->m.object[i].state != OBJECT_NONE;
	return n;
}

static bool choose_new(struct run *run, struct pending *p)
{
	struct object *s = p->change == CHANGE_CLONE ? some(run, true) : NULL, *o;

	if (count(run) >= run->weights.objects || (p->change == CHANGE_CLONE && !s))
		return false;
	o = model_new(&run->m, OBJECT_COMING);
	if (!o)
		return false;
	new_name(run, &o->now, 'v');
	o->now.revision = 1;
	o->block_size = below(run, 2) ? 512 : 4096;
	o->now.size = some_size(run);
	if (s) {
		o->block_size = s->block_size;
		if (o->now.size < s->now.size || below(run, 2))
			o->now.size = s->now.size;
		o->parent = s->uid;
		cells_copy(o, s);
	} else if (!below(run, 6)) {
		o->now.thick = true;
		o->now.size = MIN(o->now.size, 4 * MIB);
	}
	p->object = o;
	p->source = s;
	return true;
}

static bool all_busy(const struct object *o)
{
	for (unsigned i = 0; i < CELLS; i++)
		if (o->cell[i].n > CELL_VALUES - 3)
			return true; /* its snapshot could not hold what comes */
	return false;
}

static bool choose_snapshot(struct run *run, struct pending *p)
{
	unsigned n = below(run, 3) ? 1 : GROUP_MAX;

	for (unsigned i = 0; i < n && count(run) < run->weights.objects; i++) {
		struct object *v = some(run, false), *s;
		bool twice = false;

		for (unsigned k = 0; k < p->n; k++)
			twice |= p->of[k] == v;
		if (!v || twice || all_busy(v))
			continue;
		s = model_new(&run->m, OBJECT_COMING);
		if (!s)
			break;
		new_name(run, &s->now, 's');
		s->now.revision = 1;
		s->now.size = v->now.size;
		s->now.of = v->uid;
		s->block_size = v->block_size;
		s->snapshot = true;
		for (unsigned c = 0; c < CELLS; c++) {
			const struct cell *from = &v->cell[c];
			struct cell *to = &s->cell[c];

			to->n = (uint8_t)(from->n - from->acked);
			memcpy(to->value, from->value + from->acked, to->n * sizeof(to->value[0]));
		}
		p->of[p->n] = v;
		p->snap[p->n++] = s;
	}
	return p->n > 0;
}

static bool choose_size(struct run *run, struct pending *p)
{
	uint64_t size = some_size(run), now = p->object->now.size;

	p->then.size = p->change == CHANGE_SHRINK
			       ? size / MIB * MIB
			       : size / p->object->block_size * p->object->block_size;
	return p->change == CHANGE_SHRINK ? p->then.size && p->then.size < now : p->then.size > now;
}

static bool choose_existing(struct run *run, struct pending *p)
{
	bool snapshot = (p->change == CHANGE_DELETE || p->change == CHANGE_RENAME ||
			 p->change == CHANGE_EDIT) &&
			below(run, 2);
	struct object *o = some(run, snapshot);

	if (!o || o->quiet)
		return false;
	p->object = o;
	p->then = o->now;
	if (p->change == CHANGE_RENAME)
		new_name(run, &p->then, 'n');
	if (p->change == CHANGE_RENAME || p->change == CHANGE_EDIT)
		p->then.revision++;
	if (p->change == CHANGE_GROW || p->change == CHANGE_SHRINK)
		return choose_size(run, p);
	if (p->change == CHANGE_REVERT) {
		p->source = model_by_uid(&run->m, o->parent);
		if (!p->source || !p->source->snapshot)
			return false;
		p->then.size = MAX(o->now.size, p->source->now.size);
	}
	if (p->change == CHANGE_INFLATE) {
		p->then.revision += !o->now.thick;
		p->then.thick = true;
		return o->now.size <= 4 * MIB;
	}
	return true;
}

static bool choose(struct run *run, struct pending *p)
{
	if (p->change == CHANGE_CREATE || p->change == CHANGE_CLONE)
		return choose_new(run, p);
	if (p->change == CHANGE_SNAPSHOT)
		return choose_snapshot(run, p);
	if (p->change == CHANGE_GROW_POOL)
		return true;
	if (p->change != CHANGE_OPTIONS)
		return choose_existing(run, p);
	p->percent = run->m.percent ? 0 : 100000;
	return true;
}

static bool wants_no_device(enum change change)
{
	return change == CHANGE_DELETE || change == CHANGE_SHRINK || change == CHANGE_REVERT;
}

static enum change draw(struct run *run)
{
	unsigned sum = 0, n;

	for (unsigned i = 0; i < CHANGES; i++)
		sum += run->weights.change[i];
	n = (unsigned)below(run, sum);
	for (unsigned i = 0; i < CHANGES; i++) {
		if (n < run->weights.change[i])
			return (enum change)i;
		n -= run->weights.change[i];
	}
	return CHANGE_NONE;
}

/* A change whose object is still in use waits for the end of that. */
static void go(struct run *run)
{
	struct pending *p = &run->m.pending;

	if (run->want_quiet) {
		if (run->want_quiet->inflight)
			return;
		work_close_device(run->want_quiet);
		run->want_quiet = NULL;
	}
	if (p->change == CHANGE_DELETE)
		p->object->state = OBJECT_GOING;
	p->called = model_moment(&run->m);
	run->changing = true;
	if (run->opts.trace)
		fprintf(stderr, "%10" PRIu64 " %s %s %s\n", sim_now(run->sim),
			change_name[p->change],
			p->object ? p->object->now.name
			: p->n    ? p->of[0]->now.name
				  : "",
			p->n ? p->snap[0]->now.name : "");
	run->change_msg.run = call;
	reactor_post(run->r[0], &run->change_msg);
}

void change_start(struct run *run)
{
	struct pending *p = &run->m.pending;

	if (run->changing)
		return;
	if (p->change == CHANGE_NONE) {
		p->change = draw(run);
		if (count(run) == 0)
			p->change = CHANGE_CREATE;
		if (!choose(run, p)) {
			*p = (struct pending){0};
			return;
		}
		if (wants_no_device(p->change)) {
			p->object->quiet = true;
			run->want_quiet = p->object;
		}
	}
	go(run);
}

/* ---- checkpoints ---- */

static void checkpoint_answered(void *ctx, int res, const struct err *err)
{
	struct run *run = ctx;

	run->checkpointing = false;
	if (res && !run->dead && !run->faulty) {
		run_fail(run, "a checkpoint failed: %s", err->text);
		run->broken = true;
	}
}

static void checkpoint_arrives(struct msg *msg)
{
	struct run *run = container_of(msg, struct run, call_msg);

	checkpoint_start(run->pool, checkpoint_answered, run);
}

void checkpoint_now(struct run *run)
{
	if (run->checkpointing)
		return;
	run->checkpointing = true;
	run->call_msg.run = checkpoint_arrives;
	reactor_post(run->r[0], &run->call_msg);
}
