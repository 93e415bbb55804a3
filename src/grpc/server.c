/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, threads and the end of a server.
 *
 * Invariants:
 *  1. HTTP/2 sessions are touched by the loop thread alone; a worker reaches it by posting its call's task.
 *  2. What a connection has to send is made only when the socket has taken what was made before: a client that does not read costs one frame.
 *  3. n_peers and n_running are what a drain waits for; both are under the lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/str.h"
#include "grpc/conn.h"
#include "rt/listen.h"

#define READ_BYTES       ((size_t)65536)
#define PREFACE_LIMIT_NS (10 * NSEC_PER_SEC)
#define STALL_LIMIT_NS   (60 * NSEC_PER_SEC)
#define LINGER_LIMIT_NS  (2 * NSEC_PER_SEC)

struct peer {
	struct grpc_server *server;
	struct list link; /* grpc_server.peers */
	struct evloop_fd watch;
	struct evloop_timer patience; /* preface, then a socket that takes nothing, then the end */
	struct grpc_conn *conn;
	uint8_t *pending; /* output that the socket did not take */
	size_t pending_len, pending_at, pending_size;
	bool broken;
	bool lingering; /* all is sent; waits for the client to close, see linger() */
};

struct grpc_server {
	struct grpc_server_config config;
	struct call_env env;
	char path[108];
	struct evloop *loop;
	struct worker_pool *pool;
	struct evloop_fd listener;
	struct evloop_task begin, draining, closing;
	struct list peers;
	uint8_t buf[READ_BYTES];

	struct lock *lock; /* protects what follows; a drain waits on it */
	unsigned n_peers, n_running;
	bool drain_seen;
};

static void peer_free(struct peer *peer)
{
	struct grpc_server *server = peer->server;

	evloop_unwatch(server->loop, &peer->watch);
	evloop_timer_stop(&peer->patience);
	(void)close(peer->watch.fd);
	conn_free(peer->conn);
	list_remove(&peer->link);
	free(peer->pending);
	free(peer);
	lock_take(server->lock);
	server->n_peers--;
	lock_wake(server->lock);
	lock_drop(server->lock);
}

static bool send_pending(struct peer *peer)
{
	while (peer->pending_at < peer->pending_len) {
		ssize_t n = evloop_send(peer->watch.fd, peer->pending + peer->pending_at,
					peer->pending_len - peer->pending_at);

		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return false;
		peer->pending_at += (size_t)n;
	}
	peer->pending_at = peer->pending_len = 0;
	return true;
}

/* Copies aside what the socket did not take; a frame at most. */
static bool keep_pending(struct peer *peer, const uint8_t *data, size_t len)
{
	if (len > peer->pending_size) {
		uint8_t *grown = realloc(peer->pending, len);

		if (!grown)
			return false;
		peer->pending = grown;
		peer->pending_size = len;
	}
	memcpy(peer->pending, data, len);
	peer->pending_len = len;
	peer->pending_at = 0;
	return true;
}

static bool send_output(struct peer *peer)
{
	while (peer->pending_len == 0) {
		const uint8_t *data;
		ssize_t len = conn_output(peer->conn, &data), n;

		if (len <= 0)
			return len == 0;
		n = evloop_send(peer->watch.fd, data, (size_t)len);
		if (n < 0 && n != -EAGAIN)
			return false;
		n = MAX(n, 0);
		if (n < len && !keep_pending(peer, data + n, (size_t)(len - n)))
			return false;
	}
	return true;
}

/*
 * All is sent. A close now would break the pipe under a client that still acknowledges what it reads (WINDOW_UPDATE), and gRPC's client then
 * drops answers that it has not read yet: so only our half ends, and the rest waits for the client, not for long.
 */
static void linger(struct peer *peer)
{
	struct evloop *loop = peer->server->loop;

	evloop_end_sending(peer->watch.fd);
	peer->lingering = true;
	evloop_want(loop, &peer->watch, true, false);
	evloop_timer_set(loop, &peer->patience, evloop_now_ns() + LINGER_LIMIT_NS);
}

/* Sends what there is and ends the connection when that is all. peer may be gone afterwards. */
static void peer_flush(struct peer *peer)
{
	bool stuck = peer->pending_len != 0;

	if (peer->lingering)
		return;
	if (peer->broken || !send_pending(peer) || !send_output(peer)) {
		peer_free(peer);
		return;
	}
	if (peer->pending_len == 0 && conn_done(peer->conn)) {
		linger(peer);
		return;
	}
	evloop_want(peer->server->loop, &peer->watch, true, peer->pending_len != 0);
	if (peer->pending_len == 0 && peer->conn->preface_seen)
		evloop_timer_stop(&peer->patience);
	else if (peer->pending_len && !stuck)
		evloop_timer_set(peer->server->loop, &peer->patience,
				 evloop_now_ns() + STALL_LIMIT_NS);
}

static void peer_ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct peer *peer = container_of(watch, struct peer, watch);
	struct grpc_server *server = peer->server;

	if (readable) {
		ssize_t n = evloop_recv(watch->fd, server->buf, sizeof(server->buf));

		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			peer_free(peer);
			return;
		}
		/* After a protocol error nghttp2 still has a GOAWAY to send. */
		if (n > 0 && !peer->lingering &&
		    conn_feed(peer->conn, server->buf, (size_t)n) < 0) {
			(void)send_output(peer);
			peer->broken = true;
		}
	}
	peer_flush(peer);
}

static void peer_impatient(struct evloop_timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, patience);

	if (!peer->lingering)
		log_limited(LOG_LEVEL_WARN, "grpc.peer.closed", "reason=\"%s\"",
			    peer->conn->preface_seen ? "it does not read its answers"
						     : "it sent no HTTP/2 preface");
	peer_free(peer);
}

static void peer_add(struct grpc_server *server, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer || conn_new(&server->env, peer, &peer->conn) < 0) {
		free(peer);
		(void)close(fd);
		return;
	}
	peer->server = server;
	peer->watch.fd = fd;
	peer->watch.ready = peer_ready;
	peer->patience.fire = peer_impatient;
	list_push_back(&server->peers, &peer->link);
	lock_take(server->lock);
	server->n_peers++;
	lock_drop(server->lock);
	if (evloop_watch(server->loop, &peer->watch, true, false) < 0) {
		peer_free(peer);
		return;
	}
	evloop_timer_set(server->loop, &peer->patience, evloop_now_ns() + PREFACE_LIMIT_NS);
	peer_flush(peer);
}

static void accept_ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct grpc_server *server = container_of(watch, struct grpc_server, listener);
	int fd = evloop_accept(watch->fd);

	if (fd < 0)
		return;
	if (server->n_peers >= server->config.connections_max) {
		log_limited(LOG_LEVEL_WARN, "grpc.peer.refused",
			    "reason=\"%u connections are open\"", server->n_peers);
		(void)close(fd);
		return;
	}
	peer_add(server, fd);
}

static void task_begin(struct evloop_task *task)
{
	struct grpc_server *server = container_of(task, struct grpc_server, begin);
	int rc = evloop_watch(server->loop, &server->listener, true, false);

	if (rc < 0)
		log_error("grpc.listen_failed", "reason=\"%s\"", strerror(-rc));
}

static void listener_close(struct grpc_server *server)
{
	if (server->listener.fd < 0)
		return;
	evloop_unwatch(server->loop, &server->listener);
	(void)close(server->listener.fd);
	server->listener.fd = -1;
	(void)unlink(server->path); /* the next to listen takes over what is left */
}

static void task_drain(struct evloop_task *task)
{
	struct grpc_server *server = container_of(task, struct grpc_server, draining);

	listener_close(server);
	list_for_each_safe (it, &server->peers) {
		struct peer *peer = list_entry(it, struct peer, link);

		conn_shutdown(peer->conn);
		peer_flush(peer);
	}
	lock_take(server->lock);
	server->drain_seen = true;
	lock_wake(server->lock);
	lock_drop(server->lock);
}

static void task_close(struct evloop_task *task)
{
	struct grpc_server *server = container_of(task, struct grpc_server, closing);

	listener_close(server);
	list_for_each_safe (it, &server->peers)
		peer_free(list_entry(it, struct peer, link));
}

/* ---- calls ---- */

static void running_ends(struct grpc_server *server)
{
	lock_take(server->lock);
	server->n_running--;
	lock_wake(server->lock);
	lock_drop(server->lock);
}

static void work_run(struct work *work)
{
	struct grpc_call *call = container_of(work, struct grpc_call, work);
	struct grpc_server *server = call->env->owner;

	call_run(call);
	running_ends(server);
}

static void env_run(void *owner, struct grpc_call *call)
{
	struct grpc_server *server = owner;

	lock_take(server->lock);
	server->n_running++;
	lock_drop(server->lock);
	call->work.run = work_run;
	if (call->method->inline_call)
		work_run(&call->work);
	else
		worker_submit_alone(server->pool, &call->work);
}

static void tell_end(struct grpc_server *server, const struct grpc_call *call)
{
	struct grpc_call_info info = {.path = call->path,
				      .code = call->code,
				      .message = call->message,
				      .took_ns = evloop_now_ns() - call->start_ns};

	if (server->config.ended)
		server->config.ended(server->config.ctx, &info);
}

static void task_wake(struct evloop_task *task)
{
	struct grpc_call *call = container_of(task, struct grpc_call, task);
	struct peer *peer = call->conn ? call->conn->io : NULL;
	bool told = call->told;

	conn_call_progress(call);
	if (!told && call->told)
		tell_end(call->env->owner, call);
	if (peer)
		peer_flush(peer);
	call_unref(call);
}

static void env_wake(void *owner, struct grpc_call *call)
{
	struct grpc_server *server = owner;

	call->task.run = task_wake;
	evloop_post(server->loop, &call->task);
}

static void deadline_fire(struct evloop_timer *timer)
{
	conn_call_expired(container_of(timer, struct grpc_call, timer));
}

static void env_arm(void *owner, struct grpc_call *call)
{
	struct grpc_server *server = owner;

	call->timer.fire = deadline_fire;
	evloop_timer_set(server->loop, &call->timer, call->deadline_ns);
}

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

static void config_fill(struct grpc_server_config *config)
{
	config->workers = or_default(config->workers, 32);
	config->message_max = or_default(config->message_max, (uint32_t)(4 * MIB));
	config->buffered_max = or_default(config->buffered_max, (uint32_t)(16 * MIB));
	config->unpacked_max = or_default(config->unpacked_max, (uint32_t)(64 * MIB));
	config->streams_max = or_default(config->streams_max, 128);
	config->connections_max = or_default(config->connections_max, 64);
}

static int open_all(struct grpc_server *server, const char *path, struct err *err)
{
	struct sock_addr addr;
	int rc;

	if (!str_copy(server->path, sizeof(server->path), path) || sock_addr_unix(path, &addr) < 0)
		return err_set(err, -ENAMETOOLONG,
			       "the socket path %s is longer than a unix socket's may be (107 "
			       "bytes); choose a shorter one",
			       path);
	if (lock_new(&server->lock) < 0)
		return err_set(err, -ENOMEM, "no memory for a gRPC server");
	rc = worker_pool_new(server->config.workers, &server->pool, err);
	if (!rc)
		rc = evloop_new("grpc", &server->loop, err);
	if (!rc)
		rc = listen_open(&addr, 64, &server->listener.fd, err);
	return rc;
}

static void discard(struct grpc_server *server)
{
	worker_pool_free(server->pool);
	evloop_free(server->loop);
	lock_free(server->lock);
	free(server);
}

int grpc_server_start(const struct grpc_server_config *config, struct grpc_server **ret,
		      struct err *err)
{
	struct grpc_server *server = calloc(1, sizeof(*server));
	int rc;

	if (!server)
		return err_set(err, -ENOMEM, "no memory for a gRPC server");
	server->config = *config;
	config_fill(&server->config);
	server->env = (struct call_env){&server->config, server, env_run, env_wake, env_arm};
	server->listener.fd = -1;
	server->listener.ready = accept_ready;
	list_init(&server->peers);
	rc = open_all(server, config->socket_path, err);
	if (rc < 0) {
		discard(server);
		return rc;
	}
	server->begin.run = task_begin;
	evloop_post(server->loop, &server->begin);
	*ret = server;
	return 0;
}

static bool drained(const struct grpc_server *server)
{
	return server->drain_seen && server->n_peers == 0 && server->n_running == 0;
}

int grpc_server_drain(struct grpc_server *server, int timeout_ms)
{
	uint64_t end = evloop_now_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	bool done;

	server->draining.run = task_drain;
	evloop_post(server->loop, &server->draining);
	lock_take(server->lock);
	for (;;) {
		uint64_t now = evloop_now_ns();

		done = drained(server);
		if (done || now >= end)
			break;
		lock_wait(server->lock, (int)((end - now) / NSEC_PER_MSEC) + 1);
	}
	lock_drop(server->lock);
	return done ? 0 : -ETIMEDOUT;
}

void grpc_server_free(struct grpc_server *server)
{
	if (!server)
		return;
	server->closing.run = task_close;
	evloop_post(server->loop, &server->closing);
	/* The handlers end while the loop still runs: their last wakes need it. */
	worker_pool_free(server->pool);
	server->pool = NULL;
	discard(server);
}
