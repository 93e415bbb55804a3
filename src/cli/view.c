/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the API as people read them: rows of tables, and one object in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "kube/yaml_text.h"
#include "rt/process.h"

#define CELL_SIZE 256
#define NS_PER_S  UINT64_C(1000000000)

uint64_t api_size_at(const json_t *obj, const char *path)
{
	const json_t *value = kube_at(obj, path);
	const char *why;
	uint64_t bytes;

	return value && kube_size_parse(value, &bytes, &why) ? bytes : 0;
}

void api_age(const char *time, char *cell, size_t size)
{
	uint64_t then, now = process_wall_ns(), s;

	(void)snprintf(cell, size, "-");
	if (!kube_time_parse(time, &then))
		return;
	s = now > then ? (now - then) / NS_PER_S : 0;
	if (s < 120)
		(void)snprintf(cell, size, "%" PRIu64 "s", s);
	else if (s < UINT64_C(120) * 60)
		(void)snprintf(cell, size, "%" PRIu64 "m", s / 60);
	else if (s < UINT64_C(48) * 3600)
		(void)snprintf(cell, size, "%" PRIu64 "h", s / 3600);
	else
		(void)snprintf(cell, size, "%" PRIu64 "d", s / 86400);
}

/* The value as a cell; what is text or a list is taken as it is. */
static json_t *cell_of(const struct api_column *column, const json_t *obj)
{
	json_t *value = column->as == API_CONDITION ? NULL : kube_at(obj, column->path);
	char text[CELL_SIZE] = "-";

	switch (column->as) {
	case API_SIZE:
		if (value)
			(void)str_size(api_size_at(obj, column->path), text, sizeof(text));
		break;
	case API_AGE:
		api_age(kube_str(obj, column->path), text, sizeof(text));
		break;
	case API_CONDITION: {
		const char *status = kube_str(kube_condition_get(obj, column->path), "status");

		(void)snprintf(text, sizeof(text), "%s", status[0] ? status : "-");
		break;
	}
	case API_TEXT:
	default:
		return json_incref(value);
	}
	return json_string(text);
}

json_t *api_row(const struct api_column *columns, const json_t *obj, bool wide)
{
	static const struct api_column age = {"AGE", "metadata.creationTimestamp", API_AGE, false};
	json_t *row = json_object();

	(void)json_object_set_new(row, "NAME", json_string(kube_name(obj)));
	for (const struct api_column *c = columns; c->title; c++) {
		json_t *cell = c->wide && !wide ? NULL : cell_of(c, obj);

		if (cell)
			(void)json_object_set_new(row, c->title, cell);
	}
	(void)json_object_set_new(row, "AGE", cell_of(&age, obj));
	if (kube_deleting(obj) && json_object_get(row, "PHASE"))
		(void)json_object_set_new(row, "PHASE", json_string("Deleting"));
	return row;
}

const struct cli_column *api_columns(const struct api_column *columns, bool named, bool wide,
				     struct cli_column *buf)
{
	size_t n = 0;

	if (named)
		buf[n++] = (struct cli_column){"NAME", "NAME", CLI_AS_TEXT};
	for (; columns->title && n < CLI_COLUMNS_MAX - 1; columns++)
		if (!columns->wide || wide)
			buf[n++] = (struct cli_column){columns->title, columns->title,
						       columns->as == API_SIZE ? CLI_AS_SIZE
									       : CLI_AS_TEXT};
	if (named)
		buf[n++] = (struct cli_column){"AGE", "AGE", CLI_AS_TEXT};
	buf[n] = (struct cli_column){NULL};
	return buf;
}

bool api_print_raw(struct cli *cli, const json_t *json)
{
	_cleanup_free_ char *text = NULL;

	if (cli->output == CLI_OUT_JSON) {
		cli_print_json(cli->out, json);
		return true;
	}
	if (cli->output != CLI_OUT_YAML)
		return false;
	text = kube_yaml_text(json);
	fputs(text ? text : "# nested too deeply\n", cli->out);
	return true;
}

static void print_rows(struct cli *cli, const struct api_column *columns, bool named,
		       const json_t *objects)
{
	bool wide = cli->output == CLI_OUT_WIDE;
	struct cli_column buf[CLI_COLUMNS_MAX + 1];
	_cleanup_json_ json_t *rows = json_array();
	const json_t *one;
	size_t i;

	json_array_foreach (objects, i, one)
		(void)json_array_append_new(rows, api_row(columns, one, wide));
	cli_print_table(cli->out, rows, api_columns(columns, named, wide, buf));
}

void api_print_list(struct cli *cli, const struct api_noun *noun, const json_t *objects)
{
	const json_t *one;
	size_t i;

	if (cli->output == CLI_OUT_NAME) {
		json_array_foreach (objects, i, one)
			fprintf(cli->out, "%s/%s\n", noun ? noun->word : "event", kube_name(one));
		return;
	}
	if (cli->output == CLI_OUT_JSON || cli->output == CLI_OUT_YAML) {
		_cleanup_json_ json_t *list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1",
							"kind", "List", "items", objects);

		(void)api_print_raw(cli, list);
		return;
	}
	if (json_array_size(objects) == 0 && noun)
		fprintf(cli->out, "No %ss.\n", noun->word);
	else
		print_rows(cli, noun ? noun->columns : api_event_columns, noun != NULL, objects);
}

void api_print_done(struct cli *cli, const struct api_noun *noun, const json_t *obj,
		    const char *what)
{
	if (api_print_raw(cli, obj))
		return;
	fprintf(cli->out, cli->output == CLI_OUT_NAME ? "%s/%s\n" : "%s/%s %s\n", noun->word,
		kube_name(obj), what);
}

const char *api_reason(const json_t *obj)
{
	const json_t *conditions = kube_at(obj, "status.conditions"), *one;
	const char *reason = kube_str(obj, "status.reason");
	size_t i;

	json_array_foreach (conditions, i, one)
		if (strcmp(kube_str(one, "status"), "True") != 0 && kube_str(one, "message")[0])
			return kube_str(one, "message");
	return reason;
}

/* A copy in which sizes are texts for people. Depth is that of the schema. */
static json_t *sizes_readable(const struct kube_prop *props, const json_t *obj)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)obj);
	char text[32];

	for (; copy && props && props->name; props++) {
		const json_t *value = json_object_get(copy, props->name);

		if (!value || (props->flags & KUBE_LIST))
			continue;
		if (props->type == KUBE_OBJECT)
			(void)json_object_set_new(copy, props->name,
						  sizes_readable(props->props, value));
		else if (props->type == KUBE_SIZE)
			(void)json_object_set_new(
				copy, props->name,
				json_string(str_size(api_size_at(copy, props->name), text,
						     sizeof(text))));
	}
	return copy;
}

static void print_conditions(FILE *out, const json_t *conditions)
{
	static const struct cli_column columns[] = {{"CONDITION", "type", CLI_AS_TEXT},
						    {"STATUS", "status", CLI_AS_TEXT},
						    {"REASON", "reason", CLI_AS_TEXT},
						    {"MESSAGE", "message", CLI_AS_TEXT},
						    {NULL}};

	if (json_array_size(conditions) == 0)
		return;
	fputc('\n', out);
	cli_print_table(out, conditions, columns);
}

static void print_part(FILE *out, const char *title, const json_t *part)
{
	if (json_object_size(part) == 0)
		return;
	fprintf(out, "%s:\n", title);
	cli_print_fields(out, part, 2);
}

void api_print_object(struct cli *cli, const struct api_noun *noun, const json_t *obj,
		      const json_t *events)
{
	_cleanup_json_ json_t *copy = NULL, *status = NULL;
	const json_t *labels = kube_at(obj, "metadata.labels");
	const char *deleted = kube_str(obj, "metadata.deletionTimestamp");

	if (api_print_raw(cli, obj))
		return;
	if (cli->output == CLI_OUT_NAME) {
		fprintf(cli->out, "%s/%s\n", noun->word, kube_name(obj));
		return;
	}
	copy = sizes_readable(api_resource(noun)->props, obj);
	status = json_copy(json_object_get(copy, "status"));
	(void)json_object_del(status, "conditions");
	(void)json_object_del(status, "observedGeneration");
	fprintf(cli->out, "%-26s %s\n%-26s %s\n", "name", kube_name(obj), "created",
		kube_str(obj, "metadata.creationTimestamp"));
	if (deleted[0])
		fprintf(cli->out, "%-26s since %s\n", "is being deleted", deleted);
	print_part(cli->out, "labels", labels);
	print_part(cli->out, "annotations", kube_at(obj, "metadata.annotations"));
	print_part(cli->out, "wanted", json_object_get(copy, "spec"));
	print_part(cli->out, "is", status);
	print_conditions(cli->out, kube_at(obj, "status.conditions"));
	if (json_array_size(events) > 0) {
		fputc('\n', cli->out);
		print_rows(cli, api_event_columns, false, events);
	}
}
