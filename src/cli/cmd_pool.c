/* SPDX-License-Identifier: Apache-2.0 */
/* litepool pool check and dump: work on a device that no engine has open. The check exits as fsck(8) does. The scrub is an engine's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "fsck/fsck.h"

#define ACCEPT_MAX    256u
#define SCRUB_LOOK_MS 250

static void data_read(void *ctx, uint64_t done, uint64_t total)
{
	if (total)
		progress_show(ctx, "data", NULL, done, total);
	else
		progress_clear(ctx);
}

int cli_cmd_pool_check(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const json_t *accept = json_object_get(cli->values, "accept-data-loss");
	const char *names[ACCEPT_MAX];
	struct progress progress;
	struct fsck_check_opts opts = {.path = cli_text(cli, "DEVICE"),
				       .socket = cli->socket,
				       .repair = cli_given(cli, "repair"),
				       .data = cli_given(cli, "data"),
				       .accept = names,
				       .progress = data_read,
				       .ctx = &progress,
				       .json = cli->json};
	const json_t *name;
	size_t i;

	json_array_foreach (accept, i, name)
		if (opts.n_accept < ACCEPT_MAX)
			names[opts.n_accept++] = json_string_value(name);
	cli->status = 8;
	if (opts.n_accept && !opts.repair)
		return err_set(&cli->err, -EINVAL, "--accept-data-loss is for --repair");
	if (opts.data && opts.repair)
		return err_set(
			&cli->err, -EINVAL,
			"--data only looks: mend with --repair first, then look at the data");
	progress_begin(&progress, cli);
	cli->status = fsck_check(cli->out, &opts, &cli->err);
	progress_end(&progress);
	return cli->err.code;
}

static uint64_t number_of(const json_t *status, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(status, name));

	return n > 0 ? (uint64_t)n : 0;
}

/* Until the scrub of that pool is over; *ret: its state then. */
static int scrub_wait(struct cli *cli, const json_t *pool, struct progress *progress, json_t **ret)
{
	_cleanup_json_ json_t *which = json_pack("{s:O}", "lvs_name", pool);
	char what[160];

	(void)snprintf(what, sizeof(what), "scrub %.100s", json_string_value(pool));
	for (;;) {
		_cleanup_json_ json_t *status = NULL;
		int res = cli_call(cli, "litepool_pool_scrub_status", which, &status);
		const char *state = json_string_value(json_object_get(status, "state"));
		uint64_t cluster = number_of(status, "cluster_bytes");

		if (res != 0)
			return res;
		if (json_is_true(json_object_get(status, "complete"))) {
			*ret = json_incref(status);
			return 0;
		}
		if (!state || strcmp(state, "stopped") == 0)
			return err_set(&cli->err, -ECANCELED,
				       "the scrub was stopped on its way, or was never begun: "
				       "litepool pool scrub start %.100s goes on with it",
				       json_string_value(pool));
		progress_show(progress, what, NULL, number_of(status, "cluster") * cluster,
			      number_of(status, "end_cluster") * cluster);
		if (cli_interrupted(SCRUB_LOOK_MS))
			return err_set(&cli->err, -EINTR,
				       "interrupted; the scrub goes on: litepool pool scrub status "
				       "%.100s",
				       json_string_value(pool));
	}
}

/* start and status. */
int cli_cmd_pool_scrub(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	_cleanup_json_ json_t *result = NULL, *status = NULL;
	struct progress progress;
	int res = cli_call(cli, cmd->method, params, &result);

	if (res != 0)
		return res;
	if (!cli_given(cli, "wait")) {
		cli_print(cli, cmd, result);
		return 0;
	}
	progress_begin(&progress, cli);
	res = scrub_wait(cli, json_object_get(params, "lvs_name"), &progress, &status);
	progress_end(&progress);
	if (res == 0 && cli->json)
		cli_print_json(cli->out, status);
	else if (res == 0)
		cli_print_fields(cli->out, status, 0);
	return res;
}

int cli_cmd_pool_dump(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct fsck_dump_opts opts = {.path = cli_text(cli, "DEVICE"),
				      .journal = cli_given(cli, "journal"),
				      .pages = cli_given(cli, "pages"),
				      .maps = cli_given(cli, "maps"),
				      .json = cli->json};

	return fsck_dump(cli->out, &opts, &cli->err);
}
