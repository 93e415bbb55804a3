/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define NUMBER_SIZE 32

__attribute__((format(printf, 3, 0))) static const char *
path_v(const struct host_env *env, char *buf, const char *fmt, va_list ap)
{
	int n = snprintf(buf, SYS_PATH, "%s", env->root ? env->root : "");
	int m = n < 0 || n >= SYS_PATH ? -1 : vsnprintf(buf + n, (size_t)(SYS_PATH - n), fmt, ap);

	if (m < 0 || n + m >= SYS_PATH)
		buf[0] = '\0';
	return buf;
}

#define PATH_OF(buf, env, fmt)                                                                     \
	do {                                                                                       \
		va_list ap_;                                                                       \
		va_start(ap_, fmt);                                                                \
		(void)path_v(env, buf, fmt, ap_);                                                  \
		va_end(ap_);                                                                       \
	} while (0)

const char *sys_path(const struct host_env *env, char *buf, const char *fmt, ...)
{
	PATH_OF(buf, env, fmt);
	return buf;
}

static bool read_line(const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	for (size_t len = strlen(buf); len > 0 && buf[len - 1] == ' '; len--)
		buf[len - 1] = '\0';
	return n >= 0;
}

bool sys_read(const struct host_env *env, char *buf, size_t size, const char *fmt, ...)
{
	char path[SYS_PATH];

	PATH_OF(path, env, fmt);
	return read_line(path, buf, size);
}

uint64_t sys_number(const struct host_env *env, uint64_t fallback, const char *fmt, ...)
{
	char path[SYS_PATH], text[NUMBER_SIZE];
	uint64_t number;

	PATH_OF(path, env, fmt);
	if (!read_line(path, text, sizeof(text)) || !str_to_u64(text, 0, UINT64_MAX, &number))
		return fallback;
	return number;
}

bool sys_exists(const struct host_env *env, const char *fmt, ...)
{
	char path[SYS_PATH];

	PATH_OF(path, env, fmt);
	return access(path, F_OK) == 0;
}

int sys_write(const struct host_env *env, const char *text, const char *fmt, ...)
{
	_cleanup_close_ int fd = -1;
	char path[SYS_PATH];

	PATH_OF(path, env, fmt);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

DIR *sys_dir(const struct host_env *env, const char *fmt, ...)
{
	char path[SYS_PATH];

	PATH_OF(path, env, fmt);
	return opendir(path);
}

const char *sys_next(DIR *dir)
{
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return entry->d_name;
	return NULL;
}

void sys_dir_closep(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}
