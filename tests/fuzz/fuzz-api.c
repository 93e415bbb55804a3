/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API as they come from a socket: the input is "METHOD TARGET\nCONTENT-TYPE\nACCEPT\nBODY", several of them cut by a
 * zero byte. The store is in memory's place: a fresh file that is forgotten at once. Every answer must be JSON, or text for health.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apiserver/api.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"

#include "fuzz.h"

#define REQUESTS_MAX 16
#define LINE_MAX_LEN 4096

static uint64_t wall_ns(void)
{
	return (uint64_t)1800000000 * 1000000000;
}

/* Repeatable, never the same twice. */
static void random_bytes(void *buf, size_t len)
{
	static uint64_t n;
	unsigned char *p = buf;

	n++;
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(n >> (8 * (i % 8)));
}

/* A line of the input, copied; *data moves behind it. */
static void take_line(const char **data, size_t *len, char *buf)
{
	const char *end = memchr(*data, '\n', *len);
	size_t n = end ? (size_t)(end - *data) : *len;
	size_t kept = n < LINE_MAX_LEN ? n : LINE_MAX_LEN - 1;

	memcpy(buf, *data, kept);
	buf[kept] = 0;
	n += end != NULL;
	*data += n;
	*len -= n;
}

static void drain(struct api_watch *watch)
{
	for (int i = 0; i < 4; i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (api_watch_next(watch, &text, &len) == API_WATCH_END)
			return;
	}
}

static void request(struct api *api, const char *data, size_t len)
{
	static char first[LINE_MAX_LEN], type[LINE_MAX_LEN], accept[LINE_MAX_LEN];
	static const struct api_user user = {.name = "fuzz", .role = API_ROLE_ADMIN};
	struct api_request req = {
		.user = &user, .method = first, .content_type = type, .accept = accept};
	struct api_response rsp;
	char *target, *query;

	take_line(&data, &len, first);
	take_line(&data, &len, type);
	take_line(&data, &len, accept);
	target = strchr(first, ' ');
	if (!target)
		return;
	*target++ = 0;
	query = strchr(target, '?');
	if (query)
		*query++ = 0;
	req.path = target;
	req.query = query;
	req.content_type = type[0] ? type : NULL;
	req.body = data;
	req.body_len = len;
	api_handle(api, &req, &rsp);
	ASSERT(rsp.code >= 200 && rsp.code < 600 && rsp.code != 500);
	ASSERT(rsp.watch || rsp.body);
	if (rsp.body && !strcmp(rsp.content_type, "application/json")) {
		_cleanup_json_ json_t *json = json_loadb(rsp.body, rsp.body_len, 0, NULL);

		ASSERT(json);
	}
	if (rsp.watch)
		drain(rsp.watch);
	api_response_fini(&rsp);
}

static struct store *open_store(void)
{
	struct store_config config = {.path = ":memory:", .wall_ns = wall_ns};
	struct store *store = NULL;
	struct err err = {0};

	if (store_open(&config, &store, &err))
		(void)fprintf(stderr, "%s\n", err.text);
	ASSERT(store);
	return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_config config = {.wall_ns = wall_ns, .random_bytes = random_bytes};
	const char *at = (const char *)data, *end = at + size;
	struct api *api = NULL;
	struct err err = {0};

	config.store = open_store();
	ASSERT(!api_new(&config, &api, &err));
	for (int n = 0; n < REQUESTS_MAX && at < end; n++) {
		const char *cut = memchr(at, 0, (size_t)(end - at));
		size_t len = cut ? (size_t)(cut - at) : (size_t)(end - at);

		request(api, at, len);
		(void)api_work(api);
		at += len + 1;
	}
	api_free(api);
	store_close(config.store);
	return 0;
}
