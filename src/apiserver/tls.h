/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GnuTLS behind tls.c and tls_make.c: what the HTTP front needs of it. It is GnuTLS because libmicrohttpd is built on it.
 *
 * A client's certificate says who it is by its subject: CN is the user's name, O is "litepool:ROLE".
 */
#ifndef LITEPOOL_APISERVER_TLS_H
#define LITEPOOL_APISERVER_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "apiserver/user.h"
#include "base/err.h"

#define TLS_SHA256 32
/* TLS 1.2 and 1.3 with GnuTLS' own choice of strong ciphers. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct tls_paths {
	const char *cert, *key; /* PEM; cert is the chain, the server's own first */
	const char *client_ca;  /* PEM, or NULL: no client certificates */
};

struct tls_files {
	char *cert, *key, *client_ca; /* PEM texts, malloc'ed */
};

/* Reads and checks: that the key is private and belongs to the certificate, and that it is a time at which it counts. */
int tls_load(const struct tls_paths *paths, uint64_t now_ns, struct tls_files *ret,
	     struct err *err);
void tls_files_fini(struct tls_files *files);
/* When the server's certificate ends, ns since the epoch. */
int tls_cert_end(const struct tls_files *files, uint64_t *ret_ns);

/* Who is at the other end of a gnutls_session_t. -ENOENT: it showed no certificate. -EACCES with the reason. */
int tls_peer(void *session, struct api_user *ret, struct err *err);

int tls_sha256(const void *data, size_t len, uint8_t hash[TLS_SHA256]);
/* -EPERM unless path is a plain file of root's or ours that nobody else may read or write. what: for the message. */
int tls_check_private(const char *path, const char *what, struct err *err);

/*
 * Making certificates on one machine (tls_make.c). dir holds ca.crt and ca.key, which it makes when they are not there. Makes
 * NAME.crt and NAME.key, and never replaces a file. days: how long it counts.
 */
int tls_make_ca(const char *dir, unsigned days, struct err *err);
/* names: IP addresses and host names, comma-separated. */
int tls_make_server(const char *dir, const char *names, unsigned days, struct err *err);
int tls_make_client(const char *dir, const struct api_user *user, unsigned days, struct err *err);

#endif
