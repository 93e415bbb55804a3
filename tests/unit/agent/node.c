/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/bytes.h"
#include "fixture.h"
#include "rt/fs.h"

/* ---- the clock ---- */

static uint64_t mono_ms(void *ctx)
{
	const struct node *n = ctx;

	return n->from_ms + (n->world_ms() - n->from_world_ms) * n->rate_percent / 100;
}

static uint64_t wall_ns(void *ctx)
{
	const struct node *n = ctx;

	return fixture_now_ns + (uint64_t)(n->wall_off_ms * (int64_t)NSEC_PER_MSEC);
}

void node_clock_rate(struct node *n, uint64_t percent)
{
	n->from_ms = mono_ms(n);
	n->from_world_ms = n->world_ms();
	n->rate_percent = percent;
}

void node_clock_skip(struct node *n, uint64_t ms)
{
	n->from_ms += ms;
}

/* ---- its engine, as the agent's process reaches it ---- */

struct path {
	struct node *node;
	unsigned birth; /* of the agent */
	void *connection;
};

static bool is_dead(struct node *n)
{
	/* The last write that an API client of a dying process may make has been made. */
	n->dead |= n->chaos->writes_left == 0;
	return n->dead;
}

static int ended(struct err *err)
{
	return err_set(err, -EPIPE, "this process has ended");
}

static int path_open(void *ctx, int timeout_ms, void **ret, struct err *err)
{
	struct node *n = ctx;
	struct path *path;
	void *connection;
	int rc = is_dead(n) ? ended(err) : model_link.open(&n->model, timeout_ms, &connection, err);

	if (rc)
		return rc;
	path = calloc(1, sizeof(*path));
	assert_non_null(path);
	path->node = n;
	path->connection = connection;
	*ret = path;
	return 0;
}

static void die(struct node *n)
{
	n->dead = true;
	n->chaos->writes_left = 0;
	n->lease_chaos->writes_left = 0;
}

/* FNV-1a. */
static void note(struct node *n, const char *method, int rc)
{
	for (; *method; method++)
		n->trace = (n->trace ^ (uint8_t)*method) * 1099511628211u;
	n->trace = (n->trace ^ (uint32_t)rc) * 1099511628211u;
}

static int path_call(void *connection, const char *method, const json_t *params,
		     json_t **ret_result, struct err *err)
{
	struct path *path = connection;
	struct node *n = path->node;
	json_t *result = NULL;
	int rc;

	if (is_dead(n))
		return ended(err);
	if (n->between)
		n->between(n->ctx, n);
	if (!is_dead(n) && n->calls_left == 0 && rng_below(&n->rng, 2))
		die(n);
	if (n->dead)
		return ended(err);
	rc = model_link.call(path->connection, method, params, &result, err);
	note(n, method, rc);
	if (n->calls_left == 0) {
		json_decref(result);
		die(n);
		return ended(err);
	}
	n->calls_left -= n->calls_left > 0;
	if (!rc && ret_result)
		*ret_result = result;
	else
		json_decref(result);
	return rc;
}

static void path_close(void *connection)
{
	struct path *path = connection;

	if (path)
		model_link.close(path->connection);
	free(path);
}

static const struct link_ops paths = {.open = path_open, .call = path_call, .close = path_close};

/* ---- the process ---- */

void node_start(struct node *n)
{
	uint64_t seed;
	struct agent_env env = {
		.clock = &n->clock, .engine = &paths, .engine_ctx = n, .seed = n->seed + 1};
	struct err err = {0};

	assert_null(n->agent);
	n->births++;
	seed = n->seed + UINT64_C(10) * n->births;
	n->dead = false;
	n->calls_left = -1;
	assert_int_equal(chaos_new(n->api, seed, &n->client, &n->chaos), 0);
	assert_int_equal(chaos_new(n->api, seed + 5, &n->lease_client, &n->lease_chaos), 0);
	env.api = n->client;
	env.lease_api = n->lease_client;
	if (agent_new(&n->opts, &env, &n->agent, &err))
		fail_msg("%s", err.text);
}

static void bury(struct node *n)
{
	agent_stop(n->agent);
	n->agent = NULL;
	n->client = n->lease_client = NULL;
	n->chaos = n->lease_chaos = NULL;
	n->dead = false;
}

void node_kill(struct node *n)
{
	if (!n->agent)
		return;
	die(n);
	if (!n->depth)
		bury(n);
}

bool node_turn(struct node *n, unsigned keys_max)
{
	bool any;

	if (!n->agent || is_dead(n))
		return false;
	n->depth++;
	any = chaos_pump(n->client);
	any |= agent_turn(n->agent, keys_max);
	n->depth--;
	if (!n->depth && is_dead(n))
		bury(n);
	return any;
}

/* ---- */

static void make_root(struct node *n, unsigned number)
{
	char path[NODE_PATH + 64], text[96];
	struct err err = {0};

	(void)snprintf(n->host_nqn, sizeof(n->host_nqn),
		       "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-%012u", number);
	(void)snprintf(path, sizeof(path), "%s/etc", n->root);
	assert_int_equal(fs_make_dir(n->root, 0700, &err), 0);
	assert_int_equal(fs_make_dir(path, 0700, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/nvme", n->root);
	assert_int_equal(fs_make_dir(path, 0700, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/nvme/hostnqn", n->root);
	(void)snprintf(text, sizeof(text), "%s\n", n->host_nqn);
	assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

void node_open(struct node *n, struct api *api, const char *dir, unsigned number, uint64_t seed,
	       uint64_t (*world_ms)(void))
{
	struct err err = {0};

	*n = (struct node){.api = api,
			   .seed = seed,
			   .calls_left = -1,
			   .world_ms = world_ms,
			   .rate_percent = 100};
	rng_seed(&n->rng, seed + 7);
	n->clock = (struct kube_clock){.mono_ms = mono_ms, .wall_ns = wall_ns, .ctx = n};
	(void)snprintf(n->name, sizeof(n->name), "n%u", number);
	(void)snprintf(n->address, sizeof(n->address), "10.0.0.%u", number);
	(void)snprintf(n->dir, sizeof(n->dir), "%s/%s", dir, n->name);
	(void)snprintf(n->root, sizeof(n->root), "%s/root", n->dir);
	(void)snprintf(n->state_dir, sizeof(n->state_dir), "%s/state", n->dir);
	assert_int_equal(fs_make_dir(n->dir, 0700, &err), 0);
	make_root(n, number);
	n->opts = (struct agent_opts){.node = n->name,
				      .state_dir = n->state_dir,
				      .engine = "model",
				      .addresses = n->address,
				      .target_port = 4420,
				      .workers = 1,
				      .poll_s = 3,
				      .check_s = 30,
				      .lease_s = 10,
				      .root = n->root};
	model_open(&n->model, n->name, seed + 3);
}

void node_close(struct node *n)
{
	node_kill(n);
	model_close(&n->model);
}
