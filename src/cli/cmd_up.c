/* SPDX-License-Identifier: Apache-2.0 */
/* up, down: LitePool on this machine. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/progress.h"
#include "cli/up.h"
#include "kube/client.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/process.h"

#define POOLS_DIR     "/var/lib/litepool/pools"
#define LOOK_MS       50
#define SUPERVISE_MS  500
#define SOCKET_LENGTH 90 /* of DIR: a unix socket's path is short */

static char server_of[UP_PATH_MAX + 32], engine_of[UP_PATH_MAX + 32];

int up_opts_take(struct cli *cli, struct up_opts *opts)
{
	const char *dir = cli_text(cli, "no-systemd"), *node = cli_text(cli, "node");

	*opts = (struct up_opts){.addresses = cli_text(cli, "addresses"),
				 .port = cli_text(cli, "port")};
	if (node)
		(void)snprintf(opts->node, sizeof(opts->node), "%s", node);
	else if (gethostname(opts->node, sizeof(opts->node) - 1) < 0)
		return err_set(&cli->err, -errno, "the host's name: %s", strerror(errno));
	if (!kube_name_valid(opts->node))
		return err_set(&cli->err, -EINVAL,
			       "'%s' cannot be the name of a node (small letters, digits, '-' and "
			       "'.'); give another with --node",
			       opts->node);
	if (!dir)
		return 0;
	if (strlen(dir) > SOCKET_LENGTH)
		return err_set(&cli->err, -ENAMETOOLONG,
			       "--no-systemd %s: at most %d characters, because of the sockets in "
			       "it",
			       dir, SOCKET_LENGTH);
	(void)snprintf(opts->dir, sizeof(opts->dir), "%s", dir);
	opts->port = opts->port ? opts->port : "0";
	opts->addresses = opts->addresses ? opts->addresses : "127.0.0.1";
	/* What is asked from here on is asked there. */
	(void)snprintf(server_of, sizeof(server_of), "unix:%s/run/api.sock", dir);
	(void)snprintf(engine_of, sizeof(engine_of), "%s/run/engine.sock", dir);
	cli->server = server_of;
	cli->socket = engine_of;
	return 0;
}

/* A part of the folder that has died says why in its log. */
static int parts_check(struct cli *cli, const struct up_opts *opts, int n_parts)
{
	char line[400];

	for (int part = 0; opts->dir[0] && part < n_parts; part++)
		if (up_local_pid(opts, (enum up_part)part) == 0) {
			up_local_log(opts, (enum up_part)part, line, sizeof(line));
			return err_set(&cli->err, -EIO, "litepool-%s ended: %s",
				       up_part_names[part], line);
		}
	return 0;
}

/* Until the API answers, and, with node, has the node Ready. The first n_parts are started. */
static int ready_look(struct cli *cli, const struct up_opts *opts, int n_parts, const char *node,
		      struct progress *progress)
{
	uint64_t end = process_boot_ms() + (uint64_t)cli->timeout_ms;
	int res;

	for (;;) {
		_cleanup_json_ json_t *obj = NULL, *list = NULL;

		res = parts_check(cli, opts, n_parts);
		if (res < 0)
			return res;
		if (node && api_get(cli, "StorageNode", node, &obj) == 0 &&
		    kube_condition_is(obj, "Ready", "True"))
			return 0;
		if (!node && api_list(cli, "StorageNode", NULL, NULL, &list) == 0)
			return 0;
		if (process_boot_ms() > end)
			break;
		cli->err = (struct err){0};
		progress_show(progress, node ? "the node to be ready" : "the API to answer", node,
			      0, 0);
		(void)api_pause(-1, LOOK_MS);
	}
	if (node)
		return err_set(&cli->err, -ETIMEDOUT,
			       "node %s is not ready after %d s; see: litepool node show %s", node,
			       cli->timeout_ms / 1000, node);
	return err_set(&cli->err, -ETIMEDOUT, "the API does not answer after %d s",
		       cli->timeout_ms / 1000);
}

static int ready_wait(struct cli *cli, const struct up_opts *opts, int n_parts, const char *node)
{
	struct progress progress;
	int res;

	progress_begin(&progress, cli);
	res = ready_look(cli, opts, n_parts, node, &progress);
	progress_end(&progress);
	return res;
}

static int pool_file(struct cli *cli, const struct up_opts *opts, const char *pool, char *path,
		     size_t size)
{
	if (opts->dir[0])
		(void)snprintf(path, size, "%s/pools/%s.img", opts->dir, pool);
	else
		(void)snprintf(path, size, POOLS_DIR "/%s.img", pool);
	if (!opts->dir[0] && mkdir(POOLS_DIR, 0700) < 0 && errno != EEXIST)
		return err_set(&cli->err, -errno, POOLS_DIR ": %s", strerror(errno));
	return 0;
}

/* The pool that was asked for, unless it is there; waits until it is healthy. */
static int pool_make(struct cli *cli, const struct up_opts *opts)
{
	const json_t *file = json_object_get(cli->values, "file");
	const char *device = cli_text(cli, "device"), *name = cli_text(cli, "pool");
	struct api_wait wait = {.kind = "StoragePool", .look = api_look_ready};
	_cleanup_json_ json_t *obj = NULL;
	char path[UP_PATH_MAX + 400], own[300];
	int res;

	if (!file && !device)
		return 0;
	(void)snprintf(own, sizeof(own), "%s-%s", opts->node, file ? "file" : "disk");
	name = name ? name : own;
	res = file ? pool_file(cli, opts, name, path, sizeof(path)) : 0;
	if (res < 0)
		return res;
	obj = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:{s:s}, s:O*}}", "apiVersion",
			"litepool.io/v1alpha1", "kind", "StoragePool", "metadata", "name", name,
			"spec", "nodeName", opts->node, "device", file ? "file" : "id",
			file ? path : device, "size", file);
	res = api_create(cli, "StoragePool", obj, NULL);
	if (res < 0 && res != -EEXIST)
		return res;
	cli->err = (struct err){0};
	wait.name = name;
	wait.what = "the pool to be healthy";
	res = api_wait(cli, &wait, NULL);
	if (res == 0)
		fprintf(cli->out, "pool %s on %s\n", name, file ? path : device);
	return res;
}

static void next_print(const struct cli *cli, const struct up_opts *opts)
{
	fprintf(cli->out, "\nNext:\n");
	if (opts->dir[0])
		fprintf(cli->out, "  export LITEPOOL_SERVER=%s LITEPOOL_ENGINE_SOCKET=%s\n",
			cli->server, cli->socket);
	if (!cli_given(cli, "file") && !cli_given(cli, "device"))
		fprintf(cli->out,
			"  litepool pool create NAME --node %s --device ID   (litepool "
			"preflight shows free disks)\n",
			opts->node);
	fprintf(cli->out,
		"  litepool volume create db-0 1G --wait\n"
		"  litepool volume list\n"
		"  litepool attach db-0        (as root, with nvme-tcp)\n"
		"  litepool down%s%s\n",
		opts->dir[0] ? " --no-systemd " : "", opts->dir);
	fflush(cli->out);
}

static int all_stop(const struct up_opts *opts, struct err *err)
{
	int res = 0;

	for (int part = UP_PARTS - 1; part >= 0 && res == 0; part--)
		res = up_local_stop(opts, (enum up_part)part, err);
	return res;
}

/* Stays, starts again what ends, and ends all at SIGINT or SIGTERM. */
static int supervise(struct cli *cli, const struct up_opts *opts, int cancel_fd)
{
	int res;

	while (api_pause(cancel_fd, SUPERVISE_MS))
		for (int part = 0; part < UP_PARTS; part++) {
			struct err err = {0};

			if (up_local_pid(opts, (enum up_part)part) > 0)
				continue;
			fprintf(stderr, "litepool: %s ended; it is started again\n",
				up_part_names[part]);
			if (up_local_start(opts, (enum up_part)part, &err) < 0)
				fprintf(stderr, "litepool: %s\n", err.text);
		}
	res = all_stop(opts, &cli->err);
	if (res == 0)
		fprintf(cli->out, "all is ended\n");
	return res;
}

/* Until the engine takes calls: its socket is there when it does. */
static int engine_wait(struct cli *cli, const struct up_opts *opts)
{
	uint64_t end = process_boot_ms() + (uint64_t)cli->timeout_ms;
	char line[400];

	while (access(engine_of, F_OK) < 0) {
		if (up_local_pid(opts, UP_ENGINE) == 0 || process_boot_ms() > end) {
			up_local_log(opts, UP_ENGINE, line, sizeof(line));
			return err_set(&cli->err, -EIO, "litepool-engine does not run: %s", line);
		}
		(void)api_pause(-1, LOOK_MS);
	}
	return 0;
}

/* The agent last, when what it looks for is there: its first look finds all. */
static int local_start(struct cli *cli, const struct up_opts *opts)
{
	int res = up_local_prepare(opts, &cli->err);

	if (res == 0)
		res = up_local_start(opts, UP_CONTROLLER, &cli->err);
	if (res == 0)
		res = up_local_start(opts, UP_ENGINE, &cli->err);
	if (res == 0)
		res = ready_wait(cli, opts, UP_AGENT, NULL);
	if (res == 0)
		res = engine_wait(cli, opts);
	return res == 0 ? up_local_start(opts, UP_AGENT, &cli->err) : res;
}

int cli_cmd_up(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	bool stay = cli_given(cli, "foreground");
	struct up_opts opts;
	int cancel_fd = -1, res = up_opts_take(cli, &opts);

	if (res == 0 && stay && !opts.dir[0])
		return err_set(&cli->err, -EINVAL, "--foreground goes with --no-systemd DIR");
	if (res == 0 && cli_given(cli, "file") && cli_given(cli, "device"))
		return err_set(&cli->err, -EINVAL, "give one of --file and --device");
	if (res == 0 && stay)
		res = api_wait_prepare(cli, &cancel_fd);
	if (res == 0)
		res = opts.dir[0] ? local_start(cli, &opts) : up_systemd_start(&opts, &cli->err);
	if (res == 0)
		res = ready_wait(cli, &opts, UP_PARTS, NULL);
	if (res == 0)
		res = ready_wait(cli, &opts, UP_PARTS, opts.node);
	if (res == 0)
		fprintf(cli->out, "node %s is ready\n", opts.node);
	if (res == 0)
		res = pool_make(cli, &opts);
	if (res == 0) {
		next_print(cli, &opts);
		res = stay ? supervise(cli, &opts, cancel_fd) : 0;
	} else if (stay) {
		struct err ignored = {0};

		(void)all_stop(&opts, &ignored);
	}
	if (cancel_fd >= 0)
		(void)close(cancel_fd);
	return res;
}

/* Volumes that are attached: their I/O would wait. */
static int attached_check(struct cli *cli)
{
	_cleanup_json_ json_t *volumes = NULL;
	const json_t *one;
	size_t i;

	/* Without an API there is nothing to ask, and ending is still wanted. */
	if (cli_given(cli, "force") || api_list(cli, "StorageVolume", NULL, NULL, &volumes) < 0) {
		cli->err = (struct err){0};
		return 0;
	}
	json_array_foreach (volumes, i, one)
		if (json_array_size(kube_at(one, "status.attachedNodes")) > 0)
			return err_set(&cli->err, -EBUSY,
				       "volume %s is attached to %s: its I/O would wait until "
				       "LitePool is up again. Detach it (litepool detach %s), or "
				       "say --force",
				       kube_name(one),
				       json_string_value(json_array_get(
					       kube_at(one, "status.attachedNodes"), 0)),
				       kube_name(one));
	return 0;
}

int cli_cmd_down(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct up_opts opts;
	int res = up_opts_take(cli, &opts);

	if (res == 0)
		res = attached_check(cli);
	if (res == 0)
		res = opts.dir[0] ? all_stop(&opts, &cli->err) : up_systemd_stop(&cli->err);
	if (res == 0)
		fprintf(cli->out, "all is ended; state and data stay%s%s\n",
			opts.dir[0] ? " in " : "", opts.dir);
	return res;
}
