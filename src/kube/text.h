/* SPDX-License-Identifier: Apache-2.0 */
/* Names, quantities, times and JSON text as Kubernetes writes them. All pure; all take any input. */
#ifndef LITEPOOL_KUBE_TEXT_H
#define LITEPOOL_KUBE_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/status.h"

#define KUBE_BODY_MAX  ((size_t)1536 * 1024) /* bytes of a request's body and of an object */
#define KUBE_DEPTH_MAX 64                    /* nesting of arrays and objects */
#define KUBE_NAME_MAX  253
#define KUBE_LABEL_MAX 63
#define KUBE_TIME_SIZE 32

/*
 * JSON that came from outside: KUBE_TOO_LARGE, or KUBE_BAD_REQUEST for what is no JSON, not UTF-8, nested too deeply, has a member
 * twice or a NUL. New reference.
 */
int kube_json_parse(const char *text, size_t len, json_t **ret, struct kube_fail *fail);
/* The same with another limit than KUBE_BODY_MAX: lists are longer than objects. */
int kube_json_parse_up_to(const char *text, size_t len, size_t max, json_t **ret,
			  struct kube_fail *fail);
/* Nesting of a value: 0 for a scalar, 1 for [] and {}. Counts to KUBE_DEPTH_MAX + 1 and no further. */
unsigned kube_json_depth(const json_t *value);

/* "a.b.c" through objects; NULL when one is missing. Borrowed. */
json_t *kube_at(const json_t *obj, const char *path);
/* The string there, or "". */
const char *kube_str(const json_t *obj, const char *path);

bool kube_name_valid(const char *s);      /* DNS-1123 subdomain, 1..253 */
bool kube_label_valid(const char *s);     /* DNS-1123 label, 1..63 */
bool kube_qualified_valid(const char *s); /* [subdomain/]name */
bool kube_label_value_valid(const char *s);
bool kube_nqn_valid(const char *s);

/* A whole number of bytes out of 1048576, "1Mi", "1.5Gi", "10G", "2e9"; what is wrong into *ret_why. */
bool kube_size_parse(const json_t *value, uint64_t *ret_bytes, const char **ret_why);

/* "2026-01-31T23:59:59Z"; with six digits of a second when micro. ns since the epoch. */
const char *kube_time_format(uint64_t ns, bool micro, char *buf, size_t size);
/* RFC 3339 with any offset; years 1970 to 2200. */
bool kube_time_parse(const char *s, uint64_t *ret_ns);

#endif
