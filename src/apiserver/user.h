/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may speak to the API: a name and a role. Names are those of objects; an agent's is the name of its StorageNode.
 *
 * The users file has a line "KEY,NAME,ROLE" for each; blank lines and lines that begin with '#' count for nothing. KEY is one of
 *
 *	token:TEXT      a bearer token, 16 to 512 printable bytes without blanks and commas
 *	sha256:HEX      the SHA-256 of one, so that the file holds no secret
 *	uid:NUMBER      the peer of the unix socket
 *
 * Of tokens only hashes are kept, and compared whatever the outcome, so that time tells nothing; they are never logged.
 */
#ifndef LITEPOOL_APISERVER_USER_H
#define LITEPOOL_APISERVER_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "kube/text.h"

enum api_role {
	API_ROLE_NONE,
	API_ROLE_ADMIN,
	API_ROLE_CONTROLLER,
	API_ROLE_CSI,
	API_ROLE_AGENT,
	API_ROLE_READER,
	API_ROLE_COUNT,
};

struct api_user {
	char name[KUBE_NAME_MAX + 1];
	enum api_role role;
};

const char *api_role_name(enum api_role role);
/* API_ROLE_NONE when there is none of that name. */
enum api_role api_role_parse(const char *name);
/* False: the name is no object's name or there is no such role. */
bool api_user_set(struct api_user *user, const char *name, const char *role);

struct users;

#define USERS_MAX      4096
#define USERS_FILE_MAX ((size_t)1024 * 1024)

/* Pure. -EINVAL names the line, never the key. */
int users_parse(const char *text, size_t len, struct users **ret, struct err *err);
/* The same of a file, which must be a plain one of root's or ours that nobody else may read or write. */
int users_load(const char *path, struct users **ret, struct err *err);
void users_free(struct users *users);

/* NULL users hold nobody. */
bool users_by_token(const struct users *users, const char *token, size_t len, struct api_user *ret);
bool users_by_uid(const struct users *users, uid_t uid, struct api_user *ret);
size_t users_count(const struct users *users);

#endif
