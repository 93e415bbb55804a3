/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: its sockets, start, reload, stop, and the thread that does what can be done later. */
#include "apiserver/http.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apiserver/http_priv.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "rt/listen.h"
#include "rt/lock.h"
#include "rt/process.h"

#define BACKLOG   1024
#define TICK_MS   1000
#define CLOSED_MS 5000 /* between two looks for watches whose clients have gone */
#define DEAD_S    60   /* a silent TCP peer that does not answer probes */

static void random_bytes(void *buf, size_t len)
{
	/* At most 16 bytes are asked for: such a call is never cut short once the kernel's pool is ready. */
	ASSERT(getrandom(buf, len, 0) == (ssize_t)len);
}

static void http_changed(void *ctx)
{
	struct http *http = ctx;
	struct background *background;

	lock_take(http->lock);
	watch_wake_behind(http);
	background = http->background;
	lock_drop(http->lock);
	if (background)
		background_kick(background);
}

static int background_run(void *ctx)
{
	struct http *http = ctx;
	bool more = api_work(http->api);
	uint64_t now_ms = process_boot_ms();

	lock_take(http->lock);
	watch_wake(http, process_wall_ns());
	conn_cut_slow(http, now_ms);
	if (now_ms >= http->looked_ms + CLOSED_MS) {
		http->looked_ms = now_ms;
		watch_end_closed(http);
	}
	lock_drop(http->lock);
	return more ? 0 : TICK_MS;
}

/* ---- start ---- */

static int load(const struct http_config *config, struct users **ret_users,
		struct tls_files *ret_tls, struct err *err)
{
	uint64_t end_ns, now_ns = process_wall_ns();
	int rc = 0;

	if (config->users_path)
		rc = users_load(config->users_path, ret_users, err);
	if (rc || !config->tls)
		return rc;
	rc = tls_load(config->tls, now_ns, ret_tls, err);
	if (!rc && !tls_cert_end(ret_tls, &end_ns) &&
	    end_ns < now_ns + (uint64_t)30 * 86400 * NSEC_PER_SEC)
		log_warn("api.cert_ends", "file=%s days=%u", config->tls->cert,
			 (unsigned)((end_ns - now_ns) / NSEC_PER_SEC / 86400));
	return rc;
}

static int check_config(const struct http_config *config, struct sock_addr *ret_tcp,
			struct err *err)
{
	struct sock_addr addr;

	if (config->unix_path && sock_addr_unix(config->unix_path, &addr))
		return err_set(err, -EINVAL,
			       "'%s' is no path for a unix socket (107 bytes at most)",
			       config->unix_path);
	if (config->unix_group && !getgrnam(config->unix_group))
		return err_set(err, -ENOENT, "there is no group '%s'", config->unix_group);
	if (!config->tcp_host)
		return 0;
	if (sock_addr_ip(config->tcp_host, config->tcp_port, ret_tcp))
		return err_set(err, -EINVAL, "'%s' is no IP address", config->tcp_host);
	if (!config->tls && !listen_is_loopback(ret_tcp))
		return err_set(err, -EPERM,
			       "without TLS the API may not listen at %s, which others can reach: "
			       "give it a certificate and a key, or use the unix socket",
			       config->tcp_host);
	return 0;
}

int http_check(const struct http_config *config, struct err *err)
{
	struct tls_files tls = {NULL};
	struct users *users = NULL;
	struct sock_addr addr;
	int rc = check_config(config, &addr, err);

	if (!rc)
		rc = load(config, &users, &tls, err);
	users_free(users);
	tls_files_fini(&tls);
	return rc;
}

static int open_to_group(const char *path, const char *name, struct err *err)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return err_set(err, -ENOENT, "there is no group '%s'", name);
	/* The mode after the group: it is never open to a group that is not meant. */
	if (chown(path, (uid_t)-1, group->gr_gid) < 0 || chmod(path, 0660) < 0)
		return err_set(err, -errno, "cannot give the socket %s to the group '%s': %s", path,
			       name, strerror(errno));
	return 0;
}

static int start_unix(struct http *http, struct err *err)
{
	const char *path = http->config.unix_path;
	struct sock_addr addr;
	int rc = sock_addr_unix(path, &addr);

	ASSERT(!rc);
	rc = listen_open(&addr, BACKLOG, &http->unix_fd, err);
	if (rc)
		return rc;
	http->unix_bound = true;
	if (http->config.unix_group)
		rc = open_to_group(path, http->config.unix_group, err);
	return rc ? rc : front_start(http, FRONT_UNIX, http->unix_fd, NULL, &http->unix_front, err);
}

static enum front_kind tcp_kind(const struct http *http)
{
	return http->config.tls ? FRONT_TLS : FRONT_TRUSTED;
}

static int start_tcp(struct http *http, const struct sock_addr *asked, const struct tls_files *tls,
		     struct err *err)
{
	char text[SOCK_ADDR_TEXT];
	struct sock_addr addr;
	int rc = listen_open(asked, BACKLOG, &http->tcp_fd, err);

	if (rc)
		return rc;
	(void)listen_probe_peers(http->tcp_fd, DEAD_S); /* without it dead peers stay longer */
	if (listen_address(http->tcp_fd, &addr) || !sock_addr_host(&addr, text, &http->port))
		return err_set(err, -EIO, "cannot tell the port");
	return front_start(http, tcp_kind(http), http->tcp_fd, tls, &http->tcp_front, err);
}

static int start_background(struct http *http, struct err *err)
{
	struct background *background;
	int rc = background_new(background_run, http, &background, err);

	if (rc)
		return rc;
	lock_take(http->lock);
	http->background = background;
	lock_drop(http->lock);
	return 0;
}

static int start_all(struct http *http, struct err *err)
{
	struct api_config api = {.store = http->config.store,
				 .wall_ns = process_wall_ns,
				 .random_bytes = random_bytes,
				 .changed = http_changed,
				 .changed_ctx = http};
	struct tls_files tls = {NULL};
	struct sock_addr addr;
	int rc = check_config(&http->config, &addr, err);

	if (!rc)
		rc = load(&http->config, &http->users, &tls, err);
	if (!rc)
		rc = api_new(&api, &http->api, err);
	if (!rc)
		rc = start_background(http, err);
	if (!rc && http->config.unix_path)
		rc = start_unix(http, err);
	if (!rc && http->config.tcp_host)
		rc = start_tcp(http, &addr, &tls, err);
	tls_files_fini(&tls);
	return rc;
}

int http_start(const struct http_config *config, struct http **ret, struct err *err)
{
	struct http *http = calloc(1, sizeof(*http));
	int rc;

	ASSERT(config->unix_path || config->tcp_host);
	if (!http || lock_new(&http->lock)) {
		free(http);
		return err_set(err, -ENOMEM, "no memory for the API server");
	}
	http->config = *config;
	http->unix_fd = -1;
	http->tcp_fd = -1;
	list_init(&http->suspended);
	list_init(&http->conns);
	rc = start_all(http, err);
	if (rc) {
		http_stop(http);
		return rc;
	}
	*ret = http;
	return 0;
}

uint16_t http_port(const struct http *http)
{
	return http->port;
}

/* ---- reload and stop ---- */

void front_stop(struct front *front)
{
	int fd;

	if (!front)
		return;
	/* First out of the listening: to stop a daemon that listens would shut the socket down for its successor, too. */
	fd = MHD_quiesce_daemon(front->daemon);
	lock_take(front->http->lock);
	watch_end_front(front);
	lock_drop(front->http->lock);
	MHD_stop_daemon(front->daemon);
	/* Not before: its threads take the socket out of their epoll sets when they wake up, and abort when it is gone. */
	if (fd >= 0)
		(void)close(fd);
	free(front);
}

static int new_fronts(struct http *http, const struct tls_files *tls, struct front **ret_unix,
		      struct front **ret_tcp, struct err *err)
{
	int rc = 0;

	if (http->unix_front)
		rc = front_start(http, FRONT_UNIX, http->unix_fd, NULL, ret_unix, err);
	if (!rc && http->tcp_front)
		rc = front_start(http, tcp_kind(http), http->tcp_fd, tls, ret_tcp, err);
	return rc;
}

static struct users *swap_users(struct http *http, struct users *users)
{
	struct users *old;

	lock_take(http->lock);
	old = http->users;
	http->users = users;
	lock_drop(http->lock);
	return old;
}

/* The new users come first: whoever connects to a new front is asked by them, and the old fronts end with all that they let in. */
int http_reload(struct http *http, struct err *err)
{
	struct front *unix_front = NULL, *tcp_front = NULL, *old_unix, *old_tcp;
	struct tls_files tls = {NULL};
	struct users *users = NULL;
	int rc = load(&http->config, &users, &tls, err);

	if (rc) {
		users_free(users);
		return rc;
	}
	users = swap_users(http, users);
	rc = new_fronts(http, &tls, &unix_front, &tcp_front, err);
	tls_files_fini(&tls);
	if (rc) {
		users = swap_users(http, users);
		front_stop(unix_front);
		front_stop(tcp_front);
		users_free(users);
		return rc;
	}
	old_unix = http->unix_front;
	old_tcp = http->tcp_front;
	http->unix_front = unix_front;
	http->tcp_front = tcp_front;
	front_stop(old_unix);
	front_stop(old_tcp);
	users_free(users);
	return 0;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	front_stop(http->unix_front);
	front_stop(http->tcp_front);
	background_free(http->background);
	if (http->unix_bound)
		(void)unlink(http->config.unix_path);
	if (http->unix_fd >= 0)
		(void)close(http->unix_fd);
	if (http->tcp_fd >= 0)
		(void)close(http->tcp_fd);
	api_free(http->api);
	users_free(http->users);
	lock_free(http->lock);
	free(http);
}
