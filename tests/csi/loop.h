/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices for the hosts of the CSI tests, by losetup and blockdev. */
#ifndef LITEPOOL_TEST_CSI_LOOP_H
#define LITEPOOL_TEST_CSI_LOOP_H

#include "csi/node.h"
#include "rt/command.h"

/* losetup with up to three words; a NULL ends them. True: it ran and ended with 0. result has its words either way. */
bool losetup(const char *a, const char *b, const char *c, struct command_result *result);
/* A new device over the file at path. Writable: a loop device stays read-only for its next user when somebody has made it so. */
enum grpc_code loop_attach(struct csi_op *op, const char *path, char device[CSI_DEVICE_MAX]);

#endif
