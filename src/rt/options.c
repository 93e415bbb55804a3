/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

static const struct option *find(const struct option *table, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static int apply(const struct option *row, const char *value, void *out, struct err *err)
{
	char *field = (char *)out + row->offset;
	uint64_t n;

	switch (row->kind) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_TEXT:
		memcpy(field, &value, sizeof(value));
		return 0;
	case OPT_U32:
		if (!str_to_u64(value, row->min, row->max, &n))
			return err_set(err, -EINVAL, "--%s %s: expected a number from %u to %u",
				       row->name, value, row->min, row->max);
		*(uint32_t *)(void *)field = (uint32_t)n;
		return 0;
	case OPT_SIZE:
		if (!str_to_size(value, &n))
			return err_set(err, -EINVAL, "--%s %s: expected a size such as 64M or 1GiB",
				       row->name, value);
		memcpy(field, &n, sizeof(n));
		return 0;
	case OPT_LEVEL:
		if (!log_level_parse(value, (enum log_level *)(void *)field))
			return err_set(err, -EINVAL, "--%s %s: expected error, warn, info or debug",
				       row->name, value);
		return 0;
	}
	return err_set(err, -EINVAL, "--%s has no kind", row->name);
}

int options_parse(const struct option *table, size_t n, const char *program, int argc, char **argv,
		  void *out, struct err *err)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL, *equals;
		const struct option *row;
		int rc;

		if (strcmp(arg, "-h") == 0)
			arg = "--help";
		if (strcmp(arg, "-V") == 0)
			arg = "--version";
		if (strncmp(arg, "--", 2) != 0)
			return err_set(err, -EINVAL, "'%s' is no option; see %s --help", arg,
				       program);
		equals = strchr(arg, '=');
		row = find(table, n, arg + 2,
			   equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
		if (!row)
			return err_set(err, -EINVAL, "unknown option %s; see %s --help", arg,
				       program);
		if (row->kind == OPT_FLAG && equals)
			return err_set(err, -EINVAL, "--%s takes no value", row->name);
		if (row->kind != OPT_FLAG) {
			value = equals ? equals + 1 : (i + 1 < argc ? argv[++i] : NULL);
			if (!value || !value[0])
				return err_set(err, -EINVAL, "--%s needs a value: --%s %s",
					       row->name, row->name, row->meta);
		}
		rc = apply(row, value, out, err);
		if (rc)
			return rc;
		if (!strcmp(row->name, "help") || !strcmp(row->name, "version"))
			break;
	}
	return 0;
}

void options_help(const struct option *table, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		char left[48];

		(void)snprintf(left, sizeof(left), "--%s%s%s", table[i].name,
			       table[i].meta ? " " : "", table[i].meta ? table[i].meta : "");
		(void)fprintf(out, "  %-24s %s\n", left, table[i].help);
	}
}
