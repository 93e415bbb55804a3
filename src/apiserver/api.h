/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API as a function from request to response; HTTP (http.h) only carries it. Any thread may call, the store has the one lock.
 *
 * Limits: a body 1.5 MiB and 64 levels deep; a path 1 KiB, a query string 16 KiB with 32 parameters; selectors as in kube/selector.h.
 * Not offered, with a clear answer: server-side apply and strategic merge patch (415), protobuf and YAML (415, 406).
 * The caller of api_handle() says who asks; what that user may do is decided here (roles.h).
 */
#ifndef LITEPOOL_APISERVER_API_H
#define LITEPOOL_APISERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/store.h"
#include "apiserver/user.h"
#include "kube/status.h"

#define API_PATH_MAX  1024
#define API_QUERY_MAX 16384

struct api;
struct api_watch;

struct api_config {
	struct store *store; /* borrowed, outlives the api */
	uint64_t (*wall_ns)(void);
	void (*random_bytes)(void *buf, size_t len);
	/* After each committed change, no lock held, on the thread that made it. May be NULL. */
	void (*changed)(void *ctx);
	void *changed_ctx;
};

struct api_request {
	const struct api_user *user;       /* NULL: nobody known, who may only ask for health */
	const char *unknown_why;           /* with user NULL: why, or NULL */
	const char *method, *path;         /* path as on the wire, without the query */
	const char *query;                 /* behind the '?', as on the wire; NULL: none */
	const char *accept, *content_type; /* headers, or NULL */
	const void *body;
	size_t body_len;
};

struct api_response {
	int code;
	const char *content_type;
	char *body; /* malloc'ed; NULL with watch */
	size_t body_len;
	char warning[1024]; /* for a Warning header; "" when there is none */
	unsigned retry_after_s;
	struct api_watch *watch; /* then the body is what api_watch_next() gives */
};

int api_new(const struct api_config *config, struct api **ret, struct err *err);
void api_free(struct api *api);

void api_handle(struct api *api, const struct api_request *req, struct api_response *rsp);
/* A failure that the front found. */
void api_refuse(enum kube_reason reason, const char *message, struct api_response *rsp);
void api_response_fini(struct api_response *rsp);

enum api_watch_result { API_WATCH_TEXT, API_WATCH_IDLE, API_WATCH_END };
/* TEXT: *ret is malloc'ed. IDLE: nothing until a change or api_watch_due(). One thread at a time. */
enum api_watch_result api_watch_next(struct api_watch *watch, char **ret, size_t *ret_len);
/*
 * Of a watch that was idle: whether there may be something for it. If not, it is moved on, so that changes of other kinds do not let it fall
 * behind the history. Not while api_watch_next() runs.
 */
bool api_watch_behind(struct api_watch *watch);
/* When it has to be asked even without a change, wall clock ns. */
uint64_t api_watch_due(const struct api_watch *watch);
void api_watch_free(struct api_watch *watch);

/*
 * Garbage collection of dependents, removal of what expired, compaction; a bounded piece. True when there is more to do at once.
 * To be called after changes and every few seconds.
 */
bool api_work(struct api *api);

#endif
