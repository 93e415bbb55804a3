/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and who we are: from a kubeconfig file, from the files that a pod has, or from an address alone. All texts
 * are owned. Refused with a clear error, because they are not supported: exec and auth-provider plugins, user and password, proxies, encrypted keys.
 */
#ifndef LITEPOOL_KUBE_CONFIG_H
#define LITEPOOL_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define KUBE_CONFIG_MAX                                                                            \
	((size_t)1 << 20) /* bytes of a kubeconfig, a certificate, a key or a token */

struct kube_config {
	char *server;     /* "unix:/path", "https://host[:port]", "http://host:port" */
	char *ca;         /* PEM; NULL: the host's authorities */
	char *cert, *key; /* PEM of the client certificate; NULL: none */
	char *token;      /* NULL: none */
	char *token_file; /* then the token is read there, again and again: bound tokens rotate */
	char *tls_server_name; /* NULL: that of the server */
	char *ns;              /* the context's namespace; NULL: "default" */
	bool insecure;         /* the server's certificate is not checked */
};

void kube_config_fini(struct kube_config *config);
#define _cleanup_kube_config_ __attribute__((cleanup(kube_config_fini)))

/* unix:/path, https:// or http:// address, without credentials. */
int kube_config_server(const char *server, struct kube_config *ret, struct err *err);
/* context NULL: the current one. Files that it names are relative to its own folder and are read now, except a token's. */
int kube_config_file(const char *path, const char *context, struct kube_config *ret,
		     struct err *err);
/* The same from text; folder is for relative names. Fuzzed. */
int kube_config_parse(const char *text, size_t len, const char *folder, const char *context,
		      struct kube_config *ret, struct err *err);
/* In a pod. host and port are $KUBERNETES_SERVICE_HOST and _PORT; dir holds token, ca.crt, namespace (NULL: the usual one). -ENOENT: no pod. */
int kube_config_in_cluster(const char *host, const char *port, const char *dir,
			   struct kube_config *ret, struct err *err);
/*
 * What processes do: server when it is not NULL, else the kubeconfig file at path, else $KUBECONFIG (one file), else in-cluster. None: an error that names all four.
 */
int kube_config_find(const char *server, const char *path, struct kube_config *ret,
		     struct err *err);

#endif
