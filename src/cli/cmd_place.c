/* SPDX-License-Identifier: Apache-2.0 */
/* Placement without a cluster: the fleet simulator, and why a volume goes where it goes, from objects in a file. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/api.h"
#include "place/explain.h"
#include "place/fleet.h"

#define ROWS_SHOWN 20

static int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	_cleanup_free_ char *text = malloc(max + 1);
	FILE *in = text ? fopen(path, "re") : NULL;
	size_t len;

	if (!in)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	len = fread(text, 1, max + 1, in);
	(void)fclose(in);
	if (len > max)
		return err_set(err, -EFBIG, "%s: more than %zu bytes", path, max);
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static int config_read(struct cli *cli, struct place_config *config)
{
	const char *path = cli_text(cli, "config");
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int res;

	if (!path) {
		place_config_default(config);
		return 0;
	}
	res = file_read(path, PLACE_CONFIG_MAX, &text, &len, &cli->err);
	if (res == 0)
		res = place_config_parse(path, text, len, config, &cli->err);
	if (res == 0 && config->n_plugins + config->n_extenders) {
		place_config_fini(config);
		return err_set(
			&cli->err, -ENOTSUP,
			"%s: plugins and extenders are asked by litepool-controller only; take "
			"them out to try the rest",
			path);
	}
	return res;
}

/* simulate */

static void number_take(const struct cli *cli, const char *name, uint32_t *value)
{
	const json_t *given = json_object_get(cli->values, name);
	json_int_t number = json_integer_value(given);

	if (given)
		*value = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static void simulate_print(FILE *out, const struct fleet_result *result)
{
	const struct fleet_shape *a = &result->options.shape[0], *b = &result->options.shape[1];

	fprintf(out,
		"%u servers of %u cores and %.0f TB, %u of %u cores and %.0f TB; %.0f GiB of disk "
		"a "
		"core asked for; seed %llu\n\n",
		a->nodes, a->cores, (double)a->disk / 1e12, b->nodes, b->cores,
		(double)b->disk / 1e12, result->disk_per_core_gib,
		(unsigned long long)result->options.seed);
	fprintf(out, "%-11s  %9s  %9s  %12s  %13s  %7s  %6s  %9s  %8s\n", "PLACEMENT", "CPU USED",
		"DISK USED", "CPU STRANDED", "DISK STRANDED", "REFUSED", "REMOTE", "NODE LOSS",
		"AT WORST");
	for (int mode = 0; mode < FLEET_MODES; mode++) {
		const struct fleet_run *r = &result->run[mode];

		fprintf(out,
			"%-11s  %7.1f %%  %7.1f %%  %10.1f %%  %11.1f %%  %5.1f %%  %4.1f %%  "
			"%7.1f %%  %6.1f %%\n",
			fleet_mode_text(mode), r->cpu_used, r->disk_used, r->cpu_stranded,
			r->disk_stranded, r->refused, r->remote, r->blast_mean, r->blast_max);
	}
}

static int svg_write(const struct fleet_result *result, const char *path, struct err *err)
{
	_cleanup_free_ char *text = fleet_svg(result);
	FILE *out = text ? fopen(path, "we") : NULL;
	bool good;

	if (!out)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	good = fputs(text, out) >= 0;
	good = fclose(out) == 0 && good;
	return good ? 0 : err_set(err, -EIO, "%s: it could not be written whole", path);
}

int cli_cmd_simulate(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	_cleanup_(place_config_fini) struct place_config config = {0};
	const json_t *seed = json_object_get(cli->values, "seed");
	struct fleet_options options;
	struct fleet_result result;
	int res = config_read(cli, &config);

	fleet_options_default(&options);
	if (seed)
		options.seed = (uint64_t)json_integer_value(seed);
	number_take(cli, "nodes-a", &options.shape[0].nodes);
	number_take(cli, "nodes-b", &options.shape[1].nodes);
	number_take(cli, "load", &options.load_percent);
	if (res == 0)
		res = fleet_simulate(&options, &config, &result, &cli->err);
	if (res < 0)
		return res;
	if (cli->json) {
		_cleanup_json_ json_t *json = fleet_json(&result);

		cli_print_json(cli->out, json);
	} else {
		simulate_print(cli->out, &result);
	}
	return cli_text(cli, "svg") ? svg_write(&result, cli_text(cli, "svg"), &cli->err) : 0;
}

/* explain */

static const json_t *object_find(const json_t *objects, const char *kind, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach (objects, i, one) {
		const char *k = json_string_value(json_object_get(one, "kind"));
		const char *n = json_string_value(cli_get(one, "metadata.name"));

		if (k && n && !strcmp(k, kind) && !strcmp(n, name))
			return one;
	}
	return NULL;
}

int api_place_objects(struct cli *cli, json_t **ret)
{
	static const char *const kinds[] = {"StorageNode", "StoragePool", "StorageReservation",
					    "StorageVolume", "StorageSnapshot"};
	json_t *all = json_array();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		_cleanup_json_ json_t *list = NULL;
		int res = api_list(cli, kinds[i], NULL, NULL, &list);

		if (res < 0) {
			json_decref(all);
			return res;
		}
		(void)json_array_extend(all, list);
	}
	*ret = all;
	return 0;
}

static int objects_read(struct cli *cli, json_t **ret_root, const json_t **ret_objects)
{
	const char *path = cli_text(cli, "from");
	json_error_t where;
	json_t *root;

	if (!path) {
		int res = api_place_objects(cli, ret_root);

		*ret_objects = *ret_root;
		return res;
	}
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return err_set(&cli->err, -EINVAL, "%s:%d: %s", path, where.line, where.text);
	*ret_objects = json_is_array(root) ? root : json_object_get(root, "items");
	*ret_root = root;
	if (!json_is_array(*ret_objects))
		return err_set(&cli->err, -EINVAL,
			       "%s: expected a list of objects, or a List with items", path);
	return 0;
}

int api_place_fill(struct place_inventory *inv, const json_t *objects, struct err *err)
{
	json_t *one;
	size_t i;

	json_array_foreach (objects, i, one) {
		int res = place_inventory_apply_object(inv, one, err);

		if (res < 0)
			return res;
	}
	return 0;
}

static int request_make(struct cli *cli, const struct place_inventory *inv, const json_t *objects,
			struct place_request *request)
{
	const char *name = cli_text(cli, "VOLUME");
	const json_t *volume = object_find(objects, "StorageVolume", name), *snapshot;
	const char *of;

	if (!volume)
		return err_set(&cli->err, -ENOENT, "there is no StorageVolume %s%s%s", name,
			       cli_given(cli, "from") ? " in " : "",
			       cli_given(cli, "from") ? cli_text(cli, "from") : "");
	of = json_string_value(cli_get(volume, "spec.source.snapshotName"));
	snapshot = of ? object_find(objects, "StorageSnapshot", of) : NULL;
	return place_request_volume(
		inv, volume,
		snapshot ? json_string_value(cli_get(snapshot, "status.poolName")) : NULL, request,
		&cli->err);
}

static int explain(struct cli *cli, const struct place_inventory *inv,
		   const struct place_config *config, const struct place_request *request)
{
	_cleanup_(place_decision_fini) struct place_decision decision = {0};
	struct placer *placer = placer_new();
	_cleanup_free_ char *text = NULL;
	int res = placer ? place_decide(placer, inv, config, request, PLACE_EXPLAIN, &decision,
					&cli->err)
			 : -ENOMEM;

	placer_free(placer);
	if (res < 0)
		return res;
	if (cli->json) {
		_cleanup_json_ json_t *json = place_explain_json(request, &decision);

		cli_print_json(cli->out, json);
		return 0;
	}
	text = place_explain_text(request, &decision, cli_given(cli, "all") ? 0 : ROWS_SHOWN);
	if (text)
		fputs(text, cli->out);
	return text ? 0 : -ENOMEM;
}

int cli_cmd_explain(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	_cleanup_(place_config_fini) struct place_config config = {0};
	_cleanup_json_ json_t *root = NULL;
	struct place_inventory *inv = place_inventory_new(0);
	struct place_request request;
	const json_t *objects = NULL;
	int res = inv ? config_read(cli, &config) : -ENOMEM;

	if (res == 0)
		res = objects_read(cli, &root, &objects);
	if (res == 0)
		res = api_place_fill(inv, objects, &cli->err);
	if (res == 0)
		res = request_make(cli, inv, objects, &request);
	/* One that is placed is explained as if it were placed now: its own space is not in its way. */
	if (res == 0)
		(void)place_inventory_remove_volume(inv, request.name);
	if (res == 0)
		res = explain(cli, inv, &config, &request);
	place_inventory_free(inv);
	return res;
}
