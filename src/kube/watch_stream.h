/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a watch's answer: bytes in, events out, however they are cut. Pure, for one thread.
 *
 * 1. Only whole lines are told; what a cut connection leaves of one is forgotten.
 * 2. After the first thing that is wrong nothing is told but the end.
 * 3. The sink's ended() is called by watch_stream_end() alone, once.
 */
#ifndef LITEPOOL_KUBE_WATCH_STREAM_H
#define LITEPOOL_KUBE_WATCH_STREAM_H

#include "kube/client.h"

#define KUBE_WATCH_LINE_MAX ((size_t)8 << 20)

struct watch_stream {
	struct kube_sink sink;
	char *line; /* the beginning of a line, or of the body of a refusal */
	size_t len, size;
	bool failed, done;
	struct kube_error error;
};

void watch_stream_init(struct watch_stream *ws, const struct kube_sink *sink);
void watch_stream_fini(struct watch_stream *ws);
/* False: the rest of the stream is not wanted. http is the answer's code. */
bool watch_stream_feed(struct watch_stream *ws, int http, const char *data, size_t len);
/* The stream is over. http 0 or rc < 0: it broke, for the reason in why. */
void watch_stream_end(struct watch_stream *ws, int http, uint32_t retry_after_s, int rc,
		      const char *why);

#endif
