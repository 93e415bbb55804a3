/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of a watch. The first byte says how the rest is cut, the second which code the answer has; what is told must not depend on the cuts.
 */
#include <string.h>

#include "base/check.h"
#include "kube/watch_stream.h"

#include "fuzz.h"

struct heard {
	unsigned events, ends;
	int code;
};

static void on_event(void *ctx, enum kube_event type, json_t *obj)
{
	struct heard *heard = ctx;

	ASSERT(json_is_object(obj));
	ASSERT(!heard->ends);
	heard->events++;
}

static void on_ended(void *ctx, const struct kube_error *error)
{
	struct heard *heard = ctx;

	heard->ends++;
	heard->code = error ? error->err.code : 0;
	ASSERT(!error || (error->err.code < 0 && error->err.text[0]));
}

static struct heard run(int http, const char *text, size_t len, size_t piece)
{
	struct heard heard = {0};
	const struct kube_sink sink = {on_event, on_ended, &heard};
	struct watch_stream ws;
	bool more = true;

	watch_stream_init(&ws, &sink);
	for (size_t at = 0; at < len && more; at += piece)
		more = watch_stream_feed(&ws, http, text + at, len - at < piece ? len - at : piece);
	watch_stream_end(&ws, http, 0, 0, "");
	watch_stream_fini(&ws);
	ASSERT(heard.ends == 1);
	return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int codes[] = {200, 200, 200, 410, 429, 500, 301};
	struct heard whole, cut;
	int http;

	if (size < 2)
		return 0;
	http = codes[data[1] % (sizeof(codes) / sizeof(codes[0]))];
	whole = run(http, (const char *)data + 2, size - 2, size);
	cut = run(http, (const char *)data + 2, size - 2, (size_t)data[0] % 32 + 1);
	ASSERT(whole.events == cut.events && whole.code == cut.code);
	return 0;
}
