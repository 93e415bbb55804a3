/* SPDX-License-Identifier: Apache-2.0 */
/* Help and bash completion, both out of the command table. */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"

static const char global_help[] =
	"  -s, --socket PATH      the engine's RPC socket [" CLI_SOCKET_DEFAULT
	", or $" CLI_SOCKET_ENV "]\n"
	"  --server URL           the API server, unix:PATH or https://ADDR:PORT "
	"[$LITEPOOL_SERVER, a "
	"kubeconfig, " CLI_SERVER_DEFAULT "]\n"
	"  --kubeconfig FILE      the API server and who you are, from FILE [$KUBECONFIG]\n"
	"  -o, --output FORMAT    table, wide, json, yaml or name [table]\n"
	"  --timeout SECONDS      wait at most so long for an answer [30]\n"
	"  -h, --help             help on a command or a group of commands\n";

static const char *kind_meta(enum cli_kind kind)
{
	static const char *const meta[] = {
		[CLI_TEXT] = " TEXT",         [CLI_U64] = " N",     [CLI_SIZE] = " SIZE",
		[CLI_DOUBLE] = " X",          [CLI_FLAG] = "",      [CLI_ON_OFF] = " on|off",
		[CLI_ADDRESS] = " ADDR:PORT", [CLI_FILE] = " FILE", [CLI_JSON] = " JSON",
		[CLI_LIST] = " A,B",
	};

	return meta[kind];
}

void cli_help_cmd(FILE *out, const struct cli_cmd *cmd)
{
	bool options = false;

	fprintf(out, "Usage: litepool %s", cmd->words);
	for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++) {
		if (cli_arg_is_option(arg))
			options = true;
		else
			fprintf(out, arg->optional ? " [%s]" : " %s", arg->name);
	}
	fprintf(out, "%s\n\n%s\n\n", options ? " [OPTION]..." : "", cmd->summary);
	for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", cli_arg_is_option(arg) ? "--" : "",
			 arg->name, cli_arg_is_option(arg) ? kind_meta(arg->kind) : "");
		fprintf(out, "  %-22s %s\n", left, arg->help);
	}
	fputs(global_help, out);
	fprintf(out, "\nExample:\n  %s\n", cmd->example);
}

static bool words_begin(const char *words, int argc, char *const *argv)
{
	for (int i = 0; i < argc; i++) {
		size_t len = strcspn(words, " ");

		if (strlen(argv[i]) != len || memcmp(words, argv[i], len) != 0)
			return false;
		words += len;
		words += strspn(words, " ");
	}
	return true;
}

static bool any_begins(int argc, char *const *argv)
{
	const struct cli_cmd *cmd;

	for (size_t i = 0; (cmd = cli_nth(i)); i++)
		if (words_begin(cmd->words, argc, argv))
			return true;
	return false;
}

int cli_help_known(int argc, char *const *argv)
{
	while (argc > 0 && !any_begins(argc, argv))
		argc--;
	return argc;
}

void cli_help(FILE *out, int argc, char *const *argv)
{
	const struct cli_cmd *cmd;

	if (!any_begins(argc, argv))
		argc = 0;
	fputs("Usage: litepool [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n", out);
	for (size_t i = 0; (cmd = cli_nth(i)); i++)
		if (words_begin(cmd->words, argc, argv))
			fprintf(out, "  %-30s %s\n", cmd->words, cmd->summary);
	fputs("\nOptions of every command:\n", out);
	fputs(global_help, out);
	fputs("  --version              print the version and end\n"
	      "\nExamples:\n"
	      "  litepool up --file 20G\n"
	      "  litepool volume create db-0 10G --wait\n"
	      "  litepool volume list --watch\n"
	      "  litepool engine status\n"
	      "  litepool engine export /srv/disk0.img --listen 192.0.2.1:4420 --any-host\n"
	      "  litepool engine bdev create-file --help\n",
	      out);
}

/* The words that may follow prefix (len bytes, whole words) in the table, each once. */
static void completion_next_words(FILE *out, const char *prefix, size_t len)
{
	const struct cli_cmd *cmd;
	char last[64] = "";

	for (size_t i = 0; (cmd = cli_nth(i)); i++) {
		const char *rest = cmd->words + len;
		size_t word;

		if (strncmp(cmd->words, prefix, len) != 0 || (len > 0 && *rest != ' '))
			continue;
		rest += *rest == ' ';
		word = strcspn(rest, " ");
		if (word == 0 || word >= sizeof(last) ||
		    (strlen(last) == word && memcmp(last, rest, word) == 0))
			continue;
		snprintf(last, sizeof(last), "%.*s", (int)word, rest);
		fprintf(out, "%s ", last);
	}
}

static bool group_seen(const struct cli_cmd *end, size_t len)
{
	const struct cli_cmd *cmd;

	for (size_t i = 0; (cmd = cli_nth(i)) != end; i++)
		if (strncmp(cmd->words, end->words, len) == 0 && cmd->words[len] == ' ')
			return true;
	return false;
}

static void completion_groups(FILE *out)
{
	const struct cli_cmd *cmd;

	fputs("\t\"\") words=\"", out);
	completion_next_words(out, "", 0);
	fputs("--help --version --socket --output\" ;;\n", out);
	for (size_t i = 0; (cmd = cli_nth(i)); i++) {
		for (const char *space = strchr(cmd->words, ' '); space;
		     space = strchr(space + 1, ' ')) {
			size_t len = (size_t)(space - cmd->words);

			if (group_seen(cmd, len))
				continue;
			fprintf(out, "\t\"%.*s\") words=\"", (int)len, cmd->words);
			completion_next_words(out, cmd->words, len);
			fputs("--help\" ;;\n", out);
		}
	}
}

int cli_cmd_completion(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct cli_cmd *one;
	FILE *out = cli->out;

	if (strcmp(cli_text(cli, "SHELL"), "bash") != 0)
		return err_set(&cli->err, -EINVAL, "SHELL '%s': completion is there for bash",
			       cli_text(cli, "SHELL"));
	fputs("# bash completion for litepool, generated from its command table\n"
	      "_litepool()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal path=\"\" words=\"\" i\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase $prev in\n"
	      "\t-o|--output) COMPREPLY=($(compgen -W \"table wide json yaml name\" -- \"$cur\")); "
	      "return ;;\n"
	      "\t-s|--socket|--kubeconfig) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	      "\tesac\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t-s|--socket|-o|--output|--timeout|--server|--kubeconfig) ((i++)) ;;\n"
	      "\t\t[a-z]*) path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $path in\n",
	      out);
	completion_groups(out);
	for (size_t i = 0; (one = cli_nth(i)); i++) {
		bool file = false;

		fprintf(out, "\t\"%s\"|\"%s \"*) words=\"", one->words, one->words);
		for (const struct cli_arg *arg = one->args; arg && arg->name; arg++) {
			if (cli_arg_is_option(arg))
				fprintf(out, "--%s ", arg->name);
			file |= arg->kind == CLI_FILE;
		}
		fprintf(out, "--help --socket --output\"%s ;;\n",
			file ? "; COMPREPLY=($(compgen -f -- \"$cur\"))" : "");
	}
	fputs("\tesac\n"
	      "\tCOMPREPLY+=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -o filenames -F _litepool litepool\n",
	      out);
	return 0;
}
