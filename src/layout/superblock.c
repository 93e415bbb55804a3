/* SPDX-License-Identifier: Apache-2.0 */
/* One copy of the superblock: encode, decode and the rules of its fields. superblock_choose.c looks at all four. */
#include "layout/superblock.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"

#define F_AT(field, offset)                                                                        \
	static_assert(offsetof(struct superblock_format, field) == (offset), "superblock " #field)
static_assert(sizeof(struct superblock_format) == LAYOUT_PAGE, "superblock");
F_AT(crc, 8);
F_AT(version, 12);
F_AT(compat, 16);
F_AT(ro_compat, 24);
F_AT(incompat, 32);
F_AT(pool, 40);
F_AT(writer, 56);
F_AT(epoch, 72);
F_AT(generation, 80);
F_AT(device_bytes, 88);
F_AT(cluster_bytes, 96);
F_AT(page_bytes, 100);
F_AT(journal_offset, 104);
F_AT(journal_blocks, 112);
F_AT(copy, 116);
F_AT(tail_lsn, 120);
F_AT(tail_prev_epoch, 128);
F_AT(tail_prev_crc, 136);
F_AT(state, 140);
F_AT(epoch_lsn, 144);
F_AT(first_cluster, 152);
F_AT(end_cluster, 160);
F_AT(next_id, 168);
F_AT(reserved_clusters, 176);
F_AT(created_s, 184);
F_AT(scrub_cluster, 192);
F_AT(block_bytes, 200);
F_AT(commit_percent, 204);
F_AT(watermark, 208);
F_AT(name, 216);
F_AT(pages_lsn, 280);
F_AT(rsvd288, 288);

#define JOURNAL_BYTES_MIN (4 * MIB)
#define JOURNAL_BYTES_AIM (64 * MIB)
#define JOURNAL_BYTES_MAX GIB

int superblock_geometry(uint64_t device_bytes, struct superblock *sb, struct err *err)
{
	uint64_t journal = align_down(device_bytes / 256, LAYOUT_CLUSTER);
	uint64_t end = device_bytes / LAYOUT_CLUSTER;
	uint64_t first;

	journal = MIN(MAX(journal, JOURNAL_BYTES_MIN), JOURNAL_BYTES_AIM);
	first = (LAYOUT_HEAD + journal) / LAYOUT_CLUSTER;
	if (end < first + 2)
		return err_set(err, -EINVAL,
			       "the device has %" PRIu64 " bytes; a pool needs at least %" PRIu64,
			       device_bytes, (first + 2) * LAYOUT_CLUSTER);
	if (end > LAYOUT_CLUSTERS_MAX)
		return err_set(err, -EINVAL, "a pool has at most 2^40 clusters of 1 MiB");
	sb->device_bytes = device_bytes;
	sb->journal_offset = LAYOUT_HEAD;
	sb->journal_blocks = (uint32_t)(journal / LAYOUT_PAGE);
	sb->first_cluster = first;
	sb->end_cluster = end;
	return 0;
}

static const char *geometry_fault(const struct superblock *sb)
{
	uint64_t journal = (uint64_t)sb->journal_blocks * LAYOUT_PAGE;

	if (sb->block_bytes != 512 && sb->block_bytes != 4096)
		return "the block size is neither 512 nor 4096";
	if (sb->journal_offset != LAYOUT_HEAD || journal % LAYOUT_CLUSTER ||
	    journal < JOURNAL_BYTES_MIN || journal > JOURNAL_BYTES_MAX)
		return "the journal's place or size is not possible";
	if (sb->first_cluster != (sb->journal_offset + journal) / LAYOUT_CLUSTER)
		return "the first cluster is not behind the journal";
	if (sb->end_cluster != sb->device_bytes / LAYOUT_CLUSTER ||
	    sb->end_cluster > LAYOUT_CLUSTERS_MAX || sb->end_cluster <= sb->first_cluster)
		return "the number of clusters and the size of the device do not agree";
	if (sb->reserved_clusters > sb->end_cluster - sb->first_cluster)
		return "more clusters are reserved than there are";
	if (sb->scrub_cluster > sb->end_cluster)
		return "the scrub is behind the end";
	return NULL;
}

static const char *state_fault(const struct superblock *sb)
{
	if (uuid_is_null(&sb->pool) || uuid_is_null(&sb->writer))
		return "the pool or the writer has no UUID";
	if (sb->epoch == 0 || sb->epoch > LAYOUT_COUNT_MAX || sb->generation == 0)
		return "the epoch or generation is not possible";
	if (sb->state != SUPERBLOCK_CLEAN && sb->state != SUPERBLOCK_OPEN)
		return "the state is neither clean nor open";
	if (sb->tail_lsn == 0 || sb->tail_lsn > LAYOUT_COUNT_MAX || sb->epoch_lsn == 0 ||
	    sb->epoch_lsn > LAYOUT_COUNT_MAX || sb->pages_lsn > LAYOUT_COUNT_MAX)
		return "an LSN is not possible";
	if (sb->epoch_lsn > sb->tail_lsn && sb->epoch_lsn - sb->tail_lsn > sb->journal_blocks)
		return "the epoch begins behind the journal";
	if (sb->tail_prev_epoch > sb->epoch || (sb->tail_lsn == 1) != (sb->tail_prev_epoch == 0))
		return "the epoch before the tail is not possible";
	if (sb->next_id == 0)
		return "the next id is 0";
	if (sb->watermark[0] > sb->watermark[1] || sb->watermark[1] > sb->watermark[2] ||
	    sb->watermark[2] > 100)
		return "the watermarks do not ascend to at most 100";
	if (!layout_name_valid(sb->name, sizeof(sb->name), LAYOUT_NAME_MAX))
		return "the name is not printable ASCII without blank and slash";
	return NULL;
}

static const char *superblock_fault(const struct superblock *sb)
{
	const char *fault = geometry_fault(sb);

	return fault ? fault : state_fault(sb);
}

static void put_fields(const struct superblock *sb, struct superblock_format *f)
{
	put_le64(&f->compat, sb->compat);
	put_le64(&f->ro_compat, sb->ro_compat);
	put_le64(&f->incompat, sb->incompat);
	memcpy(f->pool, sb->pool.b, sizeof(f->pool));
	memcpy(f->writer, sb->writer.b, sizeof(f->writer));
	put_le64(&f->epoch, sb->epoch);
	put_le64(&f->generation, sb->generation);
	put_le64(&f->device_bytes, sb->device_bytes);
	put_le32(&f->cluster_bytes, LAYOUT_CLUSTER);
	put_le32(&f->page_bytes, LAYOUT_PAGE);
	put_le64(&f->journal_offset, sb->journal_offset);
	put_le32(&f->journal_blocks, sb->journal_blocks);
	put_le64(&f->tail_lsn, sb->tail_lsn);
	put_le64(&f->tail_prev_epoch, sb->tail_prev_epoch);
	put_le32(&f->tail_prev_crc, sb->tail_prev_crc);
	put_le32(&f->state, (uint32_t)sb->state);
	put_le64(&f->epoch_lsn, sb->epoch_lsn);
	put_le64(&f->first_cluster, sb->first_cluster);
	put_le64(&f->end_cluster, sb->end_cluster);
	put_le64(&f->next_id, sb->next_id);
	put_le64(&f->reserved_clusters, sb->reserved_clusters);
	put_le64(&f->created_s, sb->created_s);
	put_le64(&f->scrub_cluster, sb->scrub_cluster);
	put_le64(&f->pages_lsn, sb->pages_lsn);
	put_le32(&f->block_bytes, sb->block_bytes);
	put_le32(&f->commit_percent, sb->commit_percent);
	memcpy(f->watermark, sb->watermark, sizeof(sb->watermark));
	memcpy(f->name, sb->name, sizeof(f->name));
}

void superblock_encode(const struct superblock *sb, unsigned copy, uint8_t out[LAYOUT_PAGE])
{
	struct superblock_format f = {0};

	ASSERT(copy < SUPERBLOCK_COPIES);
	ASSERT(!superblock_fault(sb));
	memcpy(f.magic, SUPERBLOCK_MAGIC, sizeof(f.magic));
	put_le32(&f.version, LAYOUT_VERSION);
	put_le32(&f.copy, copy);
	put_fields(sb, &f);
	put_le32(&f.crc, layout_page_crc(&f, offsetof(struct superblock_format, crc)));
	memcpy(out, &f, sizeof(f));
}

static void get_fields(const struct superblock_format *f, struct superblock *sb)
{
	memset(sb, 0, sizeof(*sb));
	sb->compat = get_le64(&f->compat);
	sb->ro_compat = get_le64(&f->ro_compat);
	sb->incompat = get_le64(&f->incompat);
	memcpy(sb->pool.b, f->pool, sizeof(f->pool));
	memcpy(sb->writer.b, f->writer, sizeof(f->writer));
	sb->epoch = get_le64(&f->epoch);
	sb->generation = get_le64(&f->generation);
	sb->device_bytes = get_le64(&f->device_bytes);
	sb->journal_offset = get_le64(&f->journal_offset);
	sb->journal_blocks = get_le32(&f->journal_blocks);
	sb->tail_lsn = get_le64(&f->tail_lsn);
	sb->tail_prev_epoch = get_le64(&f->tail_prev_epoch);
	sb->tail_prev_crc = get_le32(&f->tail_prev_crc);
	sb->state = (enum superblock_state)get_le32(&f->state);
	sb->epoch_lsn = get_le64(&f->epoch_lsn);
	sb->first_cluster = get_le64(&f->first_cluster);
	sb->end_cluster = get_le64(&f->end_cluster);
	sb->next_id = get_le64(&f->next_id);
	sb->reserved_clusters = get_le64(&f->reserved_clusters);
	sb->created_s = get_le64(&f->created_s);
	sb->scrub_cluster = get_le64(&f->scrub_cluster);
	sb->pages_lsn = get_le64(&f->pages_lsn);
	sb->block_bytes = get_le32(&f->block_bytes);
	sb->commit_percent = get_le32(&f->commit_percent);
	memcpy(sb->watermark, f->watermark, sizeof(sb->watermark));
	memcpy(sb->name, f->name, sizeof(f->name));
}

/* An unknown feature may use bytes that are reserved here. */
static bool has_unknown_features(const struct superblock *sb)
{
	return (sb->compat & ~LAYOUT_COMPAT_KNOWN) || (sb->ro_compat & ~LAYOUT_RO_COMPAT_KNOWN) ||
	       (sb->incompat & ~LAYOUT_INCOMPAT_KNOWN);
}

static const char *format_fault(const struct superblock_format *f, unsigned copy,
				const struct superblock *sb)
{
	if (get_le32(&f->copy) != copy)
		return "it is another copy's: a write went to the wrong place";
	if (get_le32(&f->cluster_bytes) != LAYOUT_CLUSTER ||
	    get_le32(&f->page_bytes) != LAYOUT_PAGE)
		return "clusters are not 1 MiB or pages not 4 KiB";
	if (!has_unknown_features(sb) &&
	    (f->watermark[3] || !layout_is_zero(f->rsvd212, sizeof(f->rsvd212)) ||
	     !layout_is_zero(f->rsvd288, sizeof(f->rsvd288))))
		return "reserved bytes are not zero";
	return superblock_fault(sb);
}

enum superblock_found superblock_decode(const uint8_t in[LAYOUT_PAGE], unsigned copy,
					struct superblock *ret_sb, struct err *err)
{
	const struct superblock_format *f = (const struct superblock_format *)in;
	struct superblock sb;
	const char *fault;

	if (memcmp(f->magic, SUPERBLOCK_MAGIC, sizeof(f->magic)) != 0) {
		(void)err_set(err, -ENOENT, "superblock copy %u: there is none", copy);
		return SUPERBLOCK_NONE;
	}
	if (get_le32(&f->crc) != layout_page_crc(in, offsetof(struct superblock_format, crc))) {
		(void)err_set(err, -EUCLEAN, "superblock copy %u: wrong checksum", copy);
		return SUPERBLOCK_TORN;
	}
	if (get_le32(&f->version) != LAYOUT_VERSION) {
		(void)err_set(err, -EOPNOTSUPP,
			      "superblock copy %u: format version %u; this program knows %u", copy,
			      get_le32(&f->version), LAYOUT_VERSION);
		return SUPERBLOCK_UNSUPPORTED;
	}
	get_fields(f, &sb);
	fault = format_fault(f, copy, &sb);
	if (fault) {
		(void)err_set(err, -EUCLEAN, "superblock copy %u: %s", copy, fault);
		return SUPERBLOCK_BAD;
	}
	*ret_sb = sb;
	return SUPERBLOCK_GOOD;
}
