/* SPDX-License-Identifier: Apache-2.0 */
/* A reactor in the calling thread and a device on it, for the time of one call of pool/check.h or pool/dump.h. */
#ifndef LITEPOOL_FSCK_SESSION_H
#define LITEPOOL_FSCK_SESSION_H

#include "pool/pool.h"

struct session {
	struct reactor *home;
	struct blk_dev *dev;
	struct pool_env env;
	int res;
	struct err err;
	struct msg msg;
	void (*begin)(struct session *session); /* on the reactor; leads to session_done() */
};
/* The device is ours alone from here on, or it is an error. */
int session_open(struct session *session, const char *path, bool read_only, struct err *err);
/* Runs the reactor from fn() to session_done(), whose result it returns. */
int session_run(struct session *session, void (*fn)(struct session *session), struct err *err);
void session_done(void *ctx, int res, const struct err *err); /* a pool_done_fn */
void session_close(struct session *session);

#endif
