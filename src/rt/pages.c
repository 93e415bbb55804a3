/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "rt/blocking.h"
#include "rt/listen.h"
#include "rt/lock.h"

#define REQUEST_MAX 4096
#define PATIENCE_MS 2000 /* for a request, and for its answer to be taken */
#define PATH_SIZE   256
#define ANSWER_MAX  (64u << 20) /* of one that is asked: metrics of all volumes */

struct pages {
	page_fn fn;
	void *ctx;
	int listen_fd, end_fd;
	unsigned port;
	char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": TCP */
	struct background *thread;
};

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "200 OK";
	case 404:
		return "404 Not Found";
	case 503:
		return "503 Service Unavailable";
	case 405:
		return "405 Method Not Allowed";
	default:
		return "400 Bad Request";
	}
}

/* The head of the request, at least its first line, NUL-terminated. */
static int read_head(const struct pages *pages, int fd, char *head, int64_t deadline)
{
	size_t len = 0;

	head[0] = 0;
	while (!strstr(head, "\r\n\r\n")) {
		ssize_t n;

		if (len == REQUEST_MAX - 1)
			return -E2BIG;
		if (blocking_wait_readable(fd, pages->end_fd, deadline))
			return -ETIMEDOUT;
		n = blocking_recv(fd, head + len, REQUEST_MAX - 1 - len, deadline);
		if (n <= 0)
			return -ECONNRESET;
		len += (size_t)n;
		head[len] = 0;
		if (memchr(head, 0, len))
			return -EBADMSG;
	}
	return 0;
}

/* "GET /path?query HTTP/1.1": 0 with the path, or the status to answer. */
static int parse(const char *head, char path[PATH_SIZE])
{
	const char *from = strchr(head, ' ');
	size_t len;

	if (!from || !strstr(head, " HTTP/1."))
		return 400;
	if (strncmp(head, "GET ", 4) != 0)
		return 405;
	len = strcspn(from + 1, " ?\r\n");
	if (!len || len >= PATH_SIZE || from[1] != '/')
		return 400;
	memcpy(path, from + 1, len);
	path[len] = 0;
	return 0;
}

static void answer(const struct pages *pages, int fd, const char *head, int64_t deadline)
{
	char path[PATH_SIZE], first[256];
	_cleanup_free_ char *body = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&body, &len);
	int status = parse(head, path), n;

	if (!out)
		return;
	if (!status)
		status = pages->fn(pages->ctx, path, out);
	else
		(void)fputs("GET /path HTTP/1.1 is what is understood here\n", out);
	if (fclose(out))
		return;
	n = snprintf(first, sizeof(first),
		     "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
		     "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		     status_text(status), len);
	/* A client that does not take its page is no affair of ours. */
	if (n > 0 && !blocking_send(fd, first, (size_t)n, deadline))
		(void)blocking_send(fd, body, len, deadline);
}

static int serve_one(void *ctx)
{
	const struct pages *pages = ctx;
	char head[REQUEST_MAX];
	int64_t deadline;
	int fd;

	if (blocking_wait_readable(pages->listen_fd, pages->end_fd, blocking_deadline(-1)))
		return -1; /* it ends */
	fd = accept4(pages->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? PATIENCE_MS : 0;
	deadline = blocking_deadline(PATIENCE_MS);
	if (!read_head(pages, fd, head, deadline))
		answer(pages, fd, head, deadline);
	(void)close(fd);
	return 0;
}

/* "unix:/path", "127.0.0.1:9100", "[::1]:9100" */
static int parse_address(const char *text, struct pages *pages, struct sock_addr *ret,
			 struct err *err)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	uint64_t port = 0;
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool bracket = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (!strncmp(text, "unix:", 5)) {
		if (!str_copy(pages->unix_path, sizeof(pages->unix_path), text + 5) ||
		    sock_addr_unix(text + 5, ret))
			return err_set(err, -ENAMETOOLONG, "%s: the path is too long for a socket",
				       text);
		return 0;
	}
	if (len < sizeof(host))
		memcpy(host, text + bracket, len - (bracket ? 2 : 0));
	if (!colon || !str_to_u64(colon + 1, 0, UINT16_MAX, &port) ||
	    sock_addr_ip(host, (uint16_t)port, ret))
		return err_set(err, -EINVAL,
			       "%s: expected unix:/PATH or a loopback address and a port, "
			       "such as 127.0.0.1:9460",
			       text);
	if (!listen_is_loopback(ret))
		return err_set(
			err, -EPERM,
			"%s: these pages have neither TLS nor passwords, and so are served at "
			"a loopback address or a unix socket only",
			text);
	return 0;
}

static int open_listener(struct pages *pages, const char *address, struct err *err)
{
	struct sock_addr addr, bound;
	char host[SOCK_ADDR_TEXT];
	uint16_t port = 0;
	int rc = parse_address(address, pages, &addr, err);

	if (!rc)
		rc = listen_open(&addr, 16, &pages->listen_fd, err);
	if (!rc && !listen_address(pages->listen_fd, &bound) && sock_addr_host(&bound, host, &port))
		pages->port = port;
	return rc;
}

int pages_start(const char *address, page_fn fn, void *ctx, struct pages **ret, struct err *err)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	int rc;

	if (!pages)
		return err_set(err, -ENOMEM, "no memory for pages");
	pages->fn = fn;
	pages->ctx = ctx;
	pages->listen_fd = -1;
	pages->end_fd = eventfd(0, EFD_CLOEXEC);
	rc = pages->end_fd < 0 ? err_set(err, -errno, "no descriptor for pages") : 0;
	if (!rc)
		rc = open_listener(pages, address, err);
	if (!rc)
		rc = background_new(serve_one, pages, &pages->thread, err);
	if (rc) {
		pages_stop(pages);
		return rc;
	}
	*ret = pages;
	return 0;
}

unsigned pages_port(const struct pages *pages)
{
	return pages->port;
}

void pages_stop(struct pages *pages)
{
	uint64_t one = 1;

	if (!pages)
		return;
	if (pages->end_fd >= 0)
		(void)!write(pages->end_fd, &one, sizeof(one)); /* an eventfd takes it */
	background_free(pages->thread);
	if (pages->listen_fd >= 0) {
		(void)close(pages->listen_fd);
		if (pages->unix_path[0])
			(void)unlink(pages->unix_path);
	}
	if (pages->end_fd >= 0)
		(void)close(pages->end_fd);
	free(pages);
}

/* ---- asking ---- */

/* A descriptor. */
static int dial(const char *address, int64_t deadline, struct err *err)
{
	struct pages where = {.unix_path = ""};
	char host[SOCK_ADDR_TEXT];
	struct sock_addr addr;
	uint16_t port = 0;
	int rc = parse_address(address, &where, &addr, err);

	if (rc)
		return rc;
	if (where.unix_path[0])
		rc = blocking_connect_unix(where.unix_path, deadline);
	else
		rc = sock_addr_host(&addr, host, &port)
			     ? blocking_connect_tcp(host, port, NULL, -1, deadline)
			     : -EINVAL;
	return rc >= 0 ? rc : err_set(err, rc, "nobody serves %s: %s", address, strerror(-rc));
}

/* Until the other side closes; NUL-terminated. */
static int read_answer(int fd, int64_t deadline, char **ret, size_t *ret_len)
{
	char piece[4096];
	size_t len = 0;
	FILE *all = open_memstream(ret, ret_len);
	ssize_t n;

	if (!all)
		return -ENOMEM;
	while ((n = blocking_recv(fd, piece, sizeof(piece), deadline)) > 0 && len < ANSWER_MAX) {
		len += (size_t)n;
		if (fwrite(piece, 1, (size_t)n, all) != (size_t)n)
			n = -ENOMEM;
	}
	if (n > 0)
		n = -E2BIG;
	return fclose(all) ? -ENOMEM : (int)n;
}

/* "HTTP/1.1 200 OK" to 200; else -EPROTO. */
static int status_of(const char *head)
{
	char number[4] = "";
	uint64_t status;

	if (strncmp(head, "HTTP/1.1 ", 9) != 0 || strlen(head) < 12)
		return -EPROTO;
	memcpy(number, head + 9, 3);
	return str_to_u64(number, 100, 999, &status) ? (int)status : -EPROTO;
}

int pages_ask(const char *address, const char *path, int timeout_ms, FILE *out, struct err *err)
{
	int64_t deadline = blocking_deadline(timeout_ms);
	_cleanup_free_ char *got = NULL;
	char request[PATH_SIZE + 64];
	_cleanup_close_ int fd = -1;
	const char *body;
	size_t len = 0;
	int rc;

	if (path[0] != '/' || strlen(path) >= PATH_SIZE)
		return err_set(err, -EINVAL, "%s: expected a path such as /healthz", path);
	fd = dial(address, deadline, err);
	if (fd < 0)
		return fd;
	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
		       path);
	rc = blocking_send(fd, request, strlen(request), deadline);
	if (!rc)
		rc = read_answer(fd, deadline, &got, &len);
	if (!rc)
		rc = status_of(got);
	body = rc > 0 ? strstr(got, "\r\n\r\n") : NULL;
	if (!body)
		return err_set(err, rc < 0 ? rc : -EPROTO, "%s gives no answer to %s: %s", address,
			       path, strerror(rc < 0 ? -rc : EPROTO));
	(void)fputs(body + 4, out);
	return rc;
}
