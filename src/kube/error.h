/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a request to an API server failed: for people (err), for programs (the parsed Status), and what a caller may sensibly do. Whether and
 * how often to try again is the caller's decision: only it knows what the request was for.
 */
#ifndef LITEPOOL_KUBE_ERROR_H
#define LITEPOOL_KUBE_ERROR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kube/status.h"

enum kube_retry {
	KUBE_RETRY_NO,     /* the same request again gets the same answer */
	KUBE_RETRY_REREAD, /* a conflict: read the object again and decide anew */
	KUBE_RETRY_RELIST, /* 410, or a resourceVersion of another store: what one knows is too old to go on from */
	KUBE_RETRY_LATER, /* overload, a failing server or none: again after retry_after_ms (0: the server did not say) */
};

struct kube_error {
	/* The errno is that of the reason (kube_fail_set()); -ENOENT, -EEXIST, -EBUSY (conflict), -ESTALE (410), -EDOM (422) are what callers look for. */
	struct err err;
	enum kube_reason reason; /* KUBE_OK: no answer came */
	int http;                /* 0: no answer came */
	enum kube_retry retry;
	uint32_t retry_after_ms;
	bool unknown; /* a change may have been made all the same: no answer, or one of 500, 502, 504 */
	json_t *causes; /* owned: array of {reason, field, message}, or NULL */
};

void kube_error_fini(struct kube_error *error);
#define _cleanup_kube_error_ __attribute__((cleanup(kube_error_fini)))

/* All of these drop what was there, take NULL for error and return the negative errno. */
/* No answer: code is a negative errno. */
__attribute__((format(printf, 3, 4))) int kube_error_local(struct kube_error *error, int code,
							   const char *fmt, ...);
/* An answer of 300 and up; body is a Status, something else, or NULL. */
int kube_error_answer(struct kube_error *error, int http, const json_t *body,
		      uint32_t retry_after_s);
/* The Status of an ERROR event of a watch. */
int kube_error_status(struct kube_error *error, const json_t *status);

#endif
