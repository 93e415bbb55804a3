/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOURCE of a command: a block device of the engine, or the path of a file or disk, on which one is made. What a command has made goes again when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"

static int call(struct cli *cli, const char *method, const json_t *params)
{
	json_t *result = NULL;
	int res = params ? cli_call(cli, method, params, &result)
			 : err_set(&cli->err, -ENOMEM, "out of memory");

	if (res == 0)
		json_decref(result);
	return res;
}

/* 0: it is there; -ENODEV: it is not. */
static int find(struct cli *cli, const char *bdev)
{
	_cleanup_json_ json_t *name = json_pack("{s:s}", "name", bdev);

	return call(cli, "bdev_get_bdevs", name);
}

static int file_make(struct cli *cli, const char *path, json_int_t size, bool *ret_made)
{
	_cleanup_close_ int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || ftruncate(fd, size) < 0)
		return err_set(&cli->err, -errno, "%s cannot be made: %s", path, strerror(errno));
	*ret_made = true;
	return 0;
}

static void name_from_path(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');
	size_t len = 0;

	for (base = base ? base + 1 : path; *base && len < size - 1; base++) {
		bool plain = (*base >= 'a' && *base <= 'z') || (*base >= 'A' && *base <= 'Z') ||
			     (*base >= '0' && *base <= '9') || *base == '.' || *base == '_';

		if (plain)
			name[len++] = *base;
		else
			name[len++] = '-';
	}
	name[len] = '\0';
}

static int path_of(struct cli *cli, const char *source, char path[PATH_MAX])
{
	char cwd[PATH_MAX];
	int len;

	if (source[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		len = snprintf(path, PATH_MAX, "%s", source);
	else
		len = snprintf(path, PATH_MAX, "%s/%s", cwd, source);
	return len < PATH_MAX
		       ? 0
		       : err_set(&cli->err, -ENAMETOOLONG, "the path %.64s... is too long", source);
}

static int bdev_make(struct cli *cli, struct cli_source *s)
{
	_cleanup_json_ json_t *params =
		json_pack("{s:s, s:s, s:b, s:s*}", "name", s->bdev, "filename", s->path, "readonly",
			  s->readonly, "litepool_pool_uuid", s->pool_uuid);
	int res = call(cli, "bdev_aio_create", params);

	s->made = res == 0;
	return res;
}

int cli_source_open(struct cli *cli, struct cli_source *s)
{
	const char *source = cli_text(cli, "SOURCE"), *name = cli_text(cli, "name");
	const json_t *bytes = json_object_get(cli->values, "size");
	int res = find(cli, source);

	if (res == 0) {
		(void)snprintf(s->bdev, sizeof(s->bdev), "%s", source);
		return 0;
	}
	if (res != -ENODEV)
		return res;
	res = path_of(cli, source, s->path);
	if (res == 0 && bytes)
		res = file_make(cli, s->path, json_integer_value(bytes), &s->made_file);
	if (res < 0)
		return res;
	if (name)
		(void)snprintf(s->bdev, sizeof(s->bdev), "%s", name);
	else
		name_from_path(s->path, s->bdev, sizeof(s->bdev));
	res = bdev_make(cli, s);
	if (res != 0)
		cli_source_undo(cli, s);
	return res;
}

void cli_source_undo(struct cli *cli, struct cli_source *s)
{
	_cleanup_json_ json_t *name = json_pack("{s:s}", "name", s->bdev);
	struct err why = cli->err;

	if (s->made)
		(void)call(cli, "bdev_aio_delete", name); /* the first reason is told */
	/* Only when the engine says that it has it no more: after a timeout, say, it may go on with it. */
	if (s->made_file && find(cli, s->bdev) == -ENODEV)
		(void)unlink(s->path); /* likewise */
	s->made = s->made_file = false;
	cli->err = why;
}
