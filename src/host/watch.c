/* SPDX-License-Identifier: Apache-2.0 */
#include "host/watch.h"

#include <errno.h>

#include "rt/uevent.h"

int watch_next(const struct host_env *env, int fd, int64_t deadline, struct uevent *ret)
{
	char datagram[UEVENT_MAX];

	for (;;) {
		ssize_t n = uevent_recv(fd, env->cancel_fd, datagram, sizeof(datagram), deadline);

		if (n == -ENOBUFS)
			return 1;
		if (n < 0)
			return (int)n;
		if (uevent_parse(datagram, (size_t)n, ret))
			return 0;
	}
}
