/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the API server, and what a person can do when one fails. */
#include "cli/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kube/client_http.h"
#include "kube/meta.h"

#define NAMES_TOLD 10

/* As --server takes it: a plain path is a unix socket. */
static int config_find(struct cli *cli, struct kube_config *config)
{
	const char *server = cli->server ? cli->server : getenv(CLI_SERVER_ENV);
	char path[256];
	int res;

	if (server && !server[0])
		server = NULL;
	if (server && server[0] == '/') {
		(void)snprintf(path, sizeof(path), "unix:%s", server);
		server = path;
	}
	res = kube_config_find(server, cli->kubeconfig, config, &cli->err);
	if (res == -ENOENT && !server && !cli->kubeconfig && !getenv("KUBECONFIG")) {
		cli->err = (struct err){0};
		res = kube_config_server(CLI_SERVER_DEFAULT, config, &cli->err);
	}
	return res;
}

int api_open(struct cli *cli)
{
	const struct kube_http_options options = {.user_agent = "litepool-cli",
						  .timeout_ms = cli->timeout_ms};
	_cleanup_kube_config_ struct kube_config config = {0};
	int res;

	if (cli->api)
		return 0;
	res = config_find(cli, &config);
	if (res == 0)
		res = kube_client_http_new(&config, &options, &cli->api, &cli->err);
	return res;
}

/* Appends to cli->err. */
static void advise(struct cli *cli, const char *what)
{
	size_t len = strlen(cli->err.text);

	(void)snprintf(cli->err.text + len, sizeof(cli->err.text) - len, "%s", what);
}

int api_fail(struct cli *cli, const struct kube_error *error)
{
	cli->err = error->err;
	if (!cli->err.code)
		(void)err_set(&cli->err, -EIO, "the API server did not say why");
	if (error->http == 0)
		advise(cli, ". Is it running? Start it: litepool up, or systemctl start "
			    "litepool-controller; if it is elsewhere, say where with --server "
			    "unix:PATH or --kubeconfig FILE");
	else if (error->http == 401)
		advise(cli, ". Say who you are: --kubeconfig FILE with a token or a certificate");
	else if (error->http == 403)
		advise(cli, ". Ask for a role that may do this: admin, or reader to look");
	else if (error->retry == KUBE_RETRY_REREAD)
		advise(cli, ". Somebody else changed it meanwhile: look at it and try again");
	else if (error->retry == KUBE_RETRY_LATER)
		advise(cli, ". Try again");
	return cli->err.code;
}

static struct kube_ref ref_of(const char *kind, const char *name)
{
	return (struct kube_ref){.res = kube_resource_by_kind(kind), .name = name};
}

/* What could have been meant instead of a name that is not there. */
static void names_tell(struct cli *cli, const char *kind)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref = ref_of(kind, NULL);
	const struct kube_list_options options = {.limit = NAMES_TOLD};
	const json_t *one;
	size_t i;

	if (kube_list_page(cli->api, &ref, &options, &list, &error) < 0)
		return;
	advise(cli, json_array_size(list.items) ? "; there are:" : "; there is none");
	json_array_foreach (list.items, i, one) {
		advise(cli, " ");
		advise(cli, kube_name(one));
	}
	if (list.token)
		advise(cli, " ...");
}

int api_get(struct cli *cli, const char *kind, const char *name, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_ref ref = ref_of(kind, name);
	int res = api_open(cli);

	if (res < 0)
		return res;
	res = kube_get(cli->api, &ref, ret, &error);
	if (res == -ENOENT && error.http == 404) {
		(void)err_set(&cli->err, res, "there is no %s %s", kind, name);
		names_tell(cli, kind);
		return res;
	}
	return res < 0 ? api_fail(cli, &error) : 0;
}

int api_list(struct cli *cli, const char *kind, const char *labels, const char *fields,
	     json_t **ret)
{
	const struct kube_list_options options = {.labels = labels, .fields = fields};
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref = ref_of(kind, NULL);
	int res = api_open(cli);

	if (res < 0)
		return res;
	res = kube_list(cli->api, &ref, &options, &list, &error);
	if (res < 0)
		return api_fail(cli, &error);
	*ret = json_incref(list.items);
	return 0;
}

int api_create(struct cli *cli, const char *kind, const json_t *obj, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_ref ref = ref_of(kind, NULL);
	int res = api_open(cli);

	if (res < 0)
		return res;
	res = kube_create(cli->api, &ref, obj, ret, &error);
	return res < 0 ? api_fail(cli, &error) : 0;
}

static int merge(struct cli *cli, const struct kube_ref *ref, const json_t *patch, json_t **ret)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	int res = api_open(cli);

	if (res < 0)
		return res;
	res = kube_merge(cli->api, ref, patch, ret, &error);
	return res < 0 ? api_fail(cli, &error) : 0;
}

int api_merge(struct cli *cli, const char *kind, const char *name, const json_t *patch,
	      json_t **ret)
{
	struct kube_ref ref = ref_of(kind, name);

	return merge(cli, &ref, patch, ret);
}

int api_merge_status(struct cli *cli, const char *kind, const char *name, const json_t *patch)
{
	struct kube_ref ref = ref_of(kind, name);

	ref.sub = "status";
	return merge(cli, &ref, patch, NULL);
}

int api_delete(struct cli *cli, const char *kind, const char *name, bool *ret_gone)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	struct kube_ref ref = ref_of(kind, name);
	_cleanup_json_ json_t *answer = NULL;
	int res = api_open(cli);

	if (res < 0)
		return res;
	res = kube_delete(cli->api, &ref, NULL, &answer, &error);
	if (res < 0)
		return api_fail(cli, &error);
	if (ret_gone)
		*ret_gone = !answer || kube_finalizer_count(answer) == 0;
	return 0;
}
