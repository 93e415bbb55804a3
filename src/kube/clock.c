/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clocks. */
#include "kube/clock.h"

#include "rt/process.h"

static uint64_t mono_ms(void *ctx)
{
	return process_boot_ms();
}

static uint64_t wall_ns(void *ctx)
{
	return process_wall_ns();
}

const struct kube_clock *kube_clock_host(void)
{
	static const struct kube_clock host = {.mono_ms = mono_ms, .wall_ns = wall_ns};

	return &host;
}
