/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target: the list of subsystems, the ports, and the discovery subsystem that every port leads to.
 *
 *  1. The discovery subsystem exists as long as the target and admits every host; what a host sees in it is decided per host.
 *  2. After nvme_target_stop() no Connect is accepted; when it is done no controller exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/str.h"
#include "nvme/control.h"

struct target_stop {
	struct nvme_target *t;
	unsigned left; /* subsystems whose controllers are still there, and one for the caller */
	nvme_done_fn done;
	void *ctx;
};

struct nvme_target_opts nvme_target_opts_default(void)
{
	return (struct nvme_target_opts){
		.mdts_bytes = 512 * KIB,
		.in_capsule_bytes = 16 * KIB,
		.queue_entries_max = 1024,
		.io_queues_max = 128,
		.aer_max = 4,
		.kato_max_ms = 600000,
	};
}

static int target_opts_check(const struct nvme_target_opts *o, struct err *err)
{
	if (!o->control || !o->n_data || o->n_data > REACTORS_MAX)
		return err_set(err, -EINVAL,
			       "a target needs a control reactor and 1 to %d data reactors",
			       REACTORS_MAX);
	if (o->mdts_bytes < 4 * KIB || o->mdts_bytes > MIB || !is_pow2(o->mdts_bytes))
		return err_set(err, -EINVAL,
			       "max_io_size %u is not a power of two from 4096 to 1048576",
			       o->mdts_bytes);
	if (o->in_capsule_bytes < 8 * KIB || o->in_capsule_bytes > 16 * KIB ||
	    o->in_capsule_bytes % 16)
		return err_set(err, -EINVAL,
			       "in_capsule_data_size %u is not a multiple of 16 from 8192 to 16384",
			       o->in_capsule_bytes);
	if (o->queue_entries_max < NVME_QUEUE_MIN || o->queue_entries_max > NVME_QUEUE_MAX)
		return err_set(err, -EINVAL, "max_queue_depth %u is not within %d to %d",
			       o->queue_entries_max, NVME_QUEUE_MIN, NVME_QUEUE_MAX);
	if (!o->io_queues_max || o->io_queues_max > 1023)
		return err_set(err, -EINVAL, "max_io_qpairs_per_ctrlr %u is not within 1 to 1023",
			       o->io_queues_max);
	if (!o->aer_max || o->aer_max > NVME_AER_MAX)
		return err_set(err, -EINVAL, "max_aer %u is not within 1 to %d", o->aer_max,
			       NVME_AER_MAX);
	return 0;
}

int nvme_target_set_limits(struct nvme_target *t, const struct nvme_target_opts *opts,
			   struct err *err)
{
	struct nvme_target_opts o = *opts;
	int res;

	o.control = t->opts.control;
	o.data = t->opts.data;
	o.n_data = t->opts.n_data;
	res = target_opts_check(&o, err);
	if (res)
		return res;
	for (unsigned i = 0; i < NVME_PORTS_MAX; i++)
		if (t->ports[i])
			return err_set(
				err, -EBUSY,
				"limits cannot change while there is a listener or a connection");
	t->opts = o;
	return 0;
}

uint16_t nvme_target_queue_max(const struct nvme_target *t, uint16_t qid)
{
	const uint16_t entries = t->opts.queue_entries_max;

	return qid ? entries : MAX(entries, (uint16_t)NVME_QUEUE_ADMIN);
}

const struct nvme_target_opts *nvme_target_opts(const struct nvme_target *t)
{
	return &t->opts;
}

int nvme_target_new(const struct nvme_target_opts *opts, struct nvme_target **ret, struct err *err)
{
	struct nvme_target *t;
	int res = target_opts_check(opts, err);

	if (res)
		return res;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, -ENOMEM, "no memory for the NVMe target");
	t->opts = *opts;
	list_init(&t->subsystems);
	/* Other than zero after a restart, so that a host never takes a new engine's log for one it knows. */
	t->discovery_gen = reactor_wall_ns(opts->control) / NSEC_PER_SEC + 1;
	if (nvme_freeze_init(t)) {
		nvme_freeze_fini(t);
		free(t);
		return err_set(err, -ENOMEM, "no memory for the NVMe target");
	}
	t->discovery = nvme_subsystem_alloc(t, NVME_DISCOVERY_NQN, 0);
	if (!t->discovery) {
		nvme_freeze_fini(t);
		free(t);
		return err_set(err, -ENOMEM, "no memory for the discovery subsystem");
	}
	t->discovery->is_discovery = true;
	t->discovery->allow_any_host = true;
	(void)str_copy(t->discovery->serial, sizeof(t->discovery->serial), "00000000000000000000");
	(void)str_copy(t->discovery->model, sizeof(t->discovery->model), "LitePool Discovery");
	*ret = t;
	return 0;
}

static void target_stop_step(void *ctx, int res)
{
	struct target_stop *stop = ctx;

	ASSERT(stop->left > 0);
	if (--stop->left)
		return;
	nvme_done_later(stop->t, stop->done, stop->ctx, 0);
	free(stop);
}

void nvme_target_stop(struct nvme_target *t, nvme_done_fn done, void *ctx)
{
	struct target_stop *stop = calloc(1, sizeof(*stop));

	ASSERT(stop); /* As in done.c: without these bytes there is no orderly stop. */
	t->stopping = true;
	*stop = (struct target_stop){.t = t, .left = 2, .done = done, .ctx = ctx};
	nvme_ctrlrs_delete(t->discovery, NULL, NULL, "target stops", target_stop_step, stop);
	list_for_each (it, &t->subsystems) {
		stop->left++;
		nvme_ctrlrs_delete(list_entry(it, struct nvme_subsystem, link), NULL, NULL,
				   "target stops", target_stop_step, stop);
	}
	nvme_done_later(t, target_stop_step, stop, 0);
}

void nvme_target_free(struct nvme_target *t)
{
	if (!t)
		return;
	list_for_each_safe (it, &t->subsystems)
		nvme_subsystem_free(list_entry(it, struct nvme_subsystem, link));
	nvme_subsystem_free(t->discovery);
	nvme_freeze_fini(t);
	free(t);
}

void nvme_target_set_resv_save(struct nvme_target *t, nvme_resv_save_fn fn, void *ctx)
{
	t->resv_save = fn;
	t->resv_save_ctx = ctx;
}

struct nvme_target *nvme_target_of(struct nvme_subsystem *ss)
{
	return ss->target;
}

void nvme_target_dev_changed(struct nvme_target *t, struct blk_dev *dev)
{
	list_for_each (it, &t->subsystems) {
		struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		for (uint32_t nsid = 1; nsid <= ss->nn; nsid++) {
			struct nvme_ns *ns = nvme_ns_find(ss, nsid);

			if (ns && ns->dev == dev)
				nvme_aer_ns_changed(ss, nsid);
		}
	}
}
