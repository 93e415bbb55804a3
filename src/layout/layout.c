/* SPDX-License-Identifier: Apache-2.0 */
/* What several structures share: map entries, layer entries, sums, names. */
#include "layout/layout.h"

#include <errno.h>
#include <inttypes.h>

#include "base/check.h"
#include "base/crc32c.h"

struct layer_format {
	le64 id, parent, object, size_bytes;
	le32 flags;
	uint8_t rsvd36[4];
	le64 created_s, cursor, peer;
} __attribute__((packed));
static_assert(sizeof(struct layer_format) == LAYER_SIZE, "layer entry");
static_assert(offsetof(struct layer_format, flags) == 32, "layer flags");
static_assert(offsetof(struct layer_format, created_s) == 40, "layer created_s");
static_assert(offsetof(struct layer_format, peer) == 56, "layer peer");

bool map_entry_valid(uint64_t entry, const struct layout_rules *rules)
{
	uint64_t phys = map_phys(entry);

	if (entry & ~(MAP_PHYS_MASK | MAP_PARTIAL | MAP_HIDE))
		return false;
	if (phys == 0)
		return !(entry & MAP_PARTIAL);
	if ((entry & MAP_HIDE) && !(entry & MAP_PARTIAL))
		return false;
	return phys >= rules->first_cluster && phys < rules->end_cluster;
}

static const char *layer_fault(const struct layer *l)
{
	uint32_t work = l->flags & LAYER_WORK;

	if (l->id == 0)
		return "its id is 0";
	if (l->parent == l->id || l->peer == l->id || l->object == l->id)
		return "it refers to itself";
	if (l->size_bytes > LAYER_BYTES_MAX || l->size_bytes % 512)
		return "its size is not possible";
	if (l->flags & ~LAYER_FLAGS)
		return "it has unknown flags";
	if (work && !is_pow2(work))
		return "it has two kinds of background work";
	if (!work && l->cursor)
		return "it has a cursor without work";
	if (!(work & LAYER_MERGING) != !l->peer)
		return "merging and peer do not agree";
	return NULL;
}

void layer_encode(const struct layer *layer, uint8_t out[LAYER_SIZE])
{
	struct layer_format f = {0};

	ASSERT(!layer_fault(layer));
	put_le64(&f.id, layer->id);
	put_le64(&f.parent, layer->parent);
	put_le64(&f.object, layer->object);
	put_le64(&f.size_bytes, layer->size_bytes);
	put_le32(&f.flags, layer->flags);
	put_le64(&f.created_s, layer->created_s);
	put_le64(&f.cursor, layer->cursor);
	put_le64(&f.peer, layer->peer);
	memcpy(out, &f, sizeof(f));
}

int layer_decode(const uint8_t in[LAYER_SIZE], struct layer *ret_layer, struct err *err)
{
	struct layer_format f;
	struct layer l;
	const char *fault;

	memcpy(&f, in, sizeof(f));
	l = (struct layer){
		.id = get_le64(&f.id),
		.parent = get_le64(&f.parent),
		.object = get_le64(&f.object),
		.size_bytes = get_le64(&f.size_bytes),
		.created_s = get_le64(&f.created_s),
		.cursor = get_le64(&f.cursor),
		.peer = get_le64(&f.peer),
		.flags = get_le32(&f.flags),
	};
	fault = layer_fault(&l);
	if (!fault && !layout_is_zero(f.rsvd36, sizeof(f.rsvd36)))
		fault = "its reserved bytes are not zero";
	if (fault)
		return err_set(err, -EINVAL, "layer %" PRIu64 " is refused: %s", l.id, fault);
	*ret_layer = l;
	return 0;
}

uint32_t layout_block_sum(uint64_t place, const void *block)
{
	uint8_t at[8];

	put_le64(at, place);
	return crc32c_extend(crc32c(at, sizeof(at)), block, LAYOUT_PAGE);
}

uint32_t layout_page_crc(const void *page, size_t crc_off)
{
	static const uint8_t zero[4];
	const uint8_t *p = page;
	uint32_t crc = crc32c(p, crc_off);

	crc = crc32c_extend(crc, zero, sizeof(zero));
	return crc32c_extend(crc, p + crc_off + 4, LAYOUT_PAGE - crc_off - 4);
}

bool layout_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

bool layout_name_valid(const char *name, size_t size, size_t max)
{
	size_t len = strnlen(name, size);

	if (len == 0 || len > max || len == size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	}
	return layout_is_zero(name + len, size - len);
}
