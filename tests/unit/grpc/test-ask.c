/* SPDX-License-Identifier: Apache-2.0 */
/* Asking our own server: an answer, whatever it says; a server that is busy; one that is silent, talks something else, or is not there. */
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

#include "echo.h"
#include "grpc/ask.h"
#include "rt/listen.h"
#include "rt/pages.h"

#define PATIENCE_MS 60000

static char folder[32], path[64];

static int make_folder(void **state)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/lp-ask.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)unlink(path);
	return rmdir(folder);
}

static struct grpc_server *serve(struct echo *echo, unsigned workers)
{
	struct grpc_server_config config = {.socket_path = path,
					    .methods = echo_methods,
					    .n_methods = echo_n_methods,
					    .ctx = echo,
					    .workers = workers};
	struct grpc_server *server = NULL;
	struct err err = {0};

	if (grpc_server_start(&config, &server, &err) < 0)
		fail_msg("%s", err.text);
	return server;
}

static enum grpc_code answer(const char *method)
{
	enum grpc_code code = GRPC_UNKNOWN;
	struct err err = {0};

	if (grpc_ask(path, method, PATIENCE_MS, &code, &err) < 0)
		fail_msg("%s", err.text);
	return code;
}

static void an_answer_is_told_whatever_it_says(void **state)
{
	struct echo echo = {.release = true};
	struct grpc_server *server = serve(&echo, 1);

	assert_int_equal(answer("/echo.Echo/Quick"), GRPC_OK);
	assert_int_equal(answer("/echo.Echo/Say"), GRPC_OK);
	assert_int_equal(answer("/echo.Echo/Nothing"), GRPC_UNIMPLEMENTED);
	grpc_server_free(server);
}

static void nobody_is_told(void **state)
{
	enum grpc_code code = GRPC_OK;
	struct err err = {0};

	assert_int_equal(grpc_ask(path, "/a/b", PATIENCE_MS, &code, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

/* It takes the connection, and no more. */
static void silence_is_no_answer(void **state)
{
	enum grpc_code code = GRPC_OK;
	struct sock_addr addr;
	struct err err = {0};
	int fd = -1;

	assert_int_equal(sock_addr_unix(path, &addr), 0);
	assert_int_equal(listen_open(&addr, 1, &fd, &err), 0);
	assert_int_equal(grpc_ask(path, "/a/b", 50, &code, &err), -ETIMEDOUT);
	(void)close(fd);
}

static int page(void *ctx, const char *what, FILE *out)
{
	return 200;
}

static void what_is_no_grpc_is_no_answer(void **state)
{
	enum grpc_code code = GRPC_OK;
	struct pages *pages = NULL;
	struct err err = {0};
	char address[80];

	(void)snprintf(address, sizeof(address), "unix:%s", path);
	assert_int_equal(pages_start(address, page, NULL, &pages, &err), 0);
	assert_true(grpc_ask(path, "/a/b", PATIENCE_MS, &code, &err) < 0);
	pages_stop(pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_is_told_whatever_it_says, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(nobody_is_told, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(silence_is_no_answer, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_is_no_grpc_is_no_answer, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
