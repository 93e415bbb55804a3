/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the engine as a whole: status, raw calls, configuration, numbers over time. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define CONFIG_SIZE_MAX ((size_t)64 << 20)
#define WATCH_MS        1000

static uint64_t number(const json_t *object, const char *path)
{
	return (uint64_t)json_integer_value(cli_get(object, path));
}

static void print_problems(FILE *out, const json_t *problems)
{
	if (json_array_size(problems) == 0)
		return;
	fputs("\nNot loaded (kept in the configuration; litepool engine config retry, or forget "
	      "ID):\n",
	      out);
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *one = json_array_get(problems, i);

		fprintf(out, "  %" PRIu64 "  %s: %s\n", number(one, "id"),
			json_string_value(cli_get(one, "entry.method")),
			json_string_value(cli_get(one, "error")));
	}
}

static void print_pool_problems(FILE *out, const json_t *problems)
{
	if (json_array_size(problems) > 0)
		fputs("\nPools that could not be opened (then: litepool engine pool open NAME):\n",
		      out);
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *one = json_array_get(problems, i);

		fprintf(out, "  %s: %s\n", json_string_value(cli_get(one, "bdev")),
			json_string_value(cli_get(one, "error")));
	}
}

static void print_status(FILE *out, const json_t *status)
{
	static const struct cli_column columns[] = {
		{"REACTOR", "name", CLI_AS_TEXT},       {"CPU", "cpu", CLI_AS_TEXT},
		{"FILE OPS", "file_ops", CLI_AS_COUNT}, {"RECEIVED", "recv_bytes", CLI_AS_SIZE},
		{"SLEEPS", "sleeps", CLI_AS_COUNT},     {NULL},
	};
	static const char *const fields[] = {"version",    "state",     "pid",   "uptime_s",
					     "rpc_socket", "state_dir", "bdevs", "log_level"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		json_t *one = json_pack("{s:O*}", fields[i], json_object_get(status, fields[i]));

		cli_print_fields(out, one, 0);
		json_decref(one);
	}
	if (json_string_length(cli_get(status, "config.last_error")) > 0)
		fprintf(out, "NOT SAVED: %s\n",
			json_string_value(cli_get(status, "config.last_error")));
	fputc('\n', out);
	cli_print_table(out, json_object_get(status, "reactors"), columns);
	print_problems(out, json_object_get(status, "problems"));
	print_pool_problems(out, json_object_get(status, "pool_problems"));
}

int cli_cmd_status(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *result;
	int res = cli_call(cli, cmd->method, NULL, &result);

	if (res != 0)
		return res;
	if (cli->json)
		cli_print_json(cli->out, result);
	else if (json_object_get(result, "reactors"))
		print_status(cli->out, result);
	else
		fprintf(cli->out, "%s\n", json_string_value(cli_get(result, "version")));
	json_decref(result);
	return 0;
}

int cli_cmd_rpc(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *result;
	int res = cli_call(cli, cli_text(cli, "METHOD"), json_object_get(cli->values, "PARAMS"),
			   &result);

	if (res != 0)
		return res;
	cli_print_json(cli->out, result);
	json_decref(result);
	return 0;
}

int cli_cmd_config_load(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *path = cli_text(cli, "FILE");
	json_error_t where;
	json_t *config = json_load_file(path, JSON_REJECT_DUPLICATES, &where), *result;
	int res;

	if (!config)
		return err_set(&cli->err, -EINVAL, "%s: line %d: %s", path, where.line, where.text);
	res = cli_call(cli, cmd->method, config, &result);
	json_decref(config);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

static int connections_of(struct cli *cli, const char *nqn, json_t *rows)
{
	json_t *params = json_pack("{s:s}", "nqn", nqn), *ctrlrs;
	int res = cli_call(cli, "nvmf_subsystem_get_controllers", params, &ctrlrs);

	json_decref(params);
	if (res != 0)
		return res;
	for (size_t i = 0; i < json_array_size(ctrlrs); i++) {
		json_t *one = json_array_get(ctrlrs, i);

		(void)json_object_set_new(one, "subsystem", json_string(nqn));
		(void)json_array_append(rows, one);
	}
	json_decref(ctrlrs);
	return 0;
}

int cli_cmd_connections(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *nqn = cli_text(cli, "NQN");
	json_t *subsystems = NULL, *rows = json_array();
	int res = nqn ? connections_of(cli, nqn, rows)
		      : cli_call(cli, "nvmf_get_subsystems", NULL, &subsystems);

	for (size_t i = 0; res == 0 && i < json_array_size(subsystems); i++)
		res = connections_of(
			cli, json_string_value(cli_get(json_array_get(subsystems, i), "nqn")),
			rows);
	if (res == 0)
		cli_print(cli, cmd, rows);
	json_decref(subsystems);
	json_decref(rows);
	return res;
}

/* The difference of two readings, per second. */
static void stats_add(json_t *rows, const json_t *now, const json_t *before, double seconds)
{
	static const char *const ops[] = {"read", "write"};
	json_t *alias = json_object_get(now, "alias"); /* pool/volume */
	json_t *row = json_pack("{s:O}", "name", alias ? alias : json_object_get(now, "name"));
	uint64_t errors;

	for (size_t i = 0; i < 2; i++) {
		const json_t *a = json_object_get(before, ops[i]),
			     *b = json_object_get(now, ops[i]);
		json_t *one = json_pack(
			"{s:I, s:I, s:O*, s:O*}", "ops",
			(json_int_t)((double)(number(b, "ops") - number(a, "ops")) / seconds),
			"bytes",
			(json_int_t)((double)(number(b, "bytes") - number(a, "bytes")) / seconds),
			"p50_ns", json_object_get(b, "p50_ns"), "p99_ns",
			json_object_get(b, "p99_ns"));

		(void)json_object_set_new(row, ops[i], one);
	}
	errors = number(now, "read.errors") + number(now, "write.errors");
	(void)json_object_set_new(row, "errors", json_integer((json_int_t)errors));
	(void)json_array_append_new(rows, row);
}

static const json_t *named(const json_t *array, const char *name)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *one = json_string_value(cli_get(json_array_get(array, i), "name"));

		if (one && name && strcmp(one, name) == 0)
			return json_array_get(array, i);
	}
	return NULL;
}

static void print_stats(FILE *out, const json_t *now, const json_t *before)
{
	static const struct cli_column columns[] = {
		{"NAME", "name", CLI_AS_TEXT},
		{"READ/s", "read.ops", CLI_AS_COUNT},
		{"READ B/s", "read.bytes", CLI_AS_SIZE},
		{"p50 us", "read.p50_ns", CLI_AS_US},
		{"p99 us", "read.p99_ns", CLI_AS_US},
		{"WRITE/s", "write.ops", CLI_AS_COUNT},
		{"WRITE B/s", "write.bytes", CLI_AS_SIZE},
		{"p50 us", "write.p50_ns", CLI_AS_US},
		{"p99 us", "write.p99_ns", CLI_AS_US},
		{"ERRORS", "errors", CLI_AS_COUNT},
		{NULL},
	};
	double seconds = json_number_value(json_object_get(now, "uptime_s")) -
			 json_number_value(json_object_get(before, "uptime_s"));
	const json_t *bdevs = json_object_get(now, "bdevs");
	json_t *rows = json_array();

	for (size_t i = 0; i < json_array_size(bdevs); i++) {
		const json_t *one = json_array_get(bdevs, i);
		const char *name = json_string_value(json_object_get(one, "name"));

		stats_add(rows, one, named(json_object_get(before, "bdevs"), name),
			  seconds > 0 ? seconds : 1);
	}
	cli_print_table(out, rows, columns);
	fflush(out);
	json_decref(rows);
}

bool cli_interrupted(unsigned wait_ms)
{
	const struct timespec wait = {.tv_sec = wait_ms / 1000,
				      .tv_nsec = (long)(wait_ms % 1000) * 1000000};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	return sigtimedwait(&mask, NULL, &wait) > 0;
}

int cli_cmd_stats(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	bool watch = cli_given(cli, "watch");
	json_t *before = NULL, *now;
	int res;

	for (;;) {
		res = cli_call(cli, "litepool_metrics", NULL, &now);
		if (res != 0)
			break;
		if (cli->json)
			cli_print_json(cli->out, now);
		else
			print_stats(cli->out, now, before);
		json_decref(before);
		before = now;
		if (!watch)
			break;
		if (cli_interrupted(WATCH_MS))
			break;
		fputc('\n', cli->out);
	}
	json_decref(before);
	return res;
}
