/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pools have their notes (pool/notes.h): a file for each in the folder of the RPC socket, which is /run/litepool, a tmpfs: it outlives the process, and the container, and not the
 * machine. Nothing is ever synced. Where that is not possible the engine says so and does without.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/engine.h"
#include "rt/fs.h"
#include "rt/mapped.h"

struct notes_file { /* pool reactor */
	struct list link;
	struct mapped mapped;
};

/* The folder, or the file of a pool. False: too long. */
static bool path_of(const struct engine *e, const struct uuid *pool, char path[PATH_MAX])
{
	const char *socket = e->opts->rpc_socket, *slash = strrchr(socket, '/');
	int dir = slash ? (int)(slash - socket) : 1;
	char text[UUID_TEXT_SIZE] = "";

	if (pool)
		(void)uuid_format(pool, text);
	return snprintf(path, PATH_MAX, "%.*s/notes%s%s", dir, slash ? socket : ".",
			pool ? "/" : "", text) < PATH_MAX;
}

static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	struct engine *e = ctx;
	struct notes_file *file;
	char path[PATH_MAX];
	int res;

	if (uuid_is_null(&e->store.memory.boot))
		return err_set(err, -ENOENT, "the kernel has no boot id");
	if (!path_of(e, NULL, path))
		return err_set(err, -ENAMETOOLONG, "the path of the RPC socket is too long");
	res = fs_make_dir(path, 0700, err);
	if (res < 0)
		return res;
	file = calloc(1, sizeof(*file));
	if (!file)
		return err_set(err, -ENOMEM, "out of memory");
	res = path_of(e, pool, path)
		      ? mapped_open(path, bytes, &file->mapped, err)
		      : err_set(err, -ENAMETOOLONG, "the path of the RPC socket is too long");
	if (res < 0) {
		free(file);
		return res;
	}
	list_push_back(&e->store.notes, &file->link);
	*ret = file->mapped.memory;
	*ret_size = file->mapped.size;
	return 0;
}

static void put(void *ctx, const struct uuid *pool, void *memory, size_t size, bool gone)
{
	struct engine *e = ctx;
	char path[PATH_MAX];

	gone = gone && path_of(e, pool, path);
	list_for_each_safe (it, &e->store.notes) {
		struct notes_file *file = list_entry(it, struct notes_file, link);

		if (file->mapped.memory != memory)
			continue;
		list_remove(&file->link);
		mapped_close(&file->mapped, gone ? path : NULL);
		free(file);
	}
}

void store_notes_init(struct engine *e)
{
	struct err err = {0};

	list_init(&e->store.notes);
	e->store.memory = (struct pool_memory){.get = get, .put = put, .ctx = e};
	if (mapped_boot_id(&e->store.memory.boot, &err) < 0)
		memset(&e->store.memory.boot, 0, sizeof(e->store.memory.boot)); /* get() says so */
}
