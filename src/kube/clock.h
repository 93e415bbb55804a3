/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks that the client's parts look at, as a table: tests and the simulator have their own. */
#ifndef LITEPOOL_KUBE_CLOCK_H
#define LITEPOOL_KUBE_CLOCK_H

#include <stdint.h>

struct kube_clock {
	uint64_t (*mono_ms)(void *ctx); /* never goes back; counts while the host is suspended */
	uint64_t (*wall_ns)(
		void *ctx); /* since the epoch; only written into objects, never compared with other hosts' */
	void *ctx;
};

/* The host's. */
const struct kube_clock *kube_clock_host(void);

static inline uint64_t kube_mono_ms(const struct kube_clock *clock)
{
	return clock->mono_ms(clock->ctx);
}

static inline uint64_t kube_wall_ns(const struct kube_clock *clock)
{
	return clock->wall_ns(clock->ctx);
}

#endif
