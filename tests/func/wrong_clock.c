/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall clock of a program that is linked with -Wl,--wrap=process_wall_ns: the host's, and so many seconds more or less as the file named by LITEPOOL_TEST_CLOCK says at that moment
 * ("-25200"). The monotonic clocks are the host's.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

uint64_t right_clock(void) __asm__("__real_process_wall_ns");
uint64_t wrong_clock(void) __asm__("__wrap_process_wall_ns");

uint64_t wrong_clock(void)
{
	const char *path = getenv("LITEPOOL_TEST_CLOCK");
	FILE *file = path ? fopen(path, "re") : NULL;
	char text[32] = "";
	int64_t seconds;

	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		(void)fclose(file);
	}
	seconds = strtoll(text, NULL, 10);
	return right_clock() + (uint64_t)seconds * NSEC_PER_SEC;
}
