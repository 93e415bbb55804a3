/* SPDX-License-Identifier: Apache-2.0 */
/* Our kinds as CustomResourceDefinitions, out of the same tables that the embedded server checks by. Pure. */
#ifndef LITEPOOL_KUBE_CRD_H
#define LITEPOOL_KUBE_CRD_H

#include <jansson.h>

#include "kube/resource.h"

/* res is one of ours (custom). New reference. */
json_t *kube_crd(const struct kube_resource *res);

#endif
