/* SPDX-License-Identifier: Apache-2.0 */
/* Scrubbing pools: start (or go on), stop, and how far it is. On the pool reactor; none waits for the disk. */
#include "pool/scrub.h"

#include "base/check.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"

struct scrub_params {
	const char *lvs_name, *uuid;
	uint64_t bytes_per_s;
	bool restart;
};
#define AT(member) offsetof(struct scrub_params, member)
#define WHICH                                                                                      \
	{"lvs_name", JSON_KIND_STRING, AT(lvs_name)},                                              \
	{                                                                                          \
		"uuid", JSON_KIND_STRING, AT(uuid)                                                 \
	}

static const struct json_field start_fields[] = {
	WHICH,
	{"bytes_per_s", JSON_KIND_U64, AT(bytes_per_s)},
	{"restart", JSON_KIND_BOOL, AT(restart)},
};
static const struct json_field which_fields[] = {WHICH};

struct scrub_job {
	struct store_job job;
	struct pool_scrub_opts opts;
};

static struct store_pool *find(struct engine *e, struct rpc_call *call,
			       const struct scrub_params *p)
{
	struct err err = {0};
	struct store_pool *sp = store_find(e, p->lvs_name, p->uuid, &err);

	if (!sp)
		rpc_fail_err(call, &err);
	return sp;
}

static void start_run(struct store_job *job)
{
	struct err err = {0};
	int res = pool_scrub_start(job->sp->pool, &((struct scrub_job *)job)->opts, &err);

	store_job_done(job, res, res ? &err : NULL);
}

void rpc_litepool_pool_scrub_start(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct scrub_params p = {0};
	struct store_pool *sp;
	struct scrub_job *j;

	if (!RPC_PARAMS(call, params, start_fields, &p))
		return;
	sp = find(ctx, call, &p);
	j = sp ? store_job_new(ctx, sizeof(*j), sp, call, params) : NULL;
	if (!j)
		return;
	j->opts = (struct pool_scrub_opts){p.bytes_per_s, p.restart};
	j->job.run = start_run;
	store_job_start(&j->job);
}

static void stop_run(struct store_job *job)
{
	if (scrub_running(job->sp->pool))
		pool_scrub_stop(job->sp->pool, NULL, NULL);
	store_job_done(job, 0, NULL);
}

static void status_run(struct store_job *job)
{
	job->result = pool_scrub_json(job->sp->pool);
	store_job_done(job, 0, NULL);
}

static void which_start(struct rpc_call *call, const json_t *params, struct engine *e,
			void (*run)(struct store_job *job))
{
	struct scrub_params p = {0};
	struct store_pool *sp;
	struct store_job *job;

	if (!RPC_PARAMS(call, params, which_fields, &p))
		return;
	sp = find(e, call, &p);
	job = sp ? store_job_new(e, sizeof(*job), sp, call, params) : NULL;
	if (!job)
		return;
	job->run = run;
	store_job_start(job);
}

void rpc_litepool_pool_scrub_stop(struct rpc_call *call, const json_t *params, void *ctx)
{
	which_start(call, params, ctx, stop_run);
}

void rpc_litepool_pool_scrub_status(struct rpc_call *call, const json_t *params, void *ctx)
{
	which_start(call, params, ctx, status_run);
}
