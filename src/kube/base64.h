/* SPDX-License-Identifier: Apache-2.0 */
/* base64 (RFC 4648) as kubeconfig files and Secrets have it. */
#ifndef LITEPOOL_KUBE_BASE64_H
#define LITEPOOL_KUBE_BASE64_H

#include <stddef.h>

/*
 * malloc'ed, with a NUL behind it. Blanks and line ends are passed over, padding may be missing. NULL: no base64, no memory, or (ret_len NULL) a NUL
 * within.
 */
char *kube_base64_decode(const char *text, size_t *ret_len);

#endif
