/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as JSON: what kubeconfig files and people's object files hold. Hides libyaml. */
#ifndef LITEPOOL_KUBE_YAML_JSON_H
#define LITEPOOL_KUBE_YAML_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/*
 * The first document; plain scalars become null, booleans, integers or doubles by the JSON schema of YAML 1.2, all else strings. -EINVAL: no YAML,
 * aliases or tags, a key that is no string or is there twice, nested deeper than KUBE_DEPTH_MAX. An empty text is null. New reference.
 */
int kube_yaml_parse(const char *text, size_t len, json_t **ret, struct err *err);

#endif
