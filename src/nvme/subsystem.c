/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subsystems: making, finding and deleting.
 *
 *  1. Identity (serial, controller ids' range, number of namespaces) is fixed when a subsystem is made; a serial that is not given is
 *     computed from the NQN alone, so that it is the same after every restart and on every node.
 *  2. Deleting goes through the states of enum delete_state; each is entered when the one before is done everywhere:
 *     controllers gone -> namespaces out of every reactor's view -> reservation work ended -> memory freed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "nvme/control.h"

#define NAMESPACES_DEFAULT 32
#define MODEL_DEFAULT      "LitePool Volume"

enum delete_state {
	DELETE_CTRLRS, /* no Connect is accepted any more; controllers are being closed */
	DELETE_VIEWS,  /* no controller exists; the empty view is being published */
	DELETE_NAMESPACES, /* no reactor refers to a namespace; each one's reservation work is being ended */
};

struct subsystem_delete {
	enum delete_state state;
	struct nvme_subsystem *ss;
	struct nvme_ns **ns; /* the array as it was */
	uint32_t index;      /* the one in DELETE_NAMESPACES */
	nvme_done_fn done;
	void *ctx;
};

int nvme_nqn_check(const char *nqn, struct err *err)
{
	size_t len = strlen(nqn);

	if (len > NVME_NQN_MAX)
		return err_set(err, -EINVAL, "NQN is %zu bytes long, the limit is %d", len,
			       NVME_NQN_MAX);
	if (strncmp(nqn, "nqn.", 4) != 0 || len < 12)
		return err_set(err, -EINVAL, "'%s' is not an NQN (nqn.yyyy-mm.reverse.domain:name)",
			       nqn);
	for (size_t i = 0; i < len; i++)
		if (nqn[i] <= ' ' || nqn[i] > '~' || nqn[i] == '"' || nqn[i] == '\\')
			return err_set(err, -EINVAL,
				       "NQN has a character that is not allowed at byte %zu", i);
	return 0;
}

/* FNV-1a: spreads an NQN over 64 bits; stable for ever, which is all that is asked of it. */
static uint64_t nqn_hash(const char *nqn)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *nqn; nqn++)
		h = (h ^ (uint8_t)*nqn) * 0x100000001b3u;
	return h;
}

struct nvme_subsystem *nvme_subsystem_alloc(struct nvme_target *t, const char *nqn, uint32_t nn)
{
	struct nvme_subsystem *ss = calloc(1, sizeof(*ss));

	if (!ss)
		return NULL;
	ss->ns = calloc(nn ? nn : 1, sizeof(struct nvme_ns *));
	ss->restored = calloc(nn ? nn : 1, sizeof(struct resv *));
	if (!ss->ns || !ss->restored) {
		free(ss->ns);
		free(ss->restored);
		free(ss);
		return NULL;
	}
	ss->target = t;
	ss->nn = nn;
	ss->min_cntlid = 1;
	ss->max_cntlid = NVME_CNTLID_MAX;
	ss->next_cntlid = 1;
	(void)str_copy(ss->nqn, sizeof(ss->nqn), nqn);
	list_init(&ss->hosts);
	list_init(&ss->listeners);
	list_init(&ss->ctrlrs);
	return ss;
}

void nvme_subsystem_free(struct nvme_subsystem *ss)
{
	if (!ss)
		return;
	ASSERT(list_empty(&ss->ctrlrs));
	list_remove(&ss->link);
	if (!ss->is_discovery)
		view_fini(ss);
	nvme_hosts_free(ss);
	nvme_listeners_free(ss);
	for (uint32_t i = 0; i < ss->nn; i++) {
		nvme_ns_free(ss->ns[i]);
		free(ss->restored[i]);
	}
	free(ss->restored);
	free(ss->ns);
	free(ss);
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static int subsystem_opts_check(struct nvme_target *t, const struct nvme_subsystem_opts *o,
				struct err *err)
{
	int res = nvme_nqn_check(o->nqn, err);

	if (res)
		return err_prefix(err, "subsystem");
	if (t->stopping)
		return err_set(err, -ESHUTDOWN, "the target is being stopped");
	if (!strcmp(o->nqn, NVME_DISCOVERY_NQN))
		return err_set(err, -EEXIST, "the discovery subsystem is always there");
	if (nvme_subsystem_find(t, o->nqn))
		return err_set(err, -EEXIST, "subsystem %s exists already", o->nqn);
	if (o->serial && (strlen(o->serial) > 20 || !printable(o->serial)))
		return err_set(err, -EINVAL,
			       "serial_number must be at most 20 printable characters");
	if (o->model && (strlen(o->model) > 40 || !printable(o->model)))
		return err_set(err, -EINVAL,
			       "model_number must be at most 40 printable characters");
	if (o->max_namespaces > NVME_NAMESPACES_MAX)
		return err_set(err, -EINVAL, "max_namespaces %u exceeds %d", o->max_namespaces,
			       NVME_NAMESPACES_MAX);
	if (o->max_cntlid > NVME_CNTLID_MAX || (o->max_cntlid && o->min_cntlid > o->max_cntlid) ||
	    o->min_cntlid > NVME_CNTLID_MAX)
		return err_set(err, -EINVAL, "controller ids %u..%u are not a range within 1..%u",
			       o->min_cntlid, o->max_cntlid, NVME_CNTLID_MAX);
	return 0;
}

static void subsystem_fill(struct nvme_subsystem *ss, const struct nvme_subsystem_opts *o)
{
	ss->allow_any_host = o->allow_any_host;
	ss->ana_reporting = o->ana_reporting;
	if (o->min_cntlid)
		ss->min_cntlid = o->min_cntlid;
	if (o->max_cntlid)
		ss->max_cntlid = o->max_cntlid;
	ss->next_cntlid = ss->min_cntlid;
	if (o->serial && *o->serial)
		(void)str_copy(ss->serial, sizeof(ss->serial), o->serial);
	else
		(void)snprintf(ss->serial, sizeof(ss->serial), "LP%016" PRIx64, nqn_hash(o->nqn));
	(void)str_copy(ss->model, sizeof(ss->model),
		       o->model && *o->model ? o->model : MODEL_DEFAULT);
}

int nvme_subsystem_new(struct nvme_target *t, const struct nvme_subsystem_opts *opts,
		       struct nvme_subsystem **ret, struct err *err)
{
	struct nvme_subsystem *ss;
	int res = subsystem_opts_check(t, opts, err);

	if (res)
		return res;
	ss = nvme_subsystem_alloc(t, opts->nqn,
				  opts->max_namespaces ? opts->max_namespaces : NAMESPACES_DEFAULT);
	if (!ss)
		return err_set(err, -ENOMEM, "no memory for subsystem %s", opts->nqn);
	subsystem_fill(ss, opts);
	res = view_init(ss);
	if (res) {
		free(ss->restored);
		free(ss->ns);
		free(ss);
		return err_set(err, res, "no memory for subsystem %s", opts->nqn);
	}
	list_push_back(&t->subsystems, &ss->link);
	*ret = ss;
	return 0;
}

struct nvme_subsystem *nvme_subsystem_find(struct nvme_target *t, const char *nqn)
{
	if (!strcmp(nqn, NVME_DISCOVERY_NQN))
		return t->discovery;
	list_for_each (it, &t->subsystems) {
		struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		if (!strcmp(ss->nqn, nqn))
			return ss;
	}
	return NULL;
}

const char *nvme_subsystem_nqn(const struct nvme_subsystem *ss)
{
	return ss->nqn;
}

/*
 * The end is told in the same breath: whoever gives the name to a new subsystem after that finds all that was kept under it by the caller
 * gone. Never inside nvme_subsystem_delete(): the controllers' end comes as a message.
 */
static void delete_free(struct subsystem_delete *job)
{
	struct nvme_subsystem *ss = job->ss;

	for (uint32_t i = 0; i < ss->nn; i++)
		nvme_ns_free(job->ns[i]);
	free(job->ns);
	nvme_subsystem_free(ss);
	if (job->done)
		job->done(job->ctx, 0);
	free(job);
}

static void delete_step(void *ctx, int res)
{
	struct subsystem_delete *job = ctx;
	struct nvme_subsystem *ss = job->ss;

	switch (job->state) {
	case DELETE_CTRLRS:
		/* The view is built from ss->ns: with none in it every reactor lets go of all. */
		for (uint32_t i = 0; i < ss->nn; i++) {
			job->ns[i] = TAKE_PTR(ss->ns[i]);
			if (job->ns[i])
				job->ns[i]->removing = true;
		}
		job->state = DELETE_VIEWS;
		view_publish(ss, delete_step, job);
		break;
	case DELETE_VIEWS:
		job->state = DELETE_NAMESPACES;
		__attribute__((fallthrough));
	case DELETE_NAMESPACES:
		while (job->index < ss->nn && !job->ns[job->index])
			job->index++;
		if (job->index < ss->nn)
			nvme_resv_close(job->ns[job->index++], delete_step, job);
		else
			delete_free(job);
		break;
	default:
		UNREACHABLE();
	}
}

void nvme_subsystem_delete(struct nvme_subsystem *ss, nvme_done_fn done, void *ctx)
{
	struct subsystem_delete *job = calloc(1, sizeof(*job));
	struct nvme_target *t = ss->target;

	ASSERT(job);
	if (ss->deleting || ss->is_discovery) { /* the discovery subsystem goes with the target */
		free(job);
		nvme_done_later(t, done, ctx, ss->deleting ? -EALREADY : -EPERM);
		return;
	}
	*job = (struct subsystem_delete){
		.state = DELETE_CTRLRS, .ss = ss, .done = done, .ctx = ctx};
	job->ns = calloc(ss->nn, sizeof(struct nvme_ns *));
	ASSERT(job->ns);
	ss->deleting = true;
	nvme_aer_discovery_changed(t);
	nvme_ctrlrs_delete(ss, NULL, NULL, "subsystem deleted", delete_step, job);
}
