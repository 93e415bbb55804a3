/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are there, and who shows one. */
#include "apiserver/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "rt/fs.h"

#define PEM_MAX     ((size_t)256 * 1024)
#define CHAIN_MAX   16
#define ROLE_PREFIX "litepool:"

int tls_sha256(const void *data, size_t len, uint8_t hash[TLS_SHA256])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, hash) ? -EIO : 0;
}

int tls_check_private(const char *path, const char *what, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "cannot read %s %s: %s", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EPERM, "%s %s is no plain file", what, path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s %s belongs to another user (uid %u); chown it",
			       what, path, (unsigned)st.st_uid);
	if (st.st_mode & 077)
		return err_set(err, -EPERM,
			       "%s %s can be used by others (mode %03o); chmod 600 it, and replace "
			       "what it holds if others may have read it",
			       what, path, (unsigned)st.st_mode & 0777);
	return 0;
}

static int read_pem(const char *path, const char *what, char **ret, struct err *err)
{
	int rc = fs_read(path, PEM_MAX, ret, NULL, err);

	return rc == -ENOENT ? err_set(err, rc, "there is no %s %s", what, path) : rc;
}

static gnutls_datum_t datum_of(char *text)
{
	return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

/* The first certificate of a PEM text. NULL: there is none. */
static gnutls_x509_crt_t first_cert(char *pem)
{
	gnutls_datum_t datum = datum_of(pem);
	gnutls_x509_crt_t crt;

	if (gnutls_x509_crt_init(&crt))
		return NULL;
	if (gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_PEM)) {
		gnutls_x509_crt_deinit(crt);
		return NULL;
	}
	return crt;
}

int tls_cert_end(const struct tls_files *files, uint64_t *ret_ns)
{
	gnutls_x509_crt_t crt = first_cert(files->cert);

	if (!crt)
		return -EINVAL;
	*ret_ns = (uint64_t)gnutls_x509_crt_get_expiration_time(crt) * NSEC_PER_SEC;
	gnutls_x509_crt_deinit(crt);
	return 0;
}

static int check_time(struct tls_files *files, const char *path, uint64_t now_ns, struct err *err)
{
	gnutls_x509_crt_t crt = first_cert(files->cert);
	uint64_t now_s = now_ns / NSEC_PER_SEC, begin_s, end_s;

	if (!crt)
		return err_set(err, -EINVAL, "%s holds no certificate in PEM form", path);
	begin_s = (uint64_t)gnutls_x509_crt_get_activation_time(crt);
	end_s = (uint64_t)gnutls_x509_crt_get_expiration_time(crt);
	gnutls_x509_crt_deinit(crt);
	if (now_s >= end_s)
		return err_set(err, -EKEYEXPIRED, "the certificate %s has expired; make a new one",
			       path);
	if (now_s < begin_s)
		return err_set(err, -EINVAL,
			       "the certificate %s is not valid yet; look at this machine's clock",
			       path);
	return 0;
}

static int check_pair(const struct tls_paths *paths, struct tls_files *files, struct err *err)
{
	gnutls_datum_t cert = datum_of(files->cert), key = datum_of(files->key);
	gnutls_certificate_credentials_t cred;
	int rc = gnutls_certificate_allocate_credentials(&cred);

	if (rc)
		return err_set(err, -ENOMEM, "no memory for certificates");
	rc = gnutls_certificate_set_x509_key_mem(cred, &cert, &key, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		rc = err_set(err, -EINVAL,
			     "the certificate %s and the key %s do not go together: %s",
			     paths->cert, paths->key, gnutls_strerror(rc));
	if (!rc && files->client_ca) {
		gnutls_datum_t ca = datum_of(files->client_ca);

		rc = gnutls_certificate_set_x509_trust_mem(cred, &ca, GNUTLS_X509_FMT_PEM);
		rc = rc > 0 ? 0
			    : err_set(err, -EINVAL, "%s holds no certificate of a CA in PEM form",
				      paths->client_ca);
	}
	gnutls_certificate_free_credentials(cred);
	return rc;
}

int tls_load(const struct tls_paths *paths, uint64_t now_ns, struct tls_files *ret, struct err *err)
{
	struct tls_files files = {NULL};
	int rc = tls_check_private(paths->key, "the key", err);

	if (!rc)
		rc = read_pem(paths->cert, "certificate", &files.cert, err);
	if (!rc)
		rc = read_pem(paths->key, "key", &files.key, err);
	if (!rc && paths->client_ca)
		rc = read_pem(paths->client_ca, "CA certificate", &files.client_ca, err);
	if (!rc)
		rc = check_time(&files, paths->cert, now_ns, err);
	if (!rc)
		rc = check_pair(paths, &files, err);
	if (rc)
		tls_files_fini(&files);
	else
		*ret = files;
	return rc;
}

void tls_files_fini(struct tls_files *files)
{
	if (files->key)
		explicit_bzero(files->key, strlen(files->key));
	free(files->cert);
	free(files->key);
	free(files->client_ca);
	*files = (struct tls_files){NULL};
}

/* The attribute's value when there is exactly one and it holds no NUL. */
static int subject(gnutls_x509_crt_t crt, const char *oid, char *buf, size_t size)
{
	size_t len = size;
	char other[8];
	size_t other_len = sizeof(other);

	if (gnutls_x509_crt_get_dn_by_oid(crt, oid, 0, 0, buf, &len) < 0 || strlen(buf) != len)
		return -EINVAL;
	return gnutls_x509_crt_get_dn_by_oid(crt, oid, 1, 0, other, &other_len) ==
			       GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
		       ? 0
		       : -EINVAL;
}

static int user_of(gnutls_x509_crt_t crt, struct api_user *ret, struct err *err)
{
	char name[KUBE_NAME_MAX + 1], role[64];

	if (subject(crt, GNUTLS_OID_X520_COMMON_NAME, name, sizeof(name)) ||
	    subject(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, role, sizeof(role)) ||
	    strncmp(role, ROLE_PREFIX, strlen(ROLE_PREFIX)) != 0 ||
	    !api_user_set(ret, name, role + strlen(ROLE_PREFIX)))
		return err_set(
			err, -EACCES,
			"the subject of the client certificate must be CN=NAME, O=" ROLE_PREFIX
			"ROLE, one of each");
	return 0;
}

int tls_peer(void *session, struct api_user *ret, struct err *err)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	const gnutls_datum_t *chain;
	unsigned n = 0, status = 0;
	gnutls_x509_crt_t crt;
	int rc;

	chain = gnutls_certificate_get_peers(session, &n);
	if (!chain || !n)
		return -ENOENT;
	if (n > CHAIN_MAX)
		return err_set(err, -EACCES, "the chain of the client certificate is too long");
	rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (rc < 0 || status)
		return err_set(err, -EACCES, "the client certificate is %s",
			       status & GNUTLS_CERT_EXPIRED         ? "expired"
			       : status & GNUTLS_CERT_NOT_ACTIVATED ? "not valid yet"
			       : status & GNUTLS_CERT_PURPOSE_MISMATCH
				       ? "not one for clients"
				       : "not of a CA that is trusted here");
	if (gnutls_x509_crt_init(&crt))
		return err_set(err, -ENOMEM, "no memory for the client certificate");
	rc = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER);
	rc = rc ? err_set(err, -EACCES, "the client certificate cannot be read")
		: user_of(crt, ret, err);
	gnutls_x509_crt_deinit(crt);
	return rc;
}
