/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wiring of the engine and its life. Invariants:
 *  1. config.json is never written before it was read and carried out: what could not be carried out is a problem and is written again.
 *  2. Stopping goes in one direction, each step after the one before has ended: no change is lost, no I/O meets a closed disk.
 *  3. Whatever failed in the middle, engine_free() takes down exactly what was built.
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/rpc_call.h"
#include "rt/env.h"
#include "rt/fs.h"
#include "rt/iobuf.h"
#include "rt/proc.h"
#include "rt/process.h"
#include "rt/uring.h"

#define RPC_PATIENCE_NS 3000000000ull
#define RPC_RETRY_NS    20000000ull

const char *const engine_state_name[] = {
	[ENGINE_NEW] = "new",
	[ENGINE_WAITING] = "waiting",
	[ENGINE_CONFIG] = "loading",
	[ENGINE_RUNNING] = "running",
	[ENGINE_STOP_SAVE] = "saving",
	[ENGINE_STOP_TARGET] = "closing-controllers",
	[ENGINE_STOP_TRANSPORT] = "closing-connections",
	[ENGINE_STOP_POOLS] = "closing-pools",
	[ENGINE_STOP_DISKS] = "closing-disks",
	[ENGINE_STOPPED] = "stopped",
};

static int state_dir_take(struct engine *e, struct err *err);
static int reactors_new(struct engine *e, struct err *err);
static json_t *config_render(void *ctx);
static void start_on_control(struct msg *msg);
static void stop_on_control(struct msg *msg);
static void stop_step(struct engine *e);

int engine_new(const struct engine_opts *opts, void (*on_end)(struct engine *e),
	       struct engine **ret, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct nvme_target_opts target_opts = nvme_target_opts_default();
	int res;

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->opts = opts;
	e->on_end = on_end;
	e->lock_fd = e->old.listen_fd = -1;
	handover_net_init(&e->net);
	e->n_data = opts->n_data;
	bdev_registry_init(&e->bdevs);
	list_init(&e->listeners);
	list_init(&e->init_waiters);
	config_problems_init(&e->problems);
	store_init(e);
	res = uring_probe_kernel(err);
	if (res == 0 && !opts->take_over)
		res = state_dir_take(e, err);
	if (res == 0)
		res = worker_pool_new(2, &e->workers, err);
	if (res == 0)
		res = reactors_new(e, err);
	if (res == 0) {
		e->config.control = e->control;
		e->config.workers = e->workers;
		e->config.render = config_render;
		e->config.ctx = e;
		res = saver_init(&e->config, opts->state_dir, "config.json", err);
	}
	if (res == 0)
		res = resv_store_init(&e->resv, e->control, e->workers, opts->state_dir, err);
	if (res == 0)
		res = resv_store_load(&e->resv, err);
	if (res == 0) {
		target_opts.control = e->control;
		target_opts.data = e->data;
		target_opts.n_data = e->n_data;
		res = nvme_target_new(&target_opts, &e->target, err);
	}
	if (res < 0) {
		engine_free(e);
		return res;
	}
	rpc_resv_attach(e);
	*ret = e;
	return 0;
}

static int state_dir_take(struct engine *e, struct err *err)
{
	char path[PATH_MAX];
	int res = fs_make_dir(e->opts->state_dir, 0700, err);

	if (res < 0)
		return err_prefix(err, "the state directory (choose another with --state-dir DIR)");
	if (snprintf(path, sizeof(path), "%s/lock", e->opts->state_dir) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "--state-dir %s is too long",
			       e->opts->state_dir);
	res = fs_lock(path, &e->lock_fd, err);
	if (res == -EBUSY)
		return err_set(
			err, -EBUSY,
			"another engine uses %s; stop it, or give this one its own --state-dir "
			"and --rpc-socket",
			e->opts->state_dir);
	if (res == 0)
		engine_lock_sign(e);
	return res;
}

void engine_lock_sign(struct engine *e)
{
	char text[48];
	int len = snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(), proc_started(getpid()));

	/* Only for the supervisor, which looks at the lock itself first. */
	if (ftruncate(e->lock_fd, 0) < 0 || pwrite(e->lock_fd, text, (size_t)len, 0) != len)
		log_warn("engine.lock.unsigned", "reason=\"%s\"", strerror(errno));
}

static int reactor_make(struct engine *e, unsigned id, const char *name, int cpu,
			struct reactor **ret, struct err *err)
{
	struct reactor_opts opts = {
		.id = id, .name = name, .cpu = cpu, .poll_us = e->opts->poll_us};
	struct env *env;
	int res = uring_env_new(e->arena, &env, err);

	if (res < 0)
		return res;
	if (id == e->n_data + 1)
		opts.poll_us = POLL_US_NEVER; /* control: nobody waits for it in microseconds */
	res = reactor_new(&opts, env, ret, err);
	if (res < 0) {
		env->ops->free(env);
		return res;
	}
	reactor_set_iobufs(*ret, iobuf_arena_pool(e->arena, id));
	return 0;
}

static int reactors_new(struct engine *e, struct err *err)
{
	int res;

	for (unsigned i = 0; i < IOBUF_CLASSES; i++)
		e->iobufs.n[i] = e->opts->iobuf[i];
	res = iobuf_arena_new(&e->iobufs, e->n_data + 2, &e->arena, err);
	for (unsigned i = 0; res == 0 && i < e->n_data; i++) {
		char name[16];

		snprintf(name, sizeof(name), "lp-data-%hhu", (unsigned char)i);
		res = reactor_make(e, i, name, e->opts->data_cpu[i], &e->data[i], err);
	}
	if (res == 0)
		res = reactor_make(e, e->n_data, "lp-pools", -1, &e->pools, err);
	if (res == 0)
		res = reactor_make(e, e->n_data + 1, "lp-control", e->opts->control_cpu,
				   &e->control, err);
	return res;
}

int engine_start(struct engine *e, struct err *err)
{
	e->start_msg.run = start_on_control;
	e->stop_msg.run = stop_on_control;
	while (e->n_started < e->n_data) {
		int res = reactor_start(e->data[e->n_started], err);

		if (res < 0)
			return res;
		e->n_started++;
	}
	if (reactor_start(e->pools, err) < 0)
		return err->code;
	e->pools_started = true;
	reactor_post(e->control, &e->start_msg);
	if (reactor_start(e->control, err) < 0)
		return err->code;
	e->control_started = true;
	return 0;
}

static void log_start(const struct engine *e)
{
	const uint32_t *n = e->iobufs.n;
	uint64_t bytes = 0;
	char size[32];

	for (unsigned i = 0; i < IOBUF_CLASSES; i++)
		bytes += (uint64_t)n[i] * iobuf_class_size[i];
	log_info("engine.start", "version=%s data_reactors=%u cores=%s poll_us=%lld state_dir=%s",
		 LITEPOOL_VERSION, e->n_data, e->opts->cores, (long long)e->opts->poll_us,
		 e->opts->state_dir);
	log_info("engine.buffers",
		 "total=\"%s\" capsule=%u small=%u medium=%u large=%u scratch=%u rx=%u",
		 str_size(bytes, size, sizeof(size)), n[IOBUF_CAPSULE], n[IOBUF_SMALL],
		 n[IOBUF_MEDIUM], n[IOBUF_LARGE], n[IOBUF_SCRATCH], n[IOBUF_RX]);
}

static void start_rpc(struct engine *e)
{
	struct rpc_server_opts opts = rpc_server_opts_default();
	struct err err = {0};
	int res;

	if (e->stopping)
		return;
	opts.path = e->opts->rpc_socket;
	opts.methods = engine_methods;
	opts.ctx = e;
	res = rpc_server_new(e->control, &opts, &e->rpc, &err);
	/* A predecessor that was killed may hold it for a moment after its process is gone. */
	if (res == -EADDRINUSE && reactor_now(e->control) < e->start_ns + RPC_PATIENCE_NS &&
	    timer_start(e->control, &e->start_timer, reactor_now(e->control) + RPC_RETRY_NS) == 0)
		return;
	if (res < 0) {
		(void)err_prefix(&err, "RPC socket %s (choose another with --rpc-socket PATH)",
				 opts.path);
		engine_fail(e, &err);
		return;
	}
	rpc_server_set_state(e->rpc, RPC_STARTUP);
	e->state = ENGINE_WAITING;
	if (!e->opts->wait_for_rpc)
		engine_configure(e);
}

static void start_rpc_again(struct timer *timer)
{
	start_rpc(container_of(timer, struct engine, start_timer));
}

static void start_on_control(struct msg *msg)
{
	struct engine *e = container_of(msg, struct engine, start_msg);

	e->start_ns = reactor_now(e->control);
	e->start_timer.run = start_rpc_again;
	log_start(e);
	if (e->opts->take_over)
		handover_new_start(e);
	else
		start_rpc(e);
}

/* The configuration's text: the state directory's, or the first one that --config gives. 0 without text: a new engine. */
static int config_read(struct engine *e, json_t **ret_entries, struct err *err)
{
	const char *path = e->config.path;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int res = fs_read(path, CONFIG_SIZE_MAX, &text, &len, err);

	if (res == -ENOENT && e->opts->config_path) {
		path = e->opts->config_path;
		res = fs_read(path, CONFIG_SIZE_MAX, &text, &len, err);
		if (res == -ENOENT)
			return err_set(err, -EINVAL, "--config %s: no such file", path);
	} else if (res == -ENOENT) {
		*ret_entries = json_array();
		return *ret_entries ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (res < 0)
		return res;
	res = config_parse(text, len, ret_entries, err);
	if (res < 0)
		(void)err_prefix(
			err,
			"%s cannot be used and was left as it is; repair it, or move it away to "
			"start without any configuration (disks keep their data)",
			path);
	return res;
}

static void configured_saved(void *ctx, const struct err *err)
{
	struct engine *e = ctx;

	if (err)
		log_error("engine.config.save_failed", "reason=\"%s\"", err->text);
	if (e->stopping)
		return;
	e->state = ENGINE_RUNNING;
	rpc_server_set_state(e->rpc, RPC_RUNTIME);
	log_info("engine.running", "bdevs=%u problems=%u rpc=%s", e->bdevs.count, e->problems.count,
		 e->opts->rpc_socket);
	engine_serves(e);
}

void engine_serves(struct engine *e)
{
	rpc_init_done(e);
	handover_old_open(e);
	engine_link_open(e);
	if (!e->opts->supervisor) /* else the supervisor is the service, and says it */
		(void)process_notify("READY=1");
}

static void configured(struct engine *e, int res)
{
	if (e->stopping) {
		stop_step(e);
		return;
	}
	/* Identities that this load made are kept from the first moment on. */
	e->stop_wait.done = configured_saved;
	e->stop_wait.ctx = e;
	saver_save(&e->config, &e->stop_wait);
}

void engine_configure(struct engine *e)
{
	struct err err = {0};
	json_t *entries;

	ASSERT(e->state == ENGINE_WAITING);
	e->state = ENGINE_CONFIG;
	if (config_read(e, &entries, &err) < 0) {
		engine_fail(e, &err);
		return;
	}
	engine_replay(e, entries, false, configured);
}

void engine_fail(struct engine *e, const struct err *err)
{
	if (!e->end_err.code)
		e->end_err = *err;
	engine_stop(e);
}

void engine_stop(struct engine *e)
{
	reactor_post(e->control, &e->stop_msg);
}

static void stop_saved(void *ctx, const struct err *err)
{
	struct engine *e = ctx;

	if (err)
		log_error("engine.config.save_failed", "reason=\"%s\"", err->text);
	stop_step(e);
}

static void stop_nvme_done(void *ctx, int res)
{
	stop_step(ctx);
}

static void stop_on_control(struct msg *msg)
{
	struct engine *e = container_of(msg, struct engine, stop_msg);

	if (e->stopping)
		return;
	/* A successor that has been given all is waited for; that is the end of this process, too. */
	if (e->opts->take_over && !handover_new_stop(e))
		return;
	if (!handover_old_stop(e))
		return;
	engine_link_close(e);
	e->stopping = true;
	log_info("engine.stopping", "state=%s", engine_state_name[e->state]);
	e->rpc_served = e->state == ENGINE_RUNNING;
	if (e->state == ENGINE_CONFIG && e->replay.entries)
		return; /* configured() goes on when the entry under way has ended */
	stop_step(e);
}

/*
 * Visits every data reactor and comes back: what was sent to them before has been done by then. (Fault disks end what they hold by message.)
 */
static void hop_on(struct msg *msg)
{
	struct engine *e = container_of(msg, struct engine, hop_msg);

	if (reactor_current() == e->control && e->hops == e->n_data + 2) {
		stop_step(e);
		return;
	}
	e->hops++;
	if (e->hops <= e->n_data)
		reactor_post(e->data[e->hops - 1], msg);
	else
		reactor_post(e->hops == e->n_data + 1 ? e->pools : e->control, msg);
}

/* Nobody submits any more. Users go before what they use: namespaces, volumes' devices, pools, disks. */
static void pools_close(struct engine *e)
{
	rpc_listeners_free(e);
	if (e->tcp)
		tcp_transport_free(e->tcp);
	e->tcp = NULL;
	nvme_target_free(e->target);
	e->target = NULL;
	store_close_all(e, stop_step);
}

static void disks_close(struct engine *e)
{
	bdev_remove_all(&e->bdevs);
	e->hop_msg.run = hop_on;
	e->hops = 0;
	hop_on(&e->hop_msg);
}

/* Each call enters the next state; what it starts calls again when it has ended. */
static void stop_step(struct engine *e)
{
	ASSERT(e->stopping);
	switch (e->state) {
	case ENGINE_NEW:
	case ENGINE_WAITING:
	case ENGINE_CONFIG:
	case ENGINE_RUNNING:
		e->state = ENGINE_STOP_SAVE;
		rpc_server_free(e->rpc);
		e->rpc = NULL;
		if (e->rpc_served) {
			/* A group of its own: every change that a client made before is written by then. */
			e->stop_wait.done = stop_saved;
			e->stop_wait.ctx = e;
			saver_save(&e->config, &e->stop_wait);
			return;
		}
		__attribute__((fallthrough));
	case ENGINE_STOP_SAVE:
		e->state = ENGINE_STOP_TARGET;
		nvme_target_stop(e->target, stop_nvme_done, e);
		return;
	case ENGINE_STOP_TARGET:
		e->state = ENGINE_STOP_TRANSPORT;
		if (e->tcp) {
			tcp_transport_stop(e->tcp, stop_nvme_done, e);
			return;
		}
		__attribute__((fallthrough));
	case ENGINE_STOP_TRANSPORT:
		e->state = ENGINE_STOP_POOLS;
		pools_close(e);
		return;
	case ENGINE_STOP_POOLS:
		e->state = ENGINE_STOP_DISKS;
		disks_close(e);
		return;
	case ENGINE_STOP_DISKS:
		e->state = ENGINE_STOPPED;
		log_info(
			"engine.stopped", "uptime_s=%llu",
			(unsigned long long)((reactor_now(e->control) - e->start_ns) / 1000000000));
		e->on_end(e);
		return;
	case ENGINE_STOPPED:
	default:
		UNREACHABLE();
	}
}

static json_t *config_render(void *ctx)
{
	return engine_config_json(ctx);
}

static void reactors_end(struct engine *e)
{
	for (unsigned i = 0; i < e->n_started; i++)
		reactor_stop(e->data[i]);
	for (unsigned i = 0; i < e->n_started; i++)
		reactor_join(e->data[i]);
	if (e->pools_started) {
		reactor_stop(e->pools);
		reactor_join(e->pools);
	}
	if (e->control_started) {
		reactor_stop(e->control);
		reactor_join(e->control);
	}
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	reactors_end(e);
	worker_pool_free(e->workers);
	rpc_listeners_free(e);
	if (e->tcp)
		tcp_transport_free(e->tcp);
	if (e->target)
		nvme_target_free(e->target);
	store_fini(e);
	bdev_remove_all(&e->bdevs);
	for (unsigned i = 0; i < e->n_data; i++)
		reactor_free(e->data[i]);
	reactor_free(e->pools);
	reactor_free(e->control);
	if (e->arena)
		iobuf_arena_free(e->arena);
	config_problems_fini(&e->problems);
	resv_store_fini(&e->resv);
	json_decref(e->tcp_params);
	json_decref(e->tcp_config);
	json_decref(e->upgrade.json);
	handover_net_fini(&e->net);
	cleanup_closep(&e->lock_fd);
	free(e);
}
