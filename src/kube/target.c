/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as the API has them: /api/v1/... for the core group, /apis/GROUP/VERSION/... for the others. */
#include "kube/target.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_encoded(FILE *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (isalnum(*p) || strchr("-._~", *p))
			(void)fputc(*p, out);
		else
			(void)fprintf(out, "%%%02X", *p);
	}
}

static void put_segment(FILE *out, const char *text)
{
	(void)fputc('/', out);
	put_encoded(out, text);
}

char *kube_target(const struct kube_ref *ref, const struct kube_param *params)
{
	const struct kube_resource *res = ref->res;
	char *text = NULL, sep = '?';
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	(void)fputs(res->group[0] ? "/apis" : "/api", out);
	if (res->group[0])
		put_segment(out, res->group);
	put_segment(out, res->version);
	if (res->namespaced && ref->ns) {
		put_segment(out, "namespaces");
		put_segment(out, ref->ns);
	}
	put_segment(out, res->plural);
	if (ref->name)
		put_segment(out, ref->name);
	if (ref->sub)
		put_segment(out, ref->sub);
	for (; params && params->name; params++) {
		if (!params->value)
			continue;
		(void)fputc(sep, out);
		put_encoded(out, params->name);
		(void)fputc('=', out);
		put_encoded(out, params->value);
		sep = '&';
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
