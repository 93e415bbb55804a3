/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as YAML for people: block style, keys in their order. Pure. */
#ifndef LITEPOOL_KUBE_YAML_TEXT_H
#define LITEPOOL_KUBE_YAML_TEXT_H

#include <jansson.h>

/* malloc'ed, with a newline at the end. NULL: no memory, or nested deeper than KUBE_DEPTH_MAX. */
char *kube_yaml_text(const json_t *json);

#endif
