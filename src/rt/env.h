/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam: all that a reactor needs of the world outside, as a table. rt/uring.c is the kernel; tests/sim is a
 * seeded world with one clock, in which the same code runs. Public calls (sock.h, file.h, reactor.h) check their
 * arguments and dispatch here.
 *
 * struct sock and struct file begin with the common head below; an implementation embeds it in its own.
 */
#ifndef LITEPOOL_RT_ENV_H
#define LITEPOOL_RT_ENV_H

#include "rt/file.h"
#include "rt/iobuf.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct sock {
	const struct env_ops *ops;
	struct reactor *reactor; /* NULL while detached */
	sock_event_fn fn;
	void *ctx;
};

struct file {
	const struct env_ops *ops;
	struct file_info info;
	bool read_only;
};

struct env {
	const struct env_ops *ops;
	struct reactor *reactor; /* set by reactor_new */
};

struct env_ops {
	void (*free)(struct env *env);
	uint64_t (*now_ns)(struct env *env);
	uint64_t (*wall_ns)(struct env *env);
	void (*random)(struct env *env, void *buf, size_t len);

	/* On the reactor's thread before its first pass, and after its last. */
	int (*thread_init)(struct env *env, struct err *err);
	void (*thread_fini)(struct env *env);

	/*
	 * Hands what was queued to the kernel, runs the callbacks of what is complete, and waits for at most wait_ns when
	 * nothing is (0: does not wait; < 0: no limit). Returns the number of events. wake() ends a wait, from any thread, and
	 * is async-signal-safe; a wake before the wait makes the wait return at once. After a wait, before the callbacks,
	 * poll calls reactor_woke().
	 */
	unsigned (*poll)(struct env *env, int64_t wait_ns);
	/* Optional: hands what was queued to the kernel; waits for nothing and runs no callback. */
	void (*submit)(struct env *env);
	void (*wake)(struct env *env);

	/* sock_listen and sock_connect leave attaching (and, for connect, sock_want_write) to the caller, sock.c. */
	int (*sock_listen)(struct env *env, const struct sock_addr *addr,
			   const struct sock_opts *opts, struct sock **ret, struct err *err);
	int (*sock_connect)(struct env *env, const struct sock_addr *addr,
			    const struct sock_opts *opts, struct sock **ret, struct err *err);
	int (*sock_accept)(struct sock *listener, struct sock **ret, struct sock_addr *ret_peer);
	int (*sock_error)(struct sock *s);
	int (*sock_attach)(struct sock *s, struct env *env);
	void (*sock_detach)(struct sock *s);
	ssize_t (*sock_recv)(struct sock *s, const struct iovec *iov, int n);
	ssize_t (*sock_send)(struct sock *s, const struct iovec *iov, int n);
	void (*sock_want_write)(struct sock *s);
	void (*sock_want_read)(struct sock *s);
	void (*sock_shutdown_write)(struct sock *s);
	void (*sock_close)(struct sock *s);
	int (*sock_addr)(struct sock *s, bool peer, struct sock_addr *ret);
	int (*sock_fd)(struct sock *s);
	int (*sock_export)(struct sock *s);
	int (*sock_import)(struct env *env, int fd, struct sock **ret, bool *ret_is_listener,
			   struct err *err);
	void (*sock_export_close)(struct env *env, int fd);

	int (*file_open)(struct env *env, const char *path, enum file_mode mode, bool read_only,
			 struct file **ret, struct err *err);
	int (*file_export)(const struct file *f);
	int (*file_adopt)(struct env *env, int fd, const char *path, enum file_mode mode,
			  bool read_only, struct file **ret, struct err *err);
	void (*file_close)(struct file *f);
	int (*file_rescan)(struct file *f, uint64_t *ret_size_bytes);
	void (*file_submit)(struct env *env, struct file *f, struct file_io *io);
};

/* How an implementation ends what file_submit() gave it. */
void file_done(struct file_io *io, int res);

/* For poll(): the wait that began at start_ns is over. Counts it as sleep and reads the clock. */
void reactor_woke(struct reactor *r, uint64_t start_ns);

#endif
