/* SPDX-License-Identifier: Apache-2.0 */
/* The model's process and its connections; see model.h. */
#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "rpc/rpc.h"

struct connection {
	struct model *m;
	unsigned birth; /* of the process that it is to */
};

void model_open(struct model *m, const char *name, uint64_t seed)
{
	*m = (struct model){.calls_left = -1,
			    .bdevs = json_object(),
			    .subsystems = json_object(),
			    .pools = json_object(),
			    .disks = json_object()};
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	rng_seed(&m->rng, seed);
	model_start(m, false);
}

void model_close(struct model *m)
{
	json_decref(m->bdevs);
	json_decref(m->subsystems);
	json_decref(m->pools);
	json_decref(m->disks);
}

void model_kill(struct model *m)
{
	m->up = false;
	m->calls_left = -1;
	(void)json_object_clear(m->pools);
}

/* Exports of a pool's volumes come back with it. */
static void restore_exports(struct model *m, const json_t *disk)
{
	json_t *subsystem;
	const char *nqn;

	json_object_foreach (json_object_get(disk, "exports"), nqn, subsystem) {
		if (!m->transport) /* what cannot be carried out is told, and left to others */
			(void)json_array_clear(json_object_get(subsystem, "listen_addresses"));
		(void)json_object_set(m->subsystems, nqn, subsystem);
	}
}

void model_examine(struct model *m, const char *file)
{
	json_t *disk = json_object_get(m->disks, file);
	const char *uuid = json_string_value(json_object_get(disk, "uuid"));

	if (!disk || json_object_get(m->pools, uuid))
		return;
	(void)json_object_set(m->pools, uuid, disk);
	restore_exports(m, disk);
}

void model_start(struct model *m, bool forget)
{
	const char *name;
	json_t *bdev;

	if (m->up)
		model_kill(m);
	m->up = true;
	m->births++;
	if (forget) {
		(void)json_object_clear(m->bdevs);
		(void)json_object_clear(m->subsystems);
		m->transport = false;
	}
	json_object_foreach (m->bdevs, name, bdev)
		model_examine(m, json_string_value(json_object_get(bdev, "file")));
}

const char *model_text(const json_t *obj, const char *member)
{
	const char *text = json_string_value(json_object_get(obj, member));

	return text ? text : "";
}

uint64_t model_number(const json_t *obj, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(obj, member));
}

void model_put(json_t *obj, const char *member, uint64_t value)
{
	(void)json_object_set_new(obj, member, json_integer((json_int_t)value));
}

int model_bad(struct err *err, const char *what)
{
	return err_set(err, RPC_ERR_INVALID_PARAMS, "%s", what);
}

void model_tell(struct model *m, const char *what, const char *id, const char *host)
{
	if (m->watch)
		m->watch(m->ctx, m, what, id, host);
}

/* ---- methods ---- */

static int status(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	*ret = json_pack("{s:s, s:s, s:i}", "state", "running", "version", "0.0-model", "pid",
			 (int)(1000 + m->births));
	return 0;
}

static const struct model_method *find(const char *name)
{
	static const struct model_method own[] = {{"litepool_engine_status", status, false},
						  {NULL, NULL, false}};
	const struct model_method *tables[] = {own, model_store_methods, model_lvol_methods,
					       model_nvmf_methods};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct model_method *at = tables[i]; at->name; at++)
			if (!strcmp(at->name, name))
				return at;
	return NULL;
}

/* ---- connections ---- */

static int conn_open(void *ctx, int timeout_ms, void **ret, struct err *err)
{
	struct model *m = ctx;
	struct connection *c;

	if (!m->up)
		return err_set(err, -ECONNREFUSED, "the engine does not listen");
	if (m->cut_off)
		return err_set(err, -ETIMEDOUT, "the engine does not answer");
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	c->m = m;
	c->birth = m->births;
	*ret = c;
	return 0;
}

static bool alive(const struct connection *c)
{
	return c->m->up && c->birth == c->m->births;
}

static bool by_chance(struct model *m)
{
	return m->lost_percent && rng_below(&m->rng, 200) < m->lost_percent;
}

static int broken(struct err *err)
{
	return err_set(err, -EPIPE, "the connection has ended");
}

/* The process ends in this call: true, when that is before it was done. */
static bool dies_before(struct model *m, bool *ret_after)
{
	bool dies = m->calls_left == 0;

	m->calls_left -= m->calls_left > 0;
	*ret_after = dies && rng_below(&m->rng, 2);
	if (dies && !*ret_after)
		model_kill(m);
	return dies && !*ret_after;
}

static int conn_call(void *connection, const char *name, const json_t *params, json_t **ret_result,
		     struct err *err)
{
	struct connection *c = connection;
	const struct model_method *method = find(name);
	json_t *result = NULL;
	struct model *m = c->m;
	bool dies;
	int rc;

	if (!method)
		fail_msg("the model of the engine has no %s", name);
	if (!alive(c) || dies_before(m, &dies))
		return broken(err);
	if (m->cut_off || by_chance(m))
		return err_set(err, -ETIMEDOUT, "%s: no answer", name);
	m->calls++;
	*err = (struct err){0};
	rc = method->fn(m, params, &result, err);
	m->changes += !rc && method->changes;
	if (dies)
		model_kill(m);
	if (dies || by_chance(m)) {
		json_decref(result);
		return dies ? broken(err) : err_set(err, -ECONNRESET, "%s: lost", name);
	}
	if (rc == -EINVAL)
		rc = err->code = RPC_ERR_INVALID_PARAMS;
	if (!rc && ret_result)
		*ret_result = result ? json_incref(result) : json_true();
	json_decref(result);
	return rc;
}

static void conn_close(void *connection)
{
	free(connection);
}

const struct link_ops model_link = {.open = conn_open, .call = conn_call, .close = conn_close};
