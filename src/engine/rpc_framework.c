/* SPDX-License-Identifier: Apache-2.0 */
/* Methods about the process and its configuration as a whole, named and shaped as SPDK's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/rpc_call.h"

struct init_waiter {
	struct list link;
	struct rpc_call *call;
};

void rpc_spdk_get_version(struct rpc_call *call, const json_t *params, void *ctx)
{
	int major = 0, minor = 0, patch = 0;

	if (!rpc_no_params(call, params))
		return;
	(void)sscanf(LITEPOOL_VERSION, "%d.%d.%d", &major, &minor, &patch);
	rpc_reply_json(call, json_pack("{s:s, s:{s:i, s:i, s:i, s:s}}", "version",
				       ENGINE_VERSION_TEXT, "fields", "major", major, "minor",
				       minor, "patch", patch, "suffix", ""));
}

struct get_methods_params {
	bool current, include_aliases, summaries;
};
static const struct json_field get_methods_fields[] = {
	{"current", JSON_KIND_BOOL, offsetof(struct get_methods_params, current)},
	{"include_aliases", JSON_KIND_BOOL, offsetof(struct get_methods_params, include_aliases)},
	{"summaries", JSON_KIND_BOOL, offsetof(struct get_methods_params, summaries)},
};

void rpc_rpc_get_methods(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct get_methods_params p = {.include_aliases = true};
	unsigned state = rpc_server_state(e->rpc);
	json_t *names;

	if (!RPC_PARAMS(call, params, get_methods_fields, &p))
		return;
	names = p.summaries ? json_object() : json_array();
	for (const struct rpc_method *m = engine_methods; names && m->name; m++) {
		if (p.current && !(m->states & state))
			continue;
		if (p.summaries)
			(void)json_object_set_new(names, m->name, json_string(m->summary));
		else
			(void)json_array_append_new(names, json_string(m->name));
	}
	rpc_reply_json(call, names);
}

void rpc_framework_wait_init(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct init_waiter *waiter;

	if (!rpc_no_params(call, params))
		return;
	if (e->state == ENGINE_RUNNING) {
		rpc_reply(call, NULL);
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter) {
		rpc_fail(call, -ENOMEM, "out of memory");
		return;
	}
	waiter->call = call;
	list_push_back(&e->init_waiters, &waiter->link);
}

void rpc_framework_start_init(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;

	if (!params || rpc_no_params(call, params)) {
		bool first = e->state == ENGINE_WAITING && e->opts->wait_for_rpc;

		rpc_framework_wait_init(call, NULL, e);
		if (first)
			engine_configure(e);
	}
}

void rpc_init_done(struct engine *e)
{
	struct list *link;

	while ((link = list_pop_front(&e->init_waiters))) {
		struct init_waiter *waiter = list_entry(link, struct init_waiter, link);

		rpc_reply(waiter->call, NULL);
		free(waiter);
	}
}

void rpc_framework_get_subsystems(struct rpc_call *call, const json_t *params, void *ctx)
{
	if (rpc_no_params(call, params))
		rpc_reply_json(call,
			       json_pack("[{s:s, s:[]}, {s:s, s:[s]}]", "subsystem", "bdev",
					 "depends_on", "subsystem", "nvmf", "depends_on", "bdev"));
}

struct name_params {
	const char *name;
};
static const struct json_field name_fields[] = {
	{"name", JSON_KIND_STRING, offsetof(struct name_params, name), true},
};

void rpc_framework_get_config(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct name_params p = {0};

	if (!RPC_PARAMS(call, params, name_fields, &p))
		return;
	if (strcmp(p.name, "bdev") != 0 && strcmp(p.name, "nvmf") != 0) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS,
			 "Subsystem '%.64s' not found; there are bdev and nvmf", p.name);
		return;
	}
	rpc_reply_json(call, engine_subsystem_config_json(ctx, p.name));
}

static json_t *reactor_json(struct reactor *r, int cpu)
{
	const struct reactor_stats *s = reactor_stats(r);

	return json_pack("{s:i, s:i, s:s, s:I, s:I, s:b, s:[]}", "lcore", (int)reactor_id(r), "cpu",
			 cpu, "name", reactor_name(r), "busy", (json_int_t)counter_get(&s->busy_ns),
			 "idle", (json_int_t)counter_get(&s->sleep_ns), "in_interrupt", false,
			 "lw_threads");
}

void rpc_framework_get_reactors(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	json_t *reactors;

	if (!rpc_no_params(call, params))
		return;
	reactors = json_array();
	for (unsigned i = 0; i < e->n_data; i++)
		(void)json_array_append_new(reactors,
					    reactor_json(e->data[i], e->opts->data_cpu[i]));
	(void)json_array_append_new(reactors, reactor_json(e->pools, -1));
	(void)json_array_append_new(reactors, reactor_json(e->control, e->opts->control_cpu));
	rpc_reply_json(call, json_pack("{s:I, s:I, s:o}", "tick_rate", (json_int_t)1000000000,
				       "pid", (json_int_t)getpid(), "reactors", reactors));
}

void rpc_save_config(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct change *change;
	json_t *config;

	if (!rpc_no_params(call, params))
		return;
	config = engine_config_json(e);
	if (!config) {
		rpc_fail(call, -ENOMEM, "out of memory for the configuration");
		return;
	}
	change = change_begin(e, call);
	if (!change) {
		json_decref(config);
		return;
	}
	change_commit(change, config);
}

static void load_saved(void *ctx, const struct err *err)
{
	struct engine *e = ctx;
	struct rpc_call *call = e->replay.call;

	e->replay.call = NULL;
	if (err)
		rpc_fail(call, err->code, "the entries were carried out but not saved: %s",
			 err->text);
	else if (e->replay.first_err.code)
		rpc_fail(call, RPC_ERR_INTERNAL, "%s%s", e->replay.first_err.text,
			 e->replay.stop_at_failure
				 ? ". What came before it was carried out and stays"
				 : "");
	else
		rpc_reply(call, NULL);
}

static void load_synced(struct store_sync *sync, const struct err *err)
{
	struct engine *e = container_of(sync, struct engine, load_sync);

	if (err)
		load_saved(e, err);
	else
		saver_save(&e->config, &e->stop_wait);
}

static void load_done(struct engine *e, int res)
{
	e->stop_wait.done = load_saved;
	e->stop_wait.ctx = e;
	if (e->stopping) {
		rpc_fail(e->replay.call, -ECANCELED, "the engine is being stopped");
		e->replay.call = NULL;
		return;
	}
	e->load_sync.done = load_synced;
	store_sync_exports(e, &e->load_sync);
}

/* Takes entries. */
static void load_start(struct engine *e, struct rpc_call *call, json_t *entries,
		       bool stop_at_failure)
{
	e->replay.call = call;
	engine_replay(e, entries, stop_at_failure, load_done);
}

static bool load_possible(struct engine *e, struct rpc_call *call)
{
	if (!e->in_replay && !e->replay.entries && !e->replay.call)
		return true;
	rpc_fail(call, -EBUSY, "another configuration is being loaded; try again when it is done");
	return false;
}

struct load_params {
	json_t *subsystems, *version;
	const char *written_by;
};
static const struct json_field load_fields[] = {
	{"subsystems", JSON_KIND_ARRAY, offsetof(struct load_params, subsystems), true},
	{"version", JSON_KIND_ANY, offsetof(struct load_params, version)},
	{"written_by", JSON_KIND_STRING, offsetof(struct load_params, written_by)},
};

void rpc_load_config(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct load_params p = {0};
	struct err err = {0};
	json_t *entries, *copy;

	if (!RPC_PARAMS(call, params, load_fields, &p) || !load_possible(e, call))
		return;
	copy = json_deep_copy(params); /* the call's own goes away with its client */
	if (!copy) {
		rpc_fail(call, -ENOMEM, "out of memory");
		return;
	}
	if (config_flatten(copy, &entries, &err) < 0)
		rpc_fail_err(call, &err);
	else
		load_start(e, call, entries, true);
	json_decref(copy);
}

void rpc_litepool_config_retry(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	json_t *entries;

	if (!rpc_no_params(call, params) || !load_possible(e, call))
		return;
	entries = json_array();
	if (!entries) {
		rpc_fail(call, -ENOMEM, "out of memory");
		return;
	}
	list_for_each (it, &e->problems.list)
		(void)json_array_append(entries,
					list_entry(it, struct config_problem, link)->entry);
	config_problems_fini(&e->problems);
	load_start(e, call, entries, false);
}

struct forget_params {
	uint32_t id;
};
static const struct json_field forget_fields[] = {
	{"id", JSON_KIND_U32, offsetof(struct forget_params, id), true},
};

void rpc_litepool_config_forget(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct forget_params p = {0};
	struct change *change;

	if (!RPC_PARAMS(call, params, forget_fields, &p))
		return;
	change = change_begin(e, call);
	if (!change)
		return;
	if (config_problems_remove(&e->problems, p.id)) {
		change_commit(change, NULL);
	} else {
		struct err err;

		(void)err_set(&err, -ENOENT,
			      "no failed entry has id %u; litepool_engine_status lists them", p.id);
		change_fail(change, &err);
	}
}
