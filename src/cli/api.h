/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on objects of the API (node, pool, volume, snapshot, reservation): what they share. The noun is the first word of the command. Every function
 * that returns int gives 0, or a negative errno with cli->err saying what to do. One thread, except where a watch says otherwise.
 */
#ifndef LITEPOOL_CLI_API_H
#define LITEPOOL_CLI_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "kube/client.h"

enum api_as {
	API_TEXT,
	API_SIZE,      /* bytes, or a quantity */
	API_AGE,       /* a time as how long ago */
	API_CONDITION, /* path is a condition's type: its status */
};

struct api_column {
	const char *title, *path; /* path as kube_at() takes it */
	enum api_as as;
	bool wide; /* only with -o wide */
};

struct api_noun {
	const char *word, *kind;
	const struct api_column *columns; /* ended by title == NULL; NAME is in front, AGE behind */
};

/* nouns.c. The noun that a command begins with; never NULL for a command of cli_api_commands[] on objects. */
const struct api_noun *api_noun(const struct cli_cmd *cmd);
const struct api_noun *api_noun_of_kind(const char *kind);
const struct kube_resource *api_resource(const struct api_noun *noun);
extern const struct api_column api_event_columns[];

/* api.c. The client, made once; nothing is sent. */
int api_open(struct cli *cli);
/* cli->err out of the server's answer, with what to do. Returns error's code. */
int api_fail(struct cli *cli, const struct kube_error *error);
/* *ret (may be NULL in api_merge) is a new reference. -ENOENT names what there is. */
int api_get(struct cli *cli, const char *kind, const char *name, json_t **ret);
/* Array, a new reference. labels, fields: selectors or NULL. */
int api_list(struct cli *cli, const char *kind, const char *labels, const char *fields,
	     json_t **ret);
int api_create(struct cli *cli, const char *kind, const json_t *obj, json_t **ret);
int api_merge(struct cli *cli, const char *kind, const char *name, const json_t *patch,
	      json_t **ret);
int api_merge_status(struct cli *cli, const char *kind, const char *name, const json_t *patch);
/* *ret_gone: nothing holds it; else finalizers do. May be NULL. */
int api_delete(struct cli *cli, const char *kind, const char *name, bool *ret_gone);

/* wait.c: waits on a state of one object, at most cli->timeout_ms. */
struct api_wait {
	const char *kind, *name;
	/* 1: so it is; 0: not yet, why not into why (borrowed from obj or static, may be set NULL); negative: never, with cli->err. obj NULL: it is gone. */
	int (*look)(struct cli *cli, const json_t *obj, void *ctx, const char **why);
	void *ctx;
	const char *what; /* "volume db-0 to be ready" */
};
/* Makes SIGINT readable and takes it from ending the process; before api_open(). */
int api_wait_prepare(struct cli *cli, int *ret_cancel_fd);
/* True: that long has passed; false: interrupted. */
bool api_pause(int cancel_fd, int ms);
/* *ret (may be NULL): the object as it was last seen. Shows progress on stderr when that is a terminal. */
int api_wait(struct cli *cli, const struct api_wait *wait, json_t **ret);
/* The usual states. */
int api_look_gone(struct cli *cli, const json_t *obj, void *ctx, const char **why);
int api_look_ready(struct cli *cli, const json_t *obj, void *ctx, const char **why);

/* view.c: objects as people read them. */
/* "42s", "17m", "5h", "12d" since then; "-" when it is no time. */
void api_age(const char *time, char *cell, size_t size);
/* The object's row: title to text. New reference. */
json_t *api_row(const struct api_column *columns, const json_t *obj, bool wide);
/* The columns of a table made of such rows; buf has CLI_COLUMNS_MAX + 1. named: NAME in front and AGE behind. */
const struct cli_column *api_columns(const struct api_column *columns, bool named, bool wide,
				     struct cli_column *buf);
/* What list prints, in the format that is asked for. kind names the List. */
void api_print_list(struct cli *cli, const struct api_noun *noun, const json_t *objects);
/* One object: JSON, YAML, name, or in words (with its events, an array or NULL). */
void api_print_object(struct cli *cli, const struct api_noun *noun, const json_t *obj,
		      const json_t *events);
/* JSON or YAML, as is asked for. True: it was one of them. */
bool api_print_raw(struct cli *cli, const json_t *json);
/* "word/name what" for a change that is made, or the object in another format. */
void api_print_done(struct cli *cli, const struct api_noun *noun, const json_t *obj,
		    const char *what);
/* The number of bytes there; 0 when there is none. */
uint64_t api_size_at(const json_t *obj, const char *path);
/* The reason of what an object is not: of a condition that is not True, or status.reason; "" when none is told. Borrowed. */
const char *api_reason(const json_t *obj);

/* impact.c: what a dangerous verb would do. */
struct api_impact {
	json_t *lines;    /* array of sentences, owned */
	unsigned volumes; /* that would lose their data */
	unsigned snapshots;
	bool refused; /* it cannot be done now whatever is consented to; the last line says what to do */
};
int api_impact_volume(struct cli *cli, const json_t *volume, struct api_impact *ret);
int api_impact_snapshot(struct cli *cli, const json_t *snapshot, struct api_impact *ret);
int api_impact_pool(struct cli *cli, const json_t *pool, struct api_impact *ret);
int api_impact_node(struct cli *cli, const json_t *node, struct api_impact *ret);
void api_impact_fini(struct api_impact *impact);
/* Prints it on out. */
void api_impact_print(FILE *out, const struct api_impact *impact);
/*
 * 0: go on. 1: it was only asked for (--show-impact), and is printed. Negative: refused, or --accept-volume-loss=NAME is missing or names another object.
 */
int api_consent(struct cli *cli, const char *name, const struct api_impact *impact);

/* cmd_place.c: what placement looks at, out of the API, as one array; and into an inventory. */
struct place_inventory;
int api_place_objects(struct cli *cli, json_t **ret);
int api_place_fill(struct place_inventory *inv, const json_t *objects, struct err *err);

/* Commands. */
int cli_cmd_object_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_label(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_delete(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_set(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_object_expand(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_maintenance(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_events(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_attach(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_detach(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_top(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_dump(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_up(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_down(struct cli *cli, const struct cli_cmd *cmd, json_t *params);
int cli_cmd_up_status(struct cli *cli, const struct cli_cmd *cmd, json_t *params);

/* watch.c: list --watch. */
int api_watch(struct cli *cli, const struct api_noun *noun, const char *labels, const char *fields);

#endif
