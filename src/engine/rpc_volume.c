/* SPDX-License-Identifier: Apache-2.0 */
/* Methods on volumes that SPDK does not have: group snapshots, revert, promote, properties, what a volume holds and what has changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

#define GROUP_MAX   64u
#define EXTENTS_MAX 4096u
#define WORK_MAX    256u

struct volume_params {
	const char *name, *snapshot_name, *base;
	json_t *volumes, *labels;
	uint64_t offset;
	uint32_t max;
	bool formatted;
};
#define AT(member) offsetof(struct volume_params, member)

struct volume_job {
	struct store_job job;
	struct volume_params p; /* texts live in job.params */
	bool has_formatted, detach;
	const char *second; /* another volume or snapshot of the same pool */
	struct volume *other;
	unsigned n;
	struct volume_snapshot_spec spec[GROUP_MAX];
	struct uuid uuid, base_uuid;
};

static int prepare(struct store_job *job)
{
	struct volume_job *j = (struct volume_job *)job;
	struct bdev *bdev = store_volume(job->e, j->p.name, &job->err), *other = NULL;

	if (bdev && j->second)
		other = store_volume(job->e, j->second, &job->err);
	if (!bdev || job->err.code)
		return job->err.code;
	if (bdev->pool != job->sp || (other && other->pool != bdev->pool))
		return err_set(&job->err, -EINVAL, "%s and %s are not in one pool", j->p.name,
			       j->second ? j->second : "its pool");
	j->other = other ? other->volume : NULL;
	if (j->detach)
		return store_detach(job, bdev);
	job->volume = bdev->volume;
	return 0;
}

/* NULL: answered. */
static struct volume_job *job_on(struct engine *e, struct rpc_call *call, const json_t *params,
				 const struct volume_params *p, void (*run)(struct store_job *job))
{
	struct err err = {0};
	struct bdev *bdev = store_volume(e, p->name, &err);
	struct volume_job *j;

	if (!bdev) {
		rpc_fail_err(call, &err);
		return NULL;
	}
	j = store_job_new(e, sizeof(*j), bdev->pool, call, params);
	if (!j)
		return NULL;
	j->p = *p;
	j->uuid = bdev->dev->uuid;
	j->job.prepare = prepare;
	j->job.run = run;
	return j;
}

/* ---- group snapshot ---- */

static const struct json_field group_fields[] = {
	{"volumes", JSON_KIND_ARRAY, AT(volumes), true},
};

struct group_member {
	const char *lvol_name, *snapshot_name, *volume_uuid;
};
static const struct json_field member_fields[] = {
	{"lvol_name", JSON_KIND_STRING, offsetof(struct group_member, lvol_name), true},
	{"snapshot_name", JSON_KIND_STRING, offsetof(struct group_member, snapshot_name), true},
	{"volume_uuid", JSON_KIND_STRING, offsetof(struct group_member, volume_uuid)},
};
#define MEMBER_FIELDS (sizeof(member_fields) / sizeof(member_fields[0]))

static int group_prepare(struct store_job *job)
{
	struct volume_job *j = (struct volume_job *)job;

	for (unsigned i = 0; i < j->n; i++) {
		struct group_member m = {0};
		struct bdev *bdev;

		(void)json_decode(json_array_get(j->p.volumes, i), member_fields, MEMBER_FIELDS, &m,
				  NULL);
		bdev = store_volume(job->e, m.lvol_name, &job->err);
		if (!bdev)
			return job->err.code;
		if (bdev->pool != job->sp)
			return err_set(&job->err, -EINVAL,
				       "%s is in another pool: one cut is possible within one pool",
				       bdev->alias);
		j->spec[i] = (struct volume_snapshot_spec){.volume = bdev->volume,
							   .name = m.snapshot_name};
		if (m.volume_uuid)
			(void)uuid_parse(m.volume_uuid,
					 &j->spec[i].uuid); /* checked when it came */
	}
	return 0;
}

static void group_done(void *ctx, int res, struct volume *v, const struct err *err)
{
	struct volume_job *j = ctx;

	j->job.result = res ? NULL : json_array();
	for (unsigned i = 0; res == 0 && i < j->n; i++) {
		const struct volume *made = volume_find(j->job.sp->set, j->spec[i].name);
		char text[UUID_TEXT_SIZE];

		if (made)
			(void)json_array_append_new(
				j->job.result, json_string(uuid_format(&made->object->uuid, text)));
	}
	store_job_done(&j->job, res, err);
}

static void group_run(struct store_job *job)
{
	struct volume_job *j = (struct volume_job *)job;

	volume_snapshot(job->sp->set, j->spec, j->n, group_done, j);
}

void rpc_litepool_volume_snapshot_group(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};
	struct group_member first = {0}, m;
	struct volume_job *j;
	struct err err = {0};
	struct uuid uuid;
	size_t n;

	if (!RPC_PARAMS(call, params, group_fields, &p))
		return;
	n = json_array_size(p.volumes);
	if (n == 0 || n > GROUP_MAX) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS, "volumes: 1 to %u of them", GROUP_MAX);
		return;
	}
	for (size_t i = n; i-- > 0; first = m) {
		m = (struct group_member){0};
		if (json_decode(json_array_get(p.volumes, i), member_fields, MEMBER_FIELDS, &m,
				&err) < 0) {
			rpc_fail(call, RPC_ERR_INVALID_PARAMS, "volumes[%zu]: %s", i, err.text);
			return;
		}
		if (m.volume_uuid && (!uuid_parse(m.volume_uuid, &uuid) || uuid_is_null(&uuid))) {
			rpc_fail(call, RPC_ERR_INVALID_PARAMS,
				 "volumes[%zu]: volume_uuid '%.64s' is no UUID, or null", i,
				 m.volume_uuid);
			return;
		}
	}
	p.name = first.lvol_name;
	j = job_on(ctx, call, params, &p, group_run);
	if (!j)
		return;
	j->n = (unsigned)n;
	j->job.prepare = group_prepare;
	store_job_start(&j->job);
}

/* ---- revert ---- */

static const struct json_field revert_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
	{"snapshot_name", JSON_KIND_STRING, AT(snapshot_name), true},
};

static void revert_run(struct store_job *job)
{
	volume_revert(job->volume, ((struct volume_job *)job)->other, store_volume_done, job);
}

void rpc_litepool_volume_revert(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};
	struct volume_job *j;

	if (!RPC_PARAMS(call, params, revert_fields, &p))
		return;
	j = job_on(ctx, call, params, &p, revert_run);
	if (!j)
		return;
	j->second = j->p.snapshot_name;
	j->detach = true;
	store_job_start(&j->job);
}

/* ---- promote ---- */

static const struct json_field name_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
};

static void promote_run(struct store_job *job)
{
	volume_promote(job->volume, store_volume_done, job);
}

void rpc_litepool_volume_promote(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};
	struct volume_job *j;

	if (!RPC_PARAMS(call, params, name_fields, &p))
		return;
	j = job_on(ctx, call, params, &p, promote_run);
	if (j)
		store_job_start(&j->job);
}

/* ---- properties ---- */

void rpc_litepool_volume_get_props(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};
	struct err err = {0};
	struct bdev *bdev;
	json_t *props;

	if (!RPC_PARAMS(call, params, name_fields, &p))
		return;
	bdev = store_volume(ctx, p.name, &err);
	if (!bdev) {
		rpc_fail_err(call, &err);
		return;
	}
	props = json_deep_copy(bdev->props);
	(void)json_object_set_new(props, "name", json_string(bdev->alias));
	(void)json_object_set_new(props, "uuid", json_string(bdev->uuid_text));
	rpc_reply_json(call, props);
}

static struct props_label *label_find(struct props *p, const char *key)
{
	for (unsigned i = 0; i < p->n_labels; i++)
		if (strcmp(p->label[i].key, key) == 0)
			return &p->label[i];
	return NULL;
}

static int label_set(struct props *p, const char *key, const char *value, struct err *err)
{
	struct props_label *l = label_find(p, key);

	if (!value) {
		if (l)
			*l = p->label[--p->n_labels];
		return 0;
	}
	if (!*key || strlen(key) > PROPS_KEY_MAX || strlen(value) > PROPS_VALUE_MAX)
		return err_set(err, -EINVAL,
			       "label '%.80s': a key has 1 to %u bytes, a value at most %u", key,
			       PROPS_KEY_MAX, PROPS_VALUE_MAX);
	if (!l) {
		if (p->n_labels == PROPS_LABELS_MAX)
			return err_set(err, -E2BIG, "a volume has at most %u labels",
				       PROPS_LABELS_MAX);
		l = &p->label[p->n_labels++];
	}
	memcpy(l->key, key, strlen(key) + 1);
	memcpy(l->value, value, strlen(value) + 1);
	return 0;
}

static int props_edit(void *ctx, struct props *p, struct err *err)
{
	const struct volume_job *j = ctx;
	const char *key;
	json_t *value;
	int res = 0;

	json_object_foreach (j->p.labels, key, value) {
		if (res == 0)
			res = label_set(p, key, json_string_value(value), err);
	}
	if (j->has_formatted && j->p.formatted)
		p->flags |= PROPS_F_FORMATTED;
	else if (j->has_formatted)
		p->flags &= ~(uint32_t)PROPS_F_FORMATTED;
	return res;
}

static void props_run(struct store_job *job)
{
	volume_edit(job->volume, props_edit, job, store_volume_done, job);
}

static const struct json_field set_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
	{"labels", JSON_KIND_OBJECT, AT(labels)},
	{"formatted", JSON_KIND_BOOL, AT(formatted)},
};

void rpc_litepool_volume_set_props(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};
	struct volume_job *j;
	const char *key;
	json_t *value;

	if (!RPC_PARAMS(call, params, set_fields, &p))
		return;
	json_object_foreach (p.labels, key, value) {
		if (!json_is_string(value) && !json_is_null(value)) {
			rpc_fail(call, RPC_ERR_INVALID_PARAMS,
				 "labels: the value of %.80s must be a string, or null to take the "
				 "label away",
				 key);
			return;
		}
	}
	j = job_on(ctx, call, params, &p, props_run);
	if (!j)
		return;
	j->has_formatted = json_object_get(params, "formatted") != NULL;
	store_job_start(&j->job);
}

/* ---- usage, work, extents: they read ---- */

static void usage_run(struct store_job *job)
{
	struct volume_job *j = (struct volume_job *)job;
	struct volume *v = volume_find_uuid(job->sp->set, &j->uuid);
	struct volume_usage u;

	if (!v) {
		store_job_done(job, -ENODEV, NULL);
		return;
	}
	volume_usage(v, &u);
	job->result = json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", v->object->name, "size_bytes",
				(json_int_t)atomic_load(&v->size_bytes), "allocated_bytes",
				(json_int_t)u.allocated, "chain_bytes", (json_int_t)u.chain,
				"exclusive_bytes", (json_int_t)u.exclusive);
	store_job_done(job, 0, NULL);
}

static void read_on(struct engine *e, struct rpc_call *call, const json_t *params,
		    const struct volume_params *p, void (*run)(struct store_job *job))
{
	struct volume_job *j = job_on(e, call, params, p, run);
	struct err err = {0};
	struct bdev *base;

	if (!j)
		return;
	j->job.reads = true;
	j->job.prepare = NULL; /* run looks the volume up itself */
	base = p->base ? store_volume(e, p->base, &err) : NULL;
	if (base)
		j->base_uuid = base->dev->uuid;
	if (err.code) {
		j->job.err = err;
		store_job_drop(&j->job);
		return;
	}
	store_job_start(&j->job);
}

void rpc_litepool_volume_usage(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {0};

	if (RPC_PARAMS(call, params, name_fields, &p))
		read_on(ctx, call, params, &p, usage_run);
}

static void extents_reply(struct volume_job *j, const struct volume_extent *extent, int n,
			  uint64_t next, uint64_t size)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		(void)json_array_append_new(list, json_pack("{s:I, s:I, s:b}", "offset",
							    (json_int_t)extent[i].offset, "length",
							    (json_int_t)extent[i].length, "zero",
							    extent[i].zero));
	j->job.result =
		json_pack("{s:o, s:I, s:b, s:I}", "extents", list, "next_offset", (json_int_t)next,
			  "done", next >= size, "size_bytes", (json_int_t)size);
}

static void extents_run(struct store_job *job)
{
	struct volume_job *j = (struct volume_job *)job;
	struct volume *v = volume_find_uuid(job->sp->set, &j->uuid), *base = NULL;
	struct volume_extent *extent = calloc(j->p.max, sizeof(*extent));
	struct err err = {0};
	uint64_t next;
	int n = -ENODEV;

	if (j->p.base)
		base = volume_find_uuid(job->sp->set, &j->base_uuid);
	if (!extent)
		n = -ENOMEM;
	else if (v && (base || !j->p.base))
		n = volume_extents(v, base, j->p.offset, extent, j->p.max, &next, &err);
	if (n >= 0)
		extents_reply(j, extent, n, next, atomic_load(&v->size_bytes));
	free(extent);
	store_job_done(job, n < 0 ? n : 0, &err);
}

static const struct json_field extents_fields[] = {
	{"name", JSON_KIND_STRING, AT(name), true},
	{"base", JSON_KIND_STRING, AT(base)},
	{"offset", JSON_KIND_U64, AT(offset)},
	{"max", JSON_KIND_U32, AT(max), false, 1, EXTENTS_MAX},
};

void rpc_litepool_volume_extents(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct volume_params p = {.max = 1024};

	if (RPC_PARAMS(call, params, extents_fields, &p))
		read_on(ctx, call, params, &p, extents_run);
}

static void work_run(struct store_job *job)
{
	struct volume_work *work = calloc(WORK_MAX, sizeof(*work));

	job->result = json_array();
	for (unsigned i = 0; work && i < job->n_pools; i++) {
		unsigned n = volume_work_list(job->sets[i], work, WORK_MAX);

		for (unsigned k = 0; k < n; k++)
			(void)json_array_append_new(
				job->result,
				json_pack("{s:s, s:I, s:s, s:I, s:I, s:s?}", "pool",
					  pool_superblock(job->pools[i])->name, "layer",
					  (json_int_t)work[k].layer, "kind", work[k].kind,
					  "done_bytes",
					  (json_int_t)work[k].done_clusters * LAYOUT_CLUSTER,
					  "total_bytes",
					  (json_int_t)work[k].total_clusters * LAYOUT_CLUSTER,
					  "waits_for", work[k].waits_for));
	}
	store_job_done(job, work ? 0 : -ENOMEM, NULL);
	free(work);
}

void rpc_litepool_volume_work(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct store_job *job;

	if (!rpc_no_params(call, params))
		return;
	job = store_job_new(ctx, sizeof(*job), NULL, call, NULL);
	if (!job)
		return;
	job->reads = true;
	job->run = work_run;
	store_job_start(job);
}
