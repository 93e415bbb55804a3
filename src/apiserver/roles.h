/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: one table (roles.c; docs/api.md shows it). Checked twice: for the verb and the path before anything is read, and for what
 * a write changes inside its transaction.
 *
 * An agent is the user of one StorageNode. It reads LitePool's objects, and writes only what tells of its own node: its StorageNode, its
 * Lease, the status of pools on its node and of what is placed there, and, of a volume that is attached to it, whether it is.
 */
#ifndef LITEPOOL_APISERVER_ROLES_H
#define LITEPOOL_APISERVER_ROLES_H

#include <jansson.h>

struct call;

enum api_verb {
	API_GET,
	API_LIST,
	API_WATCH,
	API_CREATE,
	API_UPDATE,
	API_PATCH,
	API_DELETE,
	API_DELETE_ALL,
};

/* Sets call->rule. Each 0, or the errno of call->fail: KUBE_FORBIDDEN names user, verb and resource. */
int role_check(struct call *call, enum api_verb verb);
/* Within a change; old NULL at create. Deletions are not asked: who may delete may delete all of the kind. */
int role_check_change(struct call *call, const json_t *old, const json_t *obj);

#endif
