/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a load: each job has one buffer and one command, and starts the next one when the
 * last is done. Nothing is allocated after the start.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "load_internal.h"

static uint64_t load_now(struct load *l)
{
	return l->opts.exact_clock ? reactor_now_exact(l->reactor) : reactor_now(l->reactor);
}

/* False: the phase has no more blocks to give. */
static bool pick_block(struct load *l, uint64_t *ret_block)
{
	if (l->phase == LOAD_FILL || l->phase == LOAD_SWEEP) {
		if (l->next_block == l->n_blocks)
			return false;
		*ret_block = l->next_block++;
		return true;
	}
	if (l->opts.ios_max && l->issued >= l->opts.ios_max)
		return false;
	l->issued++;
	if (l->opts.sequential)
		*ret_block = l->next_block++ % l->n_blocks;
	else
		*ret_block = rng_below(&l->rng, l->n_blocks);
	return true;
}

static bool pick_write(struct load *l)
{
	if (l->phase != LOAD_RUN)
		return l->phase == LOAD_FILL;
	if (l->opts.read_percent == 0 || l->opts.read_percent == 100)
		return l->opts.read_percent == 0;
	return rng_below(&l->rng, 100) >= l->opts.read_percent;
}

/* False: nothing left to do in this phase. */
static bool job_start(struct load *l, struct load_job *job)
{
	uint32_t lbas = l->opts.bs_bytes >> l->lba_shift;

	if (l->stopping || !pick_block(l, &job->block))
		return false;
	job->write = pick_write(l);
	if (l->opts.verify) {
		job->block = load_versions_take(l, job->block);
		if (job->write)
			load_versions_fill(l, job);
	}
	nvme_hostcmd_rw(&job->cmd, job->write, l->opts.nsid, l->first_lba + job->block * lbas, lbas,
			job->buf, l->opts.bs_bytes);
	job->active = true;
	job->start_ns = load_now(l);
	l->n_active++;
	nvme_host_io(job->host, job->queue, &job->cmd);
	return true;
}

static void job_count(struct load *l, const struct load_job *job)
{
	uint64_t now;

	if (l->phase != LOAD_RUN || job->start_ns < l->measure_ns)
		return;
	now = load_now(l);
	/* What ends after the time is over says nothing about the rate. */
	if (l->stopping && now > l->end_ns)
		return;
	lat_add(&l->lat, now - job->start_ns);
	if (job->write)
		l->writes++;
	else
		l->reads++;
}

static void job_done(struct nvme_hostcmd *cmd, int status)
{
	struct load_job *job = cmd->ctx;
	struct load *l = job->load;

	job->active = false;
	l->n_active--;
	if (status == 0) {
		job_count(l, job);
	} else {
		char text[NVME_HOSTCMD_STATUS_TEXT];

		l->errors++;
		load_complain(
			l, "%s at byte %llu: %s", job->write ? "write" : "read",
			(unsigned long long)(l->opts.offset_bytes + job->block * l->opts.bs_bytes),
			nvme_hostcmd_status_text(status, text));
	}
	if (l->opts.verify)
		load_versions_done(l, job, status);
	/* A connection that is gone for good answers at once: going on would spin. */
	if (status == -ENOTCONN)
		l->stopping = true;
	if (!job_start(l, job) && l->n_active == 0)
		load_phase_over(l);
}

void load_io_begin(struct load *l)
{
	l->stopping = false;
	l->next_block = 0;
	for (unsigned i = 0; i < l->n_jobs; i++)
		if (!job_start(l, &l->jobs[i]))
			break;
	if (l->n_active == 0)
		load_phase_over(l);
}

static void flush_done(struct nvme_hostcmd *cmd, int status)
{
	struct load *l = cmd->ctx;
	char text[NVME_HOSTCMD_STATUS_TEXT];

	if (status != 0) {
		l->errors++;
		load_complain(l, "flush: %s", nvme_hostcmd_status_text(status, text));
	}
	load_phase_over(l);
}

void load_io_flush(struct load *l)
{
	l->id.done = flush_done;
	l->id.ctx = l;
	nvme_hostcmd_flush(&l->id, l->opts.nsid);
	nvme_host_io(l->hosts[0].host, 0, &l->id);
}

int load_io_alloc(struct load *l, struct err *err)
{
	const struct load_opts *o = &l->opts;

	l->n_jobs = o->conns * o->qd;
	l->jobs = calloc(l->n_jobs, sizeof(*l->jobs));
	l->buffers = aligned_alloc(4096, align_up((uint64_t)l->n_jobs * o->bs_bytes, 4096));
	if (!l->jobs || !l->buffers)
		return err_set(err, -ENOMEM, "no memory for %u buffers of %u bytes", l->n_jobs,
			       o->bs_bytes);
	memset(l->buffers, 0xa5, (size_t)l->n_jobs * o->bs_bytes);
	/* Neighbours in jobs[] are on different connections, so that all of them start evenly. */
	for (unsigned i = 0; i < l->n_jobs; i++) {
		unsigned conn = i % o->conns;
		struct load_job *job = &l->jobs[i];

		job->load = l;
		job->queue = conn % o->queues_per_host;
		job->host = l->hosts[conn / o->queues_per_host].host;
		job->buf = l->buffers + (size_t)i * o->bs_bytes;
		job->cmd.done = job_done;
		job->cmd.ctx = job;
	}
	return 0;
}

void load_io_free(struct load *l)
{
	free(l->jobs);
	free(l->buffers);
}
