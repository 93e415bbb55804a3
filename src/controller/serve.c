/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. One process a state directory: the lock is taken before anything else is touched.
 * 2. A store that was here and is gone is not taken for an empty one: agents would be told that nothing is declared any more. So the
 *    first start leaves the file "made" behind the store, and a start that finds it without a store ends.
 */
#include "controller/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apiserver/http.h"
#include "apiserver/store.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "rt/fs.h"
#include "rt/process.h"

struct serve {
	const struct controller_opts *opts;
	int lock_fd;
	struct store *store;
	struct http *http;
};

static struct http_config http_config(const struct controller_opts *opts, struct store *store)
{
	return (struct http_config){.store = store,
				    .unix_path = opts->socket,
				    .unix_group = opts->socket_group,
				    .tcp_host = opts->listen ? opts->host : NULL,
				    .tcp_port = opts->port,
				    .tls = opts->listen ? &opts->tls : NULL,
				    .users_path = opts->users};
}

int serve_check(const struct controller_opts *opts, struct err *err)
{
	struct http_config config = http_config(opts, NULL);

	return http_check(&config, err);
}

static int path_in(const char *dir, const char *name, char *path, struct err *err)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "--state-dir is too long");
	return 0;
}

static int lock_dir(struct serve *serve, struct err *err)
{
	const char *dir = serve->opts->state_dir;
	char path[PATH_MAX];
	int rc = fs_make_dir(dir, 0700, err);

	if (!rc)
		rc = path_in(dir, "lock", path, err);
	if (!rc)
		rc = fs_lock(path, &serve->lock_fd, err);
	return rc == -EBUSY ? err_set(err, rc,
				      "another litepool-controller uses the state directory %s; "
				      "stop it, "
				      "or choose another one with --state-dir",
				      dir)
			    : rc;
}

/* Invariant 2. The store's file is made, and synced with its folder, before the mark. */
static int open_store(struct serve *serve, struct err *err)
{
	const char *dir = serve->opts->state_dir;
	char path[PATH_MAX], mark[PATH_MAX];
	struct store_config config = {.path = path,
				      .max_bytes = serve->opts->store_max_bytes,
				      .history_keep = serve->opts->history,
				      .wall_ns = process_wall_ns};
	struct stat st;
	bool marked, there;
	int rc = path_in(dir, "api.db", path, err);

	if (!rc)
		rc = path_in(dir, "made", mark, err);
	if (rc)
		return rc;
	marked = access(mark, F_OK) == 0;
	there = stat(path, &st) == 0 && st.st_size > 0;
	if (marked && !there)
		return err_set(
			err, -ENODATA,
			"the API store %s was here and is %s: restore it from a backup; to begin "
			"with an empty one on purpose, remove %s",
			path, errno == ENOENT ? "gone" : "empty", mark);
	rc = store_open(&config, &serve->store, err);
	if (!rc && !marked)
		rc = fs_write_atomic(mark, "", 0, 0600, err);
	return rc;
}

int serve_start(const struct controller_opts *opts, struct serve **ret, struct err *err)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	struct http_config config;
	int rc;

	if (!serve)
		return err_set(err, -ENOMEM, "no memory for the API server");
	serve->opts = opts;
	serve->lock_fd = -1;
	rc = lock_dir(serve, err);
	if (!rc)
		rc = open_store(serve, err);
	config = http_config(opts, serve->store);
	if (!rc)
		rc = http_start(&config, &serve->http, err);
	if (rc) {
		serve_stop(serve);
		return rc;
	}
	if (opts->listen)
		log_info("controller.listens", "address=%s port=%" PRIu16 " client_ca=%s",
			 opts->host, http_port(serve->http),
			 opts->tls.client_ca ? opts->tls.client_ca : "none");
	log_info("controller.serves", "socket=%s state_dir=%s users=%s", opts->socket,
		 opts->state_dir, opts->users ? opts->users : "none");
	*ret = serve;
	return 0;
}

int serve_reload(struct serve *serve, struct err *err)
{
	return http_reload(serve->http, err);
}

void serve_stop(struct serve *serve)
{
	if (!serve)
		return;
	http_stop(serve->http);
	store_close(serve->store);
	if (serve->lock_fd >= 0)
		(void)close(serve->lock_fd);
	free(serve);
}
