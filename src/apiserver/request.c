/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, query strings, Accept and Content-Type: untrusted text into struct call. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "apiserver/call.h"
#include "base/str.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Decodes len bytes into buf; length, or -1: bad escape, NUL, or too long. */
static int percent_decode(const char *s, size_t len, bool plus, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex_digit(s[i + 1]) : -1;
			int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;

			if (lo < 0)
				return -1;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (!c || n + 1 >= size)
			return -1;
		buf[n++] = c;
	}
	buf[n] = 0;
	return (int)n;
}

bool call_segment(const char **path, char *buf, size_t size)
{
	size_t len = strcspn(*path, "/");

	if (!len || percent_decode(*path, len, false, buf, size) < 0)
		return false;
	*path += len;
	*path += **path == '/';
	return true;
}

int call_parse_query(struct call *call)
{
	const char *p = call->req->query ? call->req->query : "";
	size_t used = 0;

	if (strlen(p) > API_QUERY_MAX)
		return kube_fail_set(&call->fail, KUBE_TOO_LARGE,
				     "the query string has more than %d bytes", API_QUERY_MAX);
	while (*p) {
		size_t len = strcspn(p, "&"), name_len = strcspn(p, "=&");
		char *name = call->query + used, *value;
		size_t room = sizeof(call->query) - used;
		int n = percent_decode(p, name_len, true, name, room);
		size_t value_at = name_len + (name_len < len), begin;
		int m;

		if (n < 0)
			return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
					     "the query string has a bad escape");
		begin = used + (size_t)n + 1;
		value = call->query + begin;
		m = percent_decode(p + value_at, len - value_at, true, value,
				   sizeof(call->query) - begin);
		if (m < 0)
			return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
					     "the query string has a bad escape");
		if (n && call->n_params >= CALL_PARAMS_MAX)
			return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
					     "the query string has more than %d parameters",
					     CALL_PARAMS_MAX);
		if (n) {
			call->params[call->n_params].name = name;
			call->params[call->n_params++].value = value;
			used = begin + (size_t)m + 1;
		}
		p += len + (p[len] == '&');
	}
	return 0;
}

const char *call_param(const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->n_params; i++)
		if (!strcmp(call->params[i].name, name))
			return call->params[i].value;
	return NULL;
}

bool call_flag(const struct call *call, const char *name)
{
	const char *value = call_param(call, name);

	return value && (!strcmp(value, "true") || !strcmp(value, "1"));
}

/* A piece of a header up to end, blanks around it cut; moves *p behind it and the separator. */
static void header_piece(const char **p, const char *end, char *buf, size_t size)
{
	size_t len, skip;

	*p += strspn(*p, " \t");
	len = strcspn(*p, end);
	skip = len;
	while (len && ((*p)[len - 1] == ' ' || (*p)[len - 1] == '\t'))
		len--;
	/* What does not fit is nothing that is known. */
	(void)snprintf(buf, size, "%.*s", len < size ? (int)len : 0, *p);
	*p += skip;
}

/* Other forms, and other versions of the forms, are not served; what is no matter of form is let pass. */
static bool accept_param_known(const char *param)
{
	if (!strncmp(param, "as=", 3))
		return false;
	if (!strncmp(param, "v=", 2))
		return !strcmp(param, "v=v1");
	return strncmp(param, "g=", 2) != 0 || !strcmp(param, "g=meta.k8s.io");
}

/* One range of Accept. True when it can be served; sets the form. */
static bool accept_range(struct call *call, const char *range)
{
	char media[64], param[64];
	enum call_form form = FORM_FULL;

	header_piece(&range, ";", media, sizeof(media));
	if (strcasecmp(media, "application/json") != 0 && strcmp(media, "*/*") != 0 &&
	    strcasecmp(media, "application/*") != 0)
		return false;
	while (*range == ';') {
		range++;
		header_piece(&range, ";", param, sizeof(param));
		if (!strcmp(param, "as=Table"))
			form = FORM_TABLE;
		else if (!strncmp(param, "as=PartialObjectMetadata", 24))
			form = FORM_PARTIAL;
		else if (!accept_param_known(param))
			return false;
	}
	call->form = form;
	return true;
}

int call_accept(struct call *call)
{
	const char *p = call->req->accept, *include = call_param(call, "includeObject");
	char range[256];

	call->include = !include || !strcmp(include, "Metadata") ? INCLUDE_METADATA
			: !strcmp(include, "Object")             ? INCLUDE_OBJECT
								 : INCLUDE_NONE;
	if (!p || !*p)
		return 0;
	for (;;) {
		header_piece(&p, ",", range, sizeof(range));
		if (accept_range(call, range))
			return 0;
		if (!*p++)
			break;
	}
	return kube_fail_set(&call->fail, KUBE_NOT_ACCEPTABLE,
			     "only the following media types are accepted: application/json, "
			     "application/json;as=Table;v=v1;g=meta.k8s.io, "
			     "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
}

bool call_content_is(const struct call *call, const char *media)
{
	const char *p = call->req->content_type ? call->req->content_type : "application/json";
	char type[64];

	header_piece(&p, ";", type, sizeof(type));
	return !strcasecmp(type, media);
}

int call_store_failed(struct call *call, int rc)
{
	const char *why = store_why(call->api->store);

	if (rc == -ENOSPC)
		return kube_fail_set(
			&call->fail, KUBE_STORAGE_FULL,
			"the API store is full (%s); nothing was changed: free space on "
			"its disk or raise its limit, or delete objects",
			why);
	if (rc == -ENOMEM)
		return kube_fail_set(&call->fail, KUBE_UNAVAILABLE, "no memory for this request");
	if (rc == -EUCLEAN)
		return kube_fail_set(&call->fail, KUBE_INTERNAL,
				     "the API store is damaged (%s); nothing was changed: restore "
				     "it from a backup",
				     why);
	return kube_fail_set(&call->fail, KUBE_INTERNAL,
			     "the API store failed (%s); nothing was changed", why);
}
