/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/heartbeat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "kube/clock.h"
#include "kube/text.h"
#include "rt/lock.h"

struct heartbeat {
	struct kube_client *client;
	const struct kube_clock *clock;
	const char *node;
	uint32_t lease_s;
	struct kube_ref ref;
	bool there;  /* the Lease exists, as far as we know */
	bool failed; /* the last renewal did; said once */
	uint64_t renewals;
	struct background *thread;
};

static json_t *lease_spec(const struct heartbeat *hb)
{
	char now[KUBE_TIME_SIZE];

	(void)kube_time_format(kube_wall_ns(hb->clock), true, now, sizeof(now));
	return json_pack("{s:s, s:I, s:s}", "holderIdentity", hb->node, "leaseDurationSeconds",
			 (json_int_t)hb->lease_s, "renewTime", now);
}

/* Each renewal changes something, also when the wall clock stands still. */
static json_t *lease_annotations(const struct heartbeat *hb)
{
	char count[24];

	(void)snprintf(count, sizeof(count), "%" PRIu64, hb->renewals);
	return json_pack("{s:s}", "litepool.io/renewals", count);
}

static int lease_create(struct heartbeat *hb, struct kube_error *error)
{
	_cleanup_json_ json_t *lease = json_pack(
		"{s:s, s:s, s:{s:s, s:s, s:o}, s:o}", "apiVersion", "coordination.k8s.io/v1",
		"kind", "Lease", "metadata", "name", hb->node, "namespace", KUBE_NS_NODES,
		"annotations", lease_annotations(hb), "spec", lease_spec(hb));
	int rc = kube_create(hb->client, &hb->ref, lease, NULL, error);

	return rc == -EEXIST ? 0 : rc; /* the next step renews it */
}

static int lease_renew(struct heartbeat *hb, struct kube_error *error)
{
	_cleanup_json_ json_t *patch = json_pack("{s:{s:o}, s:o}", "metadata", "annotations",
						 lease_annotations(hb), "spec", lease_spec(hb));

	return kube_merge(hb->client, &hb->ref, patch, NULL, error);
}

int heartbeat_step(struct heartbeat *hb)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	int rc;

	hb->renewals++;
	rc = hb->there ? lease_renew(hb, &error) : lease_create(hb, &error);
	hb->there = rc == 0;
	if (rc == -ENOENT)
		return 0; /* somebody deleted it: make it at once */
	if (rc && !hb->failed)
		log_warn("agent.lease.failed", "reason=\"%s\"", error.err.text);
	if (!rc && hb->failed)
		log_info("agent.lease.renewed", "renewals=%" PRIu64, hb->renewals);
	hb->failed = rc != 0;
	return (int)(hb->lease_s * 200);
}

static int step(void *ctx)
{
	return heartbeat_step(ctx);
}

int heartbeat_start(struct heartbeat *hb, struct err *err)
{
	return background_new(step, hb, &hb->thread, err);
}

int heartbeat_new(struct kube_client *client, const struct kube_clock *clock, const char *node,
		  uint32_t lease_s, struct heartbeat **ret, struct err *err)
{
	struct heartbeat *hb = calloc(1, sizeof(*hb));

	if (!hb)
		return err_set(err, -ENOMEM, "out of memory");
	hb->client = client;
	hb->clock = clock;
	hb->node = node;
	hb->lease_s = lease_s;
	hb->there = true; /* a merge tells when not */
	hb->ref = (struct kube_ref){.res = kube_resource_by_kind("Lease"),
				    .ns = KUBE_NS_NODES,
				    .name = node,
				    .timeout_ms = (int)(lease_s * 1000 / 3)};
	*ret = hb;
	return 0;
}

void heartbeat_free(struct heartbeat *hb)
{
	if (!hb)
		return;
	background_free(hb->thread);
	free(hb);
}
