/* SPDX-License-Identifier: Apache-2.0 */
/* A new engine alone in the simulated world, that is given a state: for its fuzz target and for the golden states. */
#ifndef LITEPOOL_TESTS_SIM_CARRY_WORLD_H
#define LITEPOOL_TESTS_SIM_CARRY_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * data: the parts of a state, each a length of 32 bits and its records without the blob's head, which is made here with the right checksum. Each part has CARRY_WORLD_FDS connections in
 * its bag. The engine has what that of sim-nvme has. What is taken is served for a moment, or, if serve is not set, discarded; what is refused is discarded. Returns what
 * restoring returned, and ASSERTs that nothing is left: no buffer, connection, controller or socket.
 */
#define CARRY_WORLD_FDS   24
#define CARRY_WORLD_PARTS 6
int carry_world_run(const uint8_t *data, size_t size, int serve, struct err *err);

#endif
