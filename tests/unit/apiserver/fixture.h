/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own and the API on it, with a clock and random numbers that the test owns. */
#ifndef LITEPOOL_TESTS_APISERVER_FIXTURE_H
#define LITEPOOL_TESTS_APISERVER_FIXTURE_H

#include <jansson.h>
#include <stdint.h>

#include "apiserver/api.h"
#include "base/json.h"

#define VOLUMES "/apis/litepool.io/v1alpha1/storagevolumes"
#define POOLS   "/apis/litepool.io/v1alpha1/storagepools"
#define LEASES  "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define EVENTS  "/api/v1/namespaces/default/events"

struct fixture {
	char dir[64], path[96];
	struct store_config config;
	struct store *store;
	struct api *api;
	char content_type[64], accept[128]; /* for the next calls; "" for none */
	char warning[1024];                 /* of the last call */
	struct api_user user;               /* of the next calls: an admin */
};

extern uint64_t fixture_now_ns;
/* Where UIDs come from, in fixtures that are opened from now on. The host's random numbers, if the test says nothing. */
extern void (*fixture_random)(void *buf, size_t len);

void fixture_open(struct fixture *f, uint32_t history_keep, uint64_t max_bytes);
/* name NULL: nobody. */
void fixture_user(struct fixture *f, const char *name, const char *role);
void fixture_reopen(struct fixture *f);
/* Closes the store and keeps the file; opens it again, also in another process. */
void fixture_shut(struct fixture *f);
void fixture_adopt(struct fixture *f, const char *path);
void fixture_close(struct fixture *f);

/* The code; *ret (may be NULL) the body. target may have a query; body a format or NULL. Any thread. */
__attribute__((format(printf, 5, 6))) int call(struct fixture *f, const char *method,
					       const char *target, json_t **ret, const char *body,
					       ...);
/* The same with a body whose code must be 2xx. */
int create_volume(struct fixture *f, const char *name, const char *metadata_rest);
/* Its watch, which must open. */
struct api_watch *watch_open(struct fixture *f, const char *target);
/* The next event or NULL when there is none now. */
json_t *watch_event(struct api_watch *w, json_t **pending);

#endif
