/* SPDX-License-Identifier: Apache-2.0 */
/* Members of API objects, read with an error that names them. For src/place only. path is as kube_at() takes it. */
#ifndef LITEPOOL_PLACE_READ_H
#define LITEPOOL_PLACE_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A missing one is 0 unless it is required. */
int place_read_size(const json_t *object, const char *path, bool required, uint64_t *ret,
		    struct err *err);
/* The place in choices (NULL ends it); untouched when it is missing. */
int place_read_choice(const json_t *object, const char *path, const char *const *choices, int *ret,
		      struct err *err);
int place_read_number(const json_t *object, const char *path, uint32_t min, uint32_t max,
		      uint32_t *ret, struct err *err);
/* NULL when it is missing. */
int place_read_labels(const json_t *object, const char *path, const json_t **ret, struct err *err);
/* The one node that uses the volume: the only one that it shall be attached to, else the one that it was made for, else "". */
const char *place_read_user(const json_t *object);

#endif
