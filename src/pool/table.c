/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers and objects in RAM.
 *
 * Invariants, but while loading:
 *  1. Layers are a forest; a layer is in its parent's children or in the roots.
 *  2. An object and the layer that names it point at each other; a layer without object points at none.
 *  3. No two objects have one name or one UUID.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"
#include "pool/priv.h"

struct adopted_map {
	struct list link;
	uint64_t layer;
	struct map *map;
};

struct props_parts { /* one per object of which some chunks of a revision are here */
	struct list link;
	uint64_t object, revision;
	uint32_t blob_size;
	uint32_t have; /* bit: chunk */
	uint8_t data[];
};
static_assert(PROPS_CHUNKS <= 32, "chunks have a bit each");

static unsigned hash_u64(uint64_t v)
{
	return (unsigned)(v * 0x9e3779b97f4a7c15u >> 54) % POOL_HASH;
}

static unsigned hash_name(const char *name)
{
	uint64_t v = 0;

	for (; *name; name++)
		v = v * 131 + (unsigned char)*name;
	return hash_u64(v);
}

static unsigned hash_uuid(const struct uuid *uuid)
{
	return hash_u64(get_le64(uuid->b) ^ get_le64(uuid->b + 8));
}

int table_init(struct pool *pool)
{
	struct pool_tables *t = &pool->tables;

	for (unsigned i = 0; i < POOL_HASH; i++) {
		list_init(&t->layer_hash[i]);
		list_init(&t->object_hash[i]);
		list_init(&t->name_hash[i]);
		list_init(&t->uuid_hash[i]);
	}
	list_init(&t->roots);
	list_init(&t->objects);
	list_init(&t->adopted);
	list_init(&t->parts);
	t->props = malloc(sizeof(*t->props));
	return t->props ? 0 : -ENOMEM;
}

void table_layer_free(struct pool_layer *layer)
{
	map_free(layer->map);
	free(layer);
}

int table_map_reach(struct pool_layer *layer, uint64_t end)
{
	uint64_t have = map_clusters(layer->map), most = LAYER_BYTES_MAX / LAYOUT_CLUSTER;

	return end <= have ? 0 : map_resize(layer->map, MAX(end, MIN(have * 2, most)), NULL);
}

static void object_free(struct pool_object *object)
{
	free(object->blob);
	free(object);
}

void table_fini(struct pool *pool)
{
	struct pool_tables *t = &pool->tables;
	struct list *node;

	if (!t->props)
		return;
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (t->by_slot[i])
			table_layer_free(t->by_slot[i]);
	while ((node = list_pop_front(&t->objects)))
		object_free(list_entry(node, struct pool_object, link));
	while ((node = list_pop_front(&t->adopted))) {
		struct adopted_map *adopted = list_entry(node, struct adopted_map, link);

		map_free(adopted->map);
		free(adopted);
	}
	while ((node = list_pop_front(&t->parts)))
		free(list_entry(node, struct props_parts, link));
	free(t->by_slot);
	free(t->props);
	t->props = NULL;
}

/* ---- finding ---- */

struct pool_layer *pool_layer_find(const struct pool *pool, uint64_t id)
{
	list_for_each (it, &pool->tables.layer_hash[hash_u64(id)]) {
		struct pool_layer *layer = list_entry(it, struct pool_layer, hash);

		if (layer->disk.id == id)
			return layer;
	}
	return NULL;
}

struct pool_object *pool_object_find(const struct pool *pool, uint64_t id)
{
	list_for_each (it, &pool->tables.object_hash[hash_u64(id)]) {
		struct pool_object *object = list_entry(it, struct pool_object, by_id);

		if (object->id == id)
			return object;
	}
	return NULL;
}

struct pool_object *pool_object_by_name(const struct pool *pool, const char *name)
{
	list_for_each (it, &pool->tables.name_hash[hash_name(name)]) {
		struct pool_object *object = list_entry(it, struct pool_object, by_name);

		if (!strcmp(object->name, name))
			return object;
	}
	return NULL;
}

struct pool_object *pool_object_by_uuid(const struct pool *pool, const struct uuid *uuid)
{
	list_for_each (it, &pool->tables.uuid_hash[hash_uuid(uuid)]) {
		struct pool_object *object = list_entry(it, struct pool_object, by_uuid);

		if (uuid_equal(&object->uuid, uuid))
			return object;
	}
	return NULL;
}

bool pool_object_is_snapshot(const struct pool_object *object)
{
	return object->layer && object->layer->disk.flags & LAYER_READ_ONLY;
}

struct list *pool_objects(struct pool *pool)
{
	return &pool->tables.objects;
}

struct list *pool_roots(struct pool *pool)
{
	return &pool->tables.roots;
}

unsigned pool_object_count(const struct pool *pool)
{
	return pool->tables.n_objects;
}

uint64_t pool_new_id(struct pool *pool)
{
	return pool->next_id++;
}

void table_raise_id(struct pool *pool, uint64_t id)
{
	if (id >= pool->next_id) /* load_check() refuses a pool whose ids are at their end */
		pool->next_id = id + (id < UINT64_MAX);
}

/* ---- maps that wait for their layer ---- */

static struct adopted_map *adopted_find(const struct pool *pool, uint64_t layer)
{
	list_for_each (it, &pool->tables.adopted) {
		struct adopted_map *adopted = list_entry(it, struct adopted_map, link);

		if (adopted->layer == layer)
			return adopted;
	}
	return NULL;
}

static struct map *adopted_take(struct pool *pool, uint64_t layer)
{
	struct adopted_map *adopted = adopted_find(pool, layer);
	struct map *map;

	if (!adopted)
		return NULL;
	map = adopted->map;
	list_remove(&adopted->link);
	free(adopted);
	return map;
}

int pool_adopt_map(struct pool *pool, uint64_t layer, struct map *map)
{
	struct adopted_map *adopted;

	if (!map) {
		(void)adopted_take(pool, layer); /* the caller's again */
		return 0;
	}
	ASSERT(!adopted_find(pool, layer));
	adopted = calloc(1, sizeof(*adopted));
	if (!adopted)
		return -ENOMEM;
	adopted->layer = layer;
	adopted->map = map;
	list_push_back(&pool->tables.adopted, &adopted->link);
	return 0;
}

/* ---- layers ---- */

static int slots_grow(struct pool_tables *t, uint32_t slot)
{
	uint32_t n = MAX(slot + 1, t->n_slots * 2);
	struct pool_layer **by_slot;

	if (slot < t->n_slots)
		return 0;
	n = (n + PAGE_LAYERS - 1) / PAGE_LAYERS * PAGE_LAYERS;
	by_slot = reallocarray(t->by_slot, n, sizeof(struct pool_layer *));
	if (!by_slot)
		return -ENOMEM;
	memset(by_slot + t->n_slots, 0, (n - t->n_slots) * sizeof(struct pool_layer *));
	t->by_slot = by_slot;
	t->n_slots = n;
	return 0;
}

static uint32_t slot_free(const struct pool_tables *t)
{
	uint32_t slot = 0;

	if (t->n_layers == t->n_slots)
		return t->n_slots;
	while (t->by_slot[slot])
		slot++;
	return slot;
}

struct pool_layer *table_layer_new(struct pool *pool, const struct layer *disk, uint32_t slot)
{
	struct pool_tables *t = &pool->tables;
	struct pool_layer *layer;

	if (slot == UINT32_MAX)
		slot = slot_free(t);
	if (slots_grow(t, slot) || t->by_slot[slot])
		return NULL;
	layer = calloc(1, sizeof(*layer));
	if (!layer)
		return NULL;
	layer->map = adopted_take(pool, disk->id);
	if (!layer->map)
		layer->map = map_new(&pool->maps, disk->id, layer_clusters(disk));
	if (!layer->map) {
		free(layer);
		return NULL;
	}
	layer->disk = *disk;
	layer->slot = slot;
	list_init(&layer->children);
	list_push_back(&t->layer_hash[hash_u64(disk->id)], &layer->hash);
	list_push_back(&t->roots, &layer->sibling);
	t->by_slot[slot] = layer;
	t->n_layers++;
	table_raise_id(pool, disk->id);
	return layer;
}

int table_link(struct pool *pool, struct pool_layer *layer, struct err *err)
{
	struct pool_layer *parent = NULL;

	if (pool->tables.loading)
		return 0;
	if (layer->disk.parent) {
		parent = pool_layer_find(pool, layer->disk.parent);
		if (!parent)
			return err_set(err, -EUCLEAN,
				       "layer %" PRIu64 " stands on layer %" PRIu64
				       ", which does not exist",
				       layer->disk.id, layer->disk.parent);
		for (const struct pool_layer *l = parent; l; l = l->parent)
			if (l == layer)
				return err_set(err, -EUCLEAN,
					       "layer %" PRIu64
					       " stands on itself by way of %" PRIu64,
					       layer->disk.id, layer->disk.parent);
	}
	layer->parent = parent;
	list_remove(&layer->sibling);
	list_push_back(parent ? &parent->children : &pool->tables.roots, &layer->sibling);
	return 0;
}

static void set_thick(struct pool_layer *layer)
{
	map_set_thick(layer->map, layer->object && layer->object->flags & PROPS_F_THICK &&
					  !(layer->disk.flags & LAYER_READ_ONLY));
}

static void unbind(struct pool_layer *layer)
{
	if (layer->object && layer->object->layer == layer)
		layer->object->layer = NULL;
	layer->object = NULL;
}

/* The layer that was set last is the object's: a record names the new head before or after it takes the name from the old one. */
void table_bind(struct pool *pool, struct pool_layer *layer)
{
	struct pool_object *object = NULL;

	if (pool->tables.loading)
		return;
	if (layer->disk.object)
		object = pool_object_find(pool, layer->disk.object);
	if (layer->object != object)
		unbind(layer);
	if (object && object->layer && object->layer != layer) {
		struct pool_layer *before = object->layer;

		unbind(before);
		set_thick(before);
	}
	layer->object = object;
	if (object)
		object->layer = layer;
	set_thick(layer);
}

void table_layer_remove(struct pool *pool, struct pool_layer *layer)
{
	struct pool_tables *t = &pool->tables;

	unbind(layer);
	list_remove(&layer->hash);
	list_remove(&layer->sibling);
	t->by_slot[layer->slot] = NULL;
	t->n_layers--;
}

/* ---- objects ---- */

static struct props_parts *parts_get(struct pool *pool, uint64_t object,
				     const struct props_chunk *chunk)
{
	struct props_parts *parts = NULL;

	list_for_each (it, &pool->tables.parts) {
		parts = list_entry(it, struct props_parts, link);
		if (parts->object == object)
			break;
		parts = NULL;
	}
	if (parts && parts->revision == chunk->revision && parts->blob_size == chunk->blob_size)
		return parts;
	if (parts) {
		list_remove(&parts->link);
		free(parts);
	}
	parts = calloc(1, sizeof(*parts) + chunk->blob_size);
	if (!parts)
		return NULL;
	parts->object = object;
	parts->revision = chunk->revision;
	parts->blob_size = chunk->blob_size;
	list_push_back(&pool->tables.parts, &parts->link);
	return parts;
}

static struct pool_object *object_new(struct pool *pool, uint64_t id)
{
	struct pool_object *object = calloc(1, sizeof(*object));

	if (!object)
		return NULL;
	object->id = id;
	list_push_back(&pool->tables.objects, &object->link);
	list_push_back(&pool->tables.object_hash[hash_u64(id)], &object->by_id);
	pool->tables.n_objects++;
	table_raise_id(pool, id);
	return object;
}

/* The layers that name an object which was not there when they were set. */
static void bind_layers_of(struct pool *pool, const struct pool_object *object)
{
	for (uint32_t i = 0; i < pool->tables.n_slots; i++) {
		struct pool_layer *layer = pool->tables.by_slot[i];

		if (layer && layer->disk.object == object->id)
			table_bind(pool, layer);
	}
}

/* All chunks are here. */
static int object_install(struct pool *pool, const struct props_parts *parts, bool *ret_is_new,
			  struct err *err)
{
	struct pool_object *object = pool_object_find(pool, parts->object);
	uint8_t *blob = malloc(parts->blob_size);

	*ret_is_new = !object;
	if (blob && !object)
		object = object_new(pool, parts->object);
	if (!blob || !object) {
		free(blob);
		return err_set(err, -ENOMEM, "no memory for the properties of an object");
	}
	memcpy(blob, parts->data, parts->blob_size);
	free(object->blob);
	object->blob = blob;
	object->blob_len = parts->blob_size;
	object->revision = parts->revision;
	if (pool->tables.loading)
		return 1;
	if (table_settle_object(pool, object, err))
		return err ? err->code : -EUCLEAN;
	if (*ret_is_new)
		bind_layers_of(pool, object);
	else if (object->layer)
		set_thick(object->layer);
	return 1;
}

int table_props_chunk(struct pool *pool, uint64_t object, const struct props_chunk *chunk,
		      bool *ret_is_new, struct err *err)
{
	uint32_t n = (chunk->blob_size + PROPS_CHUNK - 1) / PROPS_CHUNK;
	struct props_parts *parts = parts_get(pool, object, chunk);
	int rc;

	if (!parts)
		return err_set(err, -ENOMEM, "no memory for the properties of an object");
	memcpy(parts->data + (size_t)chunk->index * PROPS_CHUNK, chunk->data, chunk->len);
	parts->have |= 1u << chunk->index;
	if (parts->have != (1u << n) - 1)
		return 0;
	rc = object_install(pool, parts, ret_is_new, err);
	list_remove(&parts->link);
	free(parts);
	return rc;
}

/* Takes the names over, unless somebody else has them. */
static int object_rename(struct pool *pool, struct pool_object *object, const char *name,
			 const struct uuid *uuid, struct err *err)
{
	const struct pool_object *other = pool_object_by_name(pool, name);
	char text[UUID_TEXT_SIZE];

	if (other && other != object)
		return err_set(err, -EUCLEAN,
			       "objects %" PRIu64 " and %" PRIu64 " have one name: %s", other->id,
			       object->id, name);
	other = pool_object_by_uuid(pool, uuid);
	if (other && other != object)
		return err_set(err, -EUCLEAN,
			       "objects %" PRIu64 " and %" PRIu64 " have one UUID: %s", other->id,
			       object->id, uuid_format(uuid, text));
	list_remove(&object->by_name);
	list_remove(&object->by_uuid);
	(void)str_copy(object->name, sizeof(object->name), name); /* its length was checked */
	object->uuid = *uuid;
	list_push_back(&pool->tables.name_hash[hash_name(name)], &object->by_name);
	list_push_back(&pool->tables.uuid_hash[hash_uuid(uuid)], &object->by_uuid);
	return 0;
}

int table_settle_object(struct pool *pool, struct pool_object *object, struct err *err)
{
	struct props *props = pool->tables.props;
	struct err why = {0};
	int rc = props_decode(object->blob, object->blob_len, props, &why);

	object->unusable = rc == -EOPNOTSUPP;
	if (object->unusable) /* what else it says is not known; that it is there has to be seen */
		rc = props_decode_identity(object->blob, object->blob_len, props, &why);
	if (rc)
		return err_set(err, -EUCLEAN,
			       "the properties of object %" PRIu64 " are refused: %s", object->id,
			       why.text);
	object->flags = props->flags;
	object->block_size = props->block_size;
	object->snapshot_of = props->snapshot_of;
	return object_rename(pool, object, props->name, &props->uuid, err);
}

void table_object_remove(struct pool *pool, struct pool_object *object)
{
	if (object->layer) {
		struct pool_layer *layer = object->layer;

		unbind(layer);
		set_thick(layer);
	}
	list_remove(&object->link);
	list_remove(&object->by_id);
	list_remove(&object->by_name);
	list_remove(&object->by_uuid);
	pool->tables.n_objects--;
	object_free(object);
}
