/* SPDX-License-Identifier: Apache-2.0 */
/* Status objects, and the words Kubernetes uses for the usual failures, because clients match on some of them. */
#include "kube/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/resource.h"

#define SHOWN_MAX 80 /* bytes of a foreign value in a message */

static const struct {
	const char *text;
	int http;
	int code;
} reasons[KUBE_REASON_COUNT] = {
	[KUBE_OK] = {"", 200, 0},
	[KUBE_BAD_REQUEST] = {"BadRequest", 400, -EINVAL},
	[KUBE_UNAUTHORIZED] = {"Unauthorized", 401, -EACCES},
	[KUBE_FORBIDDEN] = {"Forbidden", 403, -EPERM},
	[KUBE_NOT_FOUND] = {"NotFound", 404, -ENOENT},
	[KUBE_METHOD_NOT_ALLOWED] = {"MethodNotAllowed", 405, -EOPNOTSUPP},
	[KUBE_NOT_ACCEPTABLE] = {"NotAcceptable", 406, -EPROTONOSUPPORT},
	[KUBE_ALREADY_EXISTS] = {"AlreadyExists", 409, -EEXIST},
	[KUBE_CONFLICT] = {"Conflict", 409, -EBUSY},
	[KUBE_EXPIRED] = {"Expired", 410, -ESTALE},
	[KUBE_TOO_LARGE] = {"RequestEntityTooLarge", 413, -EFBIG},
	[KUBE_UNSUPPORTED_MEDIA] = {"UnsupportedMediaType", 415, -EPROTONOSUPPORT},
	[KUBE_INVALID] = {"Invalid", 422, -EDOM},
	[KUBE_TOO_MANY] = {"TooManyRequests", 429, -EAGAIN},
	[KUBE_INTERNAL] = {"InternalError", 500, -EIO},
	[KUBE_UNAVAILABLE] = {"ServiceUnavailable", 503, -ECONNREFUSED},
	[KUBE_TIMEOUT] = {"Timeout", 504, -ETIMEDOUT},
	[KUBE_STORAGE_FULL] = {"InsufficientStorage", 507, -ENOSPC},
};

static const struct {
	const char *reason, *words;
} causes[] = {
	[KUBE_CAUSE_REQUIRED] = {"FieldValueRequired", "Required value"},
	[KUBE_CAUSE_INVALID] = {"FieldValueInvalid", "Invalid value"},
	[KUBE_CAUSE_NOT_SUPPORTED] = {"FieldValueNotSupported", "Unsupported value"},
	[KUBE_CAUSE_FORBIDDEN] = {"FieldValueForbidden", "Forbidden"},
	[KUBE_CAUSE_TOO_LONG] = {"FieldValueTooLong", "Too long"},
	[KUBE_CAUSE_TOO_MANY] = {"FieldValueTooMany", "Too many"},
	[KUBE_CAUSE_TYPE] = {"FieldValueTypeInvalid", "Invalid value"},
};

int kube_reason_http(enum kube_reason reason)
{
	return reasons[reason].http;
}

const char *kube_reason_text(enum kube_reason reason)
{
	return reasons[reason].text;
}

enum kube_reason kube_reason_parse(const char *text)
{
	for (int i = KUBE_OK + 1; i < KUBE_REASON_COUNT; i++)
		if (!strcmp(reasons[i].text, text))
			return (enum kube_reason)i;
	return KUBE_REASON_COUNT;
}

/* Length of the UTF-8 character at s, or 0: none, overlong, a surrogate, beyond U+10FFFF. */
static size_t utf8_length(const unsigned char *s)
{
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0;

	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

/* What clients sent is shown in messages, also what is no UTF-8, and long texts are cut anywhere; clients refuse JSON that is not UTF-8. */
static void message_mend(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p;) {
		size_t len = utf8_length(p);

		if (!len)
			*p = '?';
		p += len ? len : 1;
	}
}

__attribute__((format(printf, 3, 0))) static void message_format(char *buf, size_t size,
								 const char *fmt, va_list args)
{
	buf[0] = 0;
	(void)vsnprintf(buf, size, fmt, args);
	message_mend(buf);
}

__attribute__((format(printf, 3, 0))) static int
fail_vset(struct kube_fail *fail, enum kube_reason reason, const char *fmt, va_list args)
{
	json_decref(fail->details);
	fail->details = NULL;
	fail->reason = reason;
	message_format(fail->message, sizeof(fail->message), fmt, args);
	return reasons[reason].code;
}

int kube_fail_set(struct kube_fail *fail, enum kube_reason reason, const char *fmt, ...)
{
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = fail_vset(fail, reason, fmt, args);
	va_end(args);
	return rc;
}

/* "plural" or "plural.group", as kubectl spells it. */
static const char *qualified(const char *first, const char *group, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s", first, group[0] ? "." : "", group);
	return buf;
}

static json_t *details_of(const struct kube_resource *res, const char *kind, const char *name)
{
	json_t *details = json_object();

	if (name && name[0])
		(void)json_object_set_new(details, "name", json_string(name));
	if (res->group[0])
		(void)json_object_set_new(details, "group", json_string(res->group));
	(void)json_object_set_new(details, "kind", json_string(kind));
	return details;
}

int kube_fail_not_found(struct kube_fail *fail, const struct kube_resource *res, const char *name)
{
	char what[128];
	int rc = kube_fail_set(fail, KUBE_NOT_FOUND, "%s \"%s\" not found",
			       qualified(res->plural, res->group, what, sizeof(what)), name);

	fail->details = details_of(res, res->plural, name);
	return rc;
}

int kube_fail_exists(struct kube_fail *fail, const struct kube_resource *res, const char *name)
{
	char what[128];
	int rc = kube_fail_set(fail, KUBE_ALREADY_EXISTS, "%s \"%s\" already exists",
			       qualified(res->plural, res->group, what, sizeof(what)), name);

	fail->details = details_of(res, res->plural, name);
	return rc;
}

int kube_fail_conflict(struct kube_fail *fail, const struct kube_resource *res, const char *name,
		       const char *fmt, ...)
{
	char what[128], why[512];
	va_list args;
	int rc;

	va_start(args, fmt);
	message_format(why, sizeof(why), fmt, args);
	va_end(args);
	rc = kube_fail_set(fail, KUBE_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s",
			   qualified(res->plural, res->group, what, sizeof(what)), name, why);
	fail->details = details_of(res, res->plural, name);
	return rc;
}

void kube_fail_fini(struct kube_fail *fail)
{
	json_decref(fail->details);
	fail->details = NULL;
}

json_t *kube_fail_status(const struct kube_fail *fail)
{
	return json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:O*, s:i}", "kind", "Status",
			 "apiVersion", "v1", "metadata", "status", "Failure", "message",
			 fail->message, "reason", reasons[fail->reason].text, "details",
			 fail->details, "code", reasons[fail->reason].http);
}

json_t *kube_status_success(const struct kube_resource *res, const char *name, const char *uid)
{
	json_t *details = details_of(res, res->plural, name);

	if (uid)
		(void)json_object_set_new(details, "uid", json_string(uid));
	return json_pack("{s:s, s:s, s:{}, s:s, s:o}", "kind", "Status", "apiVersion", "v1",
			 "metadata", "status", "Success", "details", details);
}

/* The value as JSON, cut at a character when it is long; "" when there is none. */
static void value_show(const json_t *value, char *buf, size_t size)
{
	_cleanup_free_ char *text =
		value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII)
		      : NULL;

	buf[0] = 0;
	if (!text)
		return;
	if (strlen(text) <= SHOWN_MAX)
		(void)snprintf(buf, size, ": %s", text);
	else
		(void)snprintf(buf, size, ": %.*s...", SHOWN_MAX, text);
}

void kube_problem(struct kube_problems *problems, enum kube_cause cause, const char *field,
		  const json_t *value, const char *fmt, ...)
{
	char why[512], shown[SHOWN_MAX + 8], message[640];
	va_list args;

	if (!problems->causes)
		problems->causes = json_array();
	if (json_array_size(problems->causes) >= KUBE_PROBLEMS_MAX)
		return;
	va_start(args, fmt);
	message_format(why, sizeof(why), fmt, args);
	va_end(args);
	value_show(value, shown, sizeof(shown));
	(void)snprintf(message, sizeof(message), "%s%s%s%s", causes[cause].words, shown,
		       why[0] ? ": " : "", why);
	(void)json_array_append_new(problems->causes,
				    json_pack("{s:s, s:s, s:s}", "reason", causes[cause].reason,
					      "message", message, "field", field));
}

bool kube_problems_any(const struct kube_problems *problems)
{
	return problems->causes != NULL;
}

static void join_causes(const json_t *list, char *buf, size_t size)
{
	size_t n = json_array_size(list), used = 0;

	for (size_t i = 0; i < n && used < size; i++) {
		const json_t *c = json_array_get(list, i);

		used += (size_t)snprintf(buf + used, size - used, "%s%s: %s",
					 i ? ", " : (n > 1 ? "[" : ""),
					 json_string_value(json_object_get(c, "field")),
					 json_string_value(json_object_get(c, "message")));
	}
	if (n > 1 && used < size)
		(void)snprintf(buf + used, size - used, "]");
}

int kube_fail_invalid(struct kube_fail *fail, const struct kube_resource *res, const char *name,
		      struct kube_problems *problems)
{
	char what[128], all[900] = "";
	int rc;

	join_causes(problems->causes, all, sizeof(all));
	rc = kube_fail_set(fail, KUBE_INVALID, "%s \"%s\" is invalid: %s",
			   qualified(res->kind, res->group, what, sizeof(what)), name, all);
	fail->details = details_of(res, res->kind, name);
	(void)json_object_set_new(fail->details, "causes", problems->causes);
	problems->causes = NULL;
	return rc;
}
