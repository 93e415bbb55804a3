/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of a subsystem and the ANA state that each shows per group (there are as many groups as namespace ids).
 *
 *  1. A change of state counts the listener's change count up before any host can see the new state.
 *  2. Hosts are told at once; the caller hears when no command that saw the old state is under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "nvme/control.h"
#include "nvme/spec_log.h"

struct listener_remove {
	struct nvme_subsystem *ss;
	struct nvme_port *port; /* a reference */
	bool published;
	nvme_done_fn done;
	void *ctx;
};

struct nvme_listener *nvme_listener_find(const struct nvme_subsystem *ss,
					 const struct nvme_port *port)
{
	list_for_each (it, &ss->listeners) {
		struct nvme_listener *l = list_entry(it, struct nvme_listener, link);

		if (l->port == port)
			return l;
	}
	return NULL;
}

static void listener_free(struct nvme_listener *l)
{
	list_remove(&l->link);
	nvme_port_put(l->port);
	free(l->ana);
	free(l);
}

void nvme_listeners_free(struct nvme_subsystem *ss)
{
	list_for_each_safe (it, &ss->listeners)
		listener_free(list_entry(it, struct nvme_listener, link));
}

enum nvme_ana_state nvme_ana_state(const struct nvme_subsystem *ss, const struct nvme_port *port,
				   uint32_t anagrpid)
{
	const struct nvme_listener *l = nvme_listener_find(ss, port);

	ASSERT(anagrpid && anagrpid <= ss->nn);
	return l ? (enum nvme_ana_state)l->ana[anagrpid] : NVME_ANA_INACCESSIBLE;
}

bool nvme_ana_state_valid(unsigned state)
{
	return (state >= NVME_ANA_OPTIMIZED && state <= NVME_ANA_PERSISTENT_LOSS) ||
	       state == NVME_ANA_CHANGE;
}

int nvme_subsystem_add_listener(struct nvme_subsystem *ss, struct nvme_port *port,
				nvme_done_fn done, void *ctx, struct err *err)
{
	return nvme_subsystem_add_listener_as(ss, port, NVME_ANA_OPTIMIZED, done, ctx, err);
}

int nvme_subsystem_add_listener_as(struct nvme_subsystem *ss, struct nvme_port *port,
				   enum nvme_ana_state state, nvme_done_fn done, void *ctx,
				   struct err *err)
{
	struct nvme_listener *l;

	if (state != NVME_ANA_OPTIMIZED && (ss->is_discovery || !ss->ana_reporting))
		return err_set(err, -EINVAL, "%s was not created with ana_reporting", ss->nqn);
	if (!nvme_ana_state_valid(state))
		return err_set(err, -EINVAL, "ANA state %d is not valid", state);
	if (ss->deleting)
		return err_set(err, -EINVAL, "subsystem %s is being deleted", ss->nqn);
	if (nvme_listener_find(ss, port))
		return err_set(err, -EEXIST, "%s listens on %s:%s already", ss->nqn,
			       port->addr.traddr, port->addr.trsvcid);
	l = calloc(1, sizeof(*l));
	if (l)
		l->ana = malloc(ss->nn + 1);
	if (!l || !l->ana) {
		free(l);
		return err_set(err, -ENOMEM, "no memory for a listener");
	}
	memset(l->ana, (int)state, ss->nn + 1);
	nvme_port_ref(port);
	l->port = port;
	l->change_count = 1;
	list_push_back(&ss->listeners, &l->link);
	nvme_aer_discovery_changed(ss->target);
	if (ss->is_discovery)
		nvme_done_later(ss->target, done, ctx, 0);
	else
		view_publish(ss, done, ctx);
	return 0;
}

static bool came_by_port(struct nvme_ctrlr *c, void *arg)
{
	return c->port == arg;
}

static void listener_remove_step(void *ctx, int res)
{
	struct listener_remove *job = ctx;

	if (!job->published && !job->ss->is_discovery) {
		job->published = true;
		view_publish(job->ss, listener_remove_step, job);
		return;
	}
	nvme_port_put(job->port);
	if (job->done)
		job->done(job->ctx, 0);
	free(job);
}

int nvme_subsystem_remove_listener(struct nvme_subsystem *ss, struct nvme_port *port,
				   nvme_done_fn done, void *ctx, struct err *err)
{
	struct nvme_listener *l = nvme_listener_find(ss, port);
	struct listener_remove *job;

	if (ss->deleting)
		return err_set(err, -EINVAL, "subsystem %s is being deleted", ss->nqn);
	if (!l)
		return err_set(err, -ENOENT, "%s does not listen there", ss->nqn);
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(err, -ENOMEM, "no memory to remove a listener");
	nvme_port_ref(port);
	*job = (struct listener_remove){.ss = ss, .port = port, .done = done, .ctx = ctx};
	listener_free(l);
	nvme_aer_discovery_changed(ss->target);
	nvme_ctrlrs_delete(ss, came_by_port, port, "listener removed", listener_remove_step, job);
	return 0;
}

int nvme_subsystem_set_ana_state(struct nvme_subsystem *ss, struct nvme_port *port,
				 uint32_t anagrpid, enum nvme_ana_state state, nvme_done_fn done,
				 void *ctx, struct err *err)
{
	struct nvme_listener *l = nvme_listener_find(ss, port);
	bool changed = false;

	if (!l)
		return err_set(err, -ENOENT, "%s does not listen there", ss->nqn);
	if (ss->deleting)
		return err_set(err, -EINVAL, "subsystem %s is being deleted", ss->nqn);
	if (ss->is_discovery || !ss->ana_reporting)
		return err_set(err, -EINVAL, "%s was not created with ana_reporting", ss->nqn);
	if (anagrpid > ss->nn || !nvme_ana_state_valid(state))
		return err_set(err, -EINVAL, "anagrpid %u (0..%u) or state %d is not valid",
			       anagrpid, ss->nn, state);
	for (uint32_t g = 1; g <= ss->nn; g++) {
		if ((anagrpid && g != anagrpid) || l->ana[g] == state)
			continue;
		l->ana[g] = (uint8_t)state;
		changed = true;
	}
	if (changed) {
		l->change_count++;
		ss->ana_change_count++;
		log_info("nvme.ana.changed", "nqn=%s port=%u group=%u state=%d", ss->nqn,
			 port->index + 1, anagrpid, state);
		nvme_aer_ana_changed(ss);
	}
	view_publish(ss, done, ctx);
	return 0;
}

static uint32_t ana_group_size(const struct nvme_subsystem *ss, uint32_t group)
{
	uint32_t n = 0;

	for (uint32_t nsid = 1; nsid <= ss->nn; nsid++) {
		const struct nvme_ns *ns = nvme_ns_find(ss, nsid);

		n += ns && ns->anagrpid == group;
	}
	return n;
}

static void ana_log_group(struct nvme_ctrlr *c, uint32_t group, uint32_t n, bool groups_only,
			  struct nvme_log_window *win)
{
	const struct nvme_listener *l = nvme_listener_find(c->ss, c->port);
	struct nvme_log_ana_group desc = {
		.group = htole32(group),
		.n_nsids = htole32(groups_only ? 0 : n),
		.change_count = htole64(l ? l->change_count : 0),
		.state = (uint8_t)nvme_ana_state(c->ss, c->port, group),
	};

	nvme_log_put(win, &desc, sizeof(desc));
	for (uint32_t nsid = 1; !groups_only && nsid <= c->ss->nn; nsid++) {
		const struct nvme_ns *ns = nvme_ns_find(c->ss, nsid);
		le32 id = htole32(nsid);

		if (ns && ns->anagrpid == group)
			nvme_log_put(win, &id, sizeof(id));
	}
}

/* Groups in ascending order, those without a namespace left out: what a host can do nothing with is not told. */
void nvme_ana_log(struct nvme_ctrlr *c, bool groups_only, struct nvme_log_window *win)
{
	const struct nvme_listener *l = nvme_listener_find(c->ss, c->port);
	struct nvme_log_ana head = {.change_count = htole64(l ? l->change_count : 0)};
	uint16_t groups = 0;

	for (uint32_t g = 1; g <= c->ss->nn; g++)
		groups = (uint16_t)(groups + (ana_group_size(c->ss, g) > 0));
	head.n_groups = htole16(groups);
	nvme_log_put(win, &head, sizeof(head));
	for (uint32_t g = 1; g <= c->ss->nn; g++) {
		uint32_t n = ana_group_size(c->ss, g);

		if (n)
			ana_log_group(c, g, n, groups_only, win);
	}
}
