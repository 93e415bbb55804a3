/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to make a file system. Invariants:
 *  1. A device whose record says DONE is never formatted, whatever a probe finds or does not find: an unreadable superblock is not an empty disk.
 *  2. mkfs runs only after the record says BEGUN, and the first mount only after it says DONE; so BEGUN means that nobody has stored anything yet by way of this driver. What is
 *     found there can only be what that mkfs left; anything else is somebody's, and is not touched.
 *  3. A device that was never formatted by us and on which something is found is not touched.
 *  4. Whoever gets the raw device for writing may store anything, at once, and nothing of it need be known to a probe: the record says DONE before it is handed out.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "csi/node_priv.h"
#include "rt/command.h"

#define MKFS_LIMIT_MS 600000

/* What a mkfs of fs that was cut off may show. */
static bool may_be_left(enum node_probe probe, const char *probed, const char *fs)
{
	if (probe != NODE_PROBE_FS)
		return probe == NODE_PROBE_EMPTY;
	/* Which of the three it is tell features, which come one by one. */
	if (strcmp(fs, "ext4") == 0)
		return strncmp(probed, "ext", 3) == 0;
	return strcmp(probed, fs) == 0;
}

enum node_format_step node_format_decide(const struct csi_format *record, enum node_probe probe,
					 const char *probed, const char *wanted,
					 const char **ret_why)
{
	bool found = probe == NODE_PROBE_FS && strcmp(probed, wanted) == 0;
	bool raw = strcmp(record->fs, CSI_FS_RAW) == 0;

	switch (record->state) {
	case CSI_FORMAT_NEVER:
		if (probe == NODE_PROBE_EMPTY)
			return NODE_FORMAT_MAKE;
		*ret_why = "the volume was never formatted by LitePool, yet something is on it: "
			   "use it as a raw block device and look at it there";
		return NODE_FORMAT_STOP;
	case CSI_FORMAT_BEGUN:
		if (may_be_left(probe, probed, record->fs))
			return NODE_FORMAT_MAKE;
		*ret_why = "a file system was begun on the volume and not finished, and now "
			   "something else is on it: use it as a raw block device and look at it "
			   "there";
		return NODE_FORMAT_STOP;
	case CSI_FORMAT_DONE:
		/* Without a name: a copy of something that had no record. What is found is mounted, nothing is made. */
		if (found && (!record->fs[0] || raw || strcmp(record->fs, wanted) == 0))
			return NODE_FORMAT_NONE;
		if (raw)
			*ret_why =
				"the volume was used as a raw block device, and no file system of "
				"the kind that is asked for is found on it; use it as a raw block "
				"device, or make the file system from a pod that does";
		else if (!record->fs[0])
			*ret_why = "the volume is a copy of one whose content is not known, and no "
				   "file system of the kind that is asked for is found on it; ask "
				   "for the one it has (fsType), or use it as a raw block device";
		else if (strcmp(record->fs, wanted) != 0)
			*ret_why =
				"the volume holds another file system than the one asked for; ask "
				"for the one it has (fsType)";
		else
			*ret_why =
				"the volume's record says that it holds a file system, but none "
				"of that kind can be read from it: it may be damaged, and is left "
				"as it is; check it (fsck) from a pod that uses it as a raw block "
				"device, or restore a snapshot";
		return NODE_FORMAT_STOP;
	}
	*ret_why = "the volume's record is not understood";
	return NODE_FORMAT_STOP;
}

static enum grpc_code probe_device(struct csi_op *op, const char *device, enum node_probe *ret,
				   char fs[CSI_FS_MAX])
{
	blkid_probe probe = blkid_new_probe_from_filename(device);
	const char *type = NULL, *table = NULL;
	int rc;

	if (!probe)
		return csi_fail(op, GRPC_INTERNAL, "cannot open %s: %s", device, strerror(errno));
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	(void)blkid_probe_enable_partitions(probe, 1);
	errno = 0;
	rc = blkid_do_safeprobe(probe);
	(void)blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	(void)blkid_probe_lookup_value(probe, "PTTYPE", &table, NULL);
	*ret = rc == 1                     ? NODE_PROBE_EMPTY
	       : rc == 0 && type && !table ? NODE_PROBE_FS
					   : NODE_PROBE_OTHER;
	if (*ret == NODE_PROBE_FS && !str_copy(fs, CSI_FS_MAX, type))
		*ret = NODE_PROBE_OTHER;
	blkid_free_probe(probe);
	/* -2: several signatures, which is an answer. */
	return rc == -1 ? csi_fail(op, GRPC_INTERNAL, "cannot read %s: %s", device, strerror(errno))
			: GRPC_OK;
}

static enum grpc_code make_fs(struct csi_op *op, const char *device, const char *fs)
{
	/* A new volume reads as zeros: nothing is to be discarded. */
	const char *const ext4[] = {"mkfs.ext4", "-F", "-q", "-E", "nodiscard", device, NULL};
	const char *const xfs[] = {"mkfs.xfs", "-f", "-q", "-K", device, NULL};
	const char *const btrfs[] = {"mkfs.btrfs", "-f", "-q", "-K", device, NULL};
	const char *const *argv = strcmp(fs, "xfs") == 0     ? xfs
				  : strcmp(fs, "btrfs") == 0 ? btrfs
							     : ext4;
	struct command_result result;
	struct err err = {0};

	if (command_run(argv, MKFS_LIMIT_MS, &result, &err) < 0)
		return csi_fail(op, GRPC_INTERNAL, "cannot make the file system: %s", err.text);
	if (result.status)
		return csi_fail(op, GRPC_INTERNAL, "%s ended with status %d: %s", argv[0],
				result.status, result.output);
	return GRPC_OK;
}

static enum grpc_code set_record(struct csi_node *node, struct csi_op *op, const char *volume_id,
				 enum csi_format_state state, const char *fs,
				 struct csi_format *record)
{
	struct csi_format next = *record;
	enum grpc_code code;

	next.state = state;
	(void)str_copy(next.fs, sizeof(next.fs), fs);
	code = node->config.host->format_set(node->config.host->ctx, op, volume_id, &next);
	if (code == GRPC_OK)
		*record = next;
	return code;
}

enum grpc_code node_note_raw(struct csi_node *node, struct csi_op *op, const char *volume_id,
			     const struct csi_map *volume_context)
{
	const struct csi_host *host = node->config.host;
	struct csi_format record = {0};
	enum grpc_code code = host->format_get(host->ctx, op, volume_id, volume_context, &record);

	if (code != GRPC_OK || record.state == CSI_FORMAT_DONE)
		return code;
	return set_record(node, op, volume_id, CSI_FORMAT_DONE, CSI_FS_RAW, &record);
}

enum grpc_code node_format(struct csi_node *node, struct csi_op *op, const char *volume_id,
			   const char *device, const char *fs, bool readonly,
			   struct csi_format *record)
{
	enum node_probe probe;
	char probed[CSI_FS_MAX] = "";
	const char *why = "";
	enum grpc_code code = probe_device(op, device, &probe, probed);

	if (code != GRPC_OK)
		return code;
	switch (node_format_decide(record, probe, probed, fs, &why)) {
	case NODE_FORMAT_NONE:
		return GRPC_OK;
	case NODE_FORMAT_MAKE:
		break;
	case NODE_FORMAT_STOP:
	default:
		return csi_fail(op, GRPC_FAILED_PRECONDITION, "%s", why);
	}
	if (readonly)
		return csi_fail(op, GRPC_FAILED_PRECONDITION,
				"the volume has no file system yet, and is to be used read-only: "
				"write it first");
	code = set_record(node, op, volume_id, CSI_FORMAT_BEGUN, fs, record);
	if (code == GRPC_OK)
		code = make_fs(op, device, fs);
	if (code == GRPC_OK)
		code = set_record(node, op, volume_id, CSI_FORMAT_DONE, fs, record);
	return code;
}
