/* SPDX-License-Identifier: Apache-2.0 */
/* The process behind the commands: parses, calls the engine, prints. Every failure says what to do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "config.h"
#include "kube/client.h"
#include "rpc/rpc.h"

#define STATUS_FAILED 1
#define STATUS_USAGE  2

static int engine_connect(struct cli *cli)
{
	struct err why = {0};
	int res = rpc_client_open(cli->socket, cli->timeout_ms, &cli->client, &why);

	if (res == 0)
		return 0;
	if (res == -EACCES || res == -EPERM)
		return err_set(
			&cli->err, res,
			"no permission for the engine's socket %s; run this as root, or as the "
			"user who runs the engine",
			cli->socket);
	return err_set(
		&cli->err, res,
		"no engine answers at %s (%s). Start it: systemctl start litepool-engine, or "
		"litepool-engine --state-dir DIR --rpc-socket PATH; if it listens elsewhere, "
		"say where with --socket PATH",
		cli->socket, strerror(-res));
}

int cli_call(struct cli *cli, const char *method, const json_t *params, json_t **ret_result)
{
	int res = cli->client ? 0 : engine_connect(cli);

	if (res < 0)
		return res;
	return rpc_client_call(cli->client, method, params, ret_result, &cli->err);
}

static int run_plain(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *result;
	int res = cli_call(cli, cmd->method, json_object_size(params) ? params : NULL, &result);

	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

static void say_failed(const struct cli *cli, const struct cli_cmd *cmd, FILE *err_out)
{
	const char *text = cli->err.text[0] ? cli->err.text : "failed";

	fputs("litepool: ", err_out);
	if (cmd->run == cli_cmd_rpc) /* who calls methods knows them */
		fputs(text, err_out);
	else
		cli_say_commands(text, err_out);
	fputc('\n', err_out);
}

static int run_cmd(struct cli *cli, const struct cli_cmd *cmd, int argc, char *const *argv,
		   FILE *err_out)
{
	json_t *params = NULL;
	struct err err = {0};
	int res = cli_parse(cli, cmd, argc, argv, &params, &err);

	if (res == 1) {
		cli_help_cmd(cli->out, cmd);
		return EXIT_SUCCESS;
	}
	if (res < 0) {
		fprintf(err_out, "litepool: %s\n", err.code ? err.text : strerror(-res));
		return STATUS_USAGE;
	}
	if (!cmd->api && (cli->output == CLI_OUT_YAML || cli->output == CLI_OUT_NAME)) {
		fprintf(err_out, "litepool: %s prints a table or, with -o json, JSON\n",
			cmd->words);
		json_decref(params);
		return STATUS_USAGE;
	}
	res = cmd->run ? cmd->run(cli, cmd, params) : run_plain(cli, cmd, params);
	json_decref(params);
	if (res != 0)
		say_failed(cli, cmd, err_out);
	if (cli->status)
		return cli->status;
	return res != 0 ? STATUS_FAILED : EXIT_SUCCESS;
}

static void print_words(FILE *out, int argc, char *const *argv)
{
	for (int i = 0; i < argc; i++)
		fprintf(out, " %s", argv[i]);
}

/* What is wrong, and the help that is nearest to it. */
static void say_no_command(int argc, char *const *argv, FILE *err_out)
{
	const int known = cli_help_known(argc, argv);

	fputs(known == argc ? "litepool: a word is missing behind:" : "litepool: no such command:",
	      err_out);
	print_words(err_out, argc, argv);
	fputs("; see litepool", err_out);
	print_words(err_out, known, argv);
	fputs(" --help\n", err_out);
}

/* Nothing in the table fits: help, when it was asked for, or what is wrong. */
static int run_none(int argc, char *const *argv, bool help, FILE *out, FILE *err_out)
{
	if (argc > 0 && strcmp(argv[0], "--version") == 0) {
		fputs("litepool " LITEPOOL_VERSION "\n", out);
		return EXIT_SUCCESS;
	}
	if (argc > 0 && strcmp(argv[argc - 1], "--help") != 0 &&
	    strcmp(argv[argc - 1], "-h") != 0 && !help) {
		say_no_command(argc, argv, err_out);
		return STATUS_USAGE;
	}
	while (argc > 0 && argv[argc - 1][0] == '-')
		argc--;
	cli_help(out, argc, argv);
	return EXIT_SUCCESS;
}

int cli_main(int argc, char *const *argv, FILE *out, FILE *err_out)
{
	const char *socket = getenv(CLI_SOCKET_ENV);
	struct cli cli = {.out = out, .timeout_ms = CLI_TIMEOUT_MS};
	const struct cli_cmd *cmd;
	struct err err = {0};
	bool help = false;
	int used, status, at = 1;

	cli.socket = socket && socket[0] ? socket : CLI_SOCKET_DEFAULT;
	while (at < argc) {
		used = cli_parse_global(&cli, argc - at, argv + at, &help, &err);
		if (used < 0) {
			fprintf(err_out, "litepool: %s\n", err.text);
			return STATUS_USAGE;
		}
		if (used == 0)
			break;
		at += used;
	}
	cmd = cli_find(argc - at, argv + at, &used);
	if (!cmd)
		return run_none(argc - at, argv + at, help, out, err_out);
	if (help) {
		cli_help_cmd(out, cmd);
		return EXIT_SUCCESS;
	}
	cli.values = json_object();
	status = run_cmd(&cli, cmd, argc - at - used, argv + at + used, err_out);
	rpc_client_close(cli.client);
	kube_client_free(cli.api);
	json_decref(cli.values);
	return status;
}
