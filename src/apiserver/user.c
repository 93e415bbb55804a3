/* SPDX-License-Identifier: Apache-2.0 */
/* The users file. */
#include "apiserver/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apiserver/tls.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "base/str.h"
#include "rt/fs.h"

#define LINE_MAX_BYTES 1024
#define TOKEN_MIN      16
#define TOKEN_MAX      512

struct users_row {
	bool token;               /* else uid */
	uint8_t hash[TLS_SHA256]; /* of the token */
	uid_t uid;
	struct api_user user;
};

struct users {
	struct users_row *rows;
	size_t n;
};

static const char *const role_names[API_ROLE_COUNT] = {
	[API_ROLE_NONE] = "none", [API_ROLE_ADMIN] = "admin", [API_ROLE_CONTROLLER] = "controller",
	[API_ROLE_CSI] = "csi",   [API_ROLE_AGENT] = "agent", [API_ROLE_READER] = "reader",
};

const char *api_role_name(enum api_role role)
{
	return role_names[role];
}

enum api_role api_role_parse(const char *name)
{
	for (int i = API_ROLE_NONE + 1; i < API_ROLE_COUNT; i++)
		if (!strcmp(role_names[i], name))
			return (enum api_role)i;
	return API_ROLE_NONE;
}

bool api_user_set(struct api_user *user, const char *name, const char *role)
{
	user->role = api_role_parse(role);
	return user->role != API_ROLE_NONE && kube_name_valid(name) &&
	       str_copy(user->name, sizeof(user->name), name);
}

static bool token_valid(const char *token)
{
	size_t len = strlen(token);

	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] >= 0x7f)
			return false;
	return len >= TOKEN_MIN && len <= TOKEN_MAX;
}

/* What is wrong with the key, or NULL. */
static const char *read_key(const char *key, struct users_row *row)
{
	uint64_t uid;

	if (!strncmp(key, "uid:", 4)) {
		/* The last number is no user's: it means none in the kernel's calls. */
		if (!str_to_u64(key + 4, 0, UINT32_MAX - 1, &uid))
			return "uid: needs a number";
		row->uid = (uid_t)uid;
		return NULL;
	}
	row->token = true;
	if (!strncmp(key, "sha256:", 7))
		return hex_parse(key + 7, row->hash, sizeof(row->hash))
			       ? NULL
			       : "sha256: needs 64 hex digits";
	if (strncmp(key, "token:", 6) != 0)
		return "the key must begin with token:, sha256: or uid:";
	if (!token_valid(key + 6))
		return "a token has 16 to 512 printable characters without blanks";
	return tls_sha256(key + 6, strlen(key + 6), row->hash) ? "the token could not be hashed"
							       : NULL;
}

static bool same_key(const struct users_row *a, const struct users_row *b)
{
	if (a->token != b->token)
		return false;
	return a->token ? !memcmp(a->hash, b->hash, sizeof(a->hash)) : a->uid == b->uid;
}

/* KEY,NAME,ROLE into row; what is wrong, or NULL. */
static const char *read_line(char *line, struct users_row *row)
{
	char *name = strchr(line, ','), *role = name ? strchr(name + 1, ',') : NULL;

	if (!role || strchr(role + 1, ','))
		return "expected KEY,NAME,ROLE";
	*name++ = *role++ = 0;
	if (!api_user_set(&row->user, name, role))
		return row->user.role == API_ROLE_NONE
			       ? "the role must be admin, controller, csi, agent or reader"
			       : "the name must be one that an object could have";
	return read_key(line, row);
}

static int add_line(struct users *users, char *line, unsigned number, struct err *err)
{
	struct users_row row = {0};
	struct users_row *grown;
	const char *why = read_line(line, &row);

	for (size_t i = 0; !why && i < users->n; i++)
		if (same_key(&users->rows[i], &row))
			why = "the same key is there twice";
	if (!why && users->n == USERS_MAX)
		why = "there are too many users";
	if (why)
		return err_set(err, -EINVAL, "line %u: %s", number, why);
	grown = reallocarray(users->rows, users->n + 1, sizeof(row));
	if (!grown)
		return err_set(err, -ENOMEM, "no memory for the users");
	users->rows = grown;
	users->rows[users->n++] = row;
	return 0;
}

int users_parse(const char *text, size_t len, struct users **ret, struct err *err)
{
	struct users *users = calloc(1, sizeof(*users));
	int rc = users ? 0 : err_set(err, -ENOMEM, "no memory for the users");
	unsigned number = 0;

	for (size_t at = 0; !rc && at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;
		char line[LINE_MAX_BYTES];

		number++;
		if (n >= sizeof(line) || memchr(text + at, 0, n)) {
			rc = err_set(err, -EINVAL, "line %u: too long, or no text", number);
			break;
		}
		memcpy(line, text + at, n);
		line[n] = 0;
		at += n + 1;
		n = strcspn(line, "\r");
		line[n] = 0;
		if (line[0] && line[0] != '#')
			rc = add_line(users, line, number, err);
		explicit_bzero(line, sizeof(line));
	}
	if (rc) {
		users_free(users);
		return rc;
	}
	*ret = users;
	return 0;
}

int users_load(const char *path, struct users **ret, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int rc = tls_check_private(path, "the users file", err);

	if (!rc)
		rc = fs_read(path, USERS_FILE_MAX, &text, &len, err);
	if (!rc) {
		rc = users_parse(text, len, ret, err);
		explicit_bzero(text, len);
		if (rc)
			(void)err_prefix(err, "the users file %s", path);
	}
	free(text);
	return rc;
}

void users_free(struct users *users)
{
	if (!users)
		return;
	free(users->rows);
	free(users);
}

size_t users_count(const struct users *users)
{
	return users ? users->n : 0;
}

/* All rows are compared in full, wherever the right one is. */
bool users_by_token(const struct users *users, const char *token, size_t len, struct api_user *ret)
{
	uint8_t hash[TLS_SHA256];
	size_t found = 0;

	if (!users || !len || len > TOKEN_MAX || tls_sha256(token, len, hash))
		return false;
	for (size_t i = 0; i < users->n; i++) {
		const struct users_row *row = &users->rows[i];
		unsigned diff = !row->token;

		for (size_t k = 0; k < sizeof(hash); k++)
			diff |= hash[k] ^ row->hash[k];
		/* i + 1 where nothing differs, without a branch. */
		found |= (i + 1) & ~(size_t)0 * (size_t)((diff - 1u) >> 31);
	}
	if (!found)
		return false;
	*ret = users->rows[found - 1].user;
	return true;
}

bool users_by_uid(const struct users *users, uid_t uid, struct api_user *ret)
{
	for (size_t i = 0; i < users_count(users); i++) {
		const struct users_row *row = &users->rows[i];

		if (row->token || row->uid != uid)
			continue;
		*ret = row->user;
		return true;
	}
	return false;
}
