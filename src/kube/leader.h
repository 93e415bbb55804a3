/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Election of one leader by a coordination.k8s.io Lease.
 *
 * 1. Others' leases run out by our own monotonic clock, since the record last changed as we saw it; wall clocks are written, never compared.
 * 2. We lead from when the server has taken our record, for renew_ms counted from before the request was sent; renew_ms is less than
 *    lease_ms, which is what others wait for. So a process that was stopped and wakes up finds that it does not lead: leader_is() looks at the
 *    clock, not at a flag. Ask it before each action, and let what you do carry leader_epoch() where the receiver can compare.
 * 3. A request without an answer makes no leader.
 */
#ifndef LITEPOOL_KUBE_LEADER_H
#define LITEPOOL_KUBE_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kube/clock.h"

struct kube_client;
struct leader;

struct leader_config {
	struct kube_client *client;     /* borrowed */
	const char *ns, *name;          /* of the Lease; copied */
	const char *identity;           /* ours: unique, also among restarts of one host; copied */
	uint32_t lease_ms;              /* whole seconds; 0: 15000 */
	uint32_t renew_ms;              /* 0: two thirds of lease_ms; less than lease_ms */
	uint32_t retry_ms;              /* between tries; 0: a fifth of renew_ms */
	const struct kube_clock *clock; /* NULL: the host's */
	/* On the stepping thread, when leading begins, and when it has ended (by then leader_is() is false already). May be NULL. */
	void (*changed)(void *ctx, bool leading);
	void *ctx;
};

int leader_new(const struct leader_config *config, struct leader **ret, struct err *err);
/* Stops the thread; does not release. */
void leader_free(struct leader *l);

/* Runs leader_step() on a thread of its own from now on. */
int leader_start(struct leader *l, struct err *err);
/* One try or renewal; blocks for the requests. After how many ms to call it again. One thread. */
int leader_step(struct leader *l);
/* Any thread, without a lock. */
bool leader_is(const struct leader *l);
/* How often the lease has changed hands, while we lead; grows with each leader. */
uint64_t leader_epoch(const struct leader *l);
/* All work has ended: another may lead at once. Blocks for one request, if we lead. Not before leader_stop() when it was started. */
void leader_release(struct leader *l);
void leader_stop(struct leader *l);

#endif
