/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in front of the in-process one that fails as networks and processes do: dead from the k-th write on, cut off, requests or answers lost by
 * chance, and writes that are held back and arrive much later.
 */
#ifndef LITEPOOL_TESTS_CONTROLLER_CHAOS_H
#define LITEPOOL_TESTS_CONTROLLER_CHAOS_H

#include "base/rng.h"
#include "client_local.h"
#include "kube/client.h"

struct chaos {
	bool cut_off;          /* nothing gets through, watches stand still */
	int64_t writes_left;   /* then nothing gets through; < 0: no limit */
	unsigned lost_percent; /* of requests: half of them before, half after they were done */
	bool hold_next; /* the next write to hold_kind is kept, and fails without an answer */
	const char *hold_kind; /* part of its target */
	uint64_t writes, watch_stalls;
	struct rng rng;
};

/* Owns a client_local. *ret_chaos is valid as long as the client. */
int chaos_new(struct api *api, uint64_t seed, struct kube_client **ret, struct chaos **ret_chaos);
/* Delivers what watches have to tell; nothing while it is cut off. */
bool chaos_pump(struct kube_client *client);
/* The write that was held back arrives now. The HTTP status, 0: there was none. */
int chaos_release(struct kube_client *client);

#endif
