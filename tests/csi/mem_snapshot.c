/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and groups of the tests' control plane, and its table. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/str.h"
#include "mem_parts.h"
#include "rt/process.h"

#define EXTENT ((uint64_t)1 << 20)

struct mem_snapshot *mem_snapshot_find(struct mem *mem, const char *id)
{
	for (size_t i = 0; i < MEM_MAX; i++)
		if (mem->snapshots[i].used && strcmp(mem->snapshots[i].id, id) == 0)
			return &mem->snapshots[i];
	return NULL;
}

static void show(struct csi_op *op, const struct mem_snapshot *from, struct csi_snapshot *ret)
{
	*ret = (struct csi_snapshot){.id = arena_strdup(op->arena, from->id),
				     .volume_id = arena_strdup(op->arena, from->volume_id),
				     .group_id = arena_strdup(op->arena, from->group),
				     .size = from->size,
				     .created_ns = from->created_ns,
				     .ready = true};
}

/* With the lock held. NULL with the reason in op. */
static struct mem_snapshot *cut(struct csi_op *op, struct mem *mem, const char *name,
				const struct mem_volume *volume, const char *group,
				enum grpc_code *ret_code)
{
	for (size_t i = 0; i < MEM_MAX; i++) {
		struct mem_snapshot *snapshot = &mem->snapshots[i];

		if (snapshot->used)
			continue;
		*snapshot = (struct mem_snapshot){.size = volume->capacity,
						  .created_ns = process_wall_ns(),
						  .format = volume->format};
		(void)snprintf(snapshot->id, sizeof(snapshot->id), "snap-%u", ++mem->next_id);
		(void)str_copy(snapshot->name, sizeof(snapshot->name), name);
		(void)str_copy(snapshot->volume_id, sizeof(snapshot->volume_id), volume->id);
		(void)str_copy(snapshot->group, sizeof(snapshot->group), group);
		if (!mem_copy(mem, volume->id, snapshot->id)) {
			*ret_code = csi_fail(op, GRPC_INTERNAL, "the copy failed");
			return NULL;
		}
		snapshot->used = true;
		return snapshot;
	}
	*ret_code = csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no room for another snapshot");
	return NULL;
}

static struct mem_snapshot *by_name(struct mem *mem, const char *name)
{
	for (size_t i = 0; i < MEM_MAX; i++)
		if (mem->snapshots[i].used && strcmp(mem->snapshots[i].name, name) == 0)
			return &mem->snapshots[i];
	return NULL;
}

static enum grpc_code create_locked(struct csi_op *op, struct mem *mem, const char *name,
				    const char *volume_id, struct csi_snapshot *ret)
{
	struct mem_snapshot *snapshot = by_name(mem, name);
	const struct mem_volume *volume;
	enum grpc_code code = GRPC_OK;

	if (snapshot && strcmp(snapshot->volume_id, volume_id) != 0)
		return csi_fail(op, GRPC_ALREADY_EXISTS, "snapshot %s is of another volume", name);
	volume = mem_volume_find(mem, volume_id);
	if (!snapshot && !volume)
		return mem_no_volume(op, volume_id);
	if (!snapshot)
		snapshot = cut(op, mem, name, volume, "", &code);
	if (snapshot)
		show(op, snapshot, ret);
	return code;
}

static enum grpc_code create_snapshot(void *ctx, struct csi_op *op, const char *name,
				      const char *volume_id, const struct csi_map *parameters,
				      struct csi_snapshot *ret)
{
	struct mem *mem = ctx;
	enum grpc_code code;

	lock_take(mem->lock);
	code = create_locked(op, mem, name, volume_id, ret);
	lock_drop(mem->lock);
	return code;
}

static void drop(struct mem *mem, struct mem_snapshot *snapshot)
{
	char path[512];

	mem_file(mem, snapshot->id, path);
	(void)unlink(path);
	snapshot->used = false;
}

static enum grpc_code delete_snapshot(void *ctx, struct csi_op *op, const char *id)
{
	struct mem *mem = ctx;
	struct mem_snapshot *snapshot;
	enum grpc_code code = GRPC_OK;

	lock_take(mem->lock);
	snapshot = mem_snapshot_find(mem, id);
	if (snapshot && snapshot->group[0])
		code = csi_fail(op, GRPC_INVALID_ARGUMENT, "snapshot %s belongs to group %s", id,
				snapshot->group);
	else if (snapshot)
		drop(mem, snapshot);
	lock_drop(mem->lock);
	return code;
}

static enum grpc_code get_snapshot(void *ctx, struct csi_op *op, const char *id,
				   struct csi_snapshot *ret)
{
	struct mem *mem = ctx;
	struct mem_snapshot *snapshot;

	lock_take(mem->lock);
	snapshot = mem_snapshot_find(mem, id);
	if (snapshot)
		show(op, snapshot, ret);
	lock_drop(mem->lock);
	return snapshot ? GRPC_OK : csi_fail(op, GRPC_NOT_FOUND, "there is no snapshot %s", id);
}

static enum grpc_code list_snapshots(void *ctx, struct csi_op *op, const struct csi_page *page,
				     const char *volume_id, const char *id,
				     struct csi_snapshots *ret)
{
	struct mem *mem = ctx;
	uint64_t i;

	if (!mem_page_start(op, page, &i))
		return csi_fail(op, GRPC_ABORTED, "the token is not one of ours");
	ret->items = arena_zalloc(op->arena, MEM_MAX * sizeof(*ret->items));
	if (!ret->items)
		return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory");
	lock_take(mem->lock);
	for (; i < MEM_MAX; i++) {
		const struct mem_snapshot *s = &mem->snapshots[i];

		if (!s->used || (id[0] && strcmp(s->id, id) != 0) ||
		    (volume_id[0] && strcmp(s->volume_id, volume_id) != 0))
			continue;
		if (page->max && ret->n == page->max) {
			ret->next_token = arena_printf(op->arena, "%llu", (unsigned long long)i);
			break;
		}
		show(op, s, &ret->items[ret->n++]);
	}
	lock_drop(mem->lock);
	return GRPC_OK;
}

/* ---- groups ---- */

static struct mem_group *group_find(struct mem *mem, const char *id, const char *name)
{
	for (size_t i = 0; i < MEM_MAX; i++)
		if (mem->groups[i].used && ((id && strcmp(mem->groups[i].id, id) == 0) ||
					    (name && strcmp(mem->groups[i].name, name) == 0)))
			return &mem->groups[i];
	return NULL;
}

static enum grpc_code show_group(struct csi_op *op, struct mem *mem, const struct mem_group *group,
				 struct csi_group *ret)
{
	*ret = (struct csi_group){.id = arena_strdup(op->arena, group->id),
				  .created_ns = group->created_ns,
				  .ready = true};
	ret->snapshots = arena_zalloc(op->arena, MEM_MAX * sizeof(*ret->snapshots));
	for (size_t i = 0; ret->snapshots && i < MEM_MAX; i++)
		if (mem->snapshots[i].used && strcmp(mem->snapshots[i].group, group->id) == 0)
			show(op, &mem->snapshots[i], &ret->snapshots[ret->n++]);
	return ret->snapshots ? GRPC_OK : csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no memory");
}

static enum grpc_code create_group_locked(struct csi_op *op, struct mem *mem, const char *name,
					  const struct csi_strings *ids, struct csi_group *ret)
{
	struct mem_group *group = group_find(mem, NULL, name);
	enum grpc_code code = GRPC_OK;
	char member[129];

	if (group)
		return show_group(op, mem, group, ret);
	for (size_t i = 0; i < ids->n; i++)
		if (!mem_volume_find(mem, ids->items[i]))
			return mem_no_volume(op, ids->items[i]);
	for (group = mem->groups; group->used; group++)
		if (group == &mem->groups[MEM_MAX - 1])
			return csi_fail(op, GRPC_RESOURCE_EXHAUSTED, "no room for another group");
	*group = (struct mem_group){.used = true, .created_ns = process_wall_ns()};
	(void)snprintf(group->id, sizeof(group->id), "group-%u", ++mem->next_id);
	(void)str_copy(group->name, sizeof(group->name), name);
	for (size_t i = 0; code == GRPC_OK && i < ids->n; i++) {
		(void)snprintf(member, sizeof(member), "%s/%zu", group->id, i);
		(void)cut(op, mem, member, mem_volume_find(mem, ids->items[i]), group->id, &code);
	}
	return code == GRPC_OK ? show_group(op, mem, group, ret) : code;
}

static enum grpc_code create_group(void *ctx, struct csi_op *op, const char *name,
				   const struct csi_strings *ids, const struct csi_map *parameters,
				   struct csi_group *ret)
{
	struct mem *mem = ctx;
	enum grpc_code code;

	lock_take(mem->lock);
	code = create_group_locked(op, mem, name, ids, ret);
	lock_drop(mem->lock);
	return code;
}

static enum grpc_code check_members(struct csi_op *op, struct mem *mem,
				    const struct mem_group *group, const struct csi_strings *ids)
{
	for (size_t i = 0; i < ids->n; i++) {
		const struct mem_snapshot *s = mem_snapshot_find(mem, ids->items[i]);

		if (!s || strcmp(s->group, group->id) != 0)
			return csi_fail(op, GRPC_INVALID_ARGUMENT, "snapshot %s is not in group %s",
					ids->items[i], group->id);
	}
	return GRPC_OK;
}

static enum grpc_code delete_group(void *ctx, struct csi_op *op, const char *id,
				   const struct csi_strings *ids)
{
	struct mem *mem = ctx;
	struct mem_group *group;
	enum grpc_code code = GRPC_OK;

	lock_take(mem->lock);
	group = group_find(mem, id, NULL);
	if (group)
		code = check_members(op, mem, group, ids);
	if (group && code == GRPC_OK) {
		for (size_t i = 0; i < MEM_MAX; i++)
			if (mem->snapshots[i].used && strcmp(mem->snapshots[i].group, id) == 0)
				drop(mem, &mem->snapshots[i]);
		group->used = false;
	}
	lock_drop(mem->lock);
	return code;
}

static enum grpc_code get_group(void *ctx, struct csi_op *op, const char *id,
				const struct csi_strings *ids, struct csi_group *ret)
{
	struct mem *mem = ctx;
	struct mem_group *group;
	enum grpc_code code;

	lock_take(mem->lock);
	group = group_find(mem, id, NULL);
	code = group ? check_members(op, mem, group, ids)
		     : csi_fail(op, GRPC_NOT_FOUND, "there is no group %s", id);
	if (code == GRPC_OK)
		code = show_group(op, mem, group, ret);
	lock_drop(mem->lock);
	return code;
}

/* Every second MiB is said to hold data: what a reader of the stream must cope with, not what is in the file. */
static enum grpc_code extents(void *ctx, struct csi_op *op, const char *base_id, const char *id,
			      uint64_t offset, uint32_t max, struct csi_extents *ret)
{
	struct csi_snapshot base, snapshot;
	enum grpc_code code = get_snapshot(ctx, op, id, &snapshot);

	if (code == GRPC_OK && base_id)
		code = get_snapshot(ctx, op, base_id, &base);
	if (code != GRPC_OK)
		return code;
	if (offset >= snapshot.size)
		return csi_fail(op, GRPC_OUT_OF_RANGE, "the snapshot ends at %llu",
				(unsigned long long)snapshot.size);
	*ret = (struct csi_extents){.items = ret->items, .capacity = snapshot.size};
	offset = (offset + 2 * EXTENT - 1) / (2 * EXTENT) * (2 * EXTENT);
	for (; offset < snapshot.size && ret->n < max; offset += 2 * EXTENT)
		ret->items[ret->n++] = (struct csi_extent){offset, EXTENT};
	ret->next = offset;
	ret->end = offset >= snapshot.size;
	return GRPC_OK;
}

const struct csi_backend mem_backend = {
	.create_volume = mem_create_volume,
	.delete_volume = mem_delete_volume,
	.get_volume = mem_get_volume,
	.list_volumes = mem_list_volumes,
	.publish = mem_publish,
	.unpublish = mem_unpublish,
	.get_capacity = mem_get_capacity,
	.expand_volume = mem_expand_volume,
	.modify_volume = mem_modify_volume,
	.create_snapshot = create_snapshot,
	.delete_snapshot = delete_snapshot,
	.get_snapshot = get_snapshot,
	.list_snapshots = list_snapshots,
	.create_group = create_group,
	.delete_group = delete_group,
	.get_group = get_group,
	.extents = extents,
};
