/* SPDX-License-Identifier: Apache-2.0 */
/* A device that grows. The engine tells the kernel by an asynchronous event; an event that was lost with a connection is made good by one rescan. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/attach.h"
#include "host/fabrics.h"
#include "host/sys.h"
#include "host/watch.h"
#include "rt/blocking.h"

static void rescan(const struct host_env *env, const struct host_device *device)
{
	for (unsigned i = 0; i < device->ctrls.n; i++)
		if (strcmp(device->ctrls.at[i].state, "live") == 0)
			/* One that cannot hears the event when it is back. */
			(void)sys_write(env, "1", "/sys/class/nvme/%s/rescan_controller",
					device->ctrls.at[i].name);
}

static int wait_for(const struct host_env *env, int events, const char *name, uint64_t size_bytes,
		    int64_t deadline, struct host_device *d, struct err *err)
{
	for (;;) {
		struct uevent e;
		int res;

		if (!host_device_read(env, name, true, d))
			return err_set(err, -ENOENT, "there is no NVMe device %s%s", name,
				       d->path[0] ? " any more: it was detached meanwhile"
						  : "; see: litepool host list");
		if (d->size_bytes >= size_bytes)
			return 0;
		do {
			res = watch_next(env, events, deadline, &e);
		} while (res == 0 && strcmp(e.name, name) != 0);
		if (res < 0)
			return err_set(
				err, res,
				"%s still has %" PRIu64 " bytes and not %" PRIu64
				" (%s): was the volume expanded, and is a path live (litepool "
				"host list)?",
				d->path, d->size_bytes, size_bytes, strerror(-res));
	}
}

int host_wait_size(const struct host_env *env, const char *device, uint64_t size_bytes,
		   int timeout_ms, uint64_t *ret_size_bytes, struct err *err)
{
	const char *name = strncmp(device, "/dev/", 5) == 0 ? device + 5 : device;
	int64_t deadline = blocking_deadline(timeout_ms);
	_cleanup_close_ int events = fabrics_uevents(env, err);
	struct host_device d = {0};
	int res;

	if (events < 0)
		return events;
	if (host_device_read(env, name, true, &d) && d.size_bytes < size_bytes)
		rescan(env, &d);
	res = wait_for(env, events, name, size_bytes, deadline, &d, err);
	if (res == 0)
		*ret_size_bytes = d.size_bytes;
	return res;
}
