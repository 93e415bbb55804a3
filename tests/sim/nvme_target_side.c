/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of sim-nvme: made as the engine makes it, with very few buffers, and then changed under load: namespaces come and go,
 * hosts are thrown out, paths change, disks fail and hang, limits are set. Everything here runs on the control reactor.
 *
 * One control operation is under way at a time (w->changing); rules of the fault disk change at any time, since a hanging disk may be
 * what an operation waits for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "disk/disk.h"
#include "sim/nvme_world.h"

#define RAM_BYTES   (512 * KIB)
#define FILE_BYTES  (2 * MIB)
#define FAULT_BYTES (1 * MIB)

static uint64_t below(struct nvme_world *w, uint64_t n)
{
	return rng_below(sim_rng(w->sim), n);
}

static void must(int rc, const struct err *err)
{
	if (rc)
		sim_fail("%s (%d)", err->text, rc);
}

static void changed(void *ctx, int res)
{
	struct nvme_world *w = ctx;

	if (res)
		sim_fail("a control operation ended with %d", res);
	ASSERT(w->changing > 0);
	w->changing--;
}

static bool not_changing(void *arg)
{
	return ((struct nvme_world *)arg)->changing == 0;
}

/* --- making --- */

static void buffers_make(struct nvme_world *w)
{
	struct iobuf_counts counts;
	struct err err = {0};

	/* At least one of each per reactor: the fewest that can work. */
	for (unsigned i = 0; i < IOBUF_CLASSES; i++)
		counts.n[i] = (w->n_data + 1) * (1 + (uint32_t)below(w, 3));
	must(iobuf_arena_new(&counts, w->n_data + 1, &w->arena, &err), &err);
	for (unsigned i = 0; i < w->n_data; i++)
		reactor_set_iobufs(w->data[i], iobuf_arena_pool(w->arena, i));
	reactor_set_iobufs(w->control, iobuf_arena_pool(w->arena, w->n_data));
}

static void disks_make(struct nvme_world *w)
{
	struct disk_ram_opts ram = {
		.name = "Malloc0", .uuid = {{1}}, .size_bytes = RAM_BYTES, .block_size = 512};
	struct disk_file_opts file = {
		.name = "File0", .uuid = {{2}}, .path = SIM_DISK, .block_size = 4096};
	struct disk_ram_opts base = {
		.name = "Malloc1", .uuid = {{3}}, .size_bytes = FAULT_BYTES, .block_size = 4096};
	struct disk_fault_opts fault = {.name = "Fault0", .uuid = {{4}}, .seed = w->seed};
	struct err err = {0};

	sim_file_create(w->sim, SIM_DISK, FILE_BYTES, 512);
	must(disk_ram_new(&ram, &w->ns[0].dev, &err), &err);
	must(disk_file_new(reactor_env(w->control), &file, &w->ns[1].dev, &err), &err);
	must(disk_ram_new(&base, &w->fault_base, &err), &err);
	fault.base = w->fault_base;
	must(disk_fault_new(&fault, &w->fault, &err), &err);
	w->ns[2].dev = w->fault;
	for (unsigned i = 0; i < N_NS; i++) {
		struct blk_dev *dev = w->ns[i].dev;

		model_init(&w->ns[i].model, i + 1, dev->block_size,
			   (uint32_t)(dev->size_bytes / dev->block_size));
	}
}

static void ns_add(struct nvme_world *w, unsigned i)
{
	struct nvme_ns_opts opts = {
		.nsid = i + 1, .dev = w->ns[i].dev, .qos = i == 0 ? w->qos : NULL};
	struct err err = {0};
	uint32_t nsid;

	w->changing++;
	must(nvme_subsystem_add_ns(w->ss, &opts, &nsid, changed, w, &err), &err);
	w->ns[i].present = true;
}

static void options_make(struct nvme_world *w)
{
	w->topts = nvme_target_opts_default();
	w->tcp = tcp_transport_opts_default();
	w->topts.mdts_bytes = (uint32_t)(16 * KIB) << below(w, 6);
	w->tcp.max_h2c_data = (uint32_t)(4 * KIB) << below(w, 6);
	w->tcp.send_limit_bytes = (uint32_t)(16 * KIB) << below(w, 6);
	w->tcp.batch_commands = 1 + (uint32_t)below(w, 64);
}

static void target_make(struct nvme_world *w)
{
	struct nvme_subsystem_opts sopts = {
		.nqn = SUBNQN, .max_namespaces = 8, .ana_reporting = true};
	struct err err = {0};

	w->topts.control = w->control;
	w->topts.data = w->data;
	w->topts.n_data = w->n_data;
	must(nvme_target_new(&w->topts, &w->target, &err), &err);
	must(tcp_transport_new(w->target, w->control, w->data, w->n_data, &w->tcp, &w->transport,
			       &err),
	     &err);
	must(nvme_subsystem_new(w->target, &sopts, &w->ss, &err), &err);
}

static void listeners_make(struct nvme_world *w)
{
	struct err err = {0};

	for (unsigned i = 0; i < N_PORTS; i++) {
		must(sock_addr_ip(i ? "fd00::2" : "10.0.0.2", 4420, &w->addr[i]), &err);
		must(tcp_listen(w->transport, &w->addr[i], NULL, &w->listener[i], &err), &err);
		w->changing++;
		must(nvme_subsystem_add_listener(w->ss, tcp_listener_port(w->listener[i]), changed,
						 w, &err),
		     &err);
	}
}

static void target_start_run(void *arg)
{
	struct nvme_world *w = arg;
	struct err err = {0};

	buffers_make(w);
	target_swap(w);
	buffers_make(w);
	target_swap(w);
	options_make(w);
	disks_make(w);
	w->qos = nvme_qos_new();
	target_make(w);
	for (unsigned i = 0; i < N_NS; i++)
		ns_add(w, i);
	listeners_make(w);
	for (unsigned i = 0; i < w->n_clients; i++)
		must(nvme_subsystem_add_host(w->ss, w->client[i].hostnqn, &err), &err);
}

void target_start(struct nvme_world *w)
{
	world_call(w, w->control, target_start_run, w);
	world_wait(w, not_changing, w, 10, "the target starts");
}

/* --- chaos --- */

static void change_ns(struct nvme_world *w)
{
	unsigned i = (unsigned)below(w, N_NS);
	struct err err = {0};

	if (!w->ns[i].present) {
		ns_add(w, i);
		return;
	}
	w->changing++;
	w->ns[i].present = false;
	must(nvme_subsystem_remove_ns(w->ss, i + 1, changed, w, &err), &err);
}

static void change_host(struct nvme_world *w)
{
	unsigned i = (unsigned)below(w, w->n_clients);
	struct err err = {0};

	if (w->host_banned[i]) {
		must(nvme_subsystem_add_host(w->ss, w->client[i].hostnqn, &err), &err);
		w->host_banned[i] = false;
		return;
	}
	w->changing++;
	w->host_banned[i] = true;
	must(nvme_subsystem_remove_host(w->ss, w->client[i].hostnqn, changed, w, &err), &err);
}

static void set_ana(struct nvme_world *w, unsigned port, uint32_t group, enum nvme_ana_state state)
{
	struct err err = {0};

	w->changing++;
	must(nvme_subsystem_set_ana_state(w->ss, tcp_listener_port(w->listener[port]), group, state,
					  changed, w, &err),
	     &err);
}

static void change_ana(struct nvme_world *w)
{
	static const enum nvme_ana_state states[] = {NVME_ANA_OPTIMIZED, NVME_ANA_NON_OPTIMIZED,
						     NVME_ANA_INACCESSIBLE, NVME_ANA_OPTIMIZED};

	set_ana(w, (unsigned)below(w, N_PORTS), (uint32_t)below(w, N_NS + 1),
		states[below(w, ARRAY_LEN(states))]);
}

static void change_qos(struct nvme_world *w)
{
	struct nvme_qos_limits limits = {0};

	if (below(w, 2)) {
		limits.rw_ios_per_sec = 100 + below(w, 10000);
		limits.w_bytes_per_sec = below(w, 2) * (1 + below(w, 20)) * MIB;
	}
	nvme_qos_set(w->qos, &limits);
}

static void change_rules(struct nvme_world *w)
{
	struct disk_fault_rule rule = {.probability = (double)(1 + below(w, 30)) / 100,
				       .count = below(w, 20)};
	struct err err = {0};
	uint32_t id;

	if (below(w, 2)) {
		must(disk_fault_remove(w->fault, 0, &err), &err);
		return;
	}
	switch (below(w, 4)) {
	case 0:
		rule.kind = DISK_FAULT_ERROR;
		rule.error = below(w, 2) ? -EIO : -ENOSPC;
		break;
	case 1:
		rule.kind = DISK_FAULT_DELAY;
		rule.delay_ns = 1 + below(w, 20 * NSEC_PER_MSEC);
		break;
	case 2:
		rule.kind = DISK_FAULT_TEAR;
		rule.tear_bytes = 4096 * below(w, 4);
		rule.error = -EIO;
		break;
	default:
		rule.kind = DISK_FAULT_HANG;
		break;
	}
	must(disk_fault_add(w->fault, &rule, &id, &err), &err);
}

static void change_file(struct nvme_world *w)
{
	sim_file_fail(w->sim, SIM_DISK, (unsigned)below(w, 4) ? 0 : (unsigned)below(w, 32), 0.1,
		      -EIO);
}

void target_chaos(struct nvme_world *w)
{
	switch (below(w, 8)) {
	case 0:
	case 1:
	case 2:
		change_rules(w);
		return;
	case 3:
		change_file(w);
		return;
	case 4:
		change_qos(w);
		return;
	default:
		break;
	}
	if (w->changing || w->handover != HANDOVER_NONE) /* RPC calls wait meanwhile */
		return;
	switch (below(w, 3)) {
	case 0:
		change_ns(w);
		return;
	case 1:
		change_host(w);
		return;
	default:
		change_ana(w);
		return;
	}
}

/* --- healing --- */

static void heal_disks(void *arg)
{
	struct nvme_world *w = arg;
	struct nvme_qos_limits none = {0};
	struct err err = {0};

	must(disk_fault_remove(w->fault, 0, &err), &err);
	sim_file_fail(w->sim, SIM_DISK, 0, 0, 0);
	nvme_qos_set(w->qos, &none);
}

static void heal_subsystem(void *arg)
{
	struct nvme_world *w = arg;
	struct err err = {0};

	for (unsigned i = 0; i < N_NS; i++)
		if (!w->ns[i].present)
			ns_add(w, i);
	for (unsigned i = 0; i < w->n_clients; i++) {
		if (w->host_banned[i])
			must(nvme_subsystem_add_host(w->ss, w->client[i].hostnqn, &err), &err);
		w->host_banned[i] = false;
	}
	for (unsigned port = 0; port < N_PORTS; port++)
		set_ana(w, port, 0, NVME_ANA_OPTIMIZED);
}

void target_heal(struct nvme_world *w)
{
	sim_net_refuse(w->sim, false);
	world_call(w, w->control, heal_disks, w);
	world_wait(w, not_changing, w, 120, "the last control operation");
	world_call(w, w->control, heal_subsystem, w);
	world_wait(w, not_changing, w, 60, "namespaces, hosts and paths come back");
}

bool target_disks_quiet(void *arg)
{
	const struct nvme_world *w = arg;
	struct blk_stats *sum = malloc(sizeof(*sum));
	int64_t inflight = 0;

	ASSERT(sum);
	for (unsigned i = 0; i < N_NS; i++) {
		blk_stats_sum(w->ns[i].dev, sum);
		inflight += atomic_load(&sum->inflight);
	}
	free(sum);
	return inflight == 0;
}

/* --- the next engine --- */

void target_swap(struct nvme_world *w)
{
	const struct engine_side now = {.control = w->control,
					.data = w->data,
					.n_data = w->n_data,
					.arena = w->arena,
					.target = w->target,
					.transport = w->transport,
					.ss = w->ss};
	struct engine_side next = w->other;

	w->other = now;
	memcpy(w->other.listener, w->listener, sizeof(w->listener));
	w->control = next.control;
	w->n_data = next.n_data;
	w->arena = next.arena;
	w->target = next.target;
	w->transport = next.transport;
	w->ss = next.ss;
	w->data = next.data;
	memcpy(w->listener, next.listener, sizeof(w->listener));
}

struct successor {
	struct nvme_world *w;
	const int *fd;
};

/* Devices are what both engines have; the claim says which of the two would complain. */
static void successor_ns(struct nvme_world *w, unsigned i)
{
	struct blk_dev *dev = w->ns[i].dev;
	unsigned claims = dev->claims;

	if (!w->ns[i].present)
		return;
	dev->claims = 0;
	ns_add(w, i);
	dev->claims += claims;
}

static void successor_run(void *arg)
{
	struct successor *s = arg;
	struct nvme_world *w = s->w;
	struct err err = {0};

	target_make(w);
	tcp_transport_hold(w->transport);
	for (unsigned i = 0; i < N_NS; i++)
		successor_ns(w, i);
	for (unsigned i = 0; i < N_PORTS; i++) {
		must(tcp_listen_import(w->transport, s->fd[i], &err), &err);
		must(tcp_listen(w->transport, &w->addr[i], NULL, &w->listener[i], &err), &err);
		w->changing++;
		must(nvme_subsystem_add_listener(w->ss, tcp_listener_port(w->listener[i]), changed,
						 w, &err),
		     &err);
	}
	for (unsigned i = 0; i < w->n_clients; i++)
		if (!w->host_banned[i])
			must(nvme_subsystem_add_host(w->ss, w->client[i].hostnqn, &err), &err);
}

void target_successor(struct nvme_world *w, const int *fd)
{
	struct successor s = {.w = w, .fd = fd};

	target_swap(w);
	world_call(w, w->control, successor_run, &s);
	target_swap(w);
}

/* --- the end --- */

static void stop_target(void *arg)
{
	struct nvme_world *w = arg;

	w->changing++;
	nvme_target_stop(w->target, changed, w);
}

static void stop_transport(void *arg)
{
	struct nvme_world *w = arg;

	w->changing++;
	tcp_transport_stop(w->transport, changed, w);
}

static void stop_subsystem(void *arg)
{
	struct nvme_world *w = arg;

	w->changing++;
	nvme_subsystem_delete(w->ss, changed, w);
}

/* So that one sees whether a run came there at all. */
static void count_ahead(struct nvme_world *w)
{
	json_t *stats = tcp_transport_stats_json(w->transport), *one;
	size_t i;

	json_array_foreach (stats, i, one) {
		w->ahead_taken += json_integer_value(json_object_get(one, "ahead_taken"));
		w->ahead_copied += json_integer_value(json_object_get(one, "ahead_copied"));
	}
	json_decref(stats);
}

static void side_free(struct nvme_world *w)
{
	count_ahead(w);
	tcp_transport_free(w->transport);
	nvme_target_free(w->target);
	w->transport = NULL;
	w->target = NULL;
}

static void side_free_run(void *arg)
{
	side_free(arg);
}

static void target_free_run(void *arg)
{
	struct nvme_world *w = arg;

	side_free(w);
	nvme_qos_free(w->qos);
	for (unsigned i = 0; i < N_NS; i++) {
		if (w->ns[i].dev->claims)
			sim_fail("%s is still claimed by %s", w->ns[i].dev->name,
				 w->ns[i].dev->claimed_by);
		w->ns[i].dev->ops->destroy(w->ns[i].dev);
	}
}

static void destroy_fault_base(void *arg)
{
	struct nvme_world *w = arg;

	w->fault_base->ops->destroy(w->fault_base);
}

static void check_no_buffer_leaks(struct nvme_world *w)
{
	for (unsigned r = 0; r <= w->n_data; r++)
		for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++) {
			struct iobuf_usage usage = iobuf_usage(iobuf_arena_pool(w->arena, r), cls);

			if (usage.in_use || usage.waiting)
				sim_fail("reactor %u: %u %s buffers are in use and %u wait at the "
					 "end",
					 r, usage.in_use, iobuf_class_name[cls], usage.waiting);
		}
}

static void target_end(struct nvme_world *w)
{
	world_call(w, w->control, stop_target, w);
	world_wait(w, not_changing, w, 60, "the target stops");
	world_call(w, w->control, stop_transport, w);
	world_wait(w, not_changing, w, 60, "the transport stops");
	world_call(w, w->control, stop_subsystem, w);
	world_wait(w, not_changing, w, 60, "the subsystem is deleted");
	check_no_buffer_leaks(w);
}

void target_stop(struct nvme_world *w)
{
	target_end(w);
	world_call(w, w->control, target_free_run, w);
	sim_run_for(w->sim,
		    NSEC_PER_MSEC); /* messages of the fault disk that are still under way */
	world_call(w, w->control, destroy_fault_base, w);
}

void target_stop_other(struct nvme_world *w)
{
	target_swap(w);
	target_end(w);
	world_call(w, w->control, side_free_run, w);
	target_swap(w);
}

void target_print(const struct nvme_world *w)
{
	json_t *stats = tcp_transport_stats_json(w->transport);
	char *text = json_dumps(stats, JSON_COMPACT);

	fprintf(stderr, "%s\n", text);
	free(text);
	json_decref(stats);
	for (unsigned r = 0; r <= w->n_data; r++)
		for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++) {
			struct iobuf_usage usage = iobuf_usage(iobuf_arena_pool(w->arena, r), cls);

			fprintf(stderr, "reactor %u %s: %u of %u in use, %u wait\n", r,
				iobuf_class_name[cls], usage.in_use, usage.total, usage.waiting);
		}
}
