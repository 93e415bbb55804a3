/* SPDX-License-Identifier: Apache-2.0 */
/* JSON merge patch (RFC 7386) and JSON patch (RFC 6902). Depth of what they make stays within KUBE_DEPTH_MAX, copies within a bound. */
#ifndef LITEPOOL_KUBE_PATCH_H
#define LITEPOOL_KUBE_PATCH_H

#include <jansson.h>

#include "kube/status.h"

#define KUBE_PATCH_OPS_MAX   1000
#define KUBE_PATCH_NODES_MAX 100000 /* values that all copy operations of a patch may make */

/* Both return a new object; obj is untouched. The patch came from kube_json_parse(). */
int kube_merge_patch(const json_t *obj, const json_t *patch, json_t **ret, struct kube_fail *fail);
/* KUBE_BAD_REQUEST: no JSON patch. KUBE_INVALID: it does not fit the object (a missing path, a failed test). */
int kube_json_patch(const json_t *obj, const json_t *patch, json_t **ret, struct kube_fail *fail);

#endif
