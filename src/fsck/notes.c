/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/notes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool path_of(const struct fsck_notes *notes, const struct uuid *pool, char path[PATH_MAX])
{
	const char *slash = strrchr(notes->socket, '/');
	char text[UUID_TEXT_SIZE];

	return snprintf(path, PATH_MAX, "%.*s/notes/%s", slash ? (int)(slash - notes->socket) : 1,
			slash ? notes->socket : ".", uuid_format(pool, text)) < PATH_MAX;
}

/* A file that is not there is not made: then no engine of this machine has left anything. */
static int get(void *ctx, const struct uuid *pool, size_t bytes, void **ret, size_t *ret_size,
	       struct err *err)
{
	struct fsck_notes *notes = ctx;
	char path[PATH_MAX];
	int res;

	if (!path_of(notes, pool, path))
		return err_set(err, -ENAMETOOLONG, "the path of the RPC socket is too long");
	res = mapped_look(path, &notes->mapped, err);
	if (!res && bytes) {
		mapped_close(&notes->mapped, NULL);
		res = mapped_open(path, bytes, &notes->mapped, err);
	}
	if (res)
		return res;
	*ret = notes->mapped.memory;
	*ret_size = notes->mapped.size;
	return 0;
}

static void put(void *ctx, const struct uuid *pool, void *memory, size_t size, bool gone)
{
	struct fsck_notes *notes = ctx;
	char path[PATH_MAX];

	gone = gone && path_of(notes, pool, path);
	mapped_close(&notes->mapped, gone ? path : NULL);
}

bool fsck_notes_init(struct fsck_notes *notes, const char *socket)
{
	struct err err = {0};

	*notes = (struct fsck_notes){.socket = socket,
				     .memory = {.get = get, .put = put, .ctx = notes}};
	return mapped_boot_id(&notes->memory.boot, &err) == 0;
}
