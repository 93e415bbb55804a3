/* SPDX-License-Identifier: Apache-2.0 */
/* metadata: what clients may write there, and what is read of it again and again. Borrowed pointers into the object. */
#ifndef LITEPOOL_KUBE_META_H
#define LITEPOOL_KUBE_META_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "kube/resource.h"
#include "kube/status.h"

extern const struct kube_prop kube_meta_props[];

/* The object's metadata; made when it is missing. NULL only when obj is no object or metadata is something else. */
json_t *kube_meta(json_t *obj);
const char *kube_name(const json_t *obj);
const char *kube_namespace(const json_t *obj);
const char *kube_uid(const json_t *obj);
/* 0 when there is none or it is no number of ours. */
uint64_t kube_resource_version(const json_t *obj);
void kube_resource_version_set(json_t *obj, uint64_t version);
bool kube_deleting(const json_t *obj);
/* Whoever carries it out has carried out its spec as it is (status.observedGeneration). */
bool kube_carried_out(const json_t *obj);
size_t kube_finalizer_count(const json_t *obj);
bool kube_finalizer_has(const json_t *obj, const char *name);
void kube_finalizer_add(json_t *obj, const char *name);
void kube_finalizer_remove(json_t *obj, const char *name);
/* Takes references to uid away; how many that were. *ret_left: references that stay. */
size_t kube_owner_remove(json_t *obj, const char *uid, size_t *ret_left);

/* Names, labels, annotations, owner references, finalizers; old NULL at create. */
void kube_meta_check(const struct kube_resource *res, const json_t *old, const json_t *obj,
		     struct kube_problems *problems);

#endif
