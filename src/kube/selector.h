/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors, from query strings. At most KUBE_TERMS_MAX terms each, KUBE_VALUES_MAX values a term. */
#ifndef LITEPOOL_KUBE_SELECTOR_H
#define LITEPOOL_KUBE_SELECTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "kube/resource.h"
#include "kube/status.h"

#define KUBE_TERMS_MAX  64
#define KUBE_VALUES_MAX 128

struct kube_selector;

/* text NULL or "" selects all: then *ret is NULL, which kube_selector_match() takes. KUBE_BAD_REQUEST otherwise. */
int kube_label_selector_new(const char *text, struct kube_selector **ret, struct kube_fail *fail);
int kube_field_selector_new(const struct kube_resource *res, const char *text,
			    struct kube_selector **ret, struct kube_fail *fail);
bool kube_selector_match(const struct kube_selector *selector, const json_t *obj);
/* The name that metadata.name=NAME asks for, or NULL. */
const char *kube_selector_name(const struct kube_selector *selector);
void kube_selector_free(struct kube_selector *selector);

#endif
