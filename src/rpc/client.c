/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking client. One call at a time; an answer is matched by its id, and one without an id (the server could not make
 * out ours, or refuses us) is taken for ours. After a time-out or a broken stream the client is of no use any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "rpc/bytebuf.h"
#include "rpc/frame.h"
#include "rpc/request.h"
#include "rpc/rpc.h"
#include "rt/blocking.h"

#define ANSWER_MAX   ((size_t)256 << 20)
#define RECEIVE_SIZE ((size_t)65536)

struct rpc_client {
	int fd, timeout_ms;
	int64_t id; /* of the last call */
	int broken; /* negative errno; 0: usable */
	struct rpc_frame frame;
	struct bytebuf in;
	size_t scanned; /* bytes of in that the frame has seen */
	char path[128];
};

static int connect_failed(const char *path, int rc, struct err *err)
{
	switch (rc) {
	case -ENOENT:
		return err_set(err, rc,
			       "there is no socket %s: is the engine running, and is this "
			       "its --rpc-socket?",
			       path);
	case -ECONNREFUSED:
		return err_set(err, rc, "nobody listens at %s: the engine is not running", path);
	case -EACCES:
	case -EPERM:
		return err_set(err, rc,
			       "no permission to use %s: run this as root, or as the "
			       "engine's user",
			       path);
	case -ENAMETOOLONG:
		return err_set(err, rc, "%s is too long for the path of a unix socket", path);
	default:
		return err_set(err, rc, "cannot connect to %s: %s", path, strerror(-rc));
	}
}

int rpc_client_open(const char *path, int timeout_ms, struct rpc_client **ret, struct err *err)
{
	int fd = blocking_connect_unix(path, blocking_deadline(timeout_ms));
	struct rpc_client *c;

	if (fd < 0)
		return connect_failed(path, fd, err);
	c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close(fd);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->fd = fd;
	c->timeout_ms = timeout_ms;
	(void)str_copy(c->path, sizeof(c->path), path);
	rpc_frame_init(&c->frame, ANSWER_MAX);
	*ret = c;
	return 0;
}

void rpc_client_close(struct rpc_client *c)
{
	if (!c)
		return;
	(void)close(c->fd);
	bytebuf_fini(&c->in);
	free(c);
}

static int broken(struct rpc_client *c, int rc, struct err *err)
{
	/* Whether a closed peer shows as reset depends on what it had not read. */
	if (rc == -ECONNRESET)
		rc = -EPIPE;
	c->broken = rc;
	switch (rc) {
	case -ETIMEDOUT:
		return err_set(err, rc,
			       "no answer within %d ms from %s; what was asked for may "
			       "still be carried out",
			       c->timeout_ms, c->path);
	case -EPIPE:
		return err_set(err, rc, "the engine at %s closed the connection before it answered",
			       c->path);
	case -EPROTO:
		return err_set(err, rc, "what %s sent is not JSON-RPC 2.0", c->path);
	default:
		return err_set(err, rc, "the connection to %s failed: %s", c->path, strerror(-rc));
	}
}

/* The next JSON value of the stream, whole; NULL with err. */
static json_t *receive_value(struct rpc_client *c, int64_t deadline, struct err *err)
{
	size_t begin, end;

	for (;;) {
		enum rpc_frame_result result = RPC_FRAME_MORE;
		char *room;
		ssize_t n;

		if (c->scanned < c->in.len)
			result = rpc_frame_feed(&c->frame, bytebuf_head(&c->in) + c->scanned,
						c->in.len - c->scanned, &begin, &end);
		if (result == RPC_FRAME_VALUE) {
			size_t len = c->scanned + end;
			json_t *json = rpc_request_parse(bytebuf_head(&c->in), len, err);

			bytebuf_consume(&c->in, len);
			c->scanned = 0;
			if (!json)
				(void)broken(c, -EPROTO, err);
			return json;
		}
		c->scanned = c->in.len;
		room = bytebuf_reserve(&c->in, RECEIVE_SIZE);
		n = room ? blocking_recv(c->fd, room, RECEIVE_SIZE, deadline) : -ENOMEM;
		if (result != RPC_FRAME_MORE || n <= 0) {
			n = result != RPC_FRAME_MORE ? -EPROTO : n == 0 ? -EPIPE : n;
			(void)broken(c, (int)n, err);
			return NULL;
		}
		c->in.len += (size_t)n;
	}
}

static int send_request(struct rpc_client *c, const char *method, const json_t *params,
			int64_t deadline, struct err *err)
{
	_cleanup_json_ json_t *request = json_pack("{s:s, s:s, s:I}", "jsonrpc", "2.0", "method",
						   method, "id", (json_int_t)++c->id);
	_cleanup_free_ char *text = NULL;
	int rc;

	if (request && params)
		(void)json_object_set(request, "params", (json_t *)(uintptr_t)params);
	text = request ? json_text(request) : NULL;
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	rc = blocking_send(c->fd, text, strlen(text), deadline);
	/* A server that refuses us closes, but its answer says why and can still be received. */
	if (rc == -EPIPE || rc == -ECONNRESET)
		return 0;
	return rc < 0 ? broken(c, rc, err) : 0;
}

int rpc_client_call(struct rpc_client *c, const char *method, const json_t *params,
		    json_t **ret_result, struct err *err)
{
	int64_t deadline = blocking_deadline(c->timeout_ms);
	struct err own = {0};
	int rc;

	if (!err)
		err = &own;
	if (c->broken)
		return broken(c, c->broken, err);
	rc = send_request(c, method, params, deadline, err);
	while (rc == 0) {
		_cleanup_json_ json_t *json = receive_value(c, deadline, err);
		const json_t *id = json_object_get(json, "id");
		const json_t *result;

		if (!json)
			return err->code;
		if (json_is_integer(id) && json_integer_value(id) != c->id)
			continue;
		result = rpc_response_decode(json, err);
		if (!result)
			return err->code;
		if (ret_result)
			*ret_result = json_incref((json_t *)(uintptr_t)result);
		return 0;
	}
	return rc;
}
