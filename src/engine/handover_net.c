/* SPDX-License-Identifier: Apache-2.0 */
/* The transport writes one part on each reactor, into slices of one memory file. Without a transport there is nothing to stop and no part. */
#include "engine/handover_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/counter.h"
#include "engine/engine.h"
#include "handover/peer.h"
#include "rt/proc.h"

#define PAGE ((size_t)4096)
#define SPARE_BYTES                                                                                \
	((size_t)256 << 10) /* of a part, for hosts that connect between the plan and the stop */
#define SPARE_FDS   128u
#define SPARE_CONNS 8u
#define SPARE_HEAP  512u /* bytes for a connection, besides its own memory */

static void net_told(struct task *task)
{
	struct handover_net *net = container_of(task, struct handover_net, task);
	struct engine *e = container_of(net, struct engine, net);

	net->done(e, 0, NULL);
}

void handover_net_init(struct handover_net *net)
{
	net->fd = -1;
	net->task.run = net_told;
}

void handover_net_fini(struct handover_net *net)
{
	for (unsigned i = 0; i < HANDOVER_PARTS_MAX; i++) {
		free(net->out[i].fds);
		net->out[i].fds = NULL;
		if (net->in_fds[i])
			carry_in_fini(&net->in[i]);
		free(net->in_fds[i]);
		net->in_fds[i] = NULL;
	}
	net->n_parts = 0;
	if (net->map)
		(void)munmap(net->map, net->map_size);
	net->map = NULL;
	cleanup_closep(&net->fd);
	net->fd = -1;
	for (unsigned i = 0; i < net->n_listeners; i++)
		cleanup_closep(&net->listener_fd[i]);
	free(net->listener_fd);
	net->listener_fd = NULL;
	net->n_listeners = 0;
}

unsigned handover_net_conns(struct engine *e)
{
	return e->tcp ? tcp_transport_conns(e->tcp) : 0;
}

size_t handover_net_types(uint16_t *ret, size_t max)
{
	size_t n;
	const uint16_t *types = tcp_transport_carry_types(&n);

	n = MIN(n, max);
	memcpy(ret, types, n * sizeof(*types));
	return n;
}

/* ---- the old side ---- */

static void put_queues(void *ctx, uint32_t entries, uint32_t n)
{
	(void)json_array_append_new(ctx, json_pack("[I, I]", (json_int_t)entries, (json_int_t)n));
}

json_t *handover_net_queues(struct engine *e)
{
	json_t *queues = json_array();

	if (queues && e->tcp)
		tcp_transport_queues(e->tcp, put_queues, queues);
	return queues;
}

struct collect {
	int *fds;
	unsigned n, max;
};

static void collect_one(void *ctx, int fd)
{
	struct collect *c = ctx;

	if (c->n < c->max)
		c->fds[c->n++] = fd;
}

unsigned handover_net_listeners(struct engine *e, int *fds, unsigned max)
{
	struct collect c = {.fds = fds, .max = max};

	if (e->tcp)
		tcp_listeners_export(e->tcp, collect_one, &c);
	return c.n;
}

static int memory_new(struct handover_net *net, size_t size, struct err *err)
{
	net->fd = memfd_create("lp-state", MFD_CLOEXEC);
	if (net->fd < 0 || ftruncate(net->fd, (off_t)size) < 0)
		return err_set(err, -errno, "no memory file for the state: %s", strerror(errno));
	net->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, net->fd, 0);
	if (net->map == MAP_FAILED) {
		net->map = NULL;
		return err_set(err, -errno, "no memory for the state: %s", strerror(errno));
	}
	net->map_size = size;
	return 0;
}

/* What was prepared before is enough: mapping it anew would cost the pages once more, while hosts are served. */
static bool is_prepared(const struct handover_net *net, unsigned n_parts, size_t bytes,
			unsigned n_fds)
{
	return net->map && net->n_parts == n_parts && bytes <= net->slice &&
	       (!n_parts || n_fds <= net->out[0].fds_max);
}

int handover_net_prepare(struct engine *e, struct err *err)
{
	struct handover_net *net = &e->net;
	unsigned n_parts = e->tcp ? tcp_transport_parts(e->tcp) : 0, n_fds = 0;
	size_t bytes = 0;
	int res;

	ASSERT(n_parts <= HANDOVER_PARTS_MAX);
	if (e->tcp)
		tcp_transport_save_size(e->tcp, &bytes, &n_fds);
	if (is_prepared(net, n_parts, bytes + SPARE_BYTES / 2, n_fds + SPARE_FDS / 2))
		return 0;
	handover_net_fini(net);
	net->slice = (bytes + SPARE_BYTES + PAGE - 1) / PAGE * PAGE;
	res = memory_new(net, MAX(n_parts, 1u) * net->slice, err);
	if (res < 0)
		return res;
	for (net->n_parts = 0; net->n_parts < n_parts; net->n_parts++) {
		int *fds = calloc(n_fds + SPARE_FDS, sizeof(*fds));

		if (!fds)
			return err_set(err, -ENOMEM, "out of memory for the state");
		carry_out_init(&net->out[net->n_parts], net->map + net->n_parts * net->slice,
			       net->slice, fds, n_fds + SPARE_FDS, LITEPOOL_VERSION);
	}
	return 0;
}

/* An nvme_done_fn. */
static void net_done(void *ctx, int res)
{
	struct engine *e = ctx;
	struct err err = {0};

	if (res < 0)
		(void)err_set(&err, res, "%s",
			      res == -ENOSPC ? "more hosts have come than there was room made for: "
					       "try again"
					     : strerror(-res));
	e->net.done(e, res, &err);
}

static uint64_t passes_of(struct reactor *r)
{
	return counter_get(&reactor_stats(r)->passes);
}

void handover_net_calm(struct engine *e)
{
	if (e->tcp)
		tcp_transport_calm(e->tcp, true);
	for (unsigned i = 0; i < e->n_data; i++)
		e->net.passes[i] = passes_of(e->data[i]);
	handover_net_spin(e, false); /* wakes them, too */
}

/* The pass that was under way then has ended. */
bool handover_net_is_calm(struct engine *e)
{
	for (unsigned i = 0; i < e->n_data; i++)
		if (passes_of(e->data[i]) == e->net.passes[i])
			return false;
	return true;
}

void handover_net_freeze(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	if (e->tcp)
		tcp_transport_freeze(e->tcp, net_done, e);
	else
		reactor_defer(e->control, &e->net.task);
}

void handover_net_thaw(struct engine *e)
{
	task_cancel(&e->net.task);
	handover_net_spin(e, true);
	if (!e->tcp)
		return;
	tcp_transport_calm(e->tcp, false);
	tcp_transport_thaw(e->tcp);
}

void handover_net_save(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	if (e->tcp)
		tcp_transport_save(e->tcp, e->net.out, net_done, e);
	else
		reactor_defer(e->control, &e->net.task);
}

/* ---- the new side ---- */

int handover_net_adopt(struct engine *e, struct handover_bag *bag, unsigned at, unsigned n,
		       struct err *err)
{
	struct handover_net *net = &e->net;

	net->listener_fd = calloc(n + 1, sizeof(*net->listener_fd));
	if (!net->listener_fd)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		net->listener_fd[i] = handover_bag_take(bag, at + i);
		if (net->listener_fd[i] < 0)
			return err_set(err, -EBADMSG, "a listening socket did not come along");
		net->n_listeners++;
	}
	return 0;
}

int handover_net_transport(struct engine *e, struct err *err)
{
	struct handover_net *net = &e->net;
	int res = 0;

	tcp_transport_hold(e->tcp);
	for (unsigned i = 0; i < net->n_listeners && res == 0; i++) {
		int fd = TAKE_FD(net->listener_fd[i]);

		res = fd < 0 ? 0 : tcp_listen_import(e->tcp, fd, err);
	}
	return res;
}

int handover_net_part(struct engine *e, unsigned i, const void *data, size_t len, int *fds,
		      unsigned n_fds, struct err *err)
{
	struct handover_net *net = &e->net;

	if (i >= HANDOVER_PARTS_MAX || net->in_fds[i]) {
		for (unsigned k = 0; k < n_fds; k++)
			cleanup_closep(&fds[k]);
		free(fds);
		return err_set(err, -E2BIG, "the state has more than %u parts", HANDOVER_PARTS_MAX);
	}
	net->in_fds[i] = fds;
	net->n_parts = i + 1;
	net->n_conns += n_fds;
	return carry_in_init(&net->in[i], data, len, fds, n_fds, err);
}

static uint32_t number_at(const json_t *array, size_t i)
{
	json_int_t n = json_integer_value(json_array_get(array, i));

	return n < 0 || n > HANDOVER_FD_MAX ? 0 : (uint32_t)n;
}

void handover_net_expect(struct engine *e, const json_t *plan)
{
	const json_t *queues = json_object_get(plan, "queues");
	const json_int_t ctrlrs = json_integer_value(json_object_get(plan, "ctrlr_bytes"));
	uint32_t total = 0;

	for (size_t i = 0; i < json_array_size(queues) && total < HANDOVER_FD_MAX; i++) {
		const json_t *one = json_array_get(queues, i);
		uint32_t n = number_at(one, 1);

		n += n / 16 + SPARE_CONNS; /* hosts come meanwhile */
		total += n;
		if (e->tcp)
			tcp_transport_expect(e->tcp, number_at(one, 0), n);
	}
	proc_reserve_fds(e->successor.pidfd, total + SPARE_FDS);
	proc_reserve_memory((size_t)total * SPARE_HEAP + SPARE_BYTES +
			    (ctrlrs > 0 ? (size_t)ctrlrs : 0));
}

static void net_restored(void *ctx, int res)
{
	struct engine *e = ctx;

	e->net.done(e, res, res < 0 ? tcp_transport_restore_error(e->tcp) : NULL);
}

void handover_net_restore(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	if (e->tcp)
		tcp_transport_restore(e->tcp, e->net.in, e->net.n_parts, net_restored, e);
	else
		reactor_defer(e->control, &e->net.task);
}

void handover_net_serve(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	if (e->tcp)
		tcp_transport_serve(e->tcp, net_done, e);
	else
		reactor_defer(e->control, &e->net.task);
}

uint64_t handover_net_served_ns(struct engine *e)
{
	return e->tcp ? tcp_transport_served_ns(e->tcp) : reactor_now_exact(e->control);
}

void handover_net_pass(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	if (e->tcp)
		tcp_transport_pass(e->tcp, net_done, e);
	else
		reactor_defer(e->control, &e->net.task);
}

void handover_net_spin(struct engine *e, bool on)
{
	const int64_t poll_us = on ? e->opts->poll_us : POLL_US_NEVER;

	for (unsigned i = 0; i < e->n_data; i++)
		reactor_set_poll_us(e->data[i], poll_us);
	reactor_set_poll_us(e->pools, poll_us);
}
