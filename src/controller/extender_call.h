/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP POST to an extender, by libcurl. */
#ifndef LITEPOOL_CONTROLLER_EXTENDER_CALL_H
#define LITEPOOL_CONTROLLER_EXTENDER_CALL_H

#include "place/hook.h"

/* A place_call_fn. http and https, no redirects, no proxies; the answer is at most PLACE_ANSWER_MAX bytes. Blocks for the extender's timeout. */
int extender_call(void *ctx, const struct place_extender_config *extender, const char *body,
		  size_t len, char **ret_body, size_t *ret_len, struct err *err);

#endif
