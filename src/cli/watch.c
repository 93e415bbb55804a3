/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list --watch: the table, then a row for each change until interrupted. An informer survives lost connections; what it tells again of the first table
 * is left out by its resourceVersion. changed() runs one call at a time and alone uses the state after the informer's start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/api.h"
#include "kube/informer.h"
#include "kube/meta.h"

struct watching {
	struct cli *cli;
	const struct api_noun *noun; /* NULL: events */
	json_t *seen;                /* name to resourceVersion */
	struct cli_column columns[CLI_COLUMNS_MAX + 1];
	size_t width[CLI_COLUMNS_MAX];
};

static const struct api_column *columns_of(const struct watching *w)
{
	return w->noun ? w->noun->columns : api_event_columns;
}

static const json_t *version_of(const json_t *obj)
{
	return json_object_get(json_object_get(obj, "metadata"), "resourceVersion");
}

static void changed(void *ctx, const json_t *old, const json_t *obj)
{
	struct watching *w = ctx;
	_cleanup_json_ json_t *rows = NULL;
	const char *name = kube_name(obj ? obj : old);

	if (obj && json_equal(json_object_get(w->seen, name), version_of(obj)))
		return;
	(void)json_object_del(w->seen, name);
	if (w->cli->output == CLI_OUT_JSON || w->cli->output == CLI_OUT_YAML) {
		if (obj && w->cli->output == CLI_OUT_YAML)
			fputs("---\n", w->cli->out);
		if (obj)
			(void)api_print_raw(w->cli, obj);
	} else if (w->cli->output == CLI_OUT_NAME || !obj) {
		fprintf(w->cli->out, "%s%s\n", name, obj ? "" : "  deleted");
	} else {
		rows = json_pack("[o]",
				 api_row(columns_of(w), obj, w->cli->output == CLI_OUT_WIDE));
		cli_table_rows(w->cli->out, rows, w->columns, w->width);
	}
	fflush(w->cli->out);
}

/* What is there, as the first table; later rows are as wide. */
static void first_table(struct watching *w, const json_t *objects)
{
	bool wide = w->cli->output == CLI_OUT_WIDE;
	_cleanup_json_ json_t *rows = json_array();
	const json_t *one;
	size_t i;

	json_array_foreach (objects, i, one) {
		(void)json_array_append_new(rows, api_row(columns_of(w), one, wide));
		(void)json_object_set(w->seen, kube_name(one),
				      (json_t *)(uintptr_t)version_of(one));
	}
	(void)api_columns(columns_of(w), w->noun != NULL, wide, w->columns);
	(void)cli_table_measure(rows, w->columns, w->width);
	for (size_t c = 0; c < CLI_COLUMNS_MAX && w->columns[c].title; c++)
		w->width[c] = w->width[c] < 10 ? 10 : w->width[c];
	if (w->cli->output == CLI_OUT_TABLE || wide) {
		cli_table_head(w->cli->out, w->columns, w->width);
		cli_table_rows(w->cli->out, rows, w->columns, w->width);
	} else {
		api_print_list(w->cli, w->noun, objects);
	}
	fflush(w->cli->out);
}

int api_watch(struct cli *cli, const struct api_noun *noun, const char *labels, const char *fields)
{
	const char *kind = noun ? noun->kind : "Event";
	struct watching w = {.cli = cli, .noun = noun};
	_cleanup_json_ json_t *objects = NULL;
	struct informer_config config = {.res = kube_resource_by_kind(kind),
					 .labels = labels,
					 .fields = fields,
					 .changed = changed,
					 .ctx = &w};
	struct informer *informer = NULL;
	int cancel_fd, res = api_wait_prepare(cli, &cancel_fd);

	if (res < 0)
		return res;
	res = api_list(cli, kind, labels, fields, &objects);
	if (res == 0) {
		w.seen = json_object();
		first_table(&w, objects);
		config.client = cli->api;
		res = informer_new(&config, &informer, &cli->err);
	}
	if (res == 0)
		res = informer_start(informer, &cli->err);
	if (res == 0)
		(void)api_pause(cancel_fd, -1);
	informer_free(informer);
	json_decref(w.seen);
	(void)close(cancel_fd);
	return res;
}
