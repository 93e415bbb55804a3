/* SPDX-License-Identifier: Apache-2.0 */
/* Small reads of sysfs and procfs below host_env's root. For src/host alone. */
#ifndef LITEPOOL_HOST_SYS_H
#define LITEPOOL_HOST_SYS_H

#include <dirent.h>
#include <stddef.h>

#include "host/host.h"

#define SYS_PATH 512

/* root and path into buf (SYS_PATH bytes); returns buf. What does not fit names nothing that exists. */
__attribute__((format(printf, 3, 4))) const char *sys_path(const struct host_env *env, char *buf,
							   const char *fmt, ...);
/* The file's first line without its end, at most size - 1 bytes; "" when it cannot be read. False then. */
__attribute__((format(printf, 4, 5))) bool sys_read(const struct host_env *env, char *buf,
						    size_t size, const char *fmt, ...);
/* A decimal number; fallback when there is none. */
__attribute__((format(printf, 3, 4))) uint64_t sys_number(const struct host_env *env,
							  uint64_t fallback, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) bool sys_exists(const struct host_env *env, const char *fmt,
						      ...);
/* 0 or a negative errno. */
__attribute__((format(printf, 3, 4))) int sys_write(const struct host_env *env, const char *text,
						    const char *fmt, ...);
/* The folder's names in no order; "." and hidden ones are left out. NULL from the opening: no folder. */
__attribute__((format(printf, 2, 3))) DIR *sys_dir(const struct host_env *env, const char *fmt,
						   ...);
const char *sys_next(DIR *dir);
/* For DIR * with _cleanup_. */
void sys_dir_closep(DIR **dir);

#endif
