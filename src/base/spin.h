/* SPDX-License-Identifier: Apache-2.0 */
/* A lock for a few hundred instructions: no I/O, no allocation, no message while it is held. Zeroed = free. */
#ifndef LITEPOOL_BASE_SPIN_H
#define LITEPOOL_BASE_SPIN_H

#include <sched.h>
#include <stdatomic.h>

#define SPIN_MAX 100u /* then the processor is given to whoever has the lock */

struct spin {
	atomic_flag locked;
};

static inline void spin_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline void spin_lock(struct spin *spin)
{
	unsigned spins = 0;

	while (atomic_flag_test_and_set_explicit(&spin->locked, memory_order_acquire)) {
		if (++spins % SPIN_MAX == 0)
			(void)sched_yield();
		else
			spin_relax();
	}
}

static inline void spin_unlock(struct spin *spin)
{
	atomic_flag_clear_explicit(&spin->locked, memory_order_release);
}

#endif
