/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: adding, removing, and what identifies them.
 *
 *  1. A namespace's identifiers are a function of what was given and of nothing else (no clock, no random): a Linux host drops a device
 *     whose identifiers change. What is not given is derived: UUID from the device, or from NQN and nsid if that has none;
 *     NGUID is the UUID; EUI64 is a hash of the UUID with the locally-administered bit set.
 *  2. Hosts are told of a new namespace when every reactor serves it, and of a removed one before its commands have drained.
 *  3. A removed namespace is freed, and its device released, when no reactor's view names it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "nvme/control.h"

struct ns_job {
	struct nvme_subsystem *ss;
	struct nvme_ns *removed; /* NULL: one was added */
	uint32_t nsid;
	nvme_done_fn done;
	void *ctx;
};

static uint64_t fnv1a(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* A version 8 UUID (RFC 9562: vendor's own method) of a name. */
static struct uuid uuid_of_name(const char *nqn, uint32_t nsid)
{
	struct uuid u;
	uint8_t tail[4];

	put_le32(tail, nsid);
	put_le64(u.b, fnv1a(fnv1a(0xcbf29ce484222325u, nqn, strlen(nqn)), tail, sizeof(tail)));
	put_le64(u.b + 8, fnv1a(fnv1a(0x9ae16a3b2f90404fu, nqn, strlen(nqn)), tail, sizeof(tail)));
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x80);
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
	return u;
}

static void ns_identify(struct nvme_ns *ns, const struct nvme_ns_opts *o)
{
	uint64_t h;

	ns->uuid = o->uuid;
	if (uuid_is_null(&ns->uuid))
		ns->uuid = o->dev->uuid;
	if (uuid_is_null(&ns->uuid))
		ns->uuid = uuid_of_name(ns->ss->nqn, ns->nsid);
	memcpy(ns->nguid, all_zero(o->nguid, 16) ? ns->uuid.b : o->nguid, 16);
	memcpy(ns->eui64, o->eui64, 8);
	if (!all_zero(o->eui64, 8))
		return;
	h = fnv1a(0xcbf29ce484222325u, ns->uuid.b, 16);
	h ^= h >> 29; /* FNV's low bytes are its best; let the high ones share. */
	put_le64(ns->eui64, h);
	ns->eui64[0] = (uint8_t)((ns->eui64[0] & ~1u) | 2u);
}

struct nvme_ns *nvme_ns_find(const struct nvme_subsystem *ss, uint32_t nsid)
{
	struct nvme_ns *ns = nsid && nsid <= ss->nn ? ss->ns[nsid - 1] : NULL;

	return ns && !ns->removing ? ns : NULL;
}

void nvme_ns_free(struct nvme_ns *ns)
{
	if (!ns)
		return;
	if (ns->dev) {
		ASSERT(ns->dev->claims > 0);
		ns->dev->claims--;
	}
	for (unsigned i = 0; i < ARRAY_LEN(ns->stats); i++)
		free(ns->stats[i]);
	free(ns);
}

static int ns_stats_new(struct nvme_ns *ns)
{
	struct nvme_target_opts *o = &ns->ss->target->opts;

	for (unsigned i = 0; i <= o->n_data; i++) {
		unsigned id = reactor_id(i < o->n_data ? o->data[i] : o->control);

		if (!ns->stats[id])
			ns->stats[id] = calloc(1, sizeof(struct ns_stats));
		if (!ns->stats[id])
			return -ENOMEM;
	}
	return 0;
}

/* Finds the nsid that is meant; 0 if refused. */
static uint32_t ns_choose_id(struct nvme_subsystem *ss, uint32_t wanted, struct err *err)
{
	if (wanted > ss->nn) {
		err_set(err, -EINVAL, "nsid %u exceeds max_namespaces %u of %s", wanted, ss->nn,
			ss->nqn);
		return 0;
	}
	if (wanted && ss->ns[wanted - 1]) {
		err_set(err, -EEXIST, "nsid %u of %s is in use", wanted, ss->nqn);
		return 0;
	}
	if (wanted)
		return wanted;
	for (uint32_t i = 0; i < ss->nn; i++)
		if (!ss->ns[i])
			return i + 1;
	err_set(err, -ENOSPC, "all %u namespace ids of %s are in use", ss->nn, ss->nqn);
	return 0;
}

static int ns_opts_check(struct nvme_subsystem *ss, const struct nvme_ns_opts *o, struct err *err)
{
	if (ss->is_discovery || ss->deleting)
		return err_set(err, -EINVAL, "subsystem %s takes no namespaces%s", ss->nqn,
			       ss->deleting ? ": it is being deleted" : "");
	if (o->dev->block_size != 512 && o->dev->block_size != 4096)
		return err_set(err, -EINVAL, "block size %u of %s is neither 512 nor 4096",
			       o->dev->block_size, o->dev->name);
	if (o->dev->claims)
		return err_set(err, -EBUSY, "%s is in use (%s); a device has one namespace",
			       o->dev->name, o->dev->claimed_by ? o->dev->claimed_by : "claimed");
	if (o->anagrpid > ss->nn)
		return err_set(err, -EINVAL, "anagrpid %u exceeds max_namespaces %u of %s",
			       o->anagrpid, ss->nn, ss->nqn);
	return 0;
}

/* Two namespaces that a host could not tell apart. */
static int ns_check_unique(const struct nvme_ns *ns, struct err *err)
{
	for (uint32_t i = 0; i < ns->ss->nn; i++) {
		const struct nvme_ns *other = ns->ss->ns[i];

		if (!other)
			continue;
		if (uuid_equal(&other->uuid, &ns->uuid) || !memcmp(other->nguid, ns->nguid, 16) ||
		    !memcmp(other->eui64, ns->eui64, 8))
			return err_set(err, -EEXIST,
				       "nsid %u of %s has the same UUID, NGUID or EUI64",
				       other->nsid, ns->ss->nqn);
	}
	return 0;
}

static int ns_new(struct nvme_subsystem *ss, const struct nvme_ns_opts *o, uint32_t nsid,
		  struct nvme_ns **ret, struct err *err)
{
	struct nvme_ns *ns = calloc(1, sizeof(*ns));
	int res;

	if (!ns)
		return err_set(err, -ENOMEM, "no memory for a namespace");
	ns->ss = ss;
	ns->nsid = nsid;
	ns->anagrpid = o->anagrpid ? o->anagrpid : nsid;
	ns->qos = o->qos;
	ns->ptpl_capable = o->ptpl_capable;
	ns->resv.holder = -1;
	list_init(&ns->resv_queue);
	if (ss->restored[nsid - 1])
		ns->resv = *ss->restored[nsid - 1];
	ns_identify(ns, o);
	res = ns_check_unique(ns, err);
	if (!res && ns_stats_new(ns))
		res = err_set(err, -ENOMEM, "no memory for a namespace's counters");
	if (res) {
		nvme_ns_free(ns);
		return res;
	}
	ns->dev = o->dev;
	ns->dev->claims++;
	ns->dev->claimed_by = "NVMe namespace";
	*ret = ns;
	return 0;
}

static void ns_job_end(struct ns_job *job)
{
	nvme_ns_free(job->removed);
	if (job->done)
		job->done(job->ctx, 0);
	free(job);
}

static void ns_resv_closed(void *ctx, int res)
{
	ns_job_end(ctx);
}

/* The view without (or with) the namespace is the only one now. */
static void ns_published(void *ctx, int res)
{
	struct ns_job *job = ctx;

	if (job->removed) {
		nvme_resv_close(job->removed, ns_resv_closed, job);
		return;
	}
	if (!job->ss->deleting)
		nvme_aer_ns_changed(job->ss, job->nsid);
	ns_job_end(job);
}

/* What was restored is for the one namespace that is added next: no other may find it there. */
static void restored_drop(struct nvme_subsystem *ss, uint32_t nsid)
{
	if (!nsid || nsid > ss->nn)
		return;
	free(ss->restored[nsid - 1]);
	ss->restored[nsid - 1] = NULL;
}

static int ns_add(struct nvme_subsystem *ss, const struct nvme_ns_opts *opts, uint32_t *ret_nsid,
		  nvme_done_fn done, void *ctx, struct err *err)
{
	struct nvme_ns *ns = NULL;
	struct ns_job *job;
	uint32_t nsid;
	int res = ns_opts_check(ss, opts, err);

	if (res)
		return res;
	nsid = ns_choose_id(ss, opts->nsid, err);
	if (!nsid)
		return opts->nsid > ss->nn ? -EINVAL : opts->nsid ? -EEXIST : -ENOSPC;
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(err, -ENOMEM, "no memory to add a namespace");
	res = ns_new(ss, opts, nsid, &ns, err);
	if (res) {
		free(job);
		return res;
	}
	restored_drop(ss, nsid);
	ss->ns[nsid - 1] = ns;
	*job = (struct ns_job){.ss = ss, .nsid = nsid, .done = done, .ctx = ctx};
	if (ret_nsid)
		*ret_nsid = nsid;
	log_info("nvme.ns.added", "nqn=%s nsid=%u dev=%s", ss->nqn, nsid, ns->dev->name);
	view_publish(ss, ns_published, job);
	return 0;
}

int nvme_subsystem_add_ns(struct nvme_subsystem *ss, const struct nvme_ns_opts *opts,
			  uint32_t *ret_nsid, nvme_done_fn done, void *ctx, struct err *err)
{
	const int res = ns_add(ss, opts, ret_nsid, done, ctx, err);

	if (res)
		restored_drop(ss, opts->nsid);
	return res;
}

int nvme_subsystem_remove_ns(struct nvme_subsystem *ss, uint32_t nsid, nvme_done_fn done, void *ctx,
			     struct err *err)
{
	struct nvme_ns *ns = nvme_ns_find(ss, nsid);
	struct ns_job *job;

	if (ss->deleting)
		return err_set(err, -EINVAL, "subsystem %s is being deleted", ss->nqn);
	if (!ns)
		return err_set(err, -ENOENT, "%s has no namespace %u", ss->nqn, nsid);
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(err, -ENOMEM, "no memory to remove a namespace");
	*job = (struct ns_job){.ss = ss, .removed = ns, .nsid = nsid, .done = done, .ctx = ctx};
	ns->removing = true;
	ss->ns[nsid - 1] = NULL;
	log_info("nvme.ns.removed", "nqn=%s nsid=%u dev=%s", ss->nqn, nsid, ns->dev->name);
	nvme_aer_ns_changed(ss, nsid);
	view_publish(ss, ns_published, job);
	return 0;
}

int nvme_subsystem_restore_resv(struct nvme_subsystem *ss, uint32_t nsid, const json_t *resv,
				struct err *err)
{
	struct resv *r;
	int res;

	if (!nsid || nsid > ss->nn)
		return err_set(err, -EINVAL, "nsid %u is not within 1..%u of %s", nsid, ss->nn,
			       ss->nqn);
	if (ss->ns[nsid - 1])
		return err_set(err, -EEXIST,
			       "nsid %u of %s is in use; reservations are restored before their "
			       "namespace is added",
			       nsid, ss->nqn);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "no memory for reservations");
	res = nvme_resv_from_json(resv, r, err);
	if (res) {
		free(r);
		return res;
	}
	restored_drop(ss, nsid);
	ss->restored[nsid - 1] = r;
	return 0;
}
