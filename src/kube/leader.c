/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step is: the record (the one we wrote last, or a fresh one), a decision, at most one write.
 *
 *   FOLLOWING -the record is free, ours, or has not changed for as long as it promised; our write was taken-> LEADING
 *   LEADING -the write was taken-> LEADING
 *   LEADING -another holds it, or valid_until has passed-> FOLLOWING
 */
#include "kube/leader.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/text.h"
#include "rt/lock.h"

#define LEASE_MS 15000

struct leader {
	struct leader_config config;
	char ns[KUBE_NAME_MAX + 1], name[KUBE_NAME_MAX + 1], identity[256];
	struct kube_ref ref;
	struct background *background;
	/* Read by any thread. */
	_Atomic uint64_t valid_until_ms; /* we lead before it; 0: we do not */
	_Atomic uint64_t epoch;
	/* The stepping thread's. */
	bool leading;
	json_t *lease; /* owned: as the server told it last, or NULL */
	char seen_version[KUBE_VERSION_SIZE];
	uint64_t seen_ms; /* when seen_version was new to us */
};

bool leader_is(const struct leader *l)
{
	uint64_t until = atomic_load(&l->valid_until_ms);

	return until && kube_mono_ms(l->config.clock) < until;
}

uint64_t leader_epoch(const struct leader *l)
{
	return atomic_load(&l->epoch);
}

static void become(struct leader *l, bool leading)
{
	if (!leading)
		atomic_store(&l->valid_until_ms, 0);
	if (l->leading == leading)
		return;
	l->leading = leading;
	if (l->config.changed)
		l->config.changed(l->config.ctx, leading);
}

/* Takes lease. */
static void see(struct leader *l, json_t *lease)
{
	const char *version = kube_str(lease, "metadata.resourceVersion");

	json_decref(l->lease);
	l->lease = lease;
	if (!strcmp(version, l->seen_version))
		return;
	(void)str_copy(l->seen_version, sizeof(l->seen_version), version);
	l->seen_ms = kube_mono_ms(l->config.clock);
}

static bool ours(const struct leader *l)
{
	return !strcmp(kube_str(l->lease, "spec.holderIdentity"), l->identity);
}

/* Whether another may still be at work under the record. */
static bool taken(const struct leader *l)
{
	json_int_t seconds = json_integer_value(kube_at(l->lease, "spec.leaseDurationSeconds"));
	uint64_t promised_ms = seconds > 0 ? (uint64_t)seconds * 1000 : l->config.lease_ms;

	if (!kube_str(l->lease, "spec.holderIdentity")[0] || ours(l))
		return false;
	return kube_mono_ms(l->config.clock) < l->seen_ms + promised_ms;
}

/* The record that we want there. holder "" gives it up. New reference. */
static json_t *record(const struct leader *l, const char *holder)
{
	json_t *lease = l->lease ? json_deep_copy(l->lease)
				 : json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion",
					     "coordination.k8s.io/v1", "kind", "Lease", "metadata",
					     "name", l->name, "namespace", l->ns);
	json_int_t changes = json_integer_value(kube_at(lease, "spec.leaseTransitions"));
	const char *since = kube_str(lease, "spec.acquireTime");
	json_int_t seconds = holder[0] ? l->config.lease_ms / 1000 : 1;
	char now[KUBE_TIME_SIZE];
	json_t *spec;

	(void)kube_time_format(kube_wall_ns(l->config.clock), true, now, sizeof(now));
	if (holder[0] && !ours(l)) {
		changes += l->lease != NULL;
		since = now;
	}
	spec = json_pack("{s:s, s:I, s:s, s:s, s:I}", "holderIdentity", holder,
			 "leaseDurationSeconds", seconds, "acquireTime", since[0] ? since : now,
			 "renewTime", now, "leaseTransitions", changes);
	if (!lease || json_object_set_new(lease, "spec", spec)) {
		json_decref(lease);
		return NULL;
	}
	return lease;
}

static int write_record(struct leader *l, const char *holder, struct kube_error *error)
{
	_cleanup_json_ json_t *lease = record(l, holder);
	json_t *stored = NULL;
	int rc;

	if (!lease)
		return -ENOMEM;
	rc = l->lease ? kube_update(l->config.client, &l->ref, lease, &stored, error)
		      : kube_create(l->config.client, &l->ref, lease, &stored, error);
	if (rc)
		return rc;
	/* A write that changes nothing has no new version, and so others do not see that we are there: our wall clock stands still. */
	if (!strcmp(kube_str(stored, "metadata.resourceVersion"), l->seen_version))
		rc = kube_error_local(error, -EAGAIN,
				      "the renewal changed nothing; does the clock stand still?");
	see(l, stored);
	return rc;
}

static int read_record(struct leader *l, struct kube_error *error)
{
	json_t *lease = NULL;
	int rc = kube_get(l->config.client, &l->ref, &lease, error);

	if (!rc) {
		see(l, lease);
	} else {
		json_decref(l->lease);
		l->lease = NULL;
	}
	return rc == -ENOENT ? 0 : rc;
}

/* What is there, if we cannot know: a leader writes over its own last record and is told of a conflict. */
static int try_once(struct leader *l, struct kube_error *error)
{
	uint64_t before_ms;
	int rc = l->leading && l->lease ? 0 : read_record(l, error);

	if (rc)
		return rc;
	if (l->lease && taken(l)) {
		become(l, false);
		return 0;
	}
	before_ms = kube_mono_ms(l->config.clock);
	rc = write_record(l, l->identity, error);
	if (!rc) {
		json_int_t changes = json_integer_value(kube_at(l->lease, "spec.leaseTransitions"));

		atomic_store(&l->epoch, (uint64_t)changes);
		atomic_store(&l->valid_until_ms, before_ms + l->config.renew_ms);
		become(l, true);
	} else {
		/* The next try reads what is there. */
		json_decref(l->lease);
		l->lease = NULL;
	}
	return rc;
}

int leader_step(struct leader *l)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	int rc;

	/* Time has passed, or another got it: what began under this lease has to end before we lead again. */
	if (l->leading && !leader_is(l))
		become(l, false);
	rc = try_once(l, &error);
	if (rc && rc != -EBUSY && rc != -EEXIST)
		log_limited(LOG_LEVEL_WARN, "leader.lease.error", "lease=%s/%s error=\"%s\"", l->ns,
			    l->name, error.err.text);
	if (l->leading && !leader_is(l))
		become(l, false);
	return (int)l->config.retry_ms;
}

void leader_release(struct leader *l)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	bool valid = leader_is(l);

	become(l, false);
	/* A failure costs the next leader the rest of the lease, no more. */
	if (valid && l->lease)
		(void)write_record(l, "", &error);
}

static int step(void *ctx)
{
	return leader_step(ctx);
}

int leader_start(struct leader *l, struct err *err)
{
	return background_new(step, l, &l->background, err);
}

void leader_stop(struct leader *l)
{
	background_free(l->background);
	l->background = NULL;
}

int leader_new(const struct leader_config *config, struct leader **ret, struct err *err)
{
	struct leader *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(err, -ENOMEM, "no memory for an election");
	l->config = *config;
	if (!l->config.lease_ms)
		l->config.lease_ms = LEASE_MS;
	if (!l->config.renew_ms)
		l->config.renew_ms = l->config.lease_ms / 3 * 2;
	if (!l->config.retry_ms)
		l->config.retry_ms = l->config.renew_ms / 5;
	if (!l->config.clock)
		l->config.clock = kube_clock_host();
	if (!str_copy(l->ns, sizeof(l->ns), config->ns) ||
	    !str_copy(l->name, sizeof(l->name), config->name) || !config->identity[0] ||
	    !str_copy(l->identity, sizeof(l->identity), config->identity) ||
	    l->config.lease_ms % 1000 || l->config.renew_ms >= l->config.lease_ms ||
	    l->config.retry_ms >= l->config.renew_ms) {
		free(l);
		return err_set(err, -EINVAL,
			       "lease %s/%s: an identity of at most 255 bytes, a lease of whole "
			       "seconds, renewal within less, and tries within that are needed",
			       config->ns, config->name);
	}
	l->ref = (struct kube_ref){.res = kube_resource_by_kind("Lease"),
				   .ns = l->ns,
				   .name = l->name,
				   .timeout_ms = (int)(l->config.renew_ms / 2)};
	*ret = l;
	return 0;
}

void leader_free(struct leader *l)
{
	if (!l)
		return;
	leader_stop(l);
	json_decref(l->lease);
	free(l);
}
