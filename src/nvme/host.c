/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may connect to a subsystem: nobody, unless the host's NQN is on the list or every host is allowed. A host that loses its permission
 * loses its controllers, and the caller hears when the last of its queues is gone: this is what fencing stands on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "nvme/control.h"

static struct nvme_host_entry *host_find(const struct nvme_subsystem *ss, const char *hostnqn)
{
	list_for_each (it, &ss->hosts) {
		struct nvme_host_entry *h = list_entry(it, struct nvme_host_entry, link);

		if (!strcmp(h->nqn, hostnqn))
			return h;
	}
	return NULL;
}

bool nvme_host_allowed(const struct nvme_subsystem *ss, const char *hostnqn)
{
	return ss->allow_any_host || host_find(ss, hostnqn);
}

void nvme_hosts_free(struct nvme_subsystem *ss)
{
	list_for_each_safe (it, &ss->hosts) {
		list_remove(it);
		free(list_entry(it, struct nvme_host_entry, link));
	}
}

int nvme_subsystem_add_host(struct nvme_subsystem *ss, const char *hostnqn, struct err *err)
{
	struct nvme_host_entry *h;
	int res = nvme_nqn_check(hostnqn, err);

	if (res)
		return err_prefix(err, "host");
	if (host_find(ss, hostnqn))
		return 0; /* As SPDK answers: the list is as the caller wants it. */
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(err, -ENOMEM, "no memory for host %s", hostnqn);
	(void)str_copy(h->nqn, sizeof(h->nqn), hostnqn);
	list_push_back(&ss->hosts, &h->link);
	nvme_aer_discovery_changed(ss->target);
	return 0;
}

static bool ctrlr_is_not_allowed(struct nvme_ctrlr *c, void *arg)
{
	return !nvme_host_allowed(c->ss, c->hostnqn);
}

int nvme_subsystem_remove_host(struct nvme_subsystem *ss, const char *hostnqn, nvme_done_fn done,
			       void *ctx, struct err *err)
{
	struct nvme_host_entry *h = host_find(ss, hostnqn);

	if (!h)
		return err_set(err, -ENOENT, "host %s is not on the list of %s", hostnqn, ss->nqn);
	list_remove(&h->link);
	free(h);
	nvme_aer_discovery_changed(ss->target);
	nvme_ctrlrs_delete(ss, ctrlr_is_not_allowed, NULL, "host removed", done, ctx);
	return 0;
}

void nvme_subsystem_allow_any_host(struct nvme_subsystem *ss, bool allow, nvme_done_fn done,
				   void *ctx)
{
	if (ss->allow_any_host != allow) {
		ss->allow_any_host = allow;
		nvme_aer_discovery_changed(ss->target);
	}
	nvme_ctrlrs_delete(ss, ctrlr_is_not_allowed, NULL, "host not on the list", done, ctx);
}
