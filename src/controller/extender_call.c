/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/extender_call.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "place/extender.h"

struct answer {
	char *text;
	size_t len;
};

static size_t take(char *data, size_t size, size_t n, void *ctx)
{
	struct answer *answer = ctx;
	size_t len = size * n;
	char *text;

	if (len > PLACE_ANSWER_MAX - answer->len)
		return 0;
	text = realloc(answer->text, answer->len + len + 1);
	if (!text)
		return 0;
	memcpy(text + answer->len, data, len);
	answer->text = text;
	answer->len += len;
	text[answer->len] = 0;
	return len;
}

static bool set_up(CURL *easy, const struct place_extender_config *extender, const char *body,
		   size_t len, struct curl_slist *headers, struct answer *answer, char *detail)
{
	return curl_easy_setopt(easy, CURLOPT_URL, extender->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)extender->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "litepool-controller") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail) == CURLE_OK;
}

static int perform(CURL *easy, const struct place_extender_config *extender, const char *detail,
		   struct err *err)
{
	CURLcode code = curl_easy_perform(easy);
	long http = 0;

	if (code != CURLE_OK)
		return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO,
			       "extender %s: %s", extender->name,
			       detail[0] ? detail : curl_easy_strerror(code));
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
	if (http < 200 || http > 299)
		return err_set(err, -EIO, "extender %s: it answered %ld", extender->name, http);
	return 0;
}

int extender_call(void *ctx, const struct place_extender_config *extender, const char *body,
		  size_t len, char **ret_body, size_t *ret_len, struct err *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char detail[CURL_ERROR_SIZE] = "";
	struct answer answer = {0};
	CURL *easy = curl_easy_init();
	int rc = -ENOMEM;

	if (!easy || !headers || !set_up(easy, extender, body, len, headers, &answer, detail))
		(void)err_set(err, rc, "extender %s: no memory, or %s is no http(s) address",
			      extender->name, extender->url);
	else
		rc = perform(easy, extender, detail, err);
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	if (!rc) {
		*ret_body = answer.text ? TAKE_PTR(answer.text) : strdup("");
		*ret_len = answer.len;
		rc = *ret_body ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	free(answer.text);
	return rc;
}
