/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/carry_world.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "disk/disk.h"
#include "rt/carry.h"
#include "rt/iobuf.h"
#include "sim/env_sim.h"
#include "transport/tcp.h"

#define N_DATA  2
#define N_NS    3
#define N_PORTS 2
#define WAIT_NS (60 * NSEC_PER_SEC)

struct carry_world {
	struct sim_world *sim;
	struct reactor *control, *data[N_DATA], *peer;
	struct iobuf_arena *arena;
	struct nvme_target *target;
	struct tcp_transport *transport;
	struct nvme_subsystem *ss;
	struct blk_dev *dev[N_NS];
	struct sock *gate, *peers[CARRY_WORLD_PARTS * CARRY_WORLD_FDS];
	unsigned n_peers;
	int fds[CARRY_WORLD_PARTS][CARRY_WORLD_FDS];
	uint8_t *buf[CARRY_WORLD_PARTS];
	struct carry_in in[CARRY_WORLD_PARTS];
	unsigned n_parts, pending;
	int res;
};

struct call {
	struct msg msg;
	void (*fn)(struct carry_world *w);
	struct carry_world *w;
	bool done;
};

static void call_run(struct msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	call->fn(call->w);
	call->done = true;
}

static bool call_is_done(void *arg)
{
	const struct call *call = arg;

	return call->done && call->w->pending == 0;
}

/* On r; waits for what it began (w->pending). */
static void on(struct carry_world *w, struct reactor *r, void (*fn)(struct carry_world *w))
{
	struct call call = {.msg = {.run = call_run}, .fn = fn, .w = w};

	reactor_post(r, &call.msg);
	ASSERT(sim_run_until(w->sim, call_is_done, &call, WAIT_NS));
}

static void pending_done(void *ctx, int res)
{
	struct carry_world *w = ctx;

	ASSERT(w->pending > 0);
	w->pending--;
	w->res = res;
}

static void must(int rc)
{
	ASSERT(rc == 0);
}

/* --- making --- */

static void ignore_event(void *ctx, unsigned events)
{
	(void)ctx;
	(void)events;
}

static void add_ns(struct carry_world *w, unsigned i)
{
	static const uint8_t id[N_NS] = {1, 2, 4}; /* as in nvme_target_side.c */
	static const uint32_t block[N_NS] = {512, 4096, 4096};
	struct disk_ram_opts ram = {.name = "Malloc0",
				    .uuid = {{id[i]}},
				    .size_bytes = 512 * KIB,
				    .block_size = block[i]};
	struct nvme_ns_opts opts = {.nsid = i + 1};
	uint32_t nsid;

	must(disk_ram_new(&ram, &w->dev[i], NULL));
	opts.dev = w->dev[i];
	w->pending++;
	must(nvme_subsystem_add_ns(w->ss, &opts, &nsid, pending_done, w, NULL));
}

static void add_port(struct carry_world *w, unsigned i)
{
	struct tcp_listener *l;
	struct sock_addr addr;

	must(sock_addr_ip(i ? "fd00::2" : "10.0.0.2", 4420, &addr));
	must(tcp_listen(w->transport, &addr, NULL, &l, NULL));
	w->pending++;
	must(nvme_subsystem_add_listener(w->ss, tcp_listener_port(l), pending_done, w, NULL));
}

static void target_make(struct carry_world *w)
{
	struct nvme_target_opts topts = nvme_target_opts_default();
	struct tcp_transport_opts tcp = tcp_transport_opts_default();
	struct nvme_subsystem_opts sopts = {.nqn = "nqn.2026-01.io.litepool:sim",
					    .max_namespaces = 8,
					    .allow_any_host = true,
					    .ana_reporting = true};

	topts.control = w->control;
	topts.data = w->data;
	topts.n_data = N_DATA;
	must(nvme_target_new(&topts, &w->target, NULL));
	must(tcp_transport_new(w->target, w->control, w->data, N_DATA, &tcp, &w->transport, NULL));
	tcp_transport_hold(w->transport);
	must(nvme_subsystem_new(w->target, &sopts, &w->ss, NULL));
	for (unsigned i = 0; i < N_NS; i++)
		add_ns(w, i);
	for (unsigned i = 0; i < N_PORTS; i++)
		add_port(w, i);
}

static void gate_make(struct carry_world *w)
{
	struct sock_addr addr;

	must(sock_addr_ip("10.0.0.3", 1, &addr));
	must(sock_listen(w->peer, &addr, NULL, ignore_event, NULL, &w->gate, NULL));
	for (unsigned i = 0; i < w->n_parts * CARRY_WORLD_FDS; i++)
		must(sock_connect(w->peer, &addr, NULL, ignore_event, NULL, &w->peers[i], NULL));
}

static void fds_make(struct carry_world *w)
{
	for (unsigned i = 0; i < w->n_parts * CARRY_WORLD_FDS; i++) {
		struct sock *s;

		must(sock_accept(w->gate, &s, NULL));
		w->fds[i / CARRY_WORLD_FDS][i % CARRY_WORLD_FDS] = sock_export(s);
		sock_close(s);
	}
}

/* The parts as the old engine would have sent them. */
static void parts_make(struct carry_world *w, const uint8_t *data, size_t size)
{
	static int no_fds[1];

	while (size >= 4 && w->n_parts < CARRY_WORLD_PARTS) {
		size_t len = MIN((size_t)get_le32(data), size - 4);
		struct carry_out out;

		w->buf[w->n_parts] = malloc(TLV_BLOB_HEAD + len);
		ASSERT(w->buf[w->n_parts]);
		carry_out_init(&out, w->buf[w->n_parts], TLV_BLOB_HEAD + len, no_fds, 0, "sample");
		if (len)
			memcpy(out.w.buf + out.w.len, data + 4, len);
		out.w.len += len;
		must(carry_out_end(&out, &len));
		w->in[w->n_parts].r.end = w->buf[w->n_parts] + len; /* for opening it later */
		w->n_parts++;
		data += len - TLV_BLOB_HEAD + 4;
		size -= len - TLV_BLOB_HEAD + 4;
	}
}

static void world_make(struct carry_world *w)
{
	struct iobuf_counts counts = {.n = {16, 16, 16, 8, 4, 8}};
	struct sim_opts opts = sim_opts_default(1);

	w->sim = sim_world_new(&opts);
	must(iobuf_arena_new(&counts, N_DATA + 1, &w->arena, NULL));
	for (unsigned i = 0; i < N_DATA; i++) {
		w->data[i] = sim_reactor_new(w->sim, i, "data");
		reactor_set_iobufs(w->data[i], iobuf_arena_pool(w->arena, i));
	}
	w->control = sim_reactor_new(w->sim, N_DATA, "control");
	reactor_set_iobufs(w->control, iobuf_arena_pool(w->arena, N_DATA));
	w->peer = sim_reactor_new(w->sim, N_DATA + 1, "peer");
	on(w, w->control, target_make);
	on(w, w->peer, gate_make);
	sim_run_for(w->sim, NSEC_PER_SEC);
	on(w, w->peer, fds_make);
}

/* --- the state comes --- */

static void close_fd(void *ctx, int fd)
{
	struct carry_world *w = ctx;

	sock_export_close(w->control, fd);
}

static void restore_run(struct carry_world *w)
{
	for (unsigned i = 0; i < w->n_parts; i++) {
		const size_t len = (size_t)(w->in[i].r.end - w->buf[i]);

		must(carry_in_init(&w->in[i], w->buf[i], len, w->fds[i], CARRY_WORLD_FDS, NULL));
		w->in[i].close_fd = close_fd;
		w->in[i].close_ctx = w;
	}
	w->pending++;
	tcp_transport_restore(w->transport, w->in, w->n_parts, pending_done, w);
}

static void serve_run(struct carry_world *w)
{
	w->pending++;
	tcp_transport_serve(w->transport, pending_done, w);
}

static void discard_run(struct carry_world *w)
{
	w->pending++;
	tcp_transport_discard(w->transport, pending_done, w);
}

/* --- the end --- */

static void peers_close(struct carry_world *w)
{
	for (unsigned i = 0; i < w->n_parts * CARRY_WORLD_FDS; i++)
		sock_close(w->peers[i]);
	sock_close(w->gate);
}

static void fds_close(struct carry_world *w)
{
	for (unsigned i = 0; i < w->n_parts; i++) {
		carry_in_fini(&w->in[i]);
		free(w->buf[i]);
	}
}

static void stop_target(struct carry_world *w)
{
	w->pending++;
	nvme_target_stop(w->target, pending_done, w);
}

static void stop_transport(struct carry_world *w)
{
	w->pending++;
	tcp_transport_stop(w->transport, pending_done, w);
}

static void stop_subsystem(struct carry_world *w)
{
	w->pending++;
	nvme_subsystem_delete(w->ss, pending_done, w);
}

static void free_all(struct carry_world *w)
{
	tcp_transport_free(w->transport);
	nvme_target_free(w->target);
	for (unsigned i = 0; i < N_NS; i++)
		w->dev[i]->ops->destroy(w->dev[i]);
}

static void world_end(struct carry_world *w)
{
	on(w, w->control, fds_close);
	on(w, w->peer, peers_close);
	on(w, w->control, stop_target);
	on(w, w->control, stop_transport);
	on(w, w->control, stop_subsystem);
	for (unsigned r = 0; r <= N_DATA; r++)
		for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++)
			ASSERT(iobuf_usage(iobuf_arena_pool(w->arena, r), cls).in_use == 0);
	on(w, w->control, free_all);
	sim_run_for(w->sim, NSEC_PER_SEC);
	for (unsigned i = 0; i < N_DATA; i++)
		sim_reactor_free(w->sim, w->data[i]);
	sim_reactor_free(w->sim, w->control);
	sim_reactor_free(w->sim, w->peer);
	iobuf_arena_free(w->arena);
	sim_world_free(w->sim);
}

int carry_world_run(const uint8_t *data, size_t size, int serve, struct err *err)
{
	struct carry_world w = {0};
	int res;

	parts_make(&w, data, size);
	world_make(&w);
	on(&w, w.control, restore_run);
	res = w.res;
	if (res && err)
		*err = *tcp_transport_restore_error(w.transport);
	ASSERT(!res || tcp_transport_restore_error(w.transport)->text[0]);
	on(&w, w.control, !res && serve ? serve_run : discard_run);
	sim_run_for(w.sim, 20 * NSEC_PER_MSEC);
	world_end(&w);
	return res;
}
