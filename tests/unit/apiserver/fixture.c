/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/str.h"

uint64_t fixture_now_ns = (uint64_t)1800000000 * NSEC_PER_SEC;

static uint64_t wall_ns(void)
{
	return fixture_now_ns;
}

static void random_bytes(void *buf, size_t len)
{
	assert_int_equal(getrandom(buf, len, 0), len);
}

void (*fixture_random)(void *buf, size_t len) = random_bytes;

static void open_both(struct fixture *f)
{
	struct api_config config = {.wall_ns = wall_ns, .random_bytes = fixture_random};
	struct err err = {0};

	if (store_open(&f->config, &f->store, &err))
		fail_msg("%s", err.text);
	config.store = f->store;
	assert_int_equal(api_new(&config, &f->api, &err), 0);
}

void fixture_open(struct fixture *f, uint32_t history_keep, uint64_t max_bytes)
{
	memset(f, 0, sizeof(*f));
	assert_true(str_copy(f->dir, sizeof(f->dir), "/tmp/litepool-api.XXXXXX"));
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/store", f->dir);
	f->config = (struct store_config){.path = f->path,
					  .max_bytes = max_bytes,
					  .history_keep = history_keep,
					  .wall_ns = wall_ns};
	fixture_user(f, "tester", "admin");
	open_both(f);
}

void fixture_user(struct fixture *f, const char *name, const char *role)
{
	f->user.name[0] = 0;
	if (name)
		assert_true(api_user_set(&f->user, name, role));
}

void fixture_shut(struct fixture *f)
{
	api_free(f->api);
	store_close(f->store);
	f->api = NULL;
	f->store = NULL;
}

void fixture_adopt(struct fixture *f, const char *path)
{
	f->config.path = path;
	f->config.wall_ns = wall_ns;
	fixture_user(f, "tester", "admin");
	open_both(f);
}

void fixture_reopen(struct fixture *f)
{
	fixture_shut(f);
	open_both(f);
}

void fixture_close(struct fixture *f)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[128];

	api_free(f->api);
	store_close(f->store);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
}

static void handle(struct fixture *f, const char *method, const char *target, const char *body,
		   struct api_response *rsp)
{
	size_t path_len = strcspn(target, "?");
	_cleanup_free_ char *path = strndup(target, path_len);
	struct api_request req = {
		.user = f->user.name[0] ? &f->user : NULL,
		.method = method,
		.path = path,
		.query = target[path_len] ? target + path_len + 1 : NULL,
		.accept = f->accept[0] ? f->accept : NULL,
		.content_type = f->content_type[0] ? f->content_type : NULL,
		.body = body,
		.body_len = body ? strlen(body) : 0,
	};

	api_handle(f->api, &req, rsp);
}

int call(struct fixture *f, const char *method, const char *target, json_t **ret, const char *body,
	 ...)
{
	_cleanup_free_ char *text = NULL;
	struct api_response rsp;
	va_list args;
	int code;

	if (body) {
		va_start(args, body);
		assert_true(vasprintf(&text, body, args) >= 0);
		va_end(args);
	}
	handle(f, method, target, text, &rsp);
	code = rsp.code;
	if (rsp.warning[0])
		(void)str_copy(f->warning, sizeof(f->warning), rsp.warning);
	if (ret) {
		*ret = rsp.body ? json_loadb(rsp.body, rsp.body_len, 0, NULL) : NULL;
		assert_non_null(*ret);
	}
	api_response_fini(&rsp);
	return code;
}

int create_volume(struct fixture *f, const char *name, const char *metadata_rest)
{
	return call(f, "POST", VOLUMES, NULL,
		    "{\"metadata\":{\"name\":\"%s\"%s},\"spec\":{\"size\":\"1Gi\"}}", name,
		    metadata_rest);
}

struct api_watch *watch_open(struct fixture *f, const char *target)
{
	struct api_response rsp;

	handle(f, "GET", target, NULL, &rsp);
	if (!rsp.watch)
		fail_msg("%d %s", rsp.code, rsp.body);
	return rsp.watch;
}

json_t *watch_event(struct api_watch *w, json_t **pending)
{
	json_t *event;

	if (!*pending)
		*pending = json_array();
	if (!json_array_size(*pending)) {
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (api_watch_next(w, &text, &len) != API_WATCH_TEXT)
			return NULL;
		for (size_t at = 0; at < len;) {
			const char *end = memchr(text + at, '\n', len - at);

			assert_non_null(end);
			event = json_loadb(text + at, (size_t)(end - text) - at, 0, NULL);
			assert_non_null(event);
			json_array_append_new(*pending, event);
			at = (size_t)(end - text) + 1;
		}
	}
	event = json_incref(json_array_get(*pending, 0));
	json_array_remove(*pending, 0);
	return event;
}
