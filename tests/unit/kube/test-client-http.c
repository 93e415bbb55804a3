/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client over a unix socket, against a server that misbehaves: slow, cut in the middle, overloaded, tokens that change. Its answer depends on
 * the name that is asked for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kube/client_http.h"
#include "kube/informer.h"
#include "kube/meta.h"
#include "rt/fs.h"
#include "rt/lock.h"

#define CONNECTIONS 64
#define EVENT(type, name, version)                                                                 \
	"{\"type\":\"" type                                                                        \
	"\",\"object\":{\"kind\":\"StorageVolume\",\"metadata\":{\"name\":\"" name                 \
	"\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" version "\"}}}\n"
#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"

struct server {
	char dir[64], path[96], address[104], token[96];
	int fd;
	pthread_t thread, threads[CONNECTIONS];
	int fds[CONNECTIONS];
	_Atomic int n;
	_Atomic int watches, lists;
};

static void reply(int fd, const char *head, const char *body)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head,
			   strlen(body), body);

	(void)!send(fd, text, (size_t)len, MSG_NOSIGNAL);
}

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void hang(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	(void)poll(&p, 1, 30000);
}

/* The first watch is cut in the middle of a line, the second is too old, those after the second list stay. */
static void answer_watch(struct server *s, int fd)
{
	int n = ++s->watches;

	say(fd, STREAM);
	if (n == 1) {
		say(fd, EVENT("ADDED", "b", "11") EVENT("DELETED", "a", "12") "{\"type\":\"DELE");
	} else if (n == 2) {
		say(fd, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
			"\"reason\":\"Expired\"}}\n");
	} else {
		say(fd, EVENT("BOOKMARK", "", "30") EVENT("ADDED", "d", "31"));
		hang(fd);
	}
}

static void answer_list(struct server *s, int fd)
{
	static const char *const lists[] = {"{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":["
					    "{\"metadata\":{\"name\":\"a\","
					    "\"uid\":\"u-a\",\"resourceVersion\":\"5\"}}]}",
					    "{\"metadata\":{\"resourceVersion\":\"20\"},\"items\":["
					    "{\"metadata\":{\"name\":\"c\","
					    "\"uid\":\"u-c\",\"resourceVersion\":\"15\"}}]}"};

	reply(fd, "200 OK", lists[s->lists++ ? 1 : 0]);
}

/* False: the connection is to be closed. */
static bool answer(struct server *s, int fd, const char *head)
{
	if (strstr(head, "watch=1")) {
		answer_watch(s, fd);
		return false;
	}
	if (strstr(head, "/slow")) {
		hang(fd);
		return false;
	}
	if (strstr(head, "/cut")) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":");
		return false;
	}
	if (strstr(head, "/busy"))
		reply(fd, "429 Too Many Requests\r\nRetry-After: 3", "slow down");
	else if (strstr(head, "/auth") && !strstr(head, "Authorization: Bearer new\r\n"))
		reply(fd, "401 Unauthorized", "{\"kind\":\"Status\",\"reason\":\"Unauthorized\"}");
	else if (strstr(head, "storagevolumes?"))
		answer_list(s, fd);
	else
		reply(fd, "200 OK", "{\"kind\":\"StorageVolume\",\"metadata\":{\"name\":\"x\"}}");
	return true;
}

struct connection {
	struct server *server;
	int fd;
};

static void *serve_one(void *arg)
{
	struct connection c = *(struct connection *)arg;
	char head[4096];
	size_t len = 0;

	free(arg);
	for (;;) {
		ssize_t n = recv(c.fd, head + len, sizeof(head) - 1 - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
		head[len] = 0;
		if (!strstr(head, "\r\n\r\n"))
			continue;
		len = 0;
		if (!answer(c.server, c.fd, head))
			break;
	}
	(void)shutdown(c.fd, SHUT_RDWR);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct connection *c = malloc(sizeof(*c));
		int at = s->n;

		assert_non_null(c);
		assert_true(at < CONNECTIONS);
		*c = (struct connection){s, fd};
		s->fds[at] = fd;
		assert_int_equal(pthread_create(&s->threads[at], NULL, serve_one, c), 0);
		s->n = at + 1;
	}
	return NULL;
}

static void server_start(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memset(s, 0, sizeof(*s));
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/litepool-http.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
	(void)snprintf(s->token, sizeof(s->token), "%s/token", s->dir);
	(void)snprintf(s->address, sizeof(s->address), "unix:%s", s->path);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->fd);
	for (int i = 0; i < s->n; i++) {
		(void)shutdown(s->fds[i], SHUT_RDWR);
		(void)pthread_join(s->threads[i], NULL);
		(void)close(s->fds[i]);
	}
	(void)unlink(s->path);
	(void)unlink(s->token);
	assert_int_equal(rmdir(s->dir), 0);
}

static struct kube_client *connect_to(const struct server *s, bool with_token)
{
	_cleanup_kube_config_ struct kube_config config = {0};
	const struct kube_http_options options = {.timeout_ms = 20000};
	struct kube_client *client = NULL;
	struct err err = {0};

	assert_int_equal(kube_config_server(s->address, &config, &err), 0);
	if (with_token)
		config.token_file = strdup(s->token);
	if (kube_client_http_new(&config, &options, &client, &err))
		fail_msg("%s", err.text);
	return client;
}

static int get(struct kube_client *client, const char *name, int timeout_ms,
	       struct kube_error *error)
{
	const struct kube_ref ref = {.res = kube_resource_by_kind("StorageVolume"),
				     .name = name,
				     .timeout_ms = timeout_ms};
	json_t *got = NULL;
	int rc = kube_get(client, &ref, &got, error);

	json_decref(got);
	return rc;
}

static void calls_end_at_their_deadline_and_tell_why(void **state)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_client *client;
	struct server s;

	server_start(&s);
	client = connect_to(&s, false);
	assert_int_equal(get(client, "good", 0, &error), 0);
	assert_int_equal(get(client, "slow", 200, &error), -ETIMEDOUT);
	assert_int_equal(error.retry, KUBE_RETRY_LATER);
	assert_true(get(client, "cut", 0, &error) < 0);
	assert_int_equal(error.http, 0);
	assert_int_equal(get(client, "busy", 0, &error), -EAGAIN);
	assert_int_equal(error.retry_after_ms, 3000);
	assert_int_equal(get(client, "good", 0, &error), 0);
	assert_int_equal(s.n, 3); /* a connection is used again as long as it is good */
	server_stop(&s);
	assert_int_equal(get(client, "good", 0, &error), -ECONNREFUSED);
	assert_non_null(strstr(error.err.text, s.path));
	kube_client_free(client);
}

static void a_token_that_was_replaced_is_read_again(void **state)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_client *client;
	struct server s;

	server_start(&s);
	client = connect_to(&s, true);
	assert_true(get(client, "auth", 0, &error) < 0); /* there is no file */
	assert_non_null(strstr(error.err.text, s.token));
	assert_int_equal(fs_write_atomic(s.token, "old\n", 4, 0600, &error.err), 0);
	assert_int_equal(get(client, "auth", 0, &error), -EACCES);
	assert_int_equal(fs_write_atomic(s.token, "new\n", 4, 0600, &error.err), 0);
	assert_int_equal(get(client, "auth", 0, &error), 0);
	kube_client_free(client);
	server_stop(&s);
}

struct told {
	struct lock *lock;
	char text[256];
};

static void on_change(void *ctx, const json_t *old, const json_t *obj)
{
	struct told *told = ctx;
	size_t at;

	lock_take(told->lock);
	at = strlen(told->text);
	(void)snprintf(told->text + at, sizeof(told->text) - at, "%s%s ",
		       !old  ? "+"
		       : obj ? "*"
			     : "-",
		       kube_name(obj ? obj : old));
	lock_wake(told->lock);
	lock_drop(told->lock);
}

/* a; b comes, a goes, the connection is cut; 410; list: c, so b has gone; d comes. */
static void an_informer_lives_through_cuts_and_410(void **state)
{
	struct told told = {0};
	struct informer_config config = {.res = kube_resource_by_kind("StorageVolume"),
					 .changed = on_change,
					 .ctx = &told,
					 .delay_max_ms = 50};
	struct informer_stats stats;
	struct informer *inf = NULL;
	struct server s;

	server_start(&s);
	assert_int_equal(lock_new(&told.lock), 0);
	config.client = connect_to(&s, false);
	assert_int_equal(informer_new(&config, &inf, NULL), 0);
	assert_int_equal(informer_start(inf, NULL), 0);
	assert_true(informer_wait(inf, 20000));
	lock_take(told.lock);
	for (int i = 0; i < 200 && !strstr(told.text, "+d"); i++)
		lock_wait(told.lock, 100);
	lock_drop(told.lock);
	assert_string_equal(told.text, "+a +b -a -b +c +d ");
	informer_stats(inf, &stats);
	assert_int_equal(stats.lists, 2);
	assert_int_equal(stats.watches, 3);
	informer_free(inf); /* while the watch is open */
	kube_client_free(config.client);
	lock_free(told.lock);
	server_stop(&s);
}

static void *many_gets(void *arg)
{
	for (int i = 0; i < 50; i++)
		assert_int_equal(get(arg, "good", 0, NULL), 0);
	return NULL;
}

static void many_threads_share_a_client(void **state)
{
	struct kube_client *client;
	pthread_t threads[4];
	struct server s;

	server_start(&s);
	client = connect_to(&s, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_gets, client), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(s.n, 1, 4);
	kube_client_free(client);
	server_stop(&s);
}

static void what_would_leak_credentials_is_refused(void **state)
{
	static const char *const bad[] = {"http://10.0.0.1:8080", "https://user:pw@host",
					  "https://host/?a=b", "http://127.0.0.1@evil"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_kube_config_ struct kube_config config = {0};
		struct kube_client *client = NULL;
		struct err err = {0};

		assert_int_equal(kube_config_server(bad[i], &config, &err), 0);
		assert_true(kube_client_http_new(&config, NULL, &client, &err) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_end_at_their_deadline_and_tell_why),
		cmocka_unit_test(a_token_that_was_replaced_is_read_again),
		cmocka_unit_test(an_informer_lives_through_cuts_and_410),
		cmocka_unit_test(many_threads_share_a_client),
		cmocka_unit_test(what_would_leak_credentials_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
