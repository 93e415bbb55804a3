/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the Kubernetes API, for the embedded server and kube-apiserver alike. A client is a small table of operations
 * (client_ops.h): HTTP (client_http.h), and in-process for tests and the simulator (tests/kube/client_local.h).
 *
 * Threads. Calls block until their deadline and may be made on any thread that is no reactor, many at once. Watches are
 * delivered on one thread of the client's.
 * Objects are jansson's. What is given is borrowed; what is returned is a new reference, with kind and apiVersion also in lists.
 * Bounds: an answer KUBE_ANSWER_MAX bytes, nested KUBE_DEPTH_MAX deep, a list KUBE_LIST_MAX objects.
 */
#ifndef LITEPOOL_KUBE_CLIENT_H
#define LITEPOOL_KUBE_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/error.h"
#include "kube/resource.h"

#define KUBE_ANSWER_MAX   ((size_t)64 << 20)
#define KUBE_LIST_MAX     1000000u
#define KUBE_PAGE_OBJECTS 500u
#define KUBE_VERSION_SIZE 64 /* of a resourceVersion: an opaque text */

struct kube_client;
struct kube_watch;

/*
 * What a request is about. res need not be of the table in kinds.c: foreign kinds are spelled by the same struct. Unused members are
 * NULL or 0.
 */
struct kube_ref {
	const struct kube_resource *res;
	const char *ns; /* NULL: none, or all of them in a list */
	const char *name;
	const char *sub; /* "status" */
	int timeout_ms;  /* 0: the client's */
};

void kube_client_free(struct kube_client *client);

int kube_get(struct kube_client *client, const struct kube_ref *ref, json_t **ret,
	     struct kube_error *error);

struct kube_list_options {
	const char *labels, *fields; /* selectors; NULL: all */
	uint32_t limit;              /* objects a page; 0: KUBE_PAGE_OBJECTS */
	const char *token;           /* kube_list_page(): where to go on; NULL: the first page */
	const char *version; /* resourceVersion; NULL: the latest state. "0": any, from a cache */
};
struct kube_list {
	json_t *items; /* array, owned */
	char version[KUBE_VERSION_SIZE];
	char *token;       /* owned; NULL after the last page */
	int64_t remaining; /* objects behind this page, -1: not told */
};
void kube_list_fini(struct kube_list *list);
#define _cleanup_kube_list_ __attribute__((cleanup(kube_list_fini)))
/* One page. 410 (-ESTALE): the token is too old. options may be NULL. */
int kube_list_page(struct kube_client *client, const struct kube_ref *ref,
		   const struct kube_list_options *options, struct kube_list *ret,
		   struct kube_error *error);
/* All pages, of one state; begins once more, without pages, when the token grew too old. */
int kube_list(struct kube_client *client, const struct kube_ref *ref,
	      const struct kube_list_options *options, struct kube_list *ret,
	      struct kube_error *error);

/* ret may be NULL in all of these: what the server stored. */
int kube_create(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
		json_t **ret, struct kube_error *error);
/* Replaces; -EBUSY when obj's resourceVersion is not the latest. */
int kube_update(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
		json_t **ret, struct kube_error *error);
/* A merge patch with metadata.resourceVersion is as guarded as an update. */
int kube_merge(struct kube_client *client, const struct kube_ref *ref, const json_t *patch,
	       json_t **ret, struct kube_error *error);
int kube_patch_json(struct kube_client *client, const struct kube_ref *ref, const json_t *ops,
		    json_t **ret, struct kube_error *error);
/* Server-side apply. The embedded server has none: -EPROTONOSUPPORT (415). force takes fields that another manager owns. */
int kube_apply(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
	       const char *manager, bool force, json_t **ret, struct kube_error *error);

struct kube_delete_options {
	const char *uid, *version; /* preconditions, else -EBUSY; NULL: none */
	const char *policy;        /* Background, Foreground, Orphan; NULL: the server's */
};
/* *ret (may be NULL): the object as long as finalizers hold it, or a Status. options may be NULL. */
int kube_delete(struct kube_client *client, const struct kube_ref *ref,
		const struct kube_delete_options *options, json_t **ret, struct kube_error *error);

enum kube_event { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK };

/* Where a watch goes. On the client's watch thread; may call neither kube_watch_close() nor anything that waits. */
struct kube_sink {
	/* obj is borrowed and shared: incref to keep, never change. */
	void (*event)(void *ctx, enum kube_event type, json_t *obj);
	/* Once, as the last. error NULL: the server ended it as it does after a while. */
	void (*ended)(void *ctx, const struct kube_error *error);
	void *ctx;
};

struct kube_watch_options {
	const char *version; /* behind this one */
	const char *labels, *fields;
	uint32_t timeout_s; /* the server ends it then; 0: 300 */
};
/* ref without a name. An error of the server comes by ended(). sink is copied. */
int kube_watch_open(struct kube_client *client, const struct kube_ref *ref,
		    const struct kube_watch_options *options, const struct kube_sink *sink,
		    struct kube_watch **ret, struct kube_error *error);
/* After it the sink is not called any more (it may not have been told of an end). NULL: nothing. Not on the watch thread. */
void kube_watch_close(struct kube_client *client, struct kube_watch *watch);

#endif
