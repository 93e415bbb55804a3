/* SPDX-License-Identifier: Apache-2.0 */
/* kubeconfig files and a pod's credentials. */
#include "kube/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/base64.h"
#include "kube/text.h"
#include "kube/yaml_json.h"
#include "rt/fs.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

void kube_config_fini(struct kube_config *config)
{
	char **const texts[] = {
		&config->server, &config->ca,         &config->cert, &config->key,
		&config->token,  &config->token_file, &config->ns,   &config->tls_server_name};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(*texts[i]);
	*config = (struct kube_config){0};
}

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "no memory for the API client's configuration");
}

int kube_config_server(const char *server, struct kube_config *ret, struct err *err)
{
	if (strncmp(server, "unix:/", 6) != 0 && strncmp(server, "https://", 8) != 0 &&
	    strncmp(server, "http://", 7) != 0)
		return err_set(err, -EINVAL,
			       "'%.200s' is no address of an API server; give unix:/path, "
			       "https://host:port, or http://127.0.0.1:port",
			       server);
	*ret = (struct kube_config){.server = strdup(server)};
	return ret->server ? 0 : no_memory(err);
}

/* ---- files ---- */

/* name, or folder/name when it is relative. malloc'ed. */
static char *path_in(const char *folder, const char *name)
{
	char *path = NULL;

	if (name[0] == '/')
		return strdup(name);
	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static int read_text(const char *path, char **ret, struct err *err)
{
	size_t len;
	int rc = fs_read(path, KUBE_CONFIG_MAX, ret, &len, err);

	if (rc == -ENOENT)
		return err_set(err, rc, "%s: there is no such file", path);
	return rc;
}

/* NAME-data (base64) or NAME (a file). *ret stays NULL when there is neither. */
static int read_pem(const json_t *from, const char *name, const char *folder, char **ret,
		    struct err *err)
{
	char data_name[64];
	const char *data, *file = kube_str(from, name);
	_cleanup_free_ char *path = NULL;

	(void)snprintf(data_name, sizeof(data_name), "%s-data", name);
	data = kube_str(from, data_name);
	if (data[0]) {
		*ret = kube_base64_decode(data, NULL);
		return *ret ? 0
			    : err_set(err, -EINVAL, "%s is not base64, or has a NUL in it",
				      data_name);
	}
	if (!file[0])
		return 0;
	path = path_in(folder, file);
	return path ? read_text(path, ret, err) : no_memory(err);
}

static int set_text(const json_t *from, const char *name, char **ret, struct err *err)
{
	const char *s = kube_str(from, name);

	if (!s[0])
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : no_memory(err);
}

/* ---- kubeconfig ---- */

/* The member `inner` of the entry of that name in the list: {name: ..., INNER: {...}}. NULL when there is none. */
static const json_t *named(const json_t *config, const char *list, const char *inner,
			   const char *name)
{
	const json_t *items = json_object_get(config, list);

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);

		if (!strcmp(kube_str(item, "name"), name))
			return json_object_get(item, inner);
	}
	return NULL;
}

static int read_cluster(const json_t *cluster, const char *folder, struct kube_config *config,
			struct err *err)
{
	int rc = 0;

	if (kube_str(cluster, "proxy-url")[0])
		return err_set(err, -EOPNOTSUPP,
			       "the cluster has a proxy-url, which this client does not use; "
			       "reach the server directly and remove it");
	rc = kube_config_server(kube_str(cluster, "server"), config, err);
	if (!rc)
		rc = read_pem(cluster, "certificate-authority", folder, &config->ca, err);
	if (!rc)
		rc = set_text(cluster, "tls-server-name", &config->tls_server_name, err);
	config->insecure = json_is_true(json_object_get(cluster, "insecure-skip-tls-verify"));
	return rc;
}

static int read_user(const json_t *user, const char *folder, struct kube_config *config,
		     struct err *err)
{
	static const char *const refused[] = {"exec", "auth-provider", "username", "password",
					      "as"};
	int rc;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (json_object_get(user, refused[i]))
			return err_set(err, -EOPNOTSUPP,
				       "the user has '%s', which this client does not support; "
				       "use a token, tokenFile, or a client certificate",
				       refused[i]);
	rc = read_pem(user, "client-certificate", folder, &config->cert, err);
	if (!rc)
		rc = read_pem(user, "client-key", folder, &config->key, err);
	if (!rc)
		rc = set_text(user, "token", &config->token, err);
	if (!rc && kube_str(user, "tokenFile")[0]) {
		config->token_file = path_in(folder, kube_str(user, "tokenFile"));
		rc = config->token_file ? 0 : no_memory(err);
	}
	if (!rc && !config->cert != !config->key)
		rc = err_set(err, -EINVAL,
			     "a client certificate needs its key, and a key its "
			     "certificate; only one is there");
	return rc;
}

static int read_context(const json_t *json, const char *folder, const char *context,
			struct kube_config *config, struct err *err)
{
	const char *name = context ? context : kube_str(json, "current-context");
	const json_t *ctx = named(json, "contexts", "context", name);
	const json_t *cluster = named(json, "clusters", "cluster", kube_str(ctx, "cluster"));
	const json_t *user = named(json, "users", "user", kube_str(ctx, "user"));
	int rc;

	if (!json_is_object(ctx))
		return err_set(err, -EINVAL, "there is no context '%.100s'%s", name,
			       name[0] ? "" : "; set current-context");
	if (!json_is_object(cluster))
		return err_set(err, -EINVAL, "context '%.100s': there is no cluster '%.100s'", name,
			       kube_str(ctx, "cluster"));
	if (!user && kube_str(ctx, "user")[0])
		return err_set(err, -EINVAL, "context '%.100s': there is no user '%.100s'", name,
			       kube_str(ctx, "user"));
	rc = read_cluster(cluster, folder, config, err);
	if (!rc)
		rc = read_user(user, folder, config, err);
	return rc ? rc : set_text(ctx, "namespace", &config->ns, err);
}

int kube_config_parse(const char *text, size_t len, const char *folder, const char *context,
		      struct kube_config *ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	struct kube_config config = {0};
	int rc = kube_yaml_parse(text, len, &json, err);

	if (!rc)
		rc = read_context(json, folder, context, &config, err);
	if (rc)
		kube_config_fini(&config);
	else
		*ret = config;
	return rc;
}

int kube_config_file(const char *path, const char *context, struct kube_config *ret,
		     struct err *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder =
		slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc;

	if (!folder)
		return no_memory(err);
	rc = fs_read(path, KUBE_CONFIG_MAX, &text, &len, err);
	if (rc == -ENOENT)
		return err_set(err, rc, "kubeconfig %s: there is no such file", path);
	if (!rc)
		rc = kube_config_parse(text, len, folder, context, ret, err);
	if (rc)
		(void)err_prefix(err, "kubeconfig %s", path);
	return rc;
}

/* ---- a pod ---- */

int kube_config_in_cluster(const char *host, const char *port, const char *dir,
			   struct kube_config *ret, struct err *err)
{
	struct kube_config config = {0};
	_cleanup_free_ char *ca = NULL, *ns = NULL;
	struct err ignored;
	int rc = 0;

	if (!host || !host[0] || !port || !port[0])
		return err_set(err, -ENOENT,
			       "this is no pod: KUBERNETES_SERVICE_HOST and _PORT are not set");
	if (!dir)
		dir = SERVICE_ACCOUNT;
	ca = path_in(dir, "ca.crt");
	ns = path_in(dir, "namespace");
	config.token_file = path_in(dir, "token");
	if (!ca || !ns || !config.token_file ||
	    asprintf(&config.server, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
		     port) < 0) {
		config.server = NULL;
		rc = no_memory(err);
	}
	if (!rc)
		rc = read_text(ca, &config.ca, err);
	/* Without the file the namespace is the default one. */
	if (!rc && !read_text(ns, &config.ns, &ignored))
		config.ns[strcspn(config.ns, " \r\n")] = 0;
	if (rc)
		kube_config_fini(&config);
	else
		*ret = config;
	return rc;
}

int kube_config_find(const char *server, const char *path, struct kube_config *ret, struct err *err)
{
	int rc;

	if (server)
		return kube_config_server(server, ret, err);
	if (!path)
		path = getenv("KUBECONFIG");
	if (path && path[0])
		return kube_config_file(path, NULL, ret, err);
	rc = kube_config_in_cluster(getenv("KUBERNETES_SERVICE_HOST"),
				    getenv("KUBERNETES_SERVICE_PORT"), NULL, ret, err);
	if (rc == -ENOENT)
		return err_set(err, rc,
			       "no API server is known: give --server unix:/path (or an address), "
			       "--kubeconfig FILE, set $KUBECONFIG, or run in a pod with a "
			       "service account");
	return rc;
}
