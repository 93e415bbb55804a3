/* SPDX-License-Identifier: Apache-2.0 */
/* What the two forms of lp-echo share: one deep connection (echo.c), many shallow ones (echo_many.c). */
#ifndef LITEPOOL_BENCH_ECHO_H
#define LITEPOOL_BENCH_ECHO_H

#include "base/bytes.h"
#include "raw.h"

#define ECHO_REQUEST_LEN 72u
#define ECHO_REPLY_LEN   24u
#define ECHO_CHUNK       ((size_t)(128 * KIB))

__attribute__((noreturn)) void echo_many_server(int listener, const struct raw_opts *o);
void echo_many_client(const struct raw_opts *o, struct raw_run *run);

#endif
