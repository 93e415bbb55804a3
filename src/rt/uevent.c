/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's uevent multicast group. A process of the host could send to it as well: only the kernel (port 0) is believed. */
#include "rt/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "rt/blocking.h"

#define GROUP_KERNEL 1
/* 64 volumes that come at once with partitions and queues are some thousand events. */
#define RECEIVE_BYTES (8 << 20)

int uevent_open(struct err *err)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	int bytes = RECEIVE_BYTES;
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(err, -errno, "cannot listen to the kernel's device events: %s",
			       strerror(errno));
	/* Best effort: with the smaller buffer an overflow is noticed, and costs one look at all devices. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return TAKE_FD(fd);
}

static bool from_kernel(const struct sockaddr_storage *from, socklen_t len)
{
	const struct sockaddr_nl *nl = (const struct sockaddr_nl *)from;

	/* Not netlink: a test's socket pair, which is its owner's word. */
	return len < sizeof(*nl) || from->ss_family != AF_NETLINK || nl->nl_pid == 0;
}

ssize_t uevent_recv(int fd, int cancel_fd, void *buf, size_t size, int64_t deadline)
{
	for (;;) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int rc = blocking_wait_readable(fd, cancel_fd, deadline);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = recvfrom(fd, buf, size, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n == 0)
			return -EPIPE;
		if (n > 0 && from_kernel(&from, len))
			return n;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}
