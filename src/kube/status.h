/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures as Kubernetes tells them: a reason with its HTTP code, a message for people, details for programs. A function that can
 * fail because of what a client sent takes a struct kube_fail and returns a negative errno that belongs to the reason.
 */
#ifndef LITEPOOL_KUBE_STATUS_H
#define LITEPOOL_KUBE_STATUS_H

#include <jansson.h>
#include <stdbool.h>

struct kube_resource;

enum kube_reason {
	KUBE_OK,
	KUBE_BAD_REQUEST,
	KUBE_UNAUTHORIZED,
	KUBE_FORBIDDEN,
	KUBE_NOT_FOUND,
	KUBE_METHOD_NOT_ALLOWED,
	KUBE_NOT_ACCEPTABLE,
	KUBE_ALREADY_EXISTS,
	KUBE_CONFLICT,
	KUBE_EXPIRED,
	KUBE_TOO_LARGE,
	KUBE_UNSUPPORTED_MEDIA,
	KUBE_INVALID,
	KUBE_TOO_MANY,
	KUBE_INTERNAL,
	KUBE_UNAVAILABLE,
	KUBE_TIMEOUT,
	KUBE_STORAGE_FULL,
	KUBE_REASON_COUNT,
};

struct kube_fail {
	enum kube_reason reason;
	char message[1024];
	json_t *details; /* owned, or NULL */
};

int kube_reason_http(enum kube_reason reason);
const char *kube_reason_text(enum kube_reason reason);
/* KUBE_REASON_COUNT when text is no reason of ours. */
enum kube_reason kube_reason_parse(const char *text);

/* Sets reason and message, drops old details; returns the negative errno of the reason. */
__attribute__((format(printf, 3, 4))) int
kube_fail_set(struct kube_fail *fail, enum kube_reason reason, const char *fmt, ...);
/* The usual ones, with details and Kubernetes' own words. name may be "". */
int kube_fail_not_found(struct kube_fail *fail, const struct kube_resource *res, const char *name);
int kube_fail_exists(struct kube_fail *fail, const struct kube_resource *res, const char *name);
__attribute__((format(printf, 4, 5))) int kube_fail_conflict(struct kube_fail *fail,
							     const struct kube_resource *res,
							     const char *name, const char *fmt,
							     ...);
void kube_fail_fini(struct kube_fail *fail);
#define _cleanup_fail_ __attribute__((cleanup(kube_fail_fini)))

/* A Status object. New reference; NULL without memory. */
json_t *kube_fail_status(const struct kube_fail *fail);
/* The Status of a success, with details of what it was about (name and uid may be NULL). */
json_t *kube_status_success(const struct kube_resource *res, const char *name, const char *uid);

/* What is wrong with an object, field by field; at most KUBE_PROBLEMS_MAX are kept. */
#define KUBE_PROBLEMS_MAX 16

struct kube_problems {
	json_t *causes; /* array, NULL while there are none */
};

enum kube_cause {
	KUBE_CAUSE_REQUIRED,
	KUBE_CAUSE_INVALID,
	KUBE_CAUSE_NOT_SUPPORTED,
	KUBE_CAUSE_FORBIDDEN,
	KUBE_CAUSE_TOO_LONG,
	KUBE_CAUSE_TOO_MANY,
	KUBE_CAUSE_TYPE,
};

/* The message is "<words of the cause>: <fmt>"; for INVALID and NOT_SUPPORTED value (may be NULL) is shown too. */
__attribute__((format(printf, 5, 6))) void kube_problem(struct kube_problems *problems,
							enum kube_cause cause, const char *field,
							const json_t *value, const char *fmt, ...);
bool kube_problems_any(const struct kube_problems *problems);
/* KUBE_INVALID out of the problems, which it takes. */
int kube_fail_invalid(struct kube_fail *fail, const struct kube_resource *res, const char *name,
		      struct kube_problems *problems);

#endif
