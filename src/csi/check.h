/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a request, by its protobuf descriptor: sizes of strings and maps, UTF-8, capability combinations, negative numbers, and that what a
 * method needs is there. Pure.
 */
#ifndef LITEPOOL_CSI_CHECK_H
#define LITEPOOL_CSI_CHECK_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/err.h"

/* The limits of the CSI specification ("Size Limits"), and ours for paths and tokens. Bytes. */
#define CSI_STRING_MAX  128
#define CSI_NODE_ID_MAX 256
#define CSI_LONG_MAX    4096
#define CSI_MAP_MAX     4096

/* required: names separated by blanks. 0, or -EINVAL with the field and what is wrong. */
int csi_check(const ProtobufCMessage *request, const char *required, struct err *err);
bool csi_utf8_ok(const char *text);

#endif
