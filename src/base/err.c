/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors with a text for people.
 *
 * 1. The text is formatted aside first, so that it may quote the text it replaces.
 * 2. It is one line: control characters, which may come from the input that is being refused,
 *    become blanks.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static void text_store(struct err *err, const char *text)
{
	size_t i = 0;

	for (; i < sizeof(err->text) - 1 && text[i]; i++)
		err->text[i] =
			(char)((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
	err->text[i] = '\0';
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	ASSERT(code < 0);
	if (!err)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err->code = code;
	text_store(err, text);
	return code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char text[2 * sizeof(err->text)];
	va_list ap;
	int n;

	if (!err)
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return err->code;
	n = n < (int)sizeof(err->text) ? n : (int)sizeof(err->text) - 1;
	(void)snprintf(text + n, sizeof(text) - (size_t)n, ": %s", err->text);
	text_store(err, text);
	return err->code;
}
