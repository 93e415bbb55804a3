/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that nobody waits for: those of block devices and the histograms of latency. They are far more than the state, so they follow when hosts are served again: the new engine
 * asks for them with DONE, the old one answers with STATS before it ends. A client of the RPC socket is answered when they are here. Without them (an older engine, one that has
 * died) they begin anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "blk/stats.h"
#include "engine/engine.h"
#include "nvme/carry.h"
#include "rt/proc.h"

/* ---- the old side ---- */

static int stats_document(struct engine *e, int *ret_fd, uint64_t *ret_bytes, struct err *err)
{
	struct tlv_writer w;
	int res;

	tlv_writer_init(&w);
	tlv_blob_begin(&w, LITEPOOL_VERSION);
	list_for_each (it, &e->bdevs.list)
		blk_stats_save(list_entry(it, struct bdev, link)->dev, &w);
	nvme_target_save_latency(e->target, &w);
	res = tlv_blob_end(&w);
	if (res == 0)
		res = handover_document_new(w.buf, w.len, ret_fd, err);
	*ret_bytes = w.len;
	tlv_writer_fini(&w);
	return res;
}

void handover_stats_send(struct engine *e)
{
	const int wire = handover_wire_fd(&e->old.wire);
	struct handover_message *msg = calloc(1, sizeof(*msg));
	_cleanup_close_ int fd = -1;
	struct err err = {0};
	unsigned sent = 0;
	int res = msg ? 0 : -ENOMEM;

	proc_unretire();
	if (res == 0)
		res = stats_document(e, &fd, &msg->bytes, &err);
	if (res == 0)
		res = handover_send_bag(wire, HANDOVER_BAG_STATS, &fd, 1, &sent);
	if (res == 0) {
		msg->type = HANDOVER_STATS;
		res = handover_send(wire, msg, NULL, 0);
	}
	if (res < 0)
		log_warn("handover.stats_lost", "reason=\"%s\"", strerror(-res));
	free(msg);
}

/* ---- the new side ---- */

/* A device that is not there any more has no counters. */
static int read_dev(struct engine *e, const struct tlv *rec, struct blk_stats *stats,
		    struct err *err)
{
	struct uuid uuid;
	int res = blk_stats_read(rec, &uuid, stats, err);

	if (res < 0)
		return res;
	list_for_each (it, &e->bdevs.list) {
		struct blk_dev *dev = list_entry(it, struct bdev, link)->dev;

		if (uuid_equal(&dev->uuid, &uuid))
			return blk_stats_add(dev, e->control, stats);
	}
	return 0;
}

static int read_records(struct engine *e, struct tlv_reader *r, struct err *err)
{
	_cleanup_free_ struct blk_stats *stats = malloc(sizeof(*stats));
	struct tlv rec;
	int res;

	if (!stats)
		return err_set(err, -ENOMEM, "out of memory");
	while ((res = tlv_next(r, &rec)) > 0) {
		if (rec.type == BLK_CARRY_DEV)
			res = read_dev(e, &rec, stats, err);
		else if (rec.type == NVME_CARRY_LATENCY)
			res = nvme_target_restore_latency(e->target, &rec, err);
		else
			res = tlv_unknown(&rec, err);
		if (res < 0)
			return res;
	}
	return res < 0 ? err_set(err, res, "the counters are torn") : 0;
}

int handover_stats_read(struct engine *e, struct handover_bag *bag, uint64_t bytes, struct err *err)
{
	_cleanup_close_ int fd = handover_bag_take(bag, 0);
	_cleanup_free_ char *blob = NULL;
	struct tlv_reader r;
	struct tlv_blob head;
	int res = handover_document_read(fd, bytes, &blob, err);

	if (res == 0)
		res = tlv_blob_open(blob, bytes, &head, &r, err);
	return res == 0 ? read_records(e, &r, err) : res;
}
