/* SPDX-License-Identifier: Apache-2.0 */
#include "host/uevent.h"

#include <string.h>

static enum uevent_action action_of(const char *text)
{
	if (strcmp(text, "add") == 0)
		return UEVENT_ADD;
	if (strcmp(text, "remove") == 0)
		return UEVENT_REMOVE;
	if (strcmp(text, "change") == 0)
		return UEVENT_CHANGE;
	return UEVENT_OTHER;
}

static bool name_take(struct uevent *e, const char *devpath)
{
	const char *slash = strrchr(devpath, '/');
	const char *name = slash ? slash + 1 : "";
	size_t len = strlen(name);

	if (devpath[0] != '/' || len == 0 || len >= sizeof(e->name) || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	memcpy(e->name, name, len + 1);
	return true;
}

bool uevent_parse(const void *data, size_t len, struct uevent *ret)
{
	const char *at = data, *end = at + len;
	bool block = false, disk = false, action = false, name = false;

	*ret = (struct uevent){0};
	/* Each part ends within the datagram; the first has the '@'. */
	if (len == 0 || end[-1] != '\0' || !strchr(at, '@'))
		return false;
	for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
		if (strncmp(at, "ACTION=", 7) == 0) {
			ret->action = action_of(at + 7);
			action = true;
		} else if (strncmp(at, "DEVPATH=", 8) == 0) {
			name = name_take(ret, at + 8);
		} else if (strcmp(at, "SUBSYSTEM=block") == 0) {
			block = true;
		} else if (strcmp(at, "DEVTYPE=disk") == 0) {
			disk = true;
		} else if (strcmp(at, "RESIZE=1") == 0) {
			ret->resize = true;
		}
	}
	ret->block_disk = block && disk;
	return action && name;
}
