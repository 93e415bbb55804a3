/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process hands to its successor: records (base/tlv.h) and the descriptors that they name. A part is written by one thread
 * and read by one; a whole state is an array of parts, so that reactors write side by side. In a part a descriptor is named by its
 * index in the part's own bag.
 *
 *   old engine                                              new engine
 *   carry_out_init(part, its slice of a memfd, ...)         carry_in_init(part, the same bytes, its descriptors)
 *   records; carry_out_fd()                           ->    records; carry_in_fd()
 *   carry_out_end(): checksum                               carry_in_fini(): closes what nobody took
 *
 * Nothing here allocates while it is written: the stop of a hot upgrade is no time for that.
 */
#ifndef LITEPOOL_RT_CARRY_H
#define LITEPOOL_RT_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/tlv.h"

struct carry_out {
	struct tlv_writer w;
	int *fds; /* borrowed: they stay their owners' */
	unsigned n_fds, fds_max;
};

/* buf and fds are borrowed, and should be touched before (prefaulted). Writes the head of a blob; version is the writing program's. */
void carry_out_init(struct carry_out *out, void *buf, size_t size, int *fds, unsigned fds_max,
		    const char *version);
/* Names fd by an index, into a record of that type. Without room the writer's error becomes -ENOSPC. */
void carry_out_fd(struct carry_out *out, uint16_t type, uint16_t flags, int fd);
/* 0, or the writer's error; *ret_len bytes of buf are the part. */
int carry_out_end(struct carry_out *out, size_t *ret_len);

struct carry_in {
	struct tlv_reader r;
	struct tlv_blob blob;
	int *fds; /* -1: taken, or closed */
	unsigned n_fds;
	/* How descriptors are closed; NULL: close(2). The simulator's are none of the kernel's: set after carry_in_init(). */
	void (*close_fd)(void *ctx, int fd);
	void *close_ctx;
};

/* Borrows buf and takes the descriptors in fds (also on errors); the array itself is borrowed. -EBADMSG, -EOPNOTSUPP. */
int carry_in_init(struct carry_in *in, const void *buf, size_t len, int *fds, unsigned n_fds,
		  struct err *err);
/* The descriptor that rec names, now the caller's. -EBADMSG: there is none, or somebody took it before. */
int carry_in_fd(struct carry_in *in, const struct tlv *rec, int *ret_fd, struct err *err);
/* Closes what nobody took. */
void carry_in_fini(struct carry_in *in);

#endif
