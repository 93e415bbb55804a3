/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations that persist through power loss, of namespaces on volumes: kept in the volume's properties, so they go where its disk goes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/store.h"

const json_t *store_reservation(const struct bdev *bdev, const char *nqn, uint32_t nsid)
{
	const json_t *exports = json_object_get(bdev->props, "exports");

	for (size_t i = 0; i < json_array_size(exports); i++) {
		const json_t *one = json_array_get(exports, i);
		const char *of = json_string_value(json_object_get(one, "nqn"));

		if (of && strcmp(of, nqn) == 0 &&
		    json_integer_value(json_object_get(one, "nsid")) == nsid)
			return json_object_get(one, "reservation");
	}
	return NULL;
}

struct resv_job {
	struct store_job job;
	char uuid[UUID_TEXT_SIZE];
	char nqn[PROPS_NQN_MAX + 1];
	uint32_t nsid;
	json_t *resv; /* owned */
	nvme_done_fn saved;
	void *saved_ctx;
};

static int edit(void *ctx, struct props *p, struct err *err)
{
	const struct resv_job *r = ctx;

	if (!r->resv)
		return err_set(err, -ENOMEM, "no memory for a reservation");
	return store_props_set_reservation(p, r->nqn, r->nsid, r->resv, err);
}

static int prepare(struct store_job *job)
{
	const struct resv_job *r = (const struct resv_job *)job;
	struct bdev *bdev = bdev_find(&job->e->bdevs, r->uuid);

	if (!bdev || bdev->pool != job->sp)
		return err_set(&job->err, -ENODEV, "the volume is gone");
	job->volume = bdev->volume;
	return 0;
}

static void run(struct store_job *job)
{
	volume_edit(job->volume, edit, job, store_volume_done, job);
}

static void finish(struct store_job *job)
{
	struct resv_job *r = (struct resv_job *)job;

	json_decref(r->resv);
	r->saved(r->saved_ctx, job->err.code);
}

void store_save_reservation(struct bdev *bdev, const char *nqn, uint32_t nsid, const json_t *resv,
			    nvme_done_fn saved, void *saved_ctx)
{
	struct resv_job *r = store_job_new(bdev->pool->e, sizeof(*r), bdev->pool, NULL, NULL);

	if (!r) {
		saved(saved_ctx, -ENOMEM);
		return;
	}
	memcpy(r->uuid, bdev->uuid_text, sizeof(r->uuid));
	(void)snprintf(r->nqn, sizeof(r->nqn), "%s", nqn);
	r->nsid = nsid;
	r->resv = json_deep_copy(resv);
	r->saved = saved;
	r->saved_ctx = saved_ctx;
	r->job.prepare = prepare;
	r->job.run = run;
	r->job.finish = finish;
	store_job_start(&r->job);
}
