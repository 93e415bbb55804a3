/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON objects by name and type with errors a person can act on. jansson does the parsing.
 * A decoder table names each member, its type and where it goes; unknown members are refused.
 *
 * A tree that two threads may hold (an informer's objects, a store's) is read-only: whoever wants to change it makes a deep copy. Reading, sharing parts of it and
 * giving it up may be done from several threads, because jansson counts references atomically.
 */
#ifndef LITEPOOL_BASE_JSON_H
#define LITEPOOL_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

_Static_assert(JSON_HAVE_ATOMIC_BUILTINS,
	       "trees that threads share need a jansson that counts references atomically");

enum json_kind {
	JSON_KIND_STRING, /* const char *, borrowed from the JSON */
	JSON_KIND_U64,    /* uint64_t; min..max when max is not 0 */
	JSON_KIND_U32,    /* uint32_t */
	JSON_KIND_I64,    /* int64_t */
	JSON_KIND_BOOL,   /* bool */
	JSON_KIND_DOUBLE, /* double; integers are taken too */
	JSON_KIND_OBJECT, /* json_t *, borrowed */
	JSON_KIND_ARRAY,  /* json_t *, borrowed */
	JSON_KIND_ANY,    /* json_t *, borrowed */
};

struct json_field {
	const char *name;
	enum json_kind kind;
	size_t offset; /* in the output struct */
	bool required;
	uint64_t min, max; /* for the integer kinds; max 0 = the type's own limit */
};

/*
 * Fills out (preset with the defaults by the caller) from params, which may be NULL or JSON null
 * when nothing is required. -EINVAL with err naming the member, what was expected and what came.
 */
int json_decode(const json_t *params, const struct json_field *fields, size_t n_fields, void *out,
		struct err *err);

/* json_dumps into a malloc'ed string, compact; NULL without memory. */
char *json_text(const json_t *json);

/* The guard is jansson's own. */
#define _cleanup_json_ __attribute__((cleanup(json_decrefp)))

#endif
