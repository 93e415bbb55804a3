/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cordon, uncordon, drain: of a pool, or of all pools of a node.
 *
 * A drain is refused, and nothing is changed, while there is a volume on the pools that no other pool would take. This version moves no volumes (hot migration is not built): what it can
 * say is where each could be made anew, all of them together, and whoever knows their data does that. The places are those of the default placement configuration.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "place/assume.h"
#include "place/place.h"

#define LINES_SHOWN 20

static const char *maintenance_of(const char *words)
{
	const char *verb = strrchr(words, ' ') + 1;

	return !strcmp(verb, "cordon")  ? "Cordoned"
	       : !strcmp(verb, "drain") ? "Draining"
					: "Schedulable";
}

static int look_drained(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	const json_t *drained = kube_condition_get(obj, "Drained");

	if (!obj)
		return err_set(&cli->err, -ENOENT, "it was deleted meanwhile");
	*why = kube_str(drained, "message");
	return kube_condition_is(obj, "Drained", "True");
}

static int pool_maintain(struct cli *cli, const char *name, const char *state)
{
	_cleanup_json_ json_t *patch = json_pack("{s:{s:s}}", "spec", "maintenance", state);
	_cleanup_json_ json_t *obj = NULL;
	int res = api_merge(cli, "StoragePool", name, patch, &obj);

	if (res == 0)
		api_print_done(cli, api_noun_of_kind("StoragePool"), obj,
			       !strcmp(state, "Cordoned")   ? "takes no new volumes"
			       : !strcmp(state, "Draining") ? "is to be drained"
							    : "takes volumes");
	return res;
}

static int wait_empty(struct cli *cli, const char *name)
{
	struct api_wait wait = {.kind = "StoragePool", .name = name, .look = look_drained};
	char what[320];

	(void)snprintf(what, sizeof(what), "pool %s to be empty", name);
	wait.what = what;
	return api_wait(cli, &wait, NULL);
}

/* ---- where what is on the pools could go ---- */

struct drain {
	struct cli *cli;
	const json_t *pools; /* objects; borrowed */
	struct place_inventory *inv;
	struct placer *placer;
	struct place_config config;
	json_t *places, *stuck; /* sentences, owned */
};

static bool on_pools(const struct drain *d, const json_t *obj)
{
	const char *name = kube_str(obj, "status.poolName");
	const json_t *pool;
	size_t i;

	json_array_foreach (d->pools, i, pool)
		if (name[0] && !strcmp(kube_name(pool), name))
			return true;
	return false;
}

/* As a new volume of that name, size and wishes. Its source is nothing that it would be made of again. */
static int look_for_place(struct drain *d, const json_t *volume)
{
	_cleanup_(place_decision_fini) struct place_decision decision = {0};
	_cleanup_json_ json_t *anew = json_deep_copy(volume);
	struct place_request request;
	struct err *err = &d->cli->err;
	char size[32];
	int res;

	if (!anew)
		return err_set(err, -ENOMEM, "out of memory");
	(void)json_object_del(json_object_get(anew, "spec"), "source");
	(void)place_inventory_remove_volume(d->inv, kube_name(volume));
	res = place_request_volume(d->inv, anew, NULL, &request, err);
	if (res == 0)
		res = place_decide(d->placer, d->inv, &d->config, &request, 0, &decision, err);
	if (res == 0)
		res = place_assume_volume(d->inv, &request, decision.pool, err);
	if (res == 0)
		(void)json_array_append_new(
			d->places,
			json_sprintf("volume %s (%s) could be made anew on pool %s of "
				     "node %s",
				     kube_name(volume), str_size(request.size, size, sizeof(size)),
				     decision.pool, decision.node));
	else if (res > 0)
		(void)json_array_append_new(
			d->stuck,
			json_sprintf("volume %s: %s", kube_name(volume), decision.summary));
	return res < 0 ? res : 0;
}

/* The pools take nothing any more, as far as this looks. */
static void close_pools(const struct drain *d, json_t *objects)
{
	json_t *one;
	size_t i;

	json_array_foreach (objects, i, one)
		for (size_t k = 0; k < json_array_size(d->pools); k++)
			if (!strcmp(kube_str(one, "kind"), "StoragePool") &&
			    !strcmp(kube_name(one), kube_name(json_array_get(d->pools, k))))
				(void)json_object_set_new(json_object_get(one, "spec"),
							  "maintenance", json_string("Draining"));
}

static int look_for_places(struct drain *d)
{
	_cleanup_json_ json_t *objects = NULL;
	json_t *one;
	size_t i;
	int res = api_place_objects(d->cli, &objects);

	if (res < 0)
		return res;
	place_config_default(&d->config);
	d->inv = place_inventory_new(0);
	d->placer = placer_new();
	if (!d->inv || !d->placer)
		return err_set(&d->cli->err, -ENOMEM, "out of memory");
	close_pools(d, objects);
	res = api_place_fill(d->inv, objects, &d->cli->err);
	json_array_foreach (objects, i, one)
		if (res == 0 && !strcmp(kube_str(one, "kind"), "StorageVolume") &&
		    !kube_deleting(one) && on_pools(d, one))
			res = look_for_place(d, one);
	return res;
}

static void drain_fini(struct drain *d)
{
	placer_free(d->placer);
	place_inventory_free(d->inv);
	place_config_fini(&d->config);
	json_decref(d->places);
	json_decref(d->stuck);
}

static void print_lines(FILE *out, const json_t *lines)
{
	size_t n = json_array_size(lines);

	for (size_t i = 0; i < n && i < LINES_SHOWN; i++)
		fprintf(out, "  %s\n", json_string_value(json_array_get(lines, i)));
	if (n > LINES_SHOWN)
		fprintf(out, "  and %zu more\n", n - LINES_SHOWN);
}

static int print_impact(struct drain *d, const json_t *pool)
{
	struct api_impact impact = {0};
	int res = api_impact_pool(d->cli, pool, &impact);

	if (res == 0)
		fprintf(d->cli->out,
			"pool %s takes no new volumes; %u volumes and %u snapshots have to leave "
			"it. Nothing is deleted.\n",
			kube_name(pool), impact.volumes, impact.snapshots);
	api_impact_fini(&impact);
	return res;
}

static int show_drain(struct drain *d)
{
	const json_t *pool;
	size_t i;
	int res = 0;

	json_array_foreach (d->pools, i, pool)
		if (res == 0)
			res = print_impact(d, pool);
	print_lines(d->cli->out, d->places);
	if (json_array_size(d->stuck))
		fprintf(d->cli->out, "Nothing takes these, so that a drain is refused:\n");
	print_lines(d->cli->out, d->stuck);
	return res;
}

static int drain_pools(struct drain *d, const char *word, const char *name)
{
	FILE *out = stderr;
	const json_t *pool;
	size_t i;
	int res = 0;

	if (json_array_size(d->stuck)) {
		print_lines(out, d->stuck);
		return err_set(&d->cli->err, -EBUSY,
			       "%s %s is not drained, and nothing was changed: nothing takes %zu "
			       "of its volumes. Make room for them, or delete them; to keep only "
			       "new ones away: litepool %s cordon %s",
			       word, name, json_array_size(d->stuck), word, name);
	}
	json_array_foreach (d->pools, i, pool)
		if (res == 0)
			res = pool_maintain(d->cli, kube_name(pool), "Draining");
	if (res == 0 && json_array_size(d->places)) {
		print_lines(out, d->places);
		fprintf(out, "This version moves no volumes (hot migration is not built yet): make "
			     "them anew there, copy their data, and delete them here.\n");
	}
	json_array_foreach (d->pools, i, pool)
		if (res == 0 && cli_given(d->cli, "wait"))
			res = wait_empty(d->cli, kube_name(pool));
	return res;
}

static int drain(struct cli *cli, const char *word, const char *name, const json_t *pools)
{
	struct drain d = {
		.cli = cli, .pools = pools, .places = json_array(), .stuck = json_array()};
	int res = look_for_places(&d);

	if (res == 0)
		res = cli_given(cli, "show-impact") ? show_drain(&d) : drain_pools(&d, word, name);
	drain_fini(&d);
	return res;
}

/* ---- */

static int pools_of(struct cli *cli, const char *word, const char *name, json_t **ret)
{
	_cleanup_json_ json_t *obj = NULL;
	char field[320];
	int res;

	if (!strcmp(word, "pool")) {
		res = api_get(cli, "StoragePool", name, &obj);
		if (res == 0)
			*ret = json_pack("[O]", obj);
		return res;
	}
	res = api_get(cli, "StorageNode", name, &obj);
	(void)snprintf(field, sizeof(field), "spec.nodeName=%s", name);
	if (res == 0)
		res = api_list(cli, "StoragePool", NULL, field, ret);
	if (res == 0 && json_array_size(*ret) == 0)
		fprintf(cli->out, "node %s has no pools\n", name);
	return res;
}

static int cordon(struct cli *cli, const json_t *pools, const char *state)
{
	const json_t *pool;
	size_t i;
	int res = 0;

	json_array_foreach (pools, i, pool)
		if (res == 0 && cli_given(cli, "show-impact"))
			fprintf(cli->out, "pool %s %s; what is on it stays.\n", kube_name(pool),
				!strcmp(state, "Cordoned") ? "takes no new volumes"
							   : "takes new volumes again");
		else if (res == 0)
			res = pool_maintain(cli, kube_name(pool), state);
	return res;
}

int cli_cmd_maintenance(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *name = cli_text(cli, "NAME"), *state = maintenance_of(cmd->words);
	const char *word = api_noun(cmd)->word;
	_cleanup_json_ json_t *pools = NULL;
	int res = pools_of(cli, word, name, &pools);

	if (res < 0 || !json_array_size(pools))
		return res;
	return !strcmp(state, "Draining") ? drain(cli, word, name, pools)
					  : cordon(cli, pools, state);
}
