/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/link.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "rpc/rpc.h"
#include "rt/child.h"
#include "rt/lock.h"
#include "rt/process.h"

#define STEP_MS        300
#define PROBE_MS       10000 /* an engine that says nothing for so long hangs */
#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 5000
#define GOOD_LIFE_MS   60000
#define STOP_MS        20000
#define ARGS_MAX       64

struct watch {
	struct watch_config config;
	struct background *thread;
	/* The thread's own. */
	struct child child;
	uint64_t started_ms, next_start_ms;
	uint32_t backoff_ms;
	char died[96]; /* how the last one ended; "" */
	/* Under the lock. */
	struct lock *lock;
	struct watch_state state;
};

void watch_get(struct watch *watch, struct watch_state *ret)
{
	lock_take(watch->lock);
	*ret = watch->state;
	lock_drop(watch->lock);
}

bool watch_up(struct watch *watch)
{
	struct watch_state state;

	watch_get(watch, &state);
	return state.up;
}

static void set(struct watch *watch, const struct watch_state *state)
{
	bool news;

	lock_take(watch->lock);
	news = state->up != watch->state.up || state->pid != watch->state.pid ||
	       strcmp(state->reason, watch->state.reason) != 0;
	watch->state = *state;
	lock_drop(watch->lock);
	if (!news)
		return;
	if (state->up)
		log_info("agent.engine.up", "pid=%d version=%s", (int)state->pid, state->version);
	else
		log_warn("agent.engine.down", "reason=\"%s\"", state->reason);
	watch->config.changed(watch->config.ctx, state);
}

/* Asks the engine who it is, and waits until it has loaded what it serves. */
static int probe(struct watch *watch, struct watch_state *state, struct err *err)
{
	_cleanup_json_ json_t *status = NULL;
	int rc = link_call(watch->config.link, "litepool_engine_status", NULL, PROBE_MS, &status,
			   err);
	const char *version = json_string_value(json_object_get(status, "version"));
	const char *stage = json_string_value(json_object_get(status, "state"));

	if (rc)
		return rc;
	if (stage && strcmp(stage, "running") != 0)
		return err_set(err, -EAGAIN, "the engine is there and not ready: it is %s", stage);
	state->pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
	if (state->pid <= 0)
		return err_set(err, -EPROTO,
			       "what answers at the engine's socket does not say its pid: it is no "
			       "litepool-engine, or not well");
	(void)str_copy(state->version, sizeof(state->version), version ? version : "");
	return 0;
}

static int spawn(struct watch *watch, struct err *err)
{
	const struct agent_opts *opts = watch->config.opts;
	_cleanup_free_ char *words = strdup(opts->engine_options ? opts->engine_options : "");
	const char *argv[ARGS_MAX] = {opts->engine_bin, "--state-dir", opts->engine_state_dir,
				      "--rpc-socket", opts->engine_socket};
	size_t n = 5;
	char *next = NULL;

	if (!words)
		return err_set(err, -ENOMEM, "out of memory");
	for (char *word = strtok_r(words, " ", &next); word && n < ARGS_MAX - 1;
	     word = strtok_r(NULL, " ", &next))
		argv[n++] = word;
	return child_start(&watch->child, argv, err);
}

static void try_start(struct watch *watch, struct watch_state *state)
{
	uint64_t now = process_boot_ms();
	struct err err = {0};

	if (!watch->config.opts->spawn || watch->child.pid || now < watch->next_start_ms)
		return;
	watch->started_ms = now;
	watch->backoff_ms = MIN(MAX(watch->backoff_ms * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
	watch->next_start_ms = now + watch->backoff_ms;
	if (spawn(watch, &err) < 0)
		(void)str_copy(state->reason, sizeof(state->reason), err.text);
	else
		log_info("agent.engine.started", "pid=%d", (int)watch->child.pid);
}

static void reap(struct watch *watch, struct watch_state *state)
{
	if (!child_ended(&watch->child, watch->died, sizeof(watch->died)))
		return;
	state->crashes++;
	if (process_boot_ms() - watch->started_ms > GOOD_LIFE_MS) {
		watch->backoff_ms = 0;
		watch->next_start_ms = 0;
	}
	log_error("agent.engine.died", "how=\"%s\" times=%u", watch->died, state->crashes);
	watch->config.died(watch->config.ctx, watch->died);
}

int watch_step(struct watch *watch)
{
	struct watch_state state;
	struct err err = {0};
	int rc;

	watch_get(watch, &state);
	reap(watch, &state);
	rc = probe(watch, &state, &err);
	state.up = rc == 0;
	state.reason[0] = '\0';
	if (rc) {
		state.pid = 0;
		(void)snprintf(state.reason, sizeof(state.reason), "%.200s%s%.90s", err.text,
			       watch->died[0] ? "; the last one ended with " : "", watch->died);
		/* A socket that is there and silent has an engine behind it. */
		if (rc == -ENOENT || rc == -ECONNREFUSED)
			try_start(watch, &state);
	}
	set(watch, &state);
	return STEP_MS;
}

static int step(void *ctx)
{
	return watch_step(ctx);
}

int watch_start(struct watch *watch, struct err *err)
{
	return background_new(step, watch, &watch->thread, err);
}

int watch_new(const struct watch_config *config, struct watch **ret, struct err *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch || lock_new(&watch->lock) < 0) {
		free(watch);
		return err_set(err, -ENOMEM, "out of memory");
	}
	watch->config = *config;
	(void)str_copy(watch->state.reason, sizeof(watch->state.reason),
		       "the agent has only just started");
	*ret = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	background_free(watch->thread);
	if (watch->config.opts->stop_engine)
		child_stop(&watch->child, STOP_MS);
	lock_free(watch->lock);
	free(watch);
}
