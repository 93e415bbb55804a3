/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of LitePool. One table of commands (commands.c) gives parsing, --help, bash completion and the manual page's check. Most commands are
 * one RPC call: their arguments say which parameter they are, their columns how the answer is printed.
 */
#ifndef LITEPOOL_CLI_CLI_H
#define LITEPOOL_CLI_CLI_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

#define CLI_SOCKET_DEFAULT "/run/litepool/engine.sock"
#define CLI_SOCKET_ENV     "LITEPOOL_ENGINE_SOCKET"
#define CLI_SERVER_DEFAULT "unix:/run/litepool/api.sock"
#define CLI_SERVER_ENV     "LITEPOOL_SERVER"
#define CLI_TIMEOUT_MS     30000
#define CLI_WORDS_MAX      4

struct rpc_client;
struct kube_client;

enum cli_kind {
	CLI_TEXT,
	CLI_U64,
	CLI_SIZE, /* 10G: bytes */
	CLI_DOUBLE,
	CLI_FLAG,    /* no value */
	CLI_ON_OFF,  /* boolean out of on, off */
	CLI_ADDRESS, /* 192.0.2.1:4420, [2001:db8::1]:4420: SPDK's listen_address object */
	CLI_FILE,    /* text; completed as a file name, made absolute */
	CLI_JSON,    /* an object */
	CLI_LIST,    /* read,write: array of texts */
};

struct cli_arg {
	const char *name; /* "block-size" is --block-size; upper case: positional */
	enum cli_kind kind;
	const char *
		param; /* where the value goes in the parameters, "namespace.nsid"; NULL: not there */
	const char *help;
	bool optional; /* positional only: options always are */
};

enum cli_format { CLI_AS_TEXT, CLI_AS_SIZE, CLI_AS_COUNT, CLI_AS_US };

struct cli_column {
	const char *title;
	const char *
		path; /* "driver_specific.aio.filename"; "namespaces[]" is the number of elements */
	enum cli_format format;
};

enum cli_output { CLI_OUT_TABLE, CLI_OUT_WIDE, CLI_OUT_JSON, CLI_OUT_YAML, CLI_OUT_NAME };

struct cli_cmd;

struct cli {
	FILE *out;
	enum cli_output output;
	bool json; /* output is CLI_OUT_JSON */
	const char *socket;
	const char *server, *kubeconfig; /* of the API; NULL: not given */
	int timeout_ms;
	struct rpc_client *client; /* open while a command runs */
	struct kube_client *api;   /* the same */
	json_t *values;            /* by argument name */
	struct err err;
	int status; /* what a command exits with, if not 0 */
};

struct cli_cmd {
	const char *words; /* "engine bdev list" */
	const char *summary, *example;
	const struct cli_arg *args; /* ended by name == NULL; NULL: none */
	const char *method;
	const char *rows; /* member of the answer that holds the rows; NULL: the answer itself */
	const struct cli_column *columns; /* ended by title == NULL; NULL: prints what done says */
	const char *done; /* said on success instead of the answer; NULL: prints the answer */
	/* Instead of the plain call; 0 or negative with cli->err. params: built from the arguments. */
	int (*run)(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
	bool changes; /* by its options alone: one of them at least is given */
	bool offline; /* needs no engine */
	bool api;     /* asks the API server; knows every output format */
};

extern const struct cli_cmd cli_commands[];       /* ended by words == NULL; commands.c */
extern const struct cli_cmd cli_api_commands[];   /* the same; commands_api.c */
extern const struct cli_cmd cli_store_commands[]; /* the same; commands_store.c */
/* All commands of all tables in the order of help; NULL after the last. parse.c */
const struct cli_cmd *cli_nth(size_t i);

/* parse.c: the longest command whose words argv begins with; *ret_used tells how many words. NULL: none. */
const struct cli_cmd *cli_find(int argc, char *const *argv, int *ret_used);
/* Fills cli->values and *ret_params (a new object). -EINVAL with what is wrong; 1: help is asked for. */
int cli_parse(struct cli *cli, const struct cli_cmd *cmd, int argc, char *const *argv,
	      json_t **ret_params, struct err *err);
/* One option that every command takes; how many words it used (0: it is none of them), or -EINVAL. */
int cli_parse_global(struct cli *cli, int argc, char *const *argv, bool *ret_help, struct err *err);
/* Borrowed; NULL: not given. */
const char *cli_text(const struct cli *cli, const char *name);
bool cli_given(const struct cli *cli, const char *name);
/* Puts value (taken) at a dotted path, making the objects between. -ENOMEM. */
int cli_put(json_t *object, const char *path, json_t *value);
/* Follows a dotted path; NULL: not there. */
json_t *cli_get(const json_t *object, const char *path);
bool cli_arg_is_option(const struct cli_arg *arg);

/* print.c */
void cli_print_json(FILE *out, const json_t *json);
void cli_print_table(FILE *out, const json_t *rows, const struct cli_column *columns);
/* The parts of it: as wide as the rows need (n: of both arrays), the titles, the rows. How many columns. */
#define CLI_COLUMNS_MAX 16
size_t cli_table_measure(const json_t *rows, const struct cli_column *columns, size_t *width);
void cli_table_head(FILE *out, const struct cli_column *columns, const size_t *width);
void cli_table_rows(FILE *out, const json_t *rows, const struct cli_column *columns,
		    const size_t *width);
/* Prints the answer as cmd says, or as JSON with -o json. */
void cli_print(struct cli *cli, const struct cli_cmd *cmd, const json_t *result);
/* Objects as "key value" lines, nested ones indented. */
void cli_print_fields(FILE *out, const json_t *json, int indent);

/* help.c */
/* With how many of the words, from the first on, a command of the table begins. */
int cli_help_known(int argc, char *const *argv);
void cli_help(FILE *out, int argc, char *const *argv);
void cli_help_cmd(FILE *out, const struct cli_cmd *cmd);
int cli_cmd_completion(struct cli *cli, const struct cli_cmd *cmd, json_t *params);

/* words.c: text of an error, with each method of the engine's RPC in it as the command that calls it. */
void cli_say_commands(const char *text, FILE *out);

/* run.c: 0 with a new reference, or the error's code with cli->err saying what to do. */
int cli_call(struct cli *cli, const char *method, const json_t *params, json_t **ret_result);
/* The process: parses, runs, prints. The exit status: 0, 1 failed, 2 wrong usage. */
int cli_main(int argc, char *const *argv, FILE *out, FILE *err_out);

/* cmd_engine.c: the pace of what is shown again and again. True: the person has ended it within wait_ms. */
bool cli_interrupted(unsigned wait_ms);

/* Commands that are more than one call. */
int cli_cmd_upgrade(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_status(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_rpc(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_stats(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_connections(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_config_load(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_bdev_create_sized(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_bdev_delete(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_bdev_rescan(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_listener_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_subsystem_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_host_attach(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_host_detach(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_host_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_host_wait_size(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_preflight(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_dump(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_scrub(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_check(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_simulate(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_explain(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_set(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_open(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_pool_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_group(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_label(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_changed(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_wait(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_volume_work(struct cli *cli, const struct cli_cmd *cmd, json_t *params);

/* source.c: a command's SOURCE. */
struct cli_source {
	/* Given; for a block device that has to be made. */
	bool readonly;
	const char *pool_uuid; /* of what it holds, only this pool is opened; NULL: any */
	/* Found. */
	char bdev[128];
	bool made, made_file;
	char path[PATH_MAX]; /* of what was made */
};
/* The block device that SOURCE names, or a new one on the file of that path (made with --size, named by --name or after the file). */
int cli_source_open(struct cli *cli, struct cli_source *source);
/* The command has failed: what was made for it goes. Keeps cli->err. */
void cli_source_undo(struct cli *cli, struct cli_source *source);
int cli_cmd_export(struct cli *cli, const struct cli_cmd *cmd, json_t *params);

#endif
