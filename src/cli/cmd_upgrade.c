/* SPDX-License-Identifier: Apache-2.0 */
/* Hot upgrade: asked of the engine that runs, told by the one that serves at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/progress.h"

#define LOOK_MS 50

static const char *text_of(const json_t *report, const char *name)
{
	const char *text = json_string_value(json_object_get(report, name));

	return text ? text : "";
}

static void print_steps(FILE *out, const json_t *report)
{
	json_t *steps = json_object_get(report, "steps");

	fputs("\nStep            ms\n", out);
	for (void *it = json_object_iter(steps); it; it = json_object_iter_next(steps, it))
		fprintf(out, "  %-12s %8.3f\n", json_object_iter_key(it),
			json_number_value(json_object_iter_value(it)));
}

static void print_stop(FILE *out, const json_t *report)
{
	json_t *parts = json_object_get(report, "stop_us");

	if (json_object_size(parts) == 0)
		return;
	fputs("\nOf the stop     us\n", out);
	for (void *it = json_object_iter(parts); it; it = json_object_iter_next(parts, it))
		fprintf(out, "  %-12s %8lld\n", json_object_iter_key(it),
			(long long)json_integer_value(json_object_iter_value(it)));
}

static void print_done(struct cli *cli, const json_t *report)
{
	fprintf(cli->out,
		"Upgraded from %s (pid %lld) to %s (pid %lld): stopped for %.3f ms, %lld "
		"connections, %lld block devices and %lld pools carried.\n",
		text_of(report, "from"),
		(long long)json_integer_value(json_object_get(report, "from_pid")),
		text_of(report, "to"),
		(long long)json_integer_value(json_object_get(report, "to_pid")),
		json_number_value(json_object_get(report, "stop_ms")),
		(long long)json_integer_value(json_object_get(report, "connections")),
		(long long)json_integer_value(json_object_get(report, "bdevs")),
		(long long)json_integer_value(json_object_get(report, "pools")));
}

static int ended(struct cli *cli, const json_t *report)
{
	const char *state = text_of(report, "state");

	if (cli->json)
		cli_print_json(cli->out, report);
	if (strcmp(state, "done") == 0) {
		if (!cli->json) {
			print_done(cli, report);
			print_steps(cli->out, report);
			print_stop(cli->out, report);
		}
		return 0;
	}
	if (strcmp(state, "dry-run") == 0) {
		if (!cli->json) {
			fprintf(cli->out, "%s\n", text_of(report, "error"));
			print_steps(cli->out, report);
		}
		return 0;
	}
	return err_set(&cli->err, -ECANCELED,
		       "the upgrade was given up at step %s: %.380s. The old engine goes on",
		       text_of(report, "step"), text_of(report, "error"));
}

static int upgrade_wait(struct cli *cli, struct progress *progress, json_t **ret)
{
	for (;;) {
		_cleanup_json_ json_t *report = NULL;
		int res;

		/* The connection goes from one engine to the next; an engine that died is looked for again. */
		res = cli_call(cli, "litepool_upgrade_status", NULL, &report);
		if (res < 0)
			return err_prefix(&cli->err,
					  "the upgrade was begun, and its end is unknown "
					  "(litepool engine status)");
		if (strcmp(text_of(report, "state"), "running") != 0) {
			*ret = json_incref(report);
			return 0;
		}
		progress_show(progress, "the new engine", text_of(report, "step"), 0, 0);
		if (cli_interrupted(LOOK_MS))
			return err_set(&cli->err, -EINTR,
				       "the upgrade goes on; litepool engine rpc "
				       "litepool_upgrade_abort gives it up");
	}
}

int cli_cmd_upgrade(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	_cleanup_json_ json_t *started = NULL, *report = NULL;
	struct progress progress;
	int res = cli_call(cli, cmd->method, params, &started);

	if (res != 0)
		return res;
	progress_begin(&progress, cli);
	res = upgrade_wait(cli, &progress, &report);
	progress_end(&progress);
	return res == 0 ? ended(cli, report) : res;
}
