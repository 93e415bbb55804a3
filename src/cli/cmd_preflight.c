/* SPDX-License-Identifier: Apache-2.0 */
/* litepool preflight: the checks and the disks as two tables. */
#include <errno.h>

#include "cli/cli.h"
#include "host/devices.h"
#include "host/preflight.h"

static const struct cli_column check_columns[] = {{"LEVEL", "level", CLI_AS_TEXT},
						  {"CHECK", "check", CLI_AS_TEXT},
						  {"FOUND", "found", CLI_AS_TEXT},
						  {"FIX", "fix", CLI_AS_TEXT},
						  {NULL}};
static const struct cli_column device_columns[] = {{"DEVICE", "path", CLI_AS_TEXT},
						   {"SIZE", "size", CLI_AS_SIZE},
						   {"BLOCK", "logical_block", CLI_AS_COUNT},
						   {"VERDICT", "verdict", CLI_AS_TEXT},
						   {"BY ID", "by_id", CLI_AS_TEXT},
						   {"WHY", "why", CLI_AS_TEXT},
						   {NULL}};

static void print(struct cli *cli, const json_t *report)
{
	const json_t *devices = json_object_get(report, "devices");

	if (cli->json) {
		cli_print_json(cli->out, report);
		return;
	}
	cli_print_table(cli->out, json_object_get(report, "checks"), check_columns);
	fputc('\n', cli->out);
	if (json_array_size(devices) > 0)
		cli_print_table(cli->out, devices, device_columns);
	else
		fputs("No disks.\n", cli->out);
}

int cli_cmd_preflight(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct host_env env = {.cancel_fd = -1};
	json_int_t min = json_integer_value(json_object_get(cli->values, "min-size"));
	json_t *report = preflight_json(&env, min > 0 ? (uint64_t)min : DISK_MIN_BYTES_DEFAULT);
	json_int_t errors;

	if (!report)
		return err_set(&cli->err, -ENOMEM, "out of memory");
	print(cli, report);
	errors = json_integer_value(json_object_get(report, "errors"));
	json_decref(report);
	return errors == 0 ? 0
			   : err_set(&cli->err, -ENOTSUP, "%d check%s failed; see FIX above",
				     (int)errors, errors == 1 ? "" : "s");
}
