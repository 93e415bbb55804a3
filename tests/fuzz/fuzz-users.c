/* SPDX-License-Identifier: Apache-2.0 */
/* The users file: whatever it is, it is read or refused with a line and a reason, and the reason never holds a key. */
#include <errno.h>
#include <string.h>

#include "apiserver/user.h"
#include "base/check.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct users *users = NULL;
	struct api_user user;
	struct err err = {0};
	int rc = users_parse((const char *)data, len, &users, &err);

	if (rc) {
		ASSERT(!users && err.text[0] && rc == err.code);
		ASSERT(!strstr(err.text, "token:0") && strlen(err.text) < 160);
		return 0;
	}
	ASSERT(users_count(users) <= USERS_MAX);
	if (users_by_uid(users, 1000, &user))
		ASSERT(user.role != API_ROLE_NONE && kube_name_valid(user.name));
	(void)users_by_token(users, "0123456789abcdef", 16, &user); /* that it can be asked */
	users_free(users);
	return 0;
}
