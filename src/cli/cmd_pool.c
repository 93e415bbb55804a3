/* SPDX-License-Identifier: Apache-2.0 */
/* litepool pool check and dump: work on a device that no engine has open. The check exits as fsck(8) does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "fsck/fsck.h"

#define ACCEPT_MAX 256u

int cli_cmd_pool_check(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const json_t *accept = json_object_get(cli->values, "accept-data-loss");
	const char *names[ACCEPT_MAX];
	struct fsck_check_opts opts = {.path = cli_text(cli, "DEVICE"),
				       .socket = cli->socket,
				       .repair = cli_given(cli, "repair"),
				       .data = cli_given(cli, "data"),
				       .accept = names,
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
	cli->status = fsck_check(cli->out, &opts, &cli->err);
	return cli->err.code;
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
