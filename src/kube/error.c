/* SPDX-License-Identifier: Apache-2.0 */
/* From HTTP codes and Status objects to errors. Any body is taken: proxies in between answer with what they like. */
#include "kube/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kube/text.h"

#define RETRY_AFTER_MAX_S 3600

void kube_error_fini(struct kube_error *error)
{
	if (!error)
		return;
	json_decref(error->causes);
	*error = (struct kube_error){0};
}

int kube_error_local(struct kube_error *error, int code, const char *fmt, ...)
{
	va_list args;

	if (!error)
		return code;
	kube_error_fini(error);
	error->err.code = code;
	va_start(args, fmt);
	(void)vsnprintf(error->err.text, sizeof(error->err.text), fmt, args);
	va_end(args);
	return code;
}

/* Reasons that Kubernetes has and our servers do not use, and codes without a reason. */
static enum kube_reason reason_of(int http, const char *reason)
{
	enum kube_reason known = kube_reason_parse(reason);

	if (known != KUBE_REASON_COUNT)
		return known;
	if (!strcmp(reason, "Gone"))
		return KUBE_EXPIRED;
	if (!strcmp(reason, "ServerTimeout"))
		return KUBE_TIMEOUT;
	for (int i = KUBE_OK + 1; i < KUBE_REASON_COUNT; i++)
		if (kube_reason_http((enum kube_reason)i) == http && i != KUBE_ALREADY_EXISTS)
			return (enum kube_reason)i;
	return http >= 500 || http < 400 ? KUBE_INTERNAL : KUBE_BAD_REQUEST;
}

static bool cause_is(const json_t *causes, const char *reason)
{
	for (size_t i = 0; i < json_array_size(causes); i++)
		if (!strcmp(kube_str(json_array_get(causes, i), "reason"), reason))
			return true;
	return false;
}

static enum kube_retry retry_of(const struct kube_error *error)
{
	if (error->reason == KUBE_CONFLICT)
		return KUBE_RETRY_REREAD;
	/* The version is one that the server has not reached: it lags, or its store is a new one. */
	if (error->reason == KUBE_EXPIRED || cause_is(error->causes, "ResourceVersionTooLarge"))
		return KUBE_RETRY_RELIST;
	if (error->http == 429 || error->http >= 500)
		return KUBE_RETRY_LATER;
	return KUBE_RETRY_NO;
}

int kube_error_answer(struct kube_error *error, int http, const json_t *body,
		      uint32_t retry_after_s)
{
	const char *message = kube_str(body, "message");
	enum kube_reason reason = reason_of(http, kube_str(body, "reason"));
	struct kube_fail fail = {0};
	int code = kube_fail_set(&fail, reason, "%s", "");
	json_int_t told = json_integer_value(kube_at(body, "details.retryAfterSeconds"));

	if (!error)
		return code;
	if (message[0])
		(void)kube_error_local(error, code, "%s", message);
	else
		(void)kube_error_local(error, code,
				       "the server answered %d without a Status; is it a "
				       "Kubernetes API server, and not a proxy?",
				       http);
	error->reason = reason;
	error->http = http;
	if (json_is_array(kube_at(body, "details.causes")))
		error->causes = json_deep_copy(kube_at(body, "details.causes"));
	if (!retry_after_s && told > 0 && told < RETRY_AFTER_MAX_S)
		retry_after_s = (uint32_t)told;
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	error->retry_after_ms = retry_after_s * 1000;
	error->retry = retry_of(error);
	error->unknown = http == 500 || http == 502 || http == 504;
	return code;
}

int kube_error_status(struct kube_error *error, const json_t *status)
{
	json_int_t code = json_integer_value(kube_at(status, "code"));

	return kube_error_answer(error, code >= 400 && code < 600 ? (int)code : 500, status, 0);
}
