/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of files: checks, counts, and hands on to the world behind env. */
#include "rt/file.h"

#include "base/check.h"
#include "rt/env.h"
#include "rt/reactor_priv.h"

int file_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
	      struct file **ret, struct err *err)
{
	return env->ops->file_open(env, path, mode, read_only, ret, err);
}

int file_export(const struct file *f)
{
	return f->ops->file_export(f);
}

int file_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
	       struct file **ret, struct err *err)
{
	return env->ops->file_adopt(env, fd, path, mode, read_only, ret, err);
}

void file_close(struct file *f)
{
	if (f)
		f->ops->file_close(f);
}

const struct file_info *file_info(const struct file *f)
{
	return &f->info;
}

int file_rescan(struct file *f, uint64_t *ret_size_bytes)
{
	return f->ops->file_rescan(f, ret_size_bytes);
}

void file_submit(struct reactor *r, struct file *f, struct file_io *io)
{
	struct env *env = reactor_env(r);

	ASSERT(io->done);
	ASSERT(!reactor_current() || reactor_current() == r);
	io->file = f;
	io->reactor = r;
	io->progress = 0;
	io->link = (struct list){0};
	counter_add(&r->stats.file_ops, 1);
	r->files_under_way++;
	env->ops->file_submit(env, f, io);
}

void file_done(struct file_io *io, int res)
{
	ASSERT(io->reactor->files_under_way > 0);
	io->reactor->files_under_way--;
	io->done(io, res);
}
