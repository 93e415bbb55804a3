/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files and block devices: what they are, their alignment, and the lock that keeps a second writer out.
 *
 * A regular file is locked with flock() (shared when read-only); a block device is claimed with O_EXCL, as the kernel does
 * for a mounted file system, because a lock on a device is what udev takes while it probes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "rt/file_holder.h"
#include "rt/uring_priv.h"

/* Buffers of ours are aligned so; a file that asks for more cannot be used with O_DIRECT. */
#define MEM_ALIGN 4096
#define BLOCK_MIN 512

struct opening {
	const char *path;
	enum file_mode mode;
	bool read_only;
	struct stat st;
	struct ufile *f;
	struct err *err;
};

static int open_failed(struct opening *o, int rc)
{
	char who[256];

	if (rc == -EINVAL && o->mode == FILE_DIRECT)
		return err_set(o->err, -ENOTSUP,
			       "the file system of %s has no direct I/O (O_DIRECT); put the file "
			       "elsewhere or ask for "
			       "buffered I/O",
			       o->path);
	if (rc == -EBUSY)
		return err_set(o->err, rc, "%s is in use%s", o->path,
			       file_holder_device(&o->st, who, sizeof(who)));
	if (rc == -EACCES || rc == -EPERM || rc == -EROFS)
		return err_set(o->err, rc,
			       "cannot open %s for %s: %s; give this user access to it or %s",
			       o->path, o->read_only ? "reading" : "writing", strerror(-rc),
			       o->read_only ? "run as root" : "open it read-only");
	return err_set(o->err, rc, "cannot open %s: %s", o->path, strerror(-rc));
}

static int lock_file(struct opening *o)
{
	int rc;
	char who[256];

	if (flock(o->f->fd, (o->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return 0;
	rc = errno == EWOULDBLOCK ? -EBUSY : -errno; /* before who changes errno */
	return err_set(o->err, rc, "%s is in use%s", o->path,
		       file_holder_flock(&o->st, who, sizeof(who)));
}

/* The kernel lets a protected device be opened for writing, and then fails each write. */
static int check_protected(struct opening *o)
{
	int is_protected = 0;

	if (o->read_only || ioctl(o->f->fd, BLKROGET, &is_protected) < 0 || !is_protected)
		return 0;
	return err_set(o->err, -EROFS,
		       "%s is write-protected; open it read-only, or take the protection off: "
		       "blockdev --setrw %s",
		       o->path, o->path);
}

static int open_fd(struct opening *o)
{
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (o->read_only ? O_RDONLY : O_RDWR);
	bool is_device = S_ISBLK(o->st.st_mode);
	struct stat st;

	if (o->mode == FILE_DIRECT)
		flags |= O_DIRECT;
	if (is_device)
		flags |= O_EXCL;
	o->f->fd = open(o->path, flags);
	if (o->f->fd < 0)
		return open_failed(o, -errno);
	if (fstat(o->f->fd, &st) < 0)
		return open_failed(o, -errno);
	if (st.st_dev != o->st.st_dev || st.st_ino != o->st.st_ino)
		return err_set(o->err, -ESTALE,
			       "%s was replaced while it was being opened; try again", o->path);
	/* Non-blocking was for the open alone (FIFOs, media changes). */
	if (fcntl(o->f->fd, F_SETFL, flags & (O_DIRECT | O_RDWR)) < 0)
		return open_failed(o, -errno);
	return is_device ? check_protected(o) : lock_file(o);
}

/* A passed descriptor is open already, and keeps what it holds. */
static int check_fd(struct opening *o)
{
	int flags = fcntl(o->f->fd, F_GETFL);

	if (flags < 0)
		return open_failed(o, -errno);
	if (!S_ISREG(o->st.st_mode) && !S_ISBLK(o->st.st_mode))
		return err_set(
			o->err, -EINVAL,
			"the descriptor that was passed for %s is neither a regular file nor "
			"a block device",
			o->path);
	if ((flags & O_ACCMODE) != (o->read_only ? O_RDONLY : O_RDWR) ||
	    !(flags & O_DIRECT) != (o->mode == FILE_BUFFERED))
		return err_set(
			o->err, -EINVAL,
			"the descriptor that was passed for %s is not open for %s with %s I/O",
			o->path, o->read_only ? "reading" : "writing",
			o->mode == FILE_DIRECT ? "direct" : "buffered");
	if (fcntl(o->f->fd, F_SETFD, FD_CLOEXEC) < 0)
		return open_failed(o, -errno);
	return S_ISBLK(o->st.st_mode) ? 0 : lock_file(o); /* it has the lock: nothing changes */
}

/* O_DIRECT's alignment of offset and length, by asking the kernel or, where it does not tell, by trying. */
static int direct_align_of(struct opening *o, uint32_t *ret_align)
{
	_cleanup_free_ void *buf = NULL;
	struct statx sx = {0};

#ifdef STATX_DIOALIGN
	if (!statx(o->f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) &&
	    (sx.stx_mask & STATX_DIOALIGN)) {
		if (!sx.stx_dio_offset_align)
			return open_failed(o, -EINVAL);
		if (sx.stx_dio_mem_align > MEM_ALIGN)
			return err_set(o->err, -ENOTSUP,
				       "%s needs buffers aligned to %u bytes, more than %d; ask "
				       "for buffered I/O",
				       o->path, sx.stx_dio_mem_align, MEM_ALIGN);
		*ret_align = sx.stx_dio_offset_align;
		return 0;
	}
#endif
	if (posix_memalign(&buf, MEM_ALIGN, MEM_ALIGN))
		return err_set(o->err, -ENOMEM, "no memory to open %s", o->path);
	for (*ret_align = BLOCK_MIN; *ret_align < MEM_ALIGN; *ret_align *= 2)
		if (o->st.st_size >= MEM_ALIGN && pread(o->f->fd, buf, *ret_align, *ret_align) > 0)
			break;
	return 0;
}

static int size_of(const struct ufile *f, uint64_t *ret)
{
	struct stat st;

	if (f->base.info.is_block_device)
		return ioctl(f->fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static uint64_t sysfs_u64(const char *path)
{
	unsigned long long v = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	(void)fclose(f);
	return v;
}

static int learn_device(struct opening *o)
{
	struct file_info *info = &o->f->base.info;
	unsigned major_nr = major(o->st.st_rdev), minor_nr = minor(o->st.st_rdev);
	unsigned phys = 0;
	char path[128];
	int lbs = 0;

	if (ioctl(o->f->fd, BLKSSZGET, &lbs) < 0 || lbs <= 0)
		return err_set(o->err, -EIO, "%s does not tell its block size: %s", o->path,
			       strerror(errno));
	if (ioctl(o->f->fd, BLKPBSZGET, &phys) < 0 || phys < (unsigned)lbs)
		phys = (unsigned)lbs;
	info->block_size = (uint32_t)lbs;
	info->phys_block_size = phys;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/discard_max_bytes", major_nr,
		       minor_nr);
	info->can_discard = sysfs_u64(path) > 0;
	if (!info->can_discard) { /* a partition's queue is its disk's */
		(void)snprintf(path, sizeof(path),
			       "/sys/dev/block/%u:%u/../queue/discard_max_bytes", major_nr,
			       minor_nr);
		info->can_discard = sysfs_u64(path) > 0;
	}
	info->can_discard = info->can_discard && !o->read_only;
	if (info->can_discard && udiscard_ref(o->err) < 0)
		return -EAGAIN;
	o->f->has_discard_thread = info->can_discard;
	return 0;
}

static int learn_regular(struct opening *o)
{
	struct file_info *info = &o->f->base.info;
	uint32_t align = BLOCK_MIN;
	int rc;

	if (o->mode == FILE_DIRECT) {
		rc = direct_align_of(o, &align);
		if (rc < 0)
			return rc;
	}
	info->block_size = MAX(align, (uint32_t)BLOCK_MIN);
	info->phys_block_size = MAX((uint32_t)o->st.st_blksize, info->block_size);
	/* A hole beyond the end changes nothing and tells whether the file system has holes. */
	info->can_discard =
		!o->read_only &&
		!fallocate(o->f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   (off_t)align_up((uint64_t)o->st.st_size + 1, MIB), MEM_ALIGN);
	if (!info->can_discard)
		atomic_store(&o->f->lacks, UFILE_LACKS_PUNCH);
	return 0;
}

static int learn(struct opening *o)
{
	struct file_info *info = &o->f->base.info;
	int rc;

	info->is_block_device = S_ISBLK(o->st.st_mode);
	info->can_zero = !o->read_only; /* at the least by writing zeroes */
	rc = info->is_block_device ? learn_device(o) : learn_regular(o);
	if (rc < 0)
		return rc;
	rc = size_of(o->f, &info->size_bytes);
	if (rc < 0)
		return err_set(o->err, rc, "cannot tell the size of %s: %s", o->path,
			       strerror(-rc));
	atomic_store(&o->f->size_bytes, info->size_bytes);
	return 0;
}

static int file_make(struct opening *o, int fd)
{
	o->f = calloc(1, sizeof(*o->f));
	if (!o->f)
		return err_set(o->err, -ENOMEM, "no memory to open %s", o->path);
	o->f->base.ops = &uring_ops;
	o->f->base.read_only = o->read_only;
	o->f->fd = fd;
	return 0;
}

/* rc is of what was done with o->f so far. */
static int file_learn(struct opening *o, int rc, struct file **ret)
{
	if (!rc)
		rc = learn(o);
	if (rc < 0) {
		ufile_close(&o->f->base);
		return rc;
	}
	*ret = &o->f->base;
	return 0;
}

int ufile_export(const struct file *base)
{
	return ((const struct ufile *)base)->fd;
}

int ufile_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
		struct file **ret, struct err *err)
{
	struct opening o = {.path = path, .mode = mode, .read_only = read_only, .err = err};
	int rc = fstat(fd, &o.st) < 0 ? open_failed(&o, -errno) : file_make(&o, fd);

	if (rc) {
		(void)close(fd);
		return rc;
	}
	return file_learn(&o, check_fd(&o), ret);
}

int ufile_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
	       struct file **ret, struct err *err)
{
	struct opening o = {.path = path, .mode = mode, .read_only = read_only, .err = err};
	int rc;

	if (stat(path, &o.st) < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(o.st.st_mode) && !S_ISBLK(o.st.st_mode))
		return err_set(err, -EINVAL, "%s is neither a regular file nor a block device",
			       path);
	rc = file_make(&o, -1);
	return rc ? rc : file_learn(&o, open_fd(&o), ret);
}

void ufile_close(struct file *base)
{
	struct ufile *f = (struct ufile *)base;
	bool clean = ufile_leave_slots(f);

	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->has_discard_thread)
		udiscard_unref();
	/* Else a message that is on its way to a reactor still names f: its memory is left to it. */
	if (clean)
		free(f);
}

int ufile_rescan(struct file *base, uint64_t *ret_size_bytes)
{
	struct ufile *f = (struct ufile *)base;
	uint64_t size;
	int rc = size_of(f, &size);

	if (rc < 0)
		return rc;
	base->info.size_bytes = size;
	atomic_store(&f->size_bytes, size);
	*ret_size_bytes = size;
	return 0;
}
