/* SPDX-License-Identifier: Apache-2.0 */
/* base64: four letters are three bytes. */
#include "kube/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int value_of(char c)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? (int)(at - letters) : -1;
}

/* Bytes, or -1. */
static long decode(const char *text, char *out)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	long len = 0;

	for (; *text && *text != '='; text++) {
		int value;

		if (strchr(" \t\r\n", *text))
			continue;
		value = value_of(*text);
		if (value < 0)
			return -1;
		bits = (bits << 6) | (uint32_t)value;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[len++] = (char)(bits >> n_bits);
		}
	}
	/* A single letter left over is no byte, and behind the padding there is nothing. */
	if (n_bits == 6 || text[strspn(text, "= \t\r\n")])
		return -1;
	return len;
}

char *kube_base64_decode(const char *text, size_t *ret_len)
{
	char *out = malloc(strlen(text) / 4 * 3 + 4);
	long len = out ? decode(text, out) : -1;

	if (len < 0 || (!ret_len && memchr(out, 0, (size_t)len))) {
		free(out);
		return NULL;
	}
	out[len] = 0;
	if (ret_len)
		*ret_len = (size_t)len;
	return out;
}
