/* SPDX-License-Identifier: Apache-2.0 */
/* Text pages: what is answered, what is refused, and clients that do not speak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/blocking.h"
#include "rt/listen.h"
#include "rt/pages.h"

#define PATIENCE_MS 60000

static int page(void *ctx, const char *path, FILE *out)
{
	(void)fprintf(out, "%s of %s\n", path, (const char *)ctx);
	return strcmp(path, "/bad") == 0 ? 503 : 200;
}

static struct pages *open_pages(void)
{
	struct pages *pages = NULL;
	struct err err = {0};

	if (pages_start("127.0.0.1:0", page, (void *)(uintptr_t)"me", &pages, &err))
		fail_msg("%s", err.text);
	assert_true(pages_port(pages) > 0);
	return pages;
}

/* The whole answer to these bytes; "" when the server only closes. */
static const char *ask(const struct pages *pages, const char *request)
{
	static char answer[8192];
	int64_t deadline = blocking_deadline(PATIENCE_MS);
	int fd = blocking_connect_tcp("127.0.0.1", (uint16_t)pages_port(pages), NULL, -1, deadline);
	size_t len = 0;
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(blocking_send(fd, request, strlen(request), deadline), 0);
	while ((n = blocking_recv(fd, answer + len, sizeof(answer) - 1 - len, deadline)) > 0)
		len += (size_t)n;
	answer[len] = 0;
	(void)close(fd);
	return answer;
}

static void a_page_is_answered_whole(void **state)
{
	struct pages *pages = open_pages();

	assert_non_null(
		strstr(ask(pages, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(ask(pages, "GET /x?y=z HTTP/1.0\r\n\r\n"), "\r\n\r\n/x of me\n"));
	assert_non_null(strstr(ask(pages, "GET /bad HTTP/1.1\r\n\r\n"), "503 "));
	pages_stop(pages);
}

static void what_is_no_request_is_refused(void **state)
{
	struct pages *pages = open_pages();
	char long_path[1000] = "GET /";

	memset(long_path + 5, 'x', 600);
	(void)snprintf(long_path + 605, sizeof(long_path) - 605, " HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(ask(pages, "POST /x HTTP/1.1\r\n\r\n"), "405 "));
	assert_non_null(strstr(ask(pages, "hello\r\n\r\n"), "400 "));
	assert_non_null(strstr(ask(pages, "GET x HTTP/1.1\r\n\r\n"), "400 "));
	assert_non_null(strstr(ask(pages, long_path), "400 "));
	pages_stop(pages);
}

/* What pages_ask() says of address, and what it wrote. */
static int asked(const char *address, const char *path, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");
	struct err err = {0};
	int rc;

	assert_non_null(out);
	rc = pages_ask(address, path, PATIENCE_MS, out, &err);
	assert_int_equal(fclose(out), 0);
	if (rc < 0)
		assert_non_null(strstr(err.text, path[0] == '/' ? address : path));
	return rc;
}

static void what_is_asked_for_is_told(void **state)
{
	struct pages *pages = open_pages();
	char address[64], text[128] = "";

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", pages_port(pages));
	assert_int_equal(asked(address, "/x", text, sizeof(text)), 200);
	assert_string_equal(text, "/x of me\n");
	assert_int_equal(asked(address, "/bad", text, sizeof(text)), 503);
	assert_string_equal(text, "/bad of me\n");
	assert_int_equal(asked(address, "bad", text, sizeof(text)), -EINVAL);
	pages_stop(pages);
	assert_int_equal(asked(address, "/x", text, sizeof(text)), -ECONNREFUSED);
}

static void pages_of_a_unix_socket_are_told(void **state)
{
	char folder[] = "/tmp/lp-pages.XXXXXX", address[64], text[128] = "";
	struct pages *pages = NULL;
	struct err err = {0};

	assert_non_null(mkdtemp(folder));
	(void)snprintf(address, sizeof(address), "unix:%s/s", folder);
	assert_int_equal(asked(address, "/x", text, sizeof(text)), -ENOENT);
	assert_int_equal(pages_start(address, page, (void *)(uintptr_t)"the socket", &pages, &err),
			 0);
	assert_int_equal(asked(address, "/x", text, sizeof(text)), 200);
	assert_string_equal(text, "/x of the socket\n");
	pages_stop(pages);
	assert_int_equal(rmdir(folder), 0);
}

/* Somebody who takes connections and says nothing, or no HTTP, is not in order. */
static void who_does_not_answer_is_told(void **state)
{
	struct sock_addr any, bound;
	struct err err = {0};
	char address[64], host[SOCK_ADDR_TEXT];
	uint16_t port = 0;
	int fd = -1;

	assert_int_equal(sock_addr_ip("127.0.0.1", 0, &any), 0);
	assert_int_equal(listen_open(&any, 1, &fd, &err), 0);
	assert_int_equal(listen_address(fd, &bound), 0);
	assert_true(sock_addr_host(&bound, host, &port));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_int_equal(pages_ask(address, "/x", 50, stderr, &err), -ETIMEDOUT);
	(void)close(fd);
}

static void a_silent_client_does_not_stop_the_rest(void **state)
{
	struct pages *pages = open_pages();
	int64_t deadline = blocking_deadline(PATIENCE_MS);
	int fd = blocking_connect_tcp("127.0.0.1", (uint16_t)pages_port(pages), NULL, -1, deadline);

	assert_true(fd >= 0);
	assert_non_null(strstr(ask(pages, "GET /x HTTP/1.1\r\n\r\n"), "200 OK"));
	(void)close(fd);
	pages_stop(pages);
}

static void others_cannot_be_let_in(void **state)
{
	static const char *const bad[] = {"9100", "host:1", "127.0.0.1:x", "127.0.0.1:70000"};
	struct pages *pages;
	struct err err = {0};

	assert_int_equal(pages_start("0.0.0.0:0", page, NULL, &pages, &err), -EPERM);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pages_start(bad[i], page, NULL, &pages, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_answered_whole),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(what_is_asked_for_is_told),
		cmocka_unit_test(pages_of_a_unix_socket_are_told),
		cmocka_unit_test(who_does_not_answer_is_told),
		cmocka_unit_test(a_silent_client_does_not_stop_the_rest),
		cmocka_unit_test(others_cannot_be_let_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
