/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/tries.h"

#include <errno.h>

#include "base/bytes.h"
#include "rt/process.h"

#define PAUSE_FIRST_MS 100u
#define PAUSE_MAX_MS   2000u
/* How soon a call notices that nobody waits for it any more. */
#define CANCEL_MS 200u
/* What is left of a deadline for the answer's way: a tenth, at most a second. */
#define ANSWER_PART   10
#define ANSWER_MAX_MS 1000

uint32_t csi_time_ms(int64_t left_ms, uint32_t longest_ms)
{
	if (left_ms < 0)
		return longest_ms;
	left_ms -= MIN(left_ms / ANSWER_PART, (int64_t)ANSWER_MAX_MS);
	return left_ms < longest_ms ? (uint32_t)left_ms : longest_ms;
}

uint64_t csi_end_ms(const struct csi_op *op, uint32_t longest_ms)
{
	return process_boot_ms() + csi_time_ms(csi_remaining_ms(op), longest_ms);
}

/* An overloaded or failing server, or none; not a server that we do not trust, or that does not trust us. */
static bool passes(const struct kube_error *error)
{
	if (error->http)
		return error->retry == KUBE_RETRY_LATER;
	switch (error->err.code) {
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
	case -EIO:
		return true;
	default:
		return false;
	}
}

bool csi_try_again(struct csi_tries *tries, const struct csi_op *op, const struct kube_error *error)
{
	uint64_t now = process_boot_ms(), until;

	if (!tries->end_ms) {
		tries->end_ms = csi_end_ms(op, tries->longest_ms ? tries->longest_ms : CSI_CALL_MS);
		tries->pause_ms = PAUSE_FIRST_MS;
	}
	until = now + MAX(tries->pause_ms, error->retry_after_ms);
	tries->pause_ms = MIN(tries->pause_ms * 2, PAUSE_MAX_MS);
	if (!passes(error) || until >= tries->end_ms)
		return false;
	for (; now < until; now = process_boot_ms()) {
		if (csi_cancelled(op))
			return false;
		process_sleep_ms((uint32_t)MIN(until - now, (uint64_t)CANCEL_MS));
	}
	return !csi_cancelled(op);
}
