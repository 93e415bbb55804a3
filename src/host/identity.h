/* SPDX-License-Identifier: Apache-2.0 */
/* The names of this host: /etc/nvme/hostnqn and hostid, shared with nvme-cli and made in its way when absent. */
#ifndef LITEPOOL_HOST_IDENTITY_H
#define LITEPOOL_HOST_IDENTITY_H

#include "base/uuid.h"
#include "host/host.h"

struct host_identity {
	char nqn[HOST_NQN_SIZE];
	char id[UUID_TEXT_SIZE];
};

/* 0 or a negative errno with err. Any thread, any process, also at the same time. */
int host_identity_get(const struct host_env *env, struct host_identity *ret, struct err *err);

#endif
