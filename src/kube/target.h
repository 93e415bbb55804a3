/* SPDX-License-Identifier: Apache-2.0 */
/* The path and query of a request. Pure. */
#ifndef LITEPOOL_KUBE_TARGET_H
#define LITEPOOL_KUBE_TARGET_H

#include "kube/client.h"

struct kube_param {
	const char *name, *value; /* value NULL: left out */
};

/* malloc'ed; NULL without memory. params ends with a name of NULL, or is NULL. Names and values are percent-encoded. */
char *kube_target(const struct kube_ref *ref, const struct kube_param *params);

#endif
