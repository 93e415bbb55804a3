/* SPDX-License-Identifier: Apache-2.0 */
/* status.conditions of an object. Pure. */
#ifndef LITEPOOL_KUBE_CONDITIONS_H
#define LITEPOOL_KUBE_CONDITIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct kube_condition {
	const char *type, *status; /* status: "True", "False", "Unknown" */
	const char *reason, *message;
	int64_t observed_generation; /* 0: not told */
};

/* The one of that type, or NULL. Borrowed. */
const json_t *kube_condition_get(const json_t *obj, const char *type);
bool kube_condition_is(const json_t *obj, const char *type, const char *status);
/*
 * Sets it in obj; lastTransitionTime becomes wall_ns when the status is another one than before. True: something has changed, so that the object is
 * to be written.
 */
bool kube_condition_set(json_t *obj, const struct kube_condition *condition, uint64_t wall_ns);
bool kube_condition_remove(json_t *obj, const char *type);

#endif
