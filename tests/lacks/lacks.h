/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that lacks something: calls of liburing that go through here first and fail as an older kernel, or one that forbids it, lets them fail. Linked into a unit test, or
 * loaded before a program (LD_PRELOAD) with the names in LITEPOOL_LACKS ("defer,files").
 */
#ifndef LITEPOOL_TESTS_LACKS_H
#define LITEPOOL_TESTS_LACKS_H

enum lack {
	LACK_DEFER,    /* SINGLE_ISSUER, DEFER_TASKRUN */
	LACK_COOP,     /* COOP_TASKRUN, TASKRUN_FLAG */
	LACK_FILES,    /* a sparse table of registered files */
	LACK_BUFFERS,  /* registered buffers: no locked memory */
	LACK_RING_FD,  /* registered ring descriptors */
	LACK_AFFINITY, /* of the kernel's workers */
	LACK_RING,     /* io_uring */
	LACK_RIGHTS,   /* the right to use it */
	LACK_MEMORY,   /* locked memory for a ring */
	LACK_FEATURES, /* EXT_ARG */
	LACK_PROBE,    /* asking for the operations */
	LACK_OP,       /* the operation lacks_op */
	LACKS
};

extern unsigned lacks;    /* bits 1 << enum lack */
extern unsigned lacks_op; /* IORING_OP_... */

#endif
