/* SPDX-License-Identifier: Apache-2.0 */
/* A curl handle made ready for one request: address, TLS, credentials, limits. */
#include "kube/client_curl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "rt/fs.h"
#include "rt/lock.h"
#include "rt/process.h"

#define TOKEN_AGE_MS       60000
#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS         30000
#define KEEPALIVE_IDLE_S   10
#define KEEPALIVE_EVERY_S  5

/* ---- the server ---- */

static bool is_loopback(const char *base)
{
	static const char *const hosts[] = {"http://127.", "http://[::1]", "http://localhost"};

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (!strncmp(base, hosts[i], strlen(hosts[i])))
			return true;
	return false;
}

static int check_config(const struct kube_config *config, struct err *err)
{
	bool plain = !strncmp(config->server, "http://", 7);

	if (strpbrk(config->server, "@?# \t\r\n"))
		return err_set(
			err, -EINVAL,
			"the server's address '%.200s' may hold neither credentials nor a query",
			config->server);
	if (plain && !is_loopback(config->server))
		return err_set(err, -EPERM,
			       "%.200s is neither encrypted nor on this machine; use https://",
			       config->server);
	return 0;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int copy_config(struct kube_config *to, const struct kube_config *from)
{
	int rc = copy_text(&to->server, from->server);

	to->insecure = from->insecure;
	rc = rc ? rc : copy_text(&to->ca, from->ca);
	rc = rc ? rc : copy_text(&to->cert, from->cert);
	rc = rc ? rc : copy_text(&to->key, from->key);
	rc = rc ? rc : copy_text(&to->token, from->token);
	rc = rc ? rc : copy_text(&to->token_file, from->token_file);
	rc = rc ? rc : copy_text(&to->tls_server_name, from->tls_server_name);
	return rc ? rc : copy_text(&to->ns, from->ns);
}

int curl_server_init(struct curl_server *server, const struct kube_config *config,
		     const struct kube_http_options *options, struct err *err)
{
	const char *agent = options && options->user_agent ? options->user_agent : "litepool";
	bool is_unix = !strncmp(config->server, "unix:", 5);
	int rc = check_config(config, err);

	if (rc)
		return rc;
	server->timeout_ms = options && options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
	rc = copy_config(&server->config, config);
	rc = rc ? rc : copy_text(&server->user_agent, agent);
	rc = rc ? rc : copy_text(&server->base, is_unix ? "http://litepool" : config->server);
	if (is_unix)
		rc = rc ? rc : copy_text(&server->socket_path, config->server + 5);
	rc = rc ? rc : lock_new(&server->lock);
	if (rc)
		return err_set(err, rc, "no memory for an API client");
	if (server->base[strlen(server->base) - 1] == '/')
		server->base[strlen(server->base) - 1] = 0;
	return 0;
}

void curl_server_fini(struct curl_server *server)
{
	kube_config_fini(&server->config);
	free(server->socket_path);
	free(server->base);
	free(server->user_agent);
	free(server->token);
	lock_free(server->lock);
	*server = (struct curl_server){0};
}

/* ---- credentials ---- */

static int token_refresh(struct curl_server *server, bool fresh, struct err *err)
{
	uint64_t now_ms = process_boot_ms();
	char *text = NULL;
	size_t len;
	int rc;

	if (server->token && !fresh && now_ms - server->token_read_ms < TOKEN_AGE_MS)
		return 0;
	rc = fs_read(server->config.token_file, KUBE_CONFIG_MAX, &text, &len, err);
	/* While the file is being replaced the old token may still do. */
	if (rc && server->token)
		return 0;
	if (rc)
		return err_set(err, rc, "cannot read the token in %s: %s",
			       server->config.token_file, strerror(-rc));
	text[strcspn(text, " \t\r\n")] = 0;
	free(server->token);
	server->token = text;
	server->token_read_ms = now_ms;
	return 0;
}

/* *ret: "Authorization: Bearer ...", or NULL when there is no token. */
static int authorization(struct curl_server *server, bool fresh, char **ret, struct err *err)
{
	const char *token = server->config.token;
	int rc = 0;

	*ret = NULL;
	lock_take(server->lock);
	if (server->config.token_file) {
		rc = token_refresh(server, fresh, err);
		token = server->token;
	}
	if (!rc && token && asprintf(ret, "Authorization: Bearer %s", token) < 0) {
		*ret = NULL;
		rc = err_set(err, -ENOMEM, "no memory for a request");
	}
	lock_drop(server->lock);
	return rc;
}

/* ---- a handle ---- */

static struct curl_slist *headers_of(const struct kube_call *call, const char *bearer)
{
	char type[128];
	const char *const lines[] = {"Accept: application/json",
				     "Expect:", call->content_type ? type : NULL, bearer};
	struct curl_slist *list = NULL;

	(void)snprintf(type, sizeof(type), "Content-Type: %s",
		       call->content_type ? call->content_type : "");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct curl_slist *longer = lines[i] ? curl_slist_append(list, lines[i]) : list;

		if (lines[i] && !longer) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

static CURLcode set_blob(CURL *easy, CURLoption option, const char *pem)
{
	/* Not copied: the server's configuration outlives the handle. */
	struct curl_blob blob = {.data = (void *)(uintptr_t)pem,
				 .len = pem ? strlen(pem) : 0,
				 .flags = CURL_BLOB_NOCOPY};

	return pem ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (!code)                                                                         \
			code = curl_easy_setopt(easy, option, value);                              \
	} while (0)

/* "https://NAME:port" reaches the server under the name that its certificate has. */
static CURLcode set_tls(const struct curl_server *server, CURL *easy)
{
	const struct kube_config *config = &server->config;
	CURLcode code = set_blob(easy, CURLOPT_CAINFO_BLOB, config->ca);

	if (!code)
		code = set_blob(easy, CURLOPT_SSLCERT_BLOB, config->cert);
	if (!code)
		code = set_blob(easy, CURLOPT_SSLKEY_BLOB, config->key);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
	return code;
}

static CURLcode set_connection(const struct curl_server *server, CURL *easy)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_USERAGENT, server->user_agent);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
	SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_EVERY_S);
	if (server->socket_path)
		SET(CURLOPT_UNIX_SOCKET_PATH, server->socket_path);
	return code;
}

/* The name of the certificate takes the place of the host in the URL, and CONNECT_TO leads it back to the host. */
static int set_url(const struct curl_server *server, CURL *easy, const char *target,
		   struct curl_slist **ret_connect_to)
{
	const char *name = server->config.tls_server_name, *host = server->base + 8;
	_cleanup_free_ char *url = NULL, *route = NULL;

	*ret_connect_to = NULL;
	if (!name || strncmp(server->base, "https://", 8) != 0) {
		if (asprintf(&url, "%s%s", server->base, target) < 0)
			url = NULL;
	} else {
		bool port = host[0] == '[' ? strstr(host, "]:") != NULL : strchr(host, ':') != NULL;

		if (asprintf(&url, "https://%s%s", name, target) < 0)
			url = NULL;
		if (asprintf(&route, "::%s%s", host, port ? "" : ":443") < 0)
			route = NULL;
		*ret_connect_to = route ? curl_slist_append(NULL, route) : NULL;
		if (!*ret_connect_to)
			return -ENOMEM;
	}
	return url && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static CURLcode set_request(CURL *easy, const struct kube_call *call)
{
	CURLcode code = CURLE_OK;

	if (call->body) {
		SET(CURLOPT_POSTFIELDS, call->body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
	}
	SET(CURLOPT_CUSTOMREQUEST, call->method);
	return code;
}

int curl_prepare(struct curl_server *server, CURL *easy, const struct kube_call *call, bool fresh,
		 struct curl_slist **ret_headers, struct err *err)
{
	_cleanup_free_ char *bearer = NULL;
	struct curl_slist *headers, *connect_to = NULL;
	CURLcode code = CURLE_OK;
	int rc = authorization(server, fresh, &bearer, err);

	if (rc)
		return rc;
	headers = headers_of(call, bearer);
	if (!headers || set_url(server, easy, call->target, &connect_to)) {
		curl_slist_free_all(headers);
		return err_set(err, -ENOMEM, "no memory for a request");
	}
	code = set_connection(server, easy);
	if (!code)
		code = set_tls(server, easy);
	if (!code)
		code = set_request(easy, call);
	SET(CURLOPT_HTTPHEADER, headers);
	/* The list of routes lives as long as the handle's setting; it is freed with the headers. */
	if (connect_to) {
		SET(CURLOPT_CONNECT_TO, connect_to);
		SET(CURLOPT_PRIVATE, connect_to);
	}
	*ret_headers = headers;
	if (!code)
		return 0;
	curl_slist_free_all(headers);
	curl_slist_free_all(connect_to);
	return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL,
		       "libcurl does not take the client's settings: %s", curl_easy_strerror(code));
}

/* ---- what went wrong ---- */

static const struct {
	CURLcode code;
	int rc;
	const char *hint;
} failures[] = {
	{CURLE_COULDNT_CONNECT, -ECONNREFUSED, "is the API server running?"},
	{CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, "check the server's name"},
	{CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, "the server or the network is slow or down"},
	{CURLE_PEER_FAILED_VERIFICATION, -EACCES,
	 "check the certificate authority and the server's name"},
	{CURLE_SSL_CERTPROBLEM, -EACCES, "check the client certificate and its key"},
	{CURLE_SSL_CACERT_BADFILE, -EACCES, "check the certificate authority"},
	{CURLE_OUT_OF_MEMORY, -ENOMEM, "no memory"},
	{CURLE_WRITE_ERROR, -EFBIG, "the answer is larger than this client takes"},
};

int curl_failed(const struct curl_server *server, CURLcode code, const char *detail,
		struct err *err)
{
	const char *where = server->socket_path ? server->socket_path : server->base;
	const char *what = detail && detail[0] ? detail : curl_easy_strerror(code);

	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (failures[i].code == code)
			return err_set(err, failures[i].rc, "API server %s: %s; %s", where, what,
				       failures[i].hint);
	return err_set(err, -EIO, "API server %s: %s", where, what);
}

uint32_t curl_retry_after_s(CURL *easy)
{
	curl_off_t seconds = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds > 0 && seconds <= INT32_MAX ? (uint32_t)seconds : 0;
}
