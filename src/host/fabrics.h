/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/nvme-fabrics: the kernel's door to new controllers, its options, and its errors in words. For src/host alone. */
#ifndef LITEPOOL_HOST_FABRICS_H
#define LITEPOOL_HOST_FABRICS_H

#include "host/attach.h"

#define FABRICS_OPTIONS_SIZE 2048

/* The option text for one path. -EINVAL with err when a value cannot be in it. */
int fabrics_options(const struct host_attach_req *req, const struct host_path *path, char *text,
		    struct err *err);
/* The new controller's number, or a negative errno; *ret_log: the kernel's own words, "" if it said none. */
int fabrics_connect(const struct host_env *env, const char *options, const char *nqn,
		    struct err *ret_log);
int fabrics_disconnect(const struct host_env *env, const char *ctrl);
/*
 * Whether an NVMe/TCP target answers at the address: connects and exchanges ICReq and ICResp. 0; -EAGAIN: something listens and says nothing until the deadline; -EPROTO: it
 * speaks something else; -ECANCELED; -EINVAL: no address; or why it cannot be reached.
 */
int fabrics_probe(const struct host_env *env, const struct host_path *path, int64_t deadline);
int fabrics_uevents(const struct host_env *env, struct err *err);
/* What went wrong with a path, why, and what to do; returns code. */
int fabrics_words(const struct host_env *env, const struct host_attach_req *req,
		  const struct host_path *path, int code, const char *log, struct err *err);

#endif
