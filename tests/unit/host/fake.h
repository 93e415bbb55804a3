/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel in a temporary folder: sysfs, /dev, /proc as files, and uevents by a socket pair. One subsystem number, native multipath unless said otherwise. */
#ifndef LITEPOOL_TESTS_HOST_FAKE_H
#define LITEPOOL_TESTS_HOST_FAKE_H

#include "host/attach.h"

#define FAKE_NQN    "nqn.2026-11.io.litepool:one"
#define FAKE_NGUID  "00112233445566778899aabbccddeeff"
#define FAKE_DASHED "00112233-4455-6677-8899-aabbccddeeff"

struct fake {
	char root[64];
	struct host_env env;
	struct host_kernel kernel;
	int heard, said; /* the two ends of the event stream */
	unsigned n_connects, n_disconnects;
	int connect_result; /* negative: what a connect ends with */
	const char *log;    /* and what the kernel's log says */
	int probe_result;
	bool silent;        /* connecting makes a controller, and no namespace */
	char options[2048]; /* of the last connect */
	unsigned
		n_namespaces; /* that a connect brings: nsid 1.. , NGUIDs that end in ff, fe, ... */
};

void fake_open(struct fake *f);
void fake_close(struct fake *f);
/* A file with text and a newline, and its folders. */
__attribute__((format(printf, 3, 4))) void fake_put(struct fake *f, const char *text,
						    const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void fake_remove(struct fake *f, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) bool fake_has(struct fake *f, const char *fmt, ...);
void fake_ctrl(struct fake *f, unsigned instance, const char *nqn, const char *address,
	       const char *state);
/* nvme0n<head> with paths by the controllers that have its NQN. */
void fake_device(struct fake *f, unsigned head, const char *nqn, const char *dashed_nguid,
		 uint64_t bytes);
void fake_event(struct fake *f, const char *action, const char *name, const char *more);

#endif
