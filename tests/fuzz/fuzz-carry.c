/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state of another engine, of any bytes (the first one: whether it is served or discarded), in an engine that waits for one: it is refused with a reason, or taken; whatever it
 * is, nothing is left of it at the end. See tests/sim/carry_world.h.
 */
#include "base/check.h"
#include "base/log.h"
#include "sim/carry_world.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};

	log_set_level(LOG_LEVEL_ERROR);
	if (size < 1)
		return 0;
	if (carry_world_run(data + 1, size - 1, data[0] & 1, &err))
		ASSERT(err.code < 0);
	return 0;
}
