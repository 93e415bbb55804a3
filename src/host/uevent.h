/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a kernel uevent (lib/kobject_uevent.c of Linux): "ACTION@DEVPATH\0KEY=VALUE\0...". Pure; the bytes are not trusted.
 */
#ifndef LITEPOOL_HOST_UEVENT_H
#define LITEPOOL_HOST_UEVENT_H

#include <stdbool.h>
#include <stddef.h>

enum uevent_action { UEVENT_OTHER, UEVENT_ADD, UEVENT_REMOVE, UEVENT_CHANGE };

struct uevent {
	enum uevent_action action;
	bool block_disk; /* SUBSYSTEM=block, DEVTYPE=disk */
	bool resize;     /* RESIZE=1: the disk has another capacity */
	/* The last part of the path in sysfs: "nvme0n1". Never empty, "." or "..", and without '/'. */
	char name[64];
};

/* False: not a uevent, cut, or with a name that is no name; ret is then undefined. */
bool uevent_parse(const void *data, size_t len, struct uevent *ret);

#endif
