/* SPDX-License-Identifier: Apache-2.0 */
#include "blk/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define OP_HEAD 32u

static void save_op(const struct blk_stats *sum, unsigned op, struct tlv_writer *w)
{
	uint8_t value[OP_HEAD + HIST_PACKED_MAX];

	if (!counter_get(&sum->ops[op]))
		return;
	put_le64(value, op);
	put_le64(value + 8, counter_get(&sum->ops[op]));
	put_le64(value + 16, counter_get(&sum->bytes[op]));
	put_le64(value + 24, counter_get(&sum->errors[op]));
	tlv_put(w, BLK_CARRY_OP, 0, value, OP_HEAD + hist_pack(&sum->latency[op], value + OP_HEAD));
}

void blk_stats_save(const struct blk_dev *dev, struct tlv_writer *w)
{
	struct blk_stats *sum = malloc(sizeof(*sum));
	uint64_t ops = 0;

	if (!sum) {
		w->error = w->error ? w->error : -ENOMEM;
		return;
	}
	blk_stats_sum(dev, sum);
	for (unsigned op = 0; op < BLK_OPS; op++)
		ops += counter_get(&sum->ops[op]);
	if (ops) {
		tlv_begin(w, BLK_CARRY_DEV, 0);
		tlv_put(w, BLK_CARRY_UUID, 0, dev->uuid.b, sizeof(dev->uuid.b));
		for (unsigned op = 0; op < BLK_OPS; op++)
			save_op(sum, op, w);
		tlv_end(w);
	}
	free(sum);
}

static int read_op(const struct tlv *rec, struct blk_stats *ret, struct err *err)
{
	uint64_t op = rec->len < OP_HEAD ? UINT64_MAX : get_le64(rec->value);

	if (rec->len < OP_HEAD)
		return err_set(err, -EBADMSG, "counters of %u bytes", rec->len);
	if (op >= BLK_OPS) /* a kind of request that this version does not have */
		return 0;
	counter_add(&ret->ops[op], get_le64(rec->value + 8));
	counter_add(&ret->bytes[op], get_le64(rec->value + 16));
	counter_add(&ret->errors[op], get_le64(rec->value + 24));
	if (!hist_unpack(&ret->latency[op], rec->value + OP_HEAD, rec->len - OP_HEAD))
		return err_set(err, -EBADMSG, "a histogram of %u bytes is none",
			       rec->len - OP_HEAD);
	return 0;
}

int blk_stats_read(const struct tlv *rec, struct uuid *ret_uuid, struct blk_stats *ret,
		   struct err *err)
{
	struct tlv_reader r;
	struct tlv one;
	bool named = false;
	int rc;

	memset(ret, 0, sizeof(*ret));
	tlv_enter(rec, &r);
	while ((rc = tlv_next(&r, &one)) > 0) {
		if (one.type == BLK_CARRY_UUID)
			rc = tlv_get_bytes(&one, ret_uuid->b, sizeof(ret_uuid->b), err);
		else if (one.type == BLK_CARRY_OP)
			rc = read_op(&one, ret, err);
		else
			rc = tlv_unknown(&one, err);
		if (rc)
			return rc;
		named |= one.type == BLK_CARRY_UUID;
	}
	if (rc || !named)
		return err_set(err, -EBADMSG, "the counters of a device are torn, or nobody's");
	return 0;
}

struct blk_stats *blk_stats_own(struct blk_dev *dev, struct reactor *r)
{
	struct blk_stats *_Atomic *slot = &dev->stats[reactor_id(r)];
	struct blk_stats *own = atomic_load_explicit(slot, memory_order_relaxed);

	if (!own) {
		own = calloc(1, sizeof(*own));
		if (own)
			atomic_store_explicit(slot, own, memory_order_release);
	}
	return own;
}

void blk_stats_merge(struct blk_stats *to, const struct blk_stats *from)
{
	for (unsigned op = 0; op < BLK_OPS; op++) {
		counter_add(&to->ops[op], counter_get(&from->ops[op]));
		counter_add(&to->bytes[op], counter_get(&from->bytes[op]));
		counter_add(&to->errors[op], counter_get(&from->errors[op]));
		hist_merge(&to->latency[op], &from->latency[op]);
	}
}

int blk_stats_add(struct blk_dev *dev, struct reactor *r, const struct blk_stats *stats)
{
	struct blk_stats *own = blk_stats_own(dev, r);

	if (!own)
		return -ENOMEM;
	blk_stats_merge(own, stats);
	return 0;
}
