/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/capability.h"

#include <string.h>

#include "base/bytes.h"

const char *csi_fs_name(const char *fs_type)
{
	static const char *const names[] = {"ext4", "xfs", "btrfs"};

	if (fs_type[0] == '\0')
		return CSI_FS_DEFAULT;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], fs_type) == 0)
			return names[i];
	return NULL;
}

bool csi_reads_only(const struct csi_capability *cap)
{
	if (cap->mode == CSI_SINGLE_NODE_READER_ONLY || cap->mode == CSI_MULTI_NODE_READER_ONLY)
		return true;
	for (size_t i = 0; !cap->block && i < cap->mount_flags.n; i++)
		if (strcmp(cap->mount_flags.items[i], "ro") == 0)
			return true;
	return false;
}

const char *csi_capability_trouble(const struct csi_capability *cap)
{
	bool many_writers = cap->mode == CSI_MULTI_NODE_MULTI_WRITER ||
			    cap->mode == CSI_MULTI_NODE_SINGLE_WRITER;

	if (cap->block)
		return NULL;
	if (!csi_fs_name(cap->fs_type))
		return "the file system is not supported; take ext4, xfs or btrfs";
	if (many_writers)
		return "a mounted volume cannot be written by several nodes: its file system would "
		       "be destroyed; use volumeMode Block with a cluster file system";
	return NULL;
}
