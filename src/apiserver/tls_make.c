/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a CA and certificates of it, for installations that have no other CA: ECDSA on P-256, signed with SHA-256. Keys are written
 * with mode 0600 before their certificates; a file that is there is never replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apiserver/tls.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "rt/fs.h"
#include "rt/process.h"
#include "rt/sock.h"

#define DAY_S      ((time_t)86400)
#define NAMES_MAX  1024
#define PEM_MAX    ((size_t)64 * 1024)
#define BACKDATE_S 3600 /* clocks of machines differ */

struct maker {
	const char *dir;
	gnutls_x509_privkey_t key, ca_key;
	gnutls_x509_crt_t crt, ca_crt;
	struct err *err;
};

static int failed(struct maker *m, const char *what, int rc)
{
	return err_set(m->err, -EIO, "cannot %s: %s", what, gnutls_strerror(rc));
}

static int maker_init(struct maker *m, const char *dir, struct err *err)
{
	*m = (struct maker){.dir = dir, .err = err};
	if (gnutls_x509_privkey_init(&m->key) || gnutls_x509_crt_init(&m->crt) ||
	    gnutls_x509_privkey_init(&m->ca_key) || gnutls_x509_crt_init(&m->ca_crt))
		return err_set(err, -ENOMEM, "no memory for certificates");
	return fs_make_dir(dir, 0700, err);
}

static void maker_fini(struct maker *m)
{
	gnutls_x509_privkey_deinit(m->key);
	gnutls_x509_privkey_deinit(m->ca_key);
	gnutls_x509_crt_deinit(m->crt);
	gnutls_x509_crt_deinit(m->ca_crt);
}

static int path_of(struct maker *m, const char *name, const char *ending, char *path)
{
	if (snprintf(path, PATH_MAX, "%s/%s.%s", m->dir, name, ending) >= PATH_MAX)
		return err_set(m->err, -ENAMETOOLONG, "the folder's name is too long");
	return 0;
}

/* Made whole or not there; -EEXIST when it is there. */
static int write_new(struct maker *m, const char *path, const gnutls_datum_t *text, mode_t mode)
{
	if (access(path, F_OK) == 0)
		return err_set(m->err, -EEXIST,
			       "%s is there and is not replaced; move it away first", path);
	return fs_write_atomic(path, text->data, text->size, mode, m->err);
}

static int write_pair(struct maker *m, const char *name)
{
	char key_path[PATH_MAX], crt_path[PATH_MAX];
	gnutls_datum_t key = {NULL, 0}, crt = {NULL, 0};
	int rc = path_of(m, name, "key", key_path);

	if (!rc)
		rc = path_of(m, name, "crt", crt_path);
	if (rc)
		return rc;
	if (access(crt_path, F_OK) == 0)
		return err_set(m->err, -EEXIST,
			       "%s is there and is not replaced; move it away first", crt_path);
	rc = gnutls_x509_privkey_export2_pkcs8(m->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
					       &key);
	if (!rc)
		rc = gnutls_x509_crt_export2(m->crt, GNUTLS_X509_FMT_PEM, &crt);
	rc = rc ? failed(m, "write a certificate", rc) : write_new(m, key_path, &key, 0600);
	if (!rc)
		rc = write_new(m, crt_path, &crt, 0644);
	if (key.data)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	gnutls_free(crt.data);
	return rc;
}

/* The key, serial number, subject and times that all have. */
static int begin(struct maker *m, const char *cn, const char *o, unsigned days)
{
	time_t now = (time_t)(process_wall_ns() / 1000000000u);
	unsigned char serial[16];
	gnutls_x509_crt_t crt = m->crt;
	int rc = gnutls_rnd(GNUTLS_RND_RANDOM, serial, sizeof(serial));

	serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40); /* positive, and of full length */
	if (!rc)
		rc = gnutls_x509_privkey_generate(m->key, GNUTLS_PK_ECDSA,
						  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
						  0);
	if (!rc)
		rc = gnutls_x509_crt_set_version(crt, 3);
	if (!rc)
		rc = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (!rc)
		rc = gnutls_x509_crt_set_key(crt, m->key);
	if (!rc)
		rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
						   (unsigned)strlen(cn));
	if (!rc && o)
		rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, o,
						   (unsigned)strlen(o));
	if (!rc)
		rc = gnutls_x509_crt_set_activation_time(crt, now - BACKDATE_S);
	if (!rc)
		rc = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)days * DAY_S);
	return rc ? failed(m, "make a certificate", rc) : 0;
}

static int set_key_id(struct maker *m)
{
	unsigned char id[64];
	size_t len = sizeof(id);
	int rc = gnutls_x509_crt_get_key_id(m->crt, 0, id, &len);

	return rc ? rc : gnutls_x509_crt_set_subject_key_id(m->crt, id, len);
}

static int sign(struct maker *m, gnutls_x509_crt_t issuer, gnutls_x509_privkey_t key,
		const char *name)
{
	int rc = set_key_id(m);

	if (!rc)
		rc = gnutls_x509_crt_sign2(m->crt, issuer, key, GNUTLS_DIG_SHA256, 0);
	return rc ? failed(m, "sign a certificate", rc) : write_pair(m, name);
}

int tls_make_ca(const char *dir, unsigned days, struct err *err)
{
	struct maker m;
	int rc = maker_init(&m, dir, err);

	if (!rc)
		rc = begin(&m, "LitePool CA", NULL, days);
	if (!rc)
		rc = gnutls_x509_crt_set_basic_constraints(m.crt, 1, 0) ||
				     gnutls_x509_crt_set_key_usage(
					     m.crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN)
			     ? err_set(err, -EIO, "cannot make a CA certificate")
			     : sign(&m, m.crt, m.key, "ca");
	maker_fini(&m);
	return rc;
}

static int read_datum(struct maker *m, const char *name, const char *ending, gnutls_datum_t *ret)
{
	char path[PATH_MAX], *text;
	size_t len;
	int rc = path_of(m, name, ending, path);

	if (!rc)
		rc = fs_read(path, PEM_MAX, &text, &len, m->err);
	if (rc == -ENOENT)
		return err_set(m->err, rc, "there is no %s; make the CA first (init-tls)", path);
	if (!rc)
		*ret = (gnutls_datum_t){(unsigned char *)text, (unsigned)len};
	return rc;
}

static int read_ca(struct maker *m)
{
	gnutls_datum_t key = {NULL, 0}, crt = {NULL, 0};
	int rc = read_datum(m, "ca", "key", &key);

	if (!rc)
		rc = read_datum(m, "ca", "crt", &crt);
	if (!rc && (gnutls_x509_privkey_import2(m->ca_key, &key, GNUTLS_X509_FMT_PEM, NULL, 0) ||
		    gnutls_x509_crt_import(m->ca_crt, &crt, GNUTLS_X509_FMT_PEM)))
		rc = err_set(m->err, -EINVAL, "%s/ca.crt or ca.key cannot be read", m->dir);
	if (key.data)
		explicit_bzero(key.data, key.size);
	free(key.data);
	free(crt.data);
	return rc;
}

static int finish(struct maker *m, const char *purpose, const char *name)
{
	unsigned char id[64];
	size_t len = sizeof(id);
	int rc = gnutls_x509_crt_set_basic_constraints(m->crt, 0, -1);

	if (!rc)
		rc = gnutls_x509_crt_set_key_usage(m->crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (!rc)
		rc = gnutls_x509_crt_set_key_purpose_oid(m->crt, purpose, 0);
	if (!rc)
		rc = gnutls_x509_crt_get_subject_key_id(m->ca_crt, id, &len, NULL);
	if (!rc)
		rc = gnutls_x509_crt_set_authority_key_id(m->crt, id, len);
	return rc ? failed(m, "make a certificate", rc) : sign(m, m->ca_crt, m->ca_key, name);
}

/* An address in the form of certificates: 4 or 16 bytes; 0: it is none. */
static unsigned address_bytes(const char *text, unsigned char *buf)
{
	struct sock_addr addr;
	size_t len;

	if (sock_addr_ip(text, 0, &addr))
		return 0;
	len = sock_addr_bytes(&addr, buf);
	return (unsigned)len;
}

static int add_names(struct maker *m, const char *names)
{
	char copy[NAMES_MAX], *rest = copy, *name;

	if (!str_copy(copy, sizeof(copy), names))
		return err_set(m->err, -EINVAL, "the names of the server are too long");
	while ((name = strsep(&rest, ","))) {
		unsigned char bytes[16];
		unsigned len = address_bytes(name, bytes);
		int rc;

		if (!len && !kube_name_valid(name))
			return err_set(
				m->err, -EINVAL,
				"'%s' is neither an IP address nor a host name in lower case",
				name);
		rc = gnutls_x509_crt_set_subject_alt_name(
			m->crt, len ? GNUTLS_SAN_IPADDRESS : GNUTLS_SAN_DNSNAME,
			len ? (void *)bytes : (void *)name, len ? len : (unsigned)strlen(name),
			GNUTLS_FSAN_APPEND);
		if (rc)
			return failed(m, "put a name into a certificate", rc);
	}
	return 0;
}

int tls_make_server(const char *dir, const char *names, unsigned days, struct err *err)
{
	struct maker m;
	int rc = maker_init(&m, dir, err);

	if (!rc)
		rc = read_ca(&m);
	if (!rc)
		rc = begin(&m, "litepool-controller", NULL, days);
	if (!rc)
		rc = add_names(&m, names);
	if (!rc)
		rc = finish(&m, GNUTLS_KP_TLS_WWW_SERVER, "server");
	maker_fini(&m);
	return rc;
}

int tls_make_client(const char *dir, const struct api_user *user, unsigned days, struct err *err)
{
	struct maker m;
	char role[64];
	int rc = maker_init(&m, dir, err);

	(void)snprintf(role, sizeof(role), "litepool:%s", api_role_name(user->role));
	if (!rc && (!strcmp(user->name, "ca") || !strcmp(user->name, "server")))
		rc = err_set(err, -EINVAL, "'%s' is the name of other files here", user->name);
	if (!rc)
		rc = read_ca(&m);
	if (!rc)
		rc = begin(&m, user->name, role, days);
	if (!rc)
		rc = finish(&m, GNUTLS_KP_TLS_WWW_CLIENT, user->name);
	maker_fini(&m);
	return rc;
}
