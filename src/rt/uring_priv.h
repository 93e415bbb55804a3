/* SPDX-License-Identifier: Apache-2.0 */
/* What the files uring*.c share; for them alone. */
#ifndef LITEPOOL_RT_URING_PRIV_H
#define LITEPOOL_RT_URING_PRIV_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rt/env.h"

#define HOT_MAX    8
#define FILE_SLOTS 256
/* The ring's queues. File I/O takes at most CQ_FILE_BUDGET of the completion queue at a time; the rest of it is for polls. */
#define SQ_ENTRIES     1024
#define CQ_ENTRIES     4096
#define CQ_FILE_BUDGET 2048

/* What user_data points to, in its low bits. */
enum {
	TAG_FILE,   /* struct file_io */
	TAG_POLL,   /* struct upoll */
	TAG_WAKE,   /* the eventfd's poll */
	TAG_IGNORE, /* answers to cancels */
	TAG_MASK = 7
};

struct usock;
struct ufile;

/*
 * One poll request in the ring. The kernel answers to it until the completion that lacks F_MORE, which may come long
 * after the socket left: so the socket and its polls have lives of their own, and sock is NULL once it left.
 */
struct upoll {
	struct usock *sock;
	struct list cancel_link; /* in uenv.cancels: a cancel is still to be queued */
	struct upoll *next_free;
	bool for_write;
};

struct uenv {
	struct env base;
	struct io_uring ring;
	bool up; /* between thread_init and thread_fini */
	bool wake_armed;
	pid_t tid; /* the thread that made the ring */
	int wake_fd;

	struct list attached; /* usock.attached_link: all that belong to this reactor */
	struct list arm;      /* usock.arm_link: a poll is to be queued */
	struct list ready;    /* usock.ready_link: an event is to be delivered */
	struct list cancels;  /* upoll.cancel_link */
	struct usock *hot[HOT_MAX];
	unsigned n_hot;
	unsigned hot_hits; /* receives on hot sockets that found something, this poll */
	uint64_t seq;      /* counts polls */
	struct upoll *free_polls;
	unsigned polls_live; /* in the kernel's hands */

	char *arena;
	size_t arena_size;
	bool arena_fixed; /* registered as fixed buffers of 1 GiB each */
	bool files_fixed; /* a sparse table of FILE_SLOTS exists */
	struct ufile *slots[FILE_SLOTS];
	struct list parked;  /* file_io.link: waits for room in the ring */
	struct list settled; /* file_io.link: done without the ring; progress holds the result */
	unsigned files_live; /* in the kernel's hands */
	counter files_done;  /* ever, for the count of events */

	/* Results of the thread for blocking device calls. */
	pthread_mutex_t ioctl_lock;
	struct list ioctl_done; /* file_io.link, under ioctl_lock */
	_Atomic bool ioctl_ready;
	unsigned ioctls_live;
};

static inline struct uenv *uenv_of(struct env *env)
{
	return (struct uenv *)env;
}

static inline uint64_t user_data(void *p, unsigned tag)
{
	return (uint64_t)(uintptr_t)p | tag;
}

/* A free submission entry; when there is none what is queued is submitted first. NULL: the kernel takes no more now. */
struct io_uring_sqe *uring_sqe(struct uenv *u);

/* uring_sock.c */
extern const struct env_ops uring_ops;
int usock_listen(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		 struct sock **ret, struct err *err);
int usock_connect(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		  struct sock **ret, struct err *err);
int usock_accept(struct sock *base, struct sock **ret, struct sock_addr *ret_peer);
int usock_error(struct sock *base);
int usock_attach(struct sock *base, struct env *env);
void usock_detach(struct sock *base);
ssize_t usock_recv(struct sock *base, const struct iovec *iov, int n);
ssize_t usock_send(struct sock *base, const struct iovec *iov, int n);
void usock_want_write(struct sock *base);
void usock_want_read(struct sock *base);
void usock_shutdown_write(struct sock *base);
void usock_close(struct sock *base);
int usock_addr(struct sock *base, bool peer, struct sock_addr *ret);
int usock_fd(struct sock *base);
int usock_import(struct env *env, int fd, struct sock **ret, bool *ret_is_listener,
		 struct err *err);
void usock_export_close(struct env *env, int fd);

/* uring_poll.c: which sockets are watched, and how. */
/* Queues the polls and cancels that are due. False: some are left, the reactor must not sleep. */
bool upoll_queue(struct uenv *u);
void upoll_cqe(struct uenv *u, struct upoll *p, int res, unsigned flags);
/* Gives up the socket's polls: whatever the ring says of them from now on is ignored. */
void upoll_orphan_all(struct usock *s);
void upoll_free_all(struct uenv *u);
/* The socket has (has no) event to deliver. */
void usock_mark_ready(struct usock *s, unsigned events);
void usock_clear_read(struct usock *s);
/* A receive found data: the socket is a candidate for being polled by direct receives. */
void usock_had_data(struct usock *s);
void usock_leave_hot(struct usock *s);
/* Every hot socket gets an armed poll again. Before each sleep. */
void uhot_rearm(struct uenv *u);
unsigned usock_deliver_ready(struct uenv *u);
unsigned usock_deliver_hot(struct uenv *u);

/* uring_file.c: I/O on open files. */
void ufile_submit(struct env *env, struct file *base, struct file_io *io);
void ufile_cqe(struct uenv *u, struct file_io *io, int res);
/* Queues what waits for room. False: the ring takes no more now, the reactor must not sleep. */
bool ufile_queue_parked(struct uenv *u);
/* Runs done() of what ended outside of the ring; returns how many. */
unsigned ufile_deliver(struct uenv *u);

/* uring_slots.c: the table of registered files. */
/* f's place in u's table, given on its first use there; -1: none is left. */
int ufile_slot(struct uenv *u, struct ufile *f);
/* Takes f out of the tables of all reactors; waits for them. False: one did not answer, it may still look at f. */
bool ufile_leave_slots(struct ufile *f);
/* Before the ring goes. */
void ufile_drop_slots(struct uenv *u);

/* uring_open.c */
int ufile_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
	       struct file **ret, struct err *err);
int ufile_export(const struct file *base);
int ufile_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
		struct file **ret, struct err *err);
void ufile_close(struct file *base);
int ufile_rescan(struct file *base, uint64_t *ret_size_bytes);

/* uring_discard.c: a thread for BLKDISCARD, which the ring does not have. It exists while a block device is open. */
int udiscard_ref(struct err *err);
void udiscard_unref(void);
/* io comes back on u->ioctl_done with its result in progress. */
void udiscard_submit(struct uenv *u, struct file_io *io);

/* What a file turned out not to be able to do; only ever grows. */
enum { UFILE_LACKS_PUNCH = 1, UFILE_LACKS_ZERO_RANGE = 2 };

struct ufile_release {
	struct msg msg;
	struct ufile *file;
	struct uenv *u;
};

struct ufile {
	struct file base;
	int fd;
	bool has_discard_thread;
	/* for checks on the data path while the control thread rescans */
	_Atomic uint64_t size_bytes;
	_Atomic unsigned lacks;
	/* slot[i] is reactor i's own: 0 = none yet, > 0 = place + 1, < 0 = its table is full. The rest under slots_lock. */
	int slot[REACTORS_MAX];
	struct uenv *holder[REACTORS_MAX];
	struct ufile_release release[REACTORS_MAX];
	unsigned releases_posted, releases_run;
};

struct usock {
	struct sock base;
	struct uenv *u; /* while attached */
	int fd;
	bool is_listener, is_unix;
	bool hup; /* the kernel said that the stream ends or failed: receive until it shows */
	bool hot; /* in u->hot */
	bool want_read_poll, want_write_poll;
	uint8_t hits;    /* receives with data while hot, since the last sleep */
	unsigned events; /* to deliver; in u->ready while not 0 */
	uint64_t seq;    /* u->seq of the last delivery */
	uint64_t last_data_ns;
	struct upoll *rpoll, *wpoll;
	struct list attached_link, arm_link, ready_link;
	char *unix_path; /* listener: to be removed on close while it is still ours */
	uint64_t unix_dev, unix_ino;
};

#endif
