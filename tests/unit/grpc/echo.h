/* SPDX-License-Identifier: Apache-2.0 */
/* A small service for the tests of src/grpc: Say, Quick (inline), Hold (until release or cancellation), Stream, Fail, Silent. */
#ifndef LITEPOOL_TEST_ECHO_H
#define LITEPOOL_TEST_ECHO_H

#include <stdatomic.h>

#include "grpc/grpc.h"

struct echo {
	atomic_bool release;   /* Hold returns */
	atomic_uint held;      /* Holds that have begun */
	atomic_uint cancelled; /* of them, those that saw a cancellation */
};

extern const struct grpc_method echo_methods[];
extern const size_t echo_n_methods;

#endif
