/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML by tables: which members a mapping has, of which type, and where they go; the one place that knows libyaml. Members that the table
 * does not know, and members given twice, are refused; tags mean nothing. An error begins with "NAME:LINE: ".
 */
#ifndef LITEPOOL_PLACE_CONFIG_YAML_H
#define LITEPOOL_PLACE_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum yaml_kind {
	YAML_U32,    /* uint32_t, min..max */
	YAML_BOOL,   /* bool: true, false */
	YAML_TEXT,   /* char *, owned; min..max bytes */
	YAML_CHOICE, /* bool: whether it is choices[1]; else it is choices[0] */
	YAML_MAP,    /* the members of table, at the same struct plus offset */
	YAML_LIST, /* of mappings: elements of size bytes, max of them; their number goes to count_offset */
};

struct yaml_field {
	const char *name; /* NULL ends a table */
	enum yaml_kind kind;
	size_t offset;
	uint32_t min, max;
	bool required;
	const char *const *choices;
	const struct yaml_field *table;
	size_t size, count_offset;
	void (*preset)(void *element); /* the defaults of a list's element */
};

/* Fills out, which has the defaults. After -EINVAL it is half filled: texts in it are owned all the same. Nesting is that of the tables. */
int yaml_decode(const char *name, const char *text, size_t len, const struct yaml_field *table,
		void *out, struct err *err);

#endif
