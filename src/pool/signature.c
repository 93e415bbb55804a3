/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of magics. The first row that matches names what is there, so rows stand in the order of how much they tell: a file system with a boot sector before
 * the boot sector as such. Places and magics are those that the formats' own documentation and util-linux's wipefs(8) look for.
 */
#include "pool/signature.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "layout/superblock.h"

struct magic {
	const char *what;
	uint64_t offset; /* from the start; of rows of the tail: from the end backwards */
	const char *bytes;
	size_t len;
};
#define MAGIC(what, offset, bytes) {what, offset, bytes, sizeof(bytes) - 1}

static const struct magic at_start[] = {
	MAGIC("a LitePool pool", SUPERBLOCK_COPY_OFFSET(0), SUPERBLOCK_MAGIC),
	MAGIC("a LitePool pool", SUPERBLOCK_COPY_OFFSET(1), SUPERBLOCK_MAGIC),
	MAGIC("a LitePool pool", SUPERBLOCK_COPY_OFFSET(2), SUPERBLOCK_MAGIC),
	MAGIC("a LitePool pool", SUPERBLOCK_COPY_OFFSET(3), SUPERBLOCK_MAGIC),
	MAGIC("an SPDK blobstore (lvol store)", 0, "SPDKBLOB"),
	MAGIC("a GPT partition table", 512, "EFI PART"),
	MAGIC("a GPT partition table", 4096, "EFI PART"),
	MAGIC("a LUKS encrypted volume", 0, "LUKS\xba\xbe"),
	MAGIC("a LUKS encrypted volume", 0x4000, "SKUL\xba\xbe"),
	MAGIC("a BitLocker volume", 3, "-FVE-FS-"),
	MAGIC("an LVM2 physical volume", 24, "LVM2 001"),
	MAGIC("an LVM2 physical volume", 512 + 24, "LVM2 001"),
	MAGIC("an LVM2 physical volume", 2 * 512 + 24, "LVM2 001"),
	MAGIC("an LVM2 physical volume", 3 * 512 + 24, "LVM2 001"),
	MAGIC("a Linux software RAID member", 0, "\xfc\x4e\x2b\xa9"),
	MAGIC("a Linux software RAID member", 4096, "\xfc\x4e\x2b\xa9"),
	MAGIC("a VDO volume", 0, "dmvdo001"),
	MAGIC("a Stratis pool member", 512 + 4, "!Stra0tis\x86\xff\x02^A\x72h"),
	MAGIC("a Ceph BlueStore device", 0, "bluestore block device"),
	MAGIC("a bcache or bcachefs device", 4096 + 24,
	      "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
	MAGIC("a bcachefs device", 4096 + 24,
	      "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
	MAGIC("an XFS file system", 0, "XFSB"),
	MAGIC("an ext2/3/4 file system", 1024 + 56, "\x53\xef"),
	MAGIC("a btrfs file system", 65536 + 64, "_BHRfS_M"),
	MAGIC("an F2FS file system", 1024, "\x10\x20\xf5\xf2"),
	MAGIC("a GFS2 file system", 65536, "\x01\x16\x19\x70"),
	MAGIC("an OCFS2 file system", 8192, "OCFSV2"),
	MAGIC("an OCFS2 file system", 2048, "OCFSV2"),
	MAGIC("an OCFS2 file system", 4096, "OCFSV2"),
	MAGIC("a NILFS2 file system", 1024 + 6, "\x34\x34"),
	MAGIC("a ReiserFS file system", 65536 + 52, "ReIsEr"),
	MAGIC("a JFS file system", 32768, "JFS1"),
	MAGIC("an EROFS file system", 1024, "\xe2\xe1\xf5\xe0"),
	MAGIC("a SquashFS file system", 0, "hsqs"),
	MAGIC("an APFS container", 32, "NXSB"),
	MAGIC("an HFS+ file system", 1024, "H+\x00\x04"),
	MAGIC("an HFSX file system", 1024, "HX\x00\x05"),
	MAGIC("an ISO 9660 or UDF file system", 32768 + 1, "CD001"),
	MAGIC("an ISO 9660 or UDF file system", 32768 + 1, "BEA01"),
	MAGIC("a VMFS volume", 0x100000, "\x0d\xd0\x01\xc0"),
	MAGIC("a VMFS volume", 0x200000, "\x5e\xf1\xab\x2f"),
	MAGIC("swap space", 4096 - 10, "SWAPSPACE2"),
	MAGIC("swap space", 4096 - 10, "SWAP-SPACE"),
	MAGIC("swap space", 16384 - 10, "SWAPSPACE2"),
	MAGIC("swap space", 65536 - 10, "SWAPSPACE2"),
	MAGIC("an NTFS file system", 3, "NTFS    "),
	MAGIC("an exFAT file system", 3, "EXFAT   "),
	MAGIC("a FAT file system", 0x36, "FAT12   "),
	MAGIC("a FAT file system", 0x36, "FAT16   "),
	MAGIC("a FAT file system", 0x36, "FAT     "),
	MAGIC("a FAT file system", 0x52, "FAT32   "),
};

static const struct magic at_end[] = {
	MAGIC("a GPT partition table (its second copy)", 512, "EFI PART"),
	MAGIC("a GPT partition table (its second copy)", 4096, "EFI PART"),
	MAGIC("a DRBD device", 4096 - 60, "\x83\x74\x02\x6b"),
	MAGIC("a DRBD device", 4096 - 60, "\x83\x74\x02\x6d"),
};

#define ZFS_LABEL      (256 * KIB)
#define ZFS_UBERBLOCKS (128 * KIB) /* in a label, to its end */
#define ZFS_STEP       KIB
#define ZFS_MAGIC      0x00bab10cu
#define MD_MAGIC       0xa92b4efcu

/* An uberblock of either byte order. */
static bool is_zfs(const uint8_t *label)
{
	for (uint64_t at = ZFS_UBERBLOCKS; at < ZFS_LABEL; at += ZFS_STEP) {
		uint64_t v = get_le64(label + at);

		if (v == ZFS_MAGIC || v == __builtin_bswap64(ZFS_MAGIC))
			return true;
	}
	return false;
}

/* An MBR whose table has a partition; a bare boot sector may be left over from anything, and zeroed ones carry the mark too. */
static bool is_mbr(const uint8_t *head)
{
	static const size_t table = 446, entry = 16;

	if (head[510] != 0x55 || head[511] != 0xaa)
		return false;
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *e = head + table + i * entry;

		if ((e[0] == 0 || e[0] == 0x80) && e[4] && get_le32(e + 12))
			return true;
	}
	return false;
}

/* Whether 4 bytes of that value stand at offset, of which the tail must have them all. */
static bool tail_has(const uint8_t *tail, uint64_t tail_offset, uint64_t device_bytes,
		     uint64_t offset, uint32_t value)
{
	return offset >= tail_offset && offset + 4 <= device_bytes &&
	       get_le32(tail + (offset - tail_offset)) == value;
}

/* Formats 0.90 (last whole 64 KiB but one) and 1.0 (at least 8 KiB from the end). */
static bool is_md_at_end(const uint8_t *tail, uint64_t tail_offset, uint64_t device_bytes)
{
	uint64_t v0 = align_down(device_bytes, 65536) - 65536;
	uint64_t v1 = align_down(device_bytes, 4096) - 8192;
	uint32_t swapped = __builtin_bswap32(MD_MAGIC);

	return tail_has(tail, tail_offset, device_bytes, v0, MD_MAGIC) ||
	       tail_has(tail, tail_offset, device_bytes, v0, swapped) ||
	       tail_has(tail, tail_offset, device_bytes, v1, MD_MAGIC);
}

static const char *find_in_tail(const uint8_t *tail, uint64_t tail_offset, uint64_t device_bytes)
{
	uint64_t labels = align_down(device_bytes, ZFS_LABEL);

	for (size_t i = 0; i < ARRAY_LEN(at_end); i++) {
		const struct magic *m = &at_end[i];
		uint64_t at = device_bytes - m->offset;

		if (at >= tail_offset && !memcmp(tail + (at - tail_offset), m->bytes, m->len))
			return m->what;
	}
	if (is_md_at_end(tail, tail_offset, device_bytes))
		return "a Linux software RAID member";
	for (uint64_t at = labels - 2 * ZFS_LABEL; at < labels; at += ZFS_LABEL)
		if (at >= tail_offset && is_zfs(tail + (at - tail_offset)))
			return "a ZFS pool member";
	return NULL;
}

const char *signature_find(const uint8_t *head, const uint8_t *tail, uint64_t tail_offset,
			   uint64_t device_bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(at_start); i++) {
		const struct magic *m = &at_start[i];

		if (!memcmp(head + m->offset, m->bytes, m->len))
			return m->what;
	}
	if (is_zfs(head) || is_zfs(head + ZFS_LABEL))
		return "a ZFS pool member";
	if (is_mbr(head))
		return "an MBR partition table";
	return find_in_tail(tail, tail_offset, device_bytes);
}
