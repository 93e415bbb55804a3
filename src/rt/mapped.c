/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rt/fs.h"

int mapped_open(const char *path, size_t bytes, struct mapped *ret, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct mapped m = {.fd = -1};
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is not a file", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s: %s", path,
			       errno == EWOULDBLOCK ? "another process uses it" : strerror(errno));
	if (fstat(fd, &st) < 0 || !st.st_nlink)
		return err_set(err, -EBUSY, "%s: another process is removing it", path);
	m.size = (size_t)st.st_size > bytes ? (size_t)st.st_size : bytes;
	rc = posix_fallocate(fd, 0, (off_t)m.size);
	if (rc)
		return err_set(err, -rc, "%s: no room for %zu bytes: %s", path, m.size,
			       strerror(rc));
	m.memory = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (m.memory == MAP_FAILED)
		return err_set(err, -errno, "mapping %s: %s", path, strerror(errno));
	m.fd = TAKE_FD(fd);
	*ret = m;
	return 0;
}

int mapped_look(const char *path, struct mapped *ret, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct mapped m = {.fd = -1};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_set(err, -ENOENT, "%s is not a file with something in it", path);
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s: %s", path,
			       errno == EWOULDBLOCK ? "another process uses it" : strerror(errno));
	m.size = (size_t)st.st_size;
	m.memory = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (m.memory == MAP_FAILED)
		return err_set(err, -errno, "mapping %s: %s", path, strerror(errno));
	m.fd = TAKE_FD(fd);
	*ret = m;
	return 0;
}

void mapped_close(struct mapped *m, const char *remove)
{
	(void)munmap(m->memory, m->size);
	if (remove)
		(void)unlink(remove); /* one that stays is found and made new */
	close(m->fd);
	m->fd = -1;
}

int mapped_boot_id(struct uuid *ret, struct err *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int rc = fs_read(path, 64, &text, &len, err);

	if (rc)
		return err->code ? rc : err_set(err, rc, "%s: %s", path, strerror(-rc));
	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	return uuid_parse(text, ret) ? 0 : err_set(err, -EINVAL, "%s is no UUID", path);
}
