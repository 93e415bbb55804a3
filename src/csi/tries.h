/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server that fail for a while, within a CSI call: they are made again by us, so that a sidecar or the kubelet, whose own pauses grow to minutes, need not come again. Any thread; one
 * struct for one request.
 *
 *	struct csi_tries tries = {0};
 *
 *	do
 *		rc = kube_get(client, &ref, ret, &error);
 *	while (rc < 0 && csi_try_again(&tries, op, &error));
 *
 * A change whose answer was lost is asked for again, too: it must be one that may be carried out twice, or says "is there" or "is gone" the second time.
 */
#ifndef LITEPOOL_CSI_TRIES_H
#define LITEPOOL_CSI_TRIES_H

#include "csi/backend.h"
#include "kube/error.h"

/* The longest that one call takes when its client has no deadline. */
#define CSI_CALL_MS 60000u

struct csi_tries {
	uint32_t longest_ms; /* from the first failure on; 0: CSI_CALL_MS */
	uint32_t pause_ms;   /* before the next try, unless the server says how long */
	uint64_t end_ms;     /* of the boot clock; 0: has not failed yet */
};

/* How long a call may take whose client waits for left_ms more (-1: without end): a little less, so that the reason still arrives, and longest_ms at most. Pure. */
uint32_t csi_time_ms(int64_t left_ms, uint32_t longest_ms);
/* The moment (boot clock, ms) by which the call should have its answer by that. */
uint64_t csi_end_ms(const struct csi_op *op, uint32_t longest_ms);
/*
 * Pauses, and true: again. False, at once: the failure is none that passes by itself, nobody waits for the answer any more, or there is no time left.
 */
bool csi_try_again(struct csi_tries *tries, const struct csi_op *op,
		   const struct kube_error *error);

#endif
