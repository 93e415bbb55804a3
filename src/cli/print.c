/* SPDX-License-Identifier: Apache-2.0 */
/* Answers for people: tables with columns as wide as they need, and fields. Bytes that a terminal could take as commands are not passed on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

#define CELL_MAX 256

void cli_print_json(FILE *out, const json_t *json)
{
	(void)json_dumpf(json, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', out);
}

static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void cell_number(uint64_t value, enum cli_format format, char *cell)
{
	switch (format) {
	case CLI_AS_SIZE:
		str_size(value, cell, CELL_MAX);
		break;
	case CLI_AS_US:
		snprintf(cell, CELL_MAX, "%.1f", (double)value / 1000);
		break;
	case CLI_AS_COUNT:
	case CLI_AS_TEXT:
	default:
		snprintf(cell, CELL_MAX, "%" PRIu64, value);
		break;
	}
}

static void cell_text(const json_t *value, enum cli_format format, char *cell)
{
	size_t len = 0;

	snprintf(cell, CELL_MAX, "-");
	switch (json_typeof(value)) {
	case JSON_STRING:
		if (json_string_length(value) > 0)
			snprintf(cell, CELL_MAX, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		if (json_integer_value(value) >= 0) /* below: not set, as in "cpu": -1 */
			cell_number((uint64_t)json_integer_value(value), format, cell);
		break;
	case JSON_REAL:
		snprintf(cell, CELL_MAX, "%.2f", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(cell, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
		break;
	case JSON_ARRAY:
		for (size_t i = 0; i < json_array_size(value) && len < CELL_MAX - 1; i++) {
			const char *one = json_string_value(json_array_get(value, i));
			int n = snprintf(cell + len, CELL_MAX - len, "%s%s", i ? "," : "",
					 one ? one : "?");

			len += n > 0 ? (size_t)n : 0;
		}
		break;
	case JSON_OBJECT:
	case JSON_NULL:
	default:
		break;
	}
	printable(cell);
}

static void cell_fill(const json_t *row, const struct cli_column *column, char *cell)
{
	size_t len = strlen(column->path);
	char path[128];
	const json_t *value;

	if (len > 2 && len < sizeof(path) && strcmp(column->path + len - 2, "[]") == 0) {
		snprintf(path, sizeof(path), "%.*s", (int)len - 2, column->path);
		snprintf(cell, CELL_MAX, "%zu", json_array_size(cli_get(row, path)));
		return;
	}
	value = column->path[0] ? cli_get(row, column->path) : row;
	if (value)
		cell_text(value, column->format, cell);
	else
		snprintf(cell, CELL_MAX, "-");
}

size_t cli_table_measure(const json_t *rows, const struct cli_column *columns, size_t *width)
{
	char cell[CELL_MAX];
	size_t n = 0;

	for (; n < CLI_COLUMNS_MAX && columns[n].title; n++) {
		width[n] = strlen(columns[n].title);
		for (size_t i = 0; i < json_array_size(rows); i++) {
			cell_fill(json_array_get(rows, i), &columns[n], cell);
			width[n] = strlen(cell) > width[n] ? strlen(cell) : width[n];
		}
	}
	return n;
}

void cli_table_head(FILE *out, const struct cli_column *columns, const size_t *width)
{
	for (size_t c = 0; c < CLI_COLUMNS_MAX && columns[c].title; c++) {
		bool last = c + 1 == CLI_COLUMNS_MAX || !columns[c + 1].title;

		fprintf(out, last ? "%-.*s" : "%-*s  ", last ? CELL_MAX : (int)width[c],
			columns[c].title);
	}
	fputc('\n', out);
}

void cli_table_rows(FILE *out, const json_t *rows, const struct cli_column *columns,
		    const size_t *width)
{
	char cell[CELL_MAX];

	for (size_t i = 0; i < json_array_size(rows); i++) {
		for (size_t c = 0; c < CLI_COLUMNS_MAX && columns[c].title; c++) {
			bool right = columns[c].format != CLI_AS_TEXT;
			bool last = c + 1 == CLI_COLUMNS_MAX || !columns[c + 1].title;

			cell_fill(json_array_get(rows, i), &columns[c], cell);
			if (last && !right)
				fputs(cell, out);
			else
				fprintf(out, right ? "%*s%s" : "%-*s%s", (int)width[c], cell,
					last ? "" : "  ");
		}
		fputc('\n', out);
	}
}

void cli_print_table(FILE *out, const json_t *rows, const struct cli_column *columns)
{
	size_t width[CLI_COLUMNS_MAX] = {0};

	(void)cli_table_measure(rows, columns, width);
	cli_table_head(out, columns, width);
	cli_table_rows(out, rows, columns, width);
}

void cli_print_fields(FILE *out, const json_t *json, int indent)
{
	const char *key;
	json_t *value;
	char cell[CELL_MAX];

	if (json_is_array(json)) {
		for (size_t i = 0; i < json_array_size(json); i++) {
			const json_t *one = json_array_get(json, i);

			if (json_is_object(one)) {
				fprintf(out, "%*s-\n", indent, "");
				cli_print_fields(out, one, indent + 2);
			} else {
				cell_text(one, CLI_AS_TEXT, cell);
				fprintf(out, "%*s- %s\n", indent, "", cell);
			}
		}
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		bool nested = json_is_object(value) || json_is_array(value);

		if (nested && json_object_size(value) + json_array_size(value) > 0) {
			fprintf(out, "%*s%s:\n", indent, "", key);
			cli_print_fields(out, value, indent + 2);
			continue;
		}
		cell_text(value, CLI_AS_TEXT, cell);
		fprintf(out, "%*s%-24s %s\n", indent, "", key, cell);
	}
}

void cli_print(struct cli *cli, const struct cli_cmd *cmd, const json_t *result)
{
	const json_t *rows = cmd->rows ? cli_get(result, cmd->rows) : result;

	if (cli->json) {
		cli_print_json(cli->out, result);
		return;
	}
	if (cmd->columns && json_is_array(rows))
		cli_print_table(cli->out, rows, cmd->columns);
	else if (cmd->done)
		fprintf(cli->out, "%s\n", cmd->done);
	else if (json_is_string(result))
		fprintf(cli->out, "%s\n", json_string_value(result));
	else if (json_is_object(result) || json_is_array(result))
		cli_print_fields(cli->out, result, 0);
	else
		cli_print_json(cli->out, result);
}
