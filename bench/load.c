/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a load, in the order of enum load_phase: load_phase_over() is the machine, load_enter()
 * does what a phase begins with. Invariant: jobs are under way only in FILL, RUN and SWEEP, and a phase
 * ends when the last of them has ended.
 */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "load_internal.h"

#define JOBS_MAX 65536u

struct load_opts load_opts_default(void)
{
	return (struct load_opts){
		.nsid = 1,
		.bs_bytes = 4096,
		.qd = 1,
		.conns = 1,
		.queues_per_host = 1,
		.read_percent = 100,
		.run_ns = NSEC_PER_SEC,
		.seed = 1,
		.stall_ns = 30 * NSEC_PER_SEC,
	};
}

void load_complain(struct load *l, const char *fmt, ...)
{
	va_list ap;

	if (l->first_error[0])
		return;
	va_start(ap, fmt);
	(void)vsnprintf(l->first_error, sizeof(l->first_error), fmt, ap);
	va_end(ap);
}

static void load_enter(struct load *l, enum load_phase phase);

static void host_closed(void *ctx)
{
	struct load_host *lh = ctx;
	struct load *l = lh->load;

	lh->host = NULL;
	if (--l->n_open == 0)
		load_enter(l, LOAD_DONE);
}

static void load_close(struct load *l)
{
	unsigned open = l->n_open;

	for (unsigned i = 0; i < l->n_hosts; i++) {
		struct load_host *lh = &l->hosts[i];

		if (!lh->host)
			continue;
		if (l->code < 0)
			nvme_host_kill(lh->host, host_closed, lh);
		else
			nvme_host_close(lh->host, host_closed, lh);
	}
	if (open == 0)
		load_enter(l, LOAD_DONE);
}

static void load_save(struct load *l)
{
	struct err err;
	int rc;

	if (!l->opts.verify || !l->opts.versions_path || !l->versions.acked || l->code < 0)
		return;
	rc = load_versions_write(l, &err);
	if (rc < 0) {
		l->code = rc;
		l->err = err;
	}
}

void load_fail(struct load *l, int code, const char *text)
{
	if (l->code == 0)
		l->code = err_set(&l->err, code, "%s", text);
	if (l->phase < LOAD_CLOSE)
		load_enter(l, LOAD_CLOSE);
}

static void load_timer(struct load *l, uint64_t deadline_ns)
{
	if (timer_start(l->reactor, &l->timer, deadline_ns) < 0)
		load_fail(l, -ENOMEM, "no memory for a timer");
}

static void load_run(struct load *l)
{
	uint64_t now = reactor_now_exact(l->reactor);

	l->measure_ns = now + l->opts.warmup_ns;
	l->end_ns = l->asked_to_end ? now : l->measure_ns + l->opts.run_ns;
	load_timer(l, l->end_ns);
	if (l->phase == LOAD_RUN && !l->opts.idle)
		load_io_begin(l);
}

static void identify_send(struct load *l)
{
	nvme_hostcmd_identify(&l->id, NVME_CNS_NS, l->opts.nsid, l->id_data);
	nvme_host_admin(l->hosts[0].host, &l->id);
}

static void load_enter(struct load *l, enum load_phase phase)
{
	l->phase = phase;
	switch (phase) {
	case LOAD_CONNECT:
		break;
	case LOAD_SIZE:
		identify_send(l);
		break;
	case LOAD_FILL:
	case LOAD_SWEEP:
		load_io_begin(l);
		break;
	case LOAD_RUN:
		load_run(l);
		break;
	case LOAD_FLUSH:
		load_io_flush(l);
		break;
	case LOAD_CLOSE:
		timer_stop(&l->timer);
		l->stopping = true;
		load_save(l);
		load_close(l);
		break;
	case LOAD_DONE:
		reactor_defer(l->reactor, &l->task);
		break;
	}
}

static void run_ended(struct load *l)
{
	uint64_t now = reactor_now_exact(l->reactor);

	timer_stop(&l->timer);
	l->end_ns = MIN(l->end_ns, now);
	l->span_ns = l->end_ns > l->measure_ns ? l->end_ns - l->measure_ns : 1;
}

void load_phase_over(struct load *l)
{
	switch (l->phase) {
	case LOAD_CONNECT:
		load_enter(l, LOAD_SIZE);
		break;
	case LOAD_SIZE:
		load_enter(l, l->opts.verify && !l->opts.keep ? LOAD_FILL : LOAD_RUN);
		break;
	case LOAD_FILL:
		load_enter(l, l->errors ? LOAD_CLOSE : LOAD_RUN);
		break;
	case LOAD_RUN:
		run_ended(l);
		load_enter(l, l->opts.verify ? LOAD_FLUSH : LOAD_CLOSE);
		break;
	case LOAD_FLUSH:
		load_enter(l, LOAD_SWEEP);
		break;
	case LOAD_SWEEP:
		load_enter(l, LOAD_CLOSE);
		break;
	case LOAD_CLOSE:
	case LOAD_DONE:
		break;
	}
}

/* The run's time is over; or, the second time, what is under way does not end. */
static void timer_due(struct timer *timer)
{
	struct load *l = container_of(timer, struct load, timer);

	if (!l->stopping && l->n_active) {
		l->stopping = true;
		load_timer(l, reactor_now(l->reactor) + l->opts.stall_ns);
	} else if (l->n_active) {
		l->not_ended = l->n_active;
		load_fail(l, -ETIMEDOUT, "commands did not end in time after the run");
	} else {
		load_phase_over(l);
	}
}

void load_stop(struct load *l)
{
	l->asked_to_end = true;
	if (l->phase == LOAD_RUN && !l->stopping)
		load_timer(l, reactor_now(l->reactor));
}

/* --- connecting --- */

/* From the namespace's size and format: the blocks of the load. */
static int load_geometry(struct load *l, struct err *err)
{
	const uint8_t *id = l->id_data;
	uint8_t lbads = id[128 + 4 * (id[26] & 0xf) + 2];
	struct load_opts *o = &l->opts;
	uint64_t size;

	if (lbads < 9 || lbads > 16)
		return err_set(err, -EPROTO, "namespace %u has no usable format", o->nsid);
	size = get_le64(id) << lbads;
	if (o->bs_bytes % (1u << lbads) || o->offset_bytes % (1u << lbads))
		return err_set(err, -EINVAL, "bs and offset must be multiples of the %u-byte block",
			       1u << lbads);
	if (!range_within(o->offset_bytes, o->size_bytes, size))
		return err_set(err, -EINVAL, "the range ends beyond the namespace's %llu bytes",
			       (unsigned long long)size);
	if (!o->size_bytes)
		o->size_bytes = size - o->offset_bytes;
	l->lba_shift = lbads;
	l->first_lba = o->offset_bytes >> lbads;
	l->n_blocks = o->size_bytes / o->bs_bytes;
	if (l->n_blocks < (o->verify ? 2ull * o->conns * o->qd : 1))
		return err_set(err, -EINVAL,
			       "the range has %llu blocks of %u bytes, too few for this depth",
			       (unsigned long long)l->n_blocks, o->bs_bytes);
	return 0;
}

static int load_prepare(struct load *l, struct err *err)
{
	int rc = load_geometry(l, err);

	if (rc == 0)
		rc = load_io_alloc(l, err);
	if (rc == 0 && l->opts.verify)
		rc = load_versions_alloc(l, err);
	if (rc == 0 && l->opts.verify && l->opts.keep)
		rc = load_versions_read(l, err);
	return rc;
}

static void identify_done(struct nvme_hostcmd *cmd, int status)
{
	struct load *l = cmd->ctx;
	struct err err;
	char text[NVME_HOSTCMD_STATUS_TEXT];

	if (l->phase != LOAD_SIZE)
		return;
	if (status != 0)
		(void)err_set(&err, -EIO, "Identify of namespace %u: %s", l->opts.nsid,
			      nvme_hostcmd_status_text(status, text));
	else if (load_prepare(l, &err) == 0) {
		load_phase_over(l);
		return;
	}
	load_fail(l, err.code, err.text);
}

static void host_state(struct nvme_host *h, int state, const struct err *err, void *ctx)
{
	struct load_host *lh = ctx;
	struct load *l = lh->load;

	if (state < 0) {
		if (lh->up)
			l->reconnects++;
		if (!l->opts.reconnect && l->phase < LOAD_CLOSE)
			load_fail(l, state, err->text);
		return;
	}
	if (lh->up)
		return;
	lh->up = true;
	if (++l->n_up == l->n_hosts && l->phase == LOAD_CONNECT)
		load_phase_over(l);
}

static int host_open(struct load *l, struct load_host *lh, unsigned n_queues, struct err *err)
{
	struct nvme_host_opts opts = nvme_host_opts_default();
	int rc;

	opts.addr = l->opts.addr;
	opts.subnqn = l->opts.subnqn;
	opts.hostnqn = l->opts.hostnqn;
	opts.queue_size = MAX(l->opts.qd + 1, 2u);
	opts.n_io_queues = n_queues;
	opts.kato_ms = l->opts.kato_ms;
	opts.header_digest = l->opts.header_digest;
	opts.data_digest = l->opts.data_digest;
	opts.congestion = l->opts.congestion;
	opts.reconnect = l->opts.reconnect;
	opts.on_state = host_state;
	opts.ctx = lh;
	lh->load = l;
	rc = nvme_host_new(l->reactor, &opts, &lh->host, err);
	if (rc == 0)
		l->n_open++;
	return rc;
}

void load_start(struct load *l, void (*done)(struct load *l, void *ctx), void *ctx)
{
	unsigned left = l->opts.conns;
	struct err err;
	int rc = 0;

	l->done = done;
	l->done_ctx = ctx;
	l->phase = LOAD_CONNECT;
	for (unsigned i = 0; i < l->n_hosts && rc == 0; i++) {
		unsigned n = MIN(left, l->opts.queues_per_host);

		left -= n;
		rc = host_open(l, &l->hosts[i], n, &err);
	}
	if (rc < 0)
		load_fail(l, rc, err.text);
}

/* --- making and reporting --- */

static void load_task(struct task *task)
{
	struct load *l = container_of(task, struct load, task);

	l->done(l, l->done_ctx);
}

static int load_check(const struct load_opts *o, struct err *err)
{
	if (!o->bs_bytes || o->bs_bytes % 512 || o->bs_bytes > 16 * MIB)
		return err_set(err, -EINVAL, "bs is a multiple of 512 up to 16 MiB, not %u",
			       o->bs_bytes);
	if (!o->qd || !o->conns || (uint64_t)o->qd * o->conns > JOBS_MAX)
		return err_set(err, -EINVAL, "qd times conns is 1 to %u", JOBS_MAX);
	if (!o->queues_per_host || o->read_percent > 100)
		return err_set(err, -EINVAL,
			       "queues per host at least 1, read percentage at most 100");
	if (o->keep && !o->versions_path)
		return err_set(err, -EINVAL, "keeping what is there needs a file of versions");
	return 0;
}

int load_new(struct reactor *r, const struct load_opts *opts, struct load **ret, struct err *err)
{
	int rc = load_check(opts, err);
	struct load *l;

	if (rc < 0)
		return rc;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "no memory for a load");
	l->reactor = r;
	l->opts = *opts;
	l->n_hosts = (opts->conns + opts->queues_per_host - 1) / opts->queues_per_host;
	l->hosts = calloc(l->n_hosts, sizeof(*l->hosts));
	l->id_data = calloc(1, 4096);
	if (!l->hosts || !l->id_data) {
		load_free(l);
		return err_set(err, -ENOMEM, "no memory for %u hosts", l->n_hosts);
	}
	rng_seed(&l->rng, opts->seed);
	l->id.done = identify_done;
	l->id.ctx = l;
	l->timer.run = timer_due;
	l->task.run = load_task;
	*ret = l;
	return 0;
}

int load_result(const struct load *l, struct err *err)
{
	if (l->code < 0)
		return err_set(err, l->code, "%s", l->err.text);
	if (l->mismatches)
		return err_set(err, -EILSEQ, "%llu blocks did not match: %s",
			       (unsigned long long)l->mismatches, l->first_error);
	if (l->errors)
		return err_set(err, -EIO, "%llu commands failed: %s", (unsigned long long)l->errors,
			       l->first_error);
	return 0;
}

static void put_count(json_t *o, const char *key, uint64_t value)
{
	(void)json_object_set_new(o, key, json_integer((json_int_t)value));
}

json_t *load_json(const struct load *l)
{
	json_t *o = json_object();
	double seconds = (double)l->span_ns / 1e9;
	double ios = (double)(l->reads + l->writes);
	struct err err;

	put_count(o, "reads", l->reads);
	put_count(o, "writes", l->writes);
	put_count(o, "iops", seconds > 0 ? (uint64_t)(ios / seconds) : 0);
	put_count(o, "mib_s",
		  seconds > 0 ? (uint64_t)(ios * l->opts.bs_bytes / seconds / (double)MIB) : 0);
	lat_report(&l->lat, o);
	(void)json_object_set_new(o, "seconds", json_real(seconds));
	put_count(o, "blocks", l->n_blocks);
	put_count(o, "verified", l->verified);
	put_count(o, "errors", l->errors);
	put_count(o, "mismatches", l->mismatches);
	put_count(o, "reconnects", l->reconnects);
	put_count(o, "not_ended", l->not_ended);
	if (load_result(l, &err) < 0)
		(void)json_object_set_new(o, "error", json_string(err.text));
	return o;
}

void load_free(struct load *l)
{
	if (!l)
		return;
	load_io_free(l);
	load_versions_free(l);
	free(l->hosts);
	free(l->id_data);
	free(l);
}
