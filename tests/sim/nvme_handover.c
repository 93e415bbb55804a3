/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot upgrades in sim-nvme: the target is frozen at any moment, and then thawed at any moment, or saved and built anew on the other side, which serves on, or is given up, after
 * which the old one goes on. The driver's rules are the same as without: each command completes once, with the right data. That hosts do not even reconnect is not told apart here (other
 * disturbances of this world make them do so): tests/func/upgrade.sh shows it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "rt/carry.h"
#include "sim/nvme_world.h"

#define PARTS_MAX  (N_DATA_MAX + 1)
#define PART_BYTES ((size_t)8 * MIB)
#define FDS_MAX    1024

struct handover {
	struct nvme_world *w;
	unsigned n_parts;
	struct carry_out out[PARTS_MAX];
	struct carry_in in[PARTS_MAX];
	void *buf[PARTS_MAX];
	int fds[PARTS_MAX][FDS_MAX];
	int listener_fd[N_PORTS];
	unsigned n_listeners;
	bool done;
	int res;
};

static uint64_t below(struct nvme_world *w, uint64_t n)
{
	return rng_below(sim_rng(w->sim), n);
}

/* --- freeze and thaw --- */

static void frozen(void *ctx, int res)
{
	struct nvme_world *w = ctx;

	if (w->handover != HANDOVER_FREEZING || res)
		sim_fail("a freeze that was not asked for ended with %d", res);
	sim_trace(w->sim, "frozen", 0, 0);
	w->handover = HANDOVER_FROZEN;
	w->freezes++;
}

static void freeze_run(void *arg)
{
	struct nvme_world *w = arg;

	sim_trace(w->sim, "freeze", 0, 0);
	w->handover = HANDOVER_FREEZING;
	tcp_transport_freeze(w->transport, frozen, w);
}

static void thaw_run(void *arg)
{
	struct nvme_world *w = arg;

	sim_trace(w->sim, "thaw", 0, 0);
	w->handover = HANDOVER_NONE;
	w->thaws++;
	tcp_transport_thaw(w->transport);
}

/* --- the whole --- */

static bool is_done(void *arg)
{
	return ((struct handover *)arg)->done;
}

static void step_done(void *ctx, int res)
{
	struct handover *h = ctx;

	h->done = true;
	h->res = res;
}

/* Runs one step on r and waits for its end. */
static int step(struct handover *h, struct reactor *r, void (*run)(void *arg), const char *what)
{
	h->done = false;
	world_call(h->w, r, run, h);
	world_wait(h->w, is_done, h, 10, what);
	return h->res;
}

static void export_listener(void *ctx, int fd)
{
	struct handover *h = ctx;

	ASSERT(h->n_listeners < N_PORTS);
	h->listener_fd[h->n_listeners++] = fd;
}

static void export_run(void *arg)
{
	struct handover *h = arg;

	tcp_listeners_export(h->w->transport, export_listener, h);
	h->n_parts = tcp_transport_parts(h->w->transport);
	step_done(h, 0);
}

static void save_run(void *arg)
{
	struct handover *h = arg;

	for (unsigned i = 0; i < h->n_parts; i++) {
		h->buf[i] = malloc(PART_BYTES);
		ASSERT(h->buf[i]);
		carry_out_init(&h->out[i], h->buf[i], PART_BYTES, h->fds[i], FDS_MAX, "simulator");
	}
	tcp_transport_save(h->w->transport, h->out, step_done, h);
}

static void close_fd(void *ctx, int fd)
{
	struct nvme_world *w = ctx;

	sock_export_close(w->control, fd);
}

static void expect_one(void *ctx, uint32_t entries, uint32_t n)
{
	/* One less, so that restore also does without. */
	tcp_transport_expect(ctx, entries, n - 1);
}

static void restore_run(void *arg)
{
	struct handover *h = arg;
	struct err err = {0};

	for (unsigned i = 0; i < h->n_parts; i++) {
		int rc = carry_in_init(&h->in[i], h->buf[i], h->out[i].w.len, h->fds[i],
				       h->out[i].n_fds, &err);

		if (rc)
			sim_fail("part %u: %s", i, err.text);
		h->in[i].close_fd = close_fd;
		h->in[i].close_ctx = h->w;
	}
	tcp_transport_queues(h->w->transport, expect_one, h->w->other.transport);
	tcp_transport_restore(h->w->other.transport, h->in, h->n_parts, step_done, h);
}

static void serve_run(void *arg)
{
	struct handover *h = arg;

	tcp_transport_serve(h->w->other.transport, step_done, h);
}

static void discard_run(void *arg)
{
	struct handover *h = arg;

	tcp_transport_discard(h->w->other.transport, step_done, h);
}

static void abandon_run(void *arg)
{
	struct handover *h = arg;

	tcp_transport_abandon(h->w->other.transport, step_done, h);
}

static void parts_free(struct handover *h)
{
	for (unsigned i = 0; i < h->n_parts; i++) {
		carry_in_fini(&h->in[i]);
		free(h->buf[i]);
	}
}

/* The new engine does not want to, or is not let: the old one goes on. */
static void give_up(struct handover *h)
{
	struct nvme_world *w = h->w;

	(void)step(h, w->other.control, discard_run, "what was restored is discarded");
	parts_free(h);
	world_call(w, w->control, thaw_run, w);
	target_stop_other(w);
}

static void take_over(struct handover *h)
{
	struct nvme_world *w = h->w;

	(void)step(h, w->other.control, serve_run, "the new engine serves");
	parts_free(h);
	target_swap(w);
	w->handover = HANDOVER_NONE;
	w->handovers++;
	(void)step(h, w->other.control, abandon_run, "the old engine lets go");
	target_stop_other(w);
}

/* For tests/fuzz/corpus/carry and tests/golden: SIM_DUMP names a directory. */
static void dump(const struct handover *h)
{
	const char *dir = getenv("SIM_DUMP");
	char path[512];
	FILE *f;

	if (!dir)
		return;
	(void)snprintf(path, sizeof(path), "%s/%" PRIu64 "-%" PRIu64, dir, h->w->seed,
		       h->w->handovers);
	f = fopen(path, "we");
	if (!f)
		sim_fail("%s cannot be written", path);
	(void)fputc(1, f);
	for (unsigned i = 0; i < h->n_parts; i++) {
		const size_t len = h->out[i].w.len - TLV_BLOB_HEAD;
		uint8_t head[4];

		put_le32(head, (uint32_t)len);
		(void)fwrite(head, 1, sizeof(head), f);
		(void)fwrite(h->out[i].w.buf + TLV_BLOB_HEAD, 1, len, f);
	}
	(void)fclose(f);
}

static void hand_over(struct nvme_world *w)
{
	struct handover *h = calloc(1, sizeof(*h));

	ASSERT(h);
	h->w = w;
	sim_trace(w->sim, "handover", 0, 0);
	(void)step(h, w->control, export_run, "the listeners are exported");
	target_successor(w, h->listener_fd);
	if (step(h, w->control, save_run, "all is saved"))
		sim_fail("saving failed with %d", h->res);
	dump(h);
	if (step(h, w->other.control, restore_run, "all is restored")) {
		if (h->res != -ENOBUFS) /* the other side may have fewer buffers */
			sim_fail("restoring failed: %s",
				 tcp_transport_restore_error(w->other.transport)->text);
		w->refused++;
		give_up(h);
	} else if (below(w, 4) == 0) {
		give_up(h);
	} else {
		take_over(h);
	}
	free(h);
}

void handover_chaos(struct nvme_world *w)
{
	switch (w->handover) {
	case HANDOVER_NONE:
		world_call(w, w->control, freeze_run, w);
		return;
	case HANDOVER_FREEZING:
		if (below(w, 4) == 0) /* before it is complete */
			world_call(w, w->control, thaw_run, w);
		return;
	case HANDOVER_FROZEN:
		if (w->changing == 0 && below(w, 4))
			hand_over(w);
		else
			world_call(w, w->control, thaw_run, w);
		return;
	}
}

void handover_settle(struct nvme_world *w)
{
	if (w->handover != HANDOVER_NONE)
		world_call(w, w->control, thaw_run, w);
}
