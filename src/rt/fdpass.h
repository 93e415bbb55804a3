/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages with descriptors between two processes of this host: a unix socket of type SEQPACKET, so that a message arrives whole or not at all, and SCM_RIGHTS
 * (unix(7)). The sockets are plain descriptors that never block, closed on exec. Any thread, one at a time per socket.
 *
 * What is passed is the open file description itself: its lock (flock), its O_EXCL claim of a block device, a socket's connection go on as long as either process has it.
 */
#ifndef LITEPOOL_RT_FDPASS_H
#define LITEPOOL_RT_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define FDPASS_FDS_MAX  253             /* of one message: SCM_MAX_FD of the kernel */
#define FDPASS_DATA_MAX ((size_t)65536) /* bytes of one message; larger things go in a memfd */

/*
 * Binds and listens at path, mode 0600. A path that nobody listens to any more is taken over; a live one's gives -EADDRINUSE. The caller closes the descriptor and
 * removes the path.
 */
int fdpass_listen(const char *path, int *ret_fd, struct err *err);
/* The socket was another process's: who connects from now on is told that it is this one's. */
int fdpass_listen_again(int fd, struct err *err);
/* The next that connected; -EAGAIN: none. -EPERM: it runs as another user than this process and not as root either, and was sent away. */
int fdpass_accept(int listener, int *ret_fd, pid_t *ret_pid);
/* -ENOENT, -ECONNREFUSED: nobody listens. */
int fdpass_connect(const char *path, int *ret_fd, pid_t *ret_pid, struct err *err);

/*
 * Sends one message of 1 to FDPASS_DATA_MAX bytes with n_fds <= FDPASS_FDS_MAX descriptors, which stay the caller's. 0; -EAGAIN: the peer has not read enough;
 * -EPIPE: it is gone; -ETOOMANYREFS: too many descriptors are under way (the limit of open files counts them), try again when the peer has read.
 */
int fdpass_send(int fd, const void *data, size_t len, const int *fds, unsigned n_fds);
/*
 * Receives one message: its length, 0 when the peer is gone, or -EAGAIN; -EMSGSIZE: the message or its descriptors did not fit (FDPASS_DATA_MAX and
 * FDPASS_FDS_MAX always do, unless this process has no descriptors left), and all was dropped. The descriptors are the caller's, closed on exec.
 */
ssize_t fdpass_recv(int fd, void *data, size_t size, int fds[FDPASS_FDS_MAX], unsigned *ret_n_fds);

/* For machines that wait for their peer without events: readable (or ended) within timeout_ms (< 0: for ever)? 1, 0, or -errno. */
int fdpass_wait(int fd, int timeout_ms);

#endif
