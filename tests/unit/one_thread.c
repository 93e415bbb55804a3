/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded into the tests of the suite one-thread, which do not run under TSan: what starts a thread there ends with what to do. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
		   void *(*fn)(void *), void *restrict arg)
{
	static const char text[] = "this test starts a thread: take it out of the suite "
				   "one-thread, so that TSan sees it\n";

	(void)write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}
