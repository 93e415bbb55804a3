/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of untrusted bytes into the RPC server: framing, parsing, decoding of requests and of a method's parameters, and an
 * answer. The first byte of the input says how the rest is cut into pieces; the values found must be those of the whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "rpc/frame.h"
#include "rpc/request.h"

#include "fuzz.h"

#define MESSAGE_MAX 4096
#define VALUES_MAX  64

struct found {
	size_t begin[VALUES_MAX], end[VALUES_MAX], n;
	enum rpc_frame_result last;
};

struct params {
	const char *name;
	uint64_t blocks;
	uint32_t size;
	int64_t offset;
	bool flag;
	double rate;
	json_t *list, *map, *any;
};

static const struct json_field fields[] = {
	{"name", JSON_KIND_STRING, offsetof(struct params, name), .required = true},
	{"num_blocks", JSON_KIND_U64, offsetof(struct params, blocks), .min = 1, .max = 1 << 30},
	{"block_size", JSON_KIND_U32, offsetof(struct params, size)},
	{"offset", JSON_KIND_I64, offsetof(struct params, offset)},
	{"flag", JSON_KIND_BOOL, offsetof(struct params, flag)},
	{"rate", JSON_KIND_DOUBLE, offsetof(struct params, rate)},
	{"list", JSON_KIND_ARRAY, offsetof(struct params, list)},
	{"map", JSON_KIND_OBJECT, offsetof(struct params, map)},
	{"any", JSON_KIND_ANY, offsetof(struct params, any)},
};

/* Cuts text into pieces of 1..piece_max bytes and notes where values lie. */
static void find_values(const char *text, size_t len, size_t piece_max, struct found *ret)
{
	struct rpc_frame frame;
	size_t at = 0, start = 0, begin, end;

	rpc_frame_init(&frame, MESSAGE_MAX);
	*ret = (struct found){.last = RPC_FRAME_MORE};
	while (at < len && ret->n < VALUES_MAX) {
		size_t piece = len - at < piece_max ? len - at : piece_max;
		bool fresh = !rpc_frame_inside(&frame);

		ret->last = rpc_frame_feed(&frame, text + at, piece, &begin, &end);
		ASSERT(begin <= end && end <= piece);
		if (fresh)
			start = at + begin;
		at += end;
		if (ret->last == RPC_FRAME_VALUE) {
			ret->begin[ret->n] = start;
			ret->end[ret->n++] = at;
		} else if (ret->last != RPC_FRAME_MORE) {
			return;
		}
	}
}

static void answer(json_t *id, int code, const char *message)
{
	_cleanup_json_ json_t *response = rpc_response_error(id, code, message);
	_cleanup_free_ char *text = json_text(response);
	struct err err;

	ASSERT(response && text);
	ASSERT(!rpc_response_decode(response, &err) && err.code == code);
}

static void handle(const json_t *json)
{
	struct rpc_request request;
	struct params params = {0};
	struct err err = {0};
	int rc = rpc_request_decode(json, &request, &err);

	if (rc == 0 && json_decode(request.params, fields, ARRAY_LEN(fields), &params, &err) == 0)
		ASSERT(params.name);
	if (err.code)
		answer(request.id, err.code, err.text);
	(void)rpc_response_decode(json, &err);
}

static void parse(const char *text, size_t len)
{
	struct err err = {0};
	_cleanup_json_ json_t *json = rpc_request_parse(text, len, &err);

	if (!json)
		answer(NULL, err.code, err.text);
	else if (json_is_array(json))
		for (size_t i = 0; i < json_array_size(json); i++)
			handle(json_array_get(json, i));
	else
		handle(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found whole, cut;
	const char *text = (const char *)data + 1;

	if (size < 1)
		return 0;
	find_values(text, size - 1, size, &whole);
	find_values(text, size - 1, (size_t)data[0] % 16 + 1, &cut);
	ASSERT(whole.n == cut.n && whole.last == cut.last);
	for (size_t i = 0; i < whole.n; i++) {
		ASSERT(whole.begin[i] == cut.begin[i] && whole.end[i] == cut.end[i]);
		parse(text + whole.begin[i], whole.end[i] - whole.begin[i]);
	}
	return 0;
}
