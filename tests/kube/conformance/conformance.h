/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we expect of an API server, as checks that any server must pass: the embedded one and kube-apiserver. A check asserts only what
 * Kubernetes does. It makes its objects under a name of its own and may leave them: the main program deletes all that carry the run's label.
 */
#ifndef LITEPOOL_TESTS_CONFORMANCE_H
#define LITEPOOL_TESTS_CONFORMANCE_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "kube/text.h"

#define RUN_LABEL "litepool.io/conformance"

struct suite {
	struct kube_client *client;
	char run[24]; /* in the names and labels of all objects */
	unsigned ran, passed, failed;
	bool gc; /* the server has a garbage collector */
	/* Of the check that runs. */
	bool bad;
	unsigned number;
	struct kube_error error; /* of the last request */
};

typedef void (*check_fn)(struct suite *s);
struct check {
	const char *name;
	check_fn fn;
};

extern const struct check object_checks[], list_checks[], watch_checks[], rule_checks[];

/* Ends the check when cond does not hold. */
#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			suite_failed(s, __FILE__, __LINE__, #cond);                                \
			return;                                                                    \
		}                                                                                  \
	} while (0)

void suite_failed(struct suite *s, const char *file, int line, const char *what);

/* Unique name of this check for `tail`, in a buffer that lives until 63 others have been asked for. */
const char *own_name(struct suite *s, const char *tail);
struct kube_ref volume_ref(const char *name);
struct kube_ref lease_ref(const char *name);
/* "a=b" selector of the objects of this check. */
const char *own_label(struct suite *s);
/* {metadata: {name, labels}, spec: {size: 1Gi}} */
json_t *volume(struct suite *s, const char *name);
/* Makes it. *ret may be NULL. */
int make_volume(struct suite *s, const char *name, json_t **ret);
/* Between two looks at a state that comes by itself. */
void pause_ms(int ms);
/* s->error.reason is what came. */
bool refused(const struct suite *s, int rc, enum kube_reason reason);

static inline const char *version_of(const json_t *obj)
{
	return kube_str(obj, "metadata.resourceVersion");
}

static inline json_int_t generation_of(const json_t *obj)
{
	return json_integer_value(kube_at(obj, "metadata.generation"));
}

#endif
