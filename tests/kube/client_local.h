/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client whose server is the API's own function in the same process: for tests and the simulator. There is no thread: watches
 * are delivered by client_local_pump(), on its caller's thread, when the test wants it. Faults are asked for by the test.
 */
#ifndef LITEPOOL_TESTS_KUBE_CLIENT_LOCAL_H
#define LITEPOOL_TESTS_KUBE_CLIENT_LOCAL_H

#include "apiserver/api.h"
#include "kube/client.h"

enum local_fault {
	LOCAL_OK,
	LOCAL_DOWN,      /* no connection; nothing is done */
	LOCAL_NO_ANSWER, /* it is done, and the answer is lost */
	LOCAL_BUSY,      /* 429 with Retry-After: 7 */
	LOCAL_BROKEN,    /* 500 without a Status */
};

/* api is borrowed; client_local_api() replaces it (a server that has been started anew), when no watch is open. */
int client_local_new(struct api *api, struct kube_client **ret);
void client_local_api(struct kube_client *client, struct api *api);
/* From now on. */
void client_local_fault(struct kube_client *client, enum local_fault fault);
/* How many calls have been made. */
uint64_t client_local_calls(const struct kube_client *client);
/* Delivers what watches have to tell. True when anything was delivered. */
bool client_local_pump(struct kube_client *client);
/* Ends all watches: as a server does after a while (broken false), or as a lost connection does, half of a line behind. */
void client_local_cut(struct kube_client *client, bool broken);

#endif
