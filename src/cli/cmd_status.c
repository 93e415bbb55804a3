/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: the processes of LitePool on this machine. Under systemd the unit of the engine is its supervisor, which outlives engines: of the engine itself
 * only the engine can tell.
 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "cli/api.h"
#include "cli/up.h"
#include "kube/text.h"
#include "rt/process.h"

static void row_add(json_t *rows, const char *part, const struct up_state *state)
{
	char since[64] = "", age[32];
	json_t *row = json_pack("{s:s, s:s, s:o}", "part", part, "state", state->state, "pid",
				state->pid > 0 ? json_integer(state->pid) : json_null());

	if (state->since_ns)
		(void)kube_time_format(state->since_ns, false, since, sizeof(since));
	api_age(since, age, sizeof(age));
	(void)json_object_set_new(row, "since", since[0] ? json_string(since) : json_null());
	(void)json_object_set_new(row, "age", json_string(age));
	(void)json_array_append_new(rows, row);
}

/* What the engine says of itself; false: it does not answer. */
static bool engine_ask(struct cli *cli, struct up_state *ret)
{
	_cleanup_json_ json_t *status = NULL;
	double uptime;
	json_int_t pid;

	if (cli_call(cli, "litepool_engine_status", NULL, &status) != 0) {
		cli->err = (struct err){0};
		return false;
	}
	pid = json_integer_value(json_object_get(status, "pid"));
	uptime = json_number_value(json_object_get(status, "uptime_s"));
	*ret = (struct up_state){.state = "active", .pid = pid > 0 ? (pid_t)pid : 0};
	if (uptime >= 0 && uptime * 1e9 < (double)process_wall_ns())
		ret->since_ns = process_wall_ns() - (uint64_t)(uptime * 1e9);
	return true;
}

/* True: it runs and answers. */
static bool engine_unit_add(struct cli *cli, json_t *rows)
{
	struct up_state unit, engine = {.state = "not answering"};
	bool answers;

	up_systemd_state(UP_ENGINE, &unit);
	if (!unit.pid) {
		row_add(rows, up_part_names[UP_ENGINE], &unit);
		return false;
	}
	answers = engine_ask(cli, &engine);
	if (unit.pid != engine.pid)
		row_add(rows, "supervisor", &unit);
	row_add(rows, up_part_names[UP_ENGINE], &engine);
	return answers && !strcmp(unit.state, "active");
}

static bool part_add(struct cli *cli, const struct up_opts *opts, enum up_part part, json_t *rows)
{
	struct up_state state;

	if (!opts->dir[0] && part == UP_ENGINE)
		return engine_unit_add(cli, rows);
	if (opts->dir[0])
		up_local_state(opts, part, &state);
	else
		up_systemd_state(part, &state);
	row_add(rows, up_part_names[part], &state);
	return !strcmp(state.state, "active");
}

int cli_cmd_up_status(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	static const struct cli_column columns[] = {
		{"PART", "part", CLI_AS_TEXT},   {"STATE", "state", CLI_AS_TEXT},
		{"PID", "pid", CLI_AS_TEXT},     {"AGE", "age", CLI_AS_TEXT},
		{"SINCE", "since", CLI_AS_TEXT}, {NULL}};
	_cleanup_json_ json_t *rows = json_array(), *nodes = NULL;
	struct up_opts opts;
	bool good = true;
	int res = up_opts_take(cli, &opts);

	if (res < 0)
		return res;
	for (int part = 0; part < UP_PARTS; part++)
		good = part_add(cli, &opts, (enum up_part)part, rows) && good;
	if (!api_print_raw(cli, rows)) {
		cli_print_table(cli->out, rows, columns);
		fputc('\n', cli->out);
		if (good && api_list(cli, "StorageNode", NULL, NULL, &nodes) == 0)
			api_print_list(cli, api_noun_of_kind("StorageNode"), nodes);
	}
	return good ? 0
		    : err_set(&cli->err, -ENOENT, "not all of it runs. Start it: litepool up%s%s",
			      opts.dir[0] ? " --no-systemd " : "", opts.dir);
}
