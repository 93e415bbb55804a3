/* SPDX-License-Identifier: Apache-2.0 */
/* top: how full and how well everything is, out of the objects' status. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

#define VOLUMES_SHOWN 15
#define BAR           20

static void totals_print(FILE *out, const json_t *nodes, const json_t *pools, const json_t *volumes)
{
	static const char *const phases[] = {"Ready", "Pending", "Bound", "Failed"};
	unsigned in[4] = {0}, ready = 0;
	uint64_t capacity = 0, committed = 0;
	char a[32], b[32];
	const json_t *one;
	size_t i;

	json_array_foreach (nodes, i, one)
		ready += kube_condition_is(one, "Ready", "True");
	json_array_foreach (pools, i, one) {
		capacity += api_size_at(one, "status.capacity");
		committed += api_size_at(one, "status.committed");
	}
	json_array_foreach (volumes, i, one)
		for (size_t p = 0; p < 4; p++)
			in[p] += !strcmp(kube_str(one, "status.phase"), phases[p]);
	fprintf(out,
		"nodes: %u of %zu ready   pools: %zu, %s, %s promised   volumes: %zu, %u ready, %u "
		"pending, %u bound, %u failed\n\n",
		ready, json_array_size(nodes), json_array_size(pools),
		str_size(capacity, a, sizeof(a)), str_size(committed, b, sizeof(b)),
		json_array_size(volumes), in[0], in[1], in[2], in[3]);
}

static json_t *bar(uint64_t part, uint64_t whole)
{
	unsigned percent = whole ? (unsigned)((double)part * 100 / (double)whole + 0.5) : 0;
	char text[BAR + 16];
	unsigned full = percent > 100 ? BAR : percent * BAR / 100;

	memset(text, '.', BAR);
	memset(text, '#', full);
	(void)snprintf(text + BAR, sizeof(text) - BAR, " %3u %%", percent);
	return json_string(text);
}

static void pools_print(FILE *out, const json_t *pools)
{
	static const struct cli_column columns[] = {
		{"POOL", "name", CLI_AS_TEXT},
		{"NODE", "node", CLI_AS_TEXT},
		{"HEALTH", "health", CLI_AS_TEXT},
		{"CAPACITY", "capacity", CLI_AS_SIZE},
		{"WRITTEN", "bar", CLI_AS_TEXT},
		{"PROMISED", "committed", CLI_AS_SIZE},
		{"FREE", "free", CLI_AS_SIZE},
		{"NOTE", "note", CLI_AS_TEXT},
		{NULL},
	};
	_cleanup_json_ json_t *rows = json_array();
	const json_t *one;
	size_t i;

	json_array_foreach (pools, i, one) {
		const char *state = kube_str(one, "spec.maintenance");
		uint64_t capacity = api_size_at(one, "status.capacity");

		(void)json_array_append_new(
			rows,
			json_pack("{s:s, s:s, s:s, s:I, s:o, s:I, s:I, s:s}", "name",
				  kube_name(one), "node", kube_str(one, "spec.nodeName"), "health",
				  kube_str(one, "status.health"), "capacity", (json_int_t)capacity,
				  "bar", bar(api_size_at(one, "status.allocated"), capacity),
				  "committed", (json_int_t)api_size_at(one, "status.committed"),
				  "free", (json_int_t)api_size_at(one, "status.free"), "note",
				  strcmp(state, "Schedulable") ? state : api_reason(one)));
	}
	cli_print_table(out, rows, columns);
}

static int volume_order(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	uint64_t m = api_size_at(*x, "status.allocated"), n = api_size_at(*y, "status.allocated");

	return m != n ? (m < n ? 1 : -1) : strcmp(kube_name(*x), kube_name(*y));
}

static void volumes_print(FILE *out, const json_t *volumes)
{
	static const struct cli_column columns[] = {
		{"VOLUME", "name", CLI_AS_TEXT}, {"PHASE", "phase", CLI_AS_TEXT},
		{"SIZE", "size", CLI_AS_SIZE},   {"WRITTEN", "bar", CLI_AS_TEXT},
		{"POOL", "pool", CLI_AS_TEXT},   {"ATTACHED", "attached", CLI_AS_TEXT},
		{"NOTE", "note", CLI_AS_TEXT},   {NULL},
	};
	size_t n = json_array_size(volumes);
	json_t **at = calloc(n + 1, sizeof(json_t *));
	_cleanup_json_ json_t *rows = json_array();

	for (size_t i = 0; at && i < n; i++)
		at[i] = json_array_get(volumes, i);
	if (at)
		qsort(at, n, sizeof(json_t *), volume_order);
	for (size_t i = 0; at && i < n && i < VOLUMES_SHOWN; i++) {
		uint64_t size = api_size_at(at[i], "spec.size");
		json_t *attached = kube_at(at[i], "status.attachedNodes");

		(void)json_array_append_new(
			rows, json_pack("{s:s, s:s, s:I, s:o, s:s, s:O*, s:s}", "name",
					kube_name(at[i]), "phase", kube_str(at[i], "status.phase"),
					"size", (json_int_t)size, "bar",
					bar(api_size_at(at[i], "status.allocated"), size), "pool",
					kube_str(at[i], "status.poolName"), "attached", attached,
					"note", api_reason(at[i])));
	}
	free(at);
	fputc('\n', out);
	cli_print_table(out, rows, columns);
	if (n > VOLUMES_SHOWN)
		fprintf(out, "and %zu more\n", n - VOLUMES_SHOWN);
}

static int top_once(struct cli *cli, bool clear)
{
	_cleanup_json_ json_t *nodes = NULL, *pools = NULL, *volumes = NULL;
	int res = api_list(cli, "StorageNode", NULL, NULL, &nodes);

	if (res == 0)
		res = api_list(cli, "StoragePool", NULL, NULL, &pools);
	if (res == 0)
		res = api_list(cli, "StorageVolume", NULL, NULL, &volumes);
	if (res < 0)
		return res;
	if (cli->output == CLI_OUT_JSON || cli->output == CLI_OUT_YAML) {
		_cleanup_json_ json_t *all = json_pack("{s:O, s:O, s:O}", "nodes", nodes, "pools",
						       pools, "volumes", volumes);

		(void)api_print_raw(cli, all);
		return 0;
	}
	if (clear)
		fputs("\033[H\033[J", cli->out);
	totals_print(cli->out, nodes, pools, volumes);
	pools_print(cli->out, pools);
	if (json_array_size(volumes) > 0)
		volumes_print(cli->out, volumes);
	fflush(cli->out);
	return 0;
}

int cli_cmd_top(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const json_t *interval = json_object_get(cli->values, "interval");
	json_int_t count = json_integer_value(json_object_get(cli->values, "count"));
	json_int_t seconds = interval ? json_integer_value(interval) : 2;
	bool batch = cli_given(cli, "batch") || !isatty(STDOUT_FILENO);
	int cancel_fd, res = api_wait_prepare(cli, &cancel_fd);

	if (res < 0)
		return res;
	if (count == 0)
		count = batch ? 1 : INT64_MAX;
	if (seconds < 1 || seconds > 3600)
		seconds = 2;
	for (json_int_t i = 0; i < count && res == 0; i++) {
		if (i > 0 && !api_pause(cancel_fd, (int)seconds * 1000))
			break;
		res = top_once(cli, !batch);
	}
	(void)close(cancel_fd);
	return res;
}
