/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: one JSON file for support. It is whole even when parts are missing: a part that could not be had is there with why. Members whose names say that
 * they hold a secret are taken out wherever they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/api.h"
#include "config.h"
#include "kube/text.h"
#include "rt/process.h"

#define LOG_MAX   ((size_t)1 << 20)
#define DEPTH_MAX 64

static bool is_secret(const char *key)
{
	static const char *const parts[] = {"token",  "secret",  "password",   "passwd", "psk",
					    "dhchap", "private", "credential", "apikey"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(key, parts[i]))
			return true;
	return false;
}

/* Bounded depth: what is deeper is taken out. */
static void scrub(json_t *json, unsigned depth)
{
	const char *key;
	json_t *value;
	size_t i;
	void *next;

	if (depth == DEPTH_MAX) {
		(void)json_object_clear(json);
		(void)json_array_clear(json);
		return;
	}
	json_array_foreach (json, i, value)
		scrub(value, depth + 1);
	json_object_foreach_safe(json, next, key, value)
	{
		if (is_secret(key) && !json_is_boolean(value))
			(void)json_object_set_new(json, key, json_string("(taken out)"));
		else
			scrub(value, depth + 1);
	}
}

static void missing(struct cli *cli, json_t *part, const char *name)
{
	(void)json_object_set_new(part, name, json_pack("{s:s}", "missing", cli->err.text));
	cli->err = (struct err){0};
}

static json_t *part_objects(struct cli *cli)
{
	static const char *const kinds[] = {
		"StorageNode",        "StoragePool", "StorageVolume", "StorageSnapshot",
		"StorageReservation", "Lease",       "Event"};
	json_t *part = json_object();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		json_t *list = NULL;

		if (api_list(cli, kinds[i], NULL, NULL, &list) == 0)
			(void)json_object_set_new(part, kinds[i], list);
		else
			missing(cli, part, kinds[i]);
	}
	return part;
}

static json_t *part_engine(struct cli *cli)
{
	static const char *const methods[] = {"spdk_get_version",    "litepool_engine_status",
					      "bdev_get_bdevs",      "bdev_get_iostat",
					      "nvmf_get_subsystems", "bdev_lvol_get_lvstores",
					      "bdev_lvol_get_lvols", "save_config"};
	json_t *part = json_object();

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		json_t *answer = NULL;

		if (cli_call(cli, methods[i], NULL, &answer) == 0)
			(void)json_object_set_new(part, methods[i], answer);
		else
			missing(cli, part, methods[i]);
	}
	return part;
}

static json_t *part_machine(void)
{
	char wall[KUBE_TIME_SIZE];
	struct utsname u = {0};

	(void)uname(&u);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "litepool", LITEPOOL_VERSION, "time",
			 kube_time_format(process_wall_ns(), false, wall, sizeof(wall)), "kernel",
			 u.release, "machine", u.machine, "host", u.nodename, "cpus",
			 (json_int_t)sysconf(_SC_NPROCESSORS_ONLN));
}

/* The last LOG_MAX bytes; what is no UTF-8 becomes '?'. */
static json_t *log_read(const char *path)
{
	FILE *in = fopen(path, "re");
	_cleanup_free_ char *text = malloc(LOG_MAX + 1);
	json_t *json;
	size_t len;

	if (!in || !text) {
		json = json_pack("{s:s}", "missing", strerror(errno));
		if (in)
			(void)fclose(in);
		return json;
	}
	/* Shorter than that: it stays at the beginning. */
	(void)fseek(in, -(long)LOG_MAX, SEEK_END);
	len = fread(text, 1, LOG_MAX, in);
	(void)fclose(in);
	json = json_stringn(text, len);
	for (size_t i = 0; !json && i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			text[i] = '?';
	return json ? json : json_stringn(text, len);
}

static json_t *part_logs(struct cli *cli)
{
	const json_t *list = json_object_get(cli->values, "log"), *one;
	json_t *part = json_object();
	size_t i;

	json_array_foreach (list, i, one)
		(void)json_object_set_new(part, json_string_value(one),
					  log_read(json_string_value(one)));
	return part;
}

static int file_write(const char *path, const json_t *dump, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool good;

	if (!out) {
		int res = -errno;

		if (fd >= 0)
			(void)close(fd);
		return err_set(err, res, "%s: %s%s", path, strerror(-res),
			       res == -EEXIST ? "; give a name that is free" : "");
	}
	good = json_dumpf(dump, out, JSON_INDENT(1)) == 0;
	good = fclose(out) == 0 && good;
	return good ? 0 : err_set(err, -EIO, "%s: it could not be written whole", path);
}

int cli_cmd_dump(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *path = cli_text(cli, "FILE");
	_cleanup_json_ json_t *dump = json_object();
	int res;

	(void)json_object_set_new(dump, "machine", part_machine());
	(void)json_object_set_new(dump, "objects", part_objects(cli));
	(void)json_object_set_new(dump, "engine", part_engine(cli));
	scrub(dump, 0);
	(void)json_object_set_new(dump, "logs", part_logs(cli));
	res = file_write(path, dump, &cli->err);
	if (res == 0)
		fprintf(cli->out,
			"%s: objects, events, versions%s. It has names of volumes and "
			"nodes, no data and no secrets that we know of; logs are as they "
			"were given.\n",
			path, json_object_size(json_object_get(dump, "logs")) ? ", logs" : "");
	return res;
}
