/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram that claims to be a uevent: what the parser takes must be a name that stays within its folder. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "host/uevent.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *copy =
		malloc(size ? size : 1); /* exact, so that the sanitizer sees a read past the end */
	struct uevent event;

	ASSERT(copy);
	memcpy(copy, data, size);
	if (!uevent_parse(copy, size, &event))
		return 0;
	ASSERT(event.name[0] && strlen(event.name) < sizeof(event.name));
	ASSERT(!strchr(event.name, '/') && strcmp(event.name, ".") != 0 &&
	       strcmp(event.name, "..") != 0);
	return 0;
}
