/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms of latency, from one engine to the next: see carry.h. The control reactor's part of a namespace's takes them, which serves no I/O: nobody else writes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hist.h"
#include "nvme/carry_parts.h"
#include "nvme/control.h"

static void put_hist(struct tlv_writer *w, uint16_t type, const struct hist *h)
{
	uint8_t value[HIST_PACKED_MAX];

	if (hist_count(h))
		tlv_put(w, type, 0, value, hist_pack(h, value));
}

static void save_ns(const struct nvme_ns *ns, struct hist *reads, struct hist *writes,
		    struct tlv_writer *w)
{
	memset(reads, 0, sizeof(*reads));
	memset(writes, 0, sizeof(*writes));
	for (unsigned i = 0; i < ARRAY_LEN(ns->stats); i++) {
		if (!ns->stats[i])
			continue;
		hist_merge(reads, &ns->stats[i]->read_latency);
		hist_merge(writes, &ns->stats[i]->write_latency);
	}
	if (!hist_count(reads) && !hist_count(writes))
		return;
	tlv_begin(w, NVME_CARRY_LATENCY, 0);
	tlv_put_str(w, NVME_CARRY_NQN, 0, ns->ss->nqn);
	tlv_put_u64(w, NVME_CARRY_NSID, 0, ns->nsid);
	put_hist(w, NVME_CARRY_READ_LATENCY, reads);
	put_hist(w, NVME_CARRY_WRITE_LATENCY, writes);
	tlv_end(w);
}

void nvme_target_save_latency(const struct nvme_target *t, struct tlv_writer *w)
{
	struct hist *sums = calloc(2, sizeof(*sums));

	if (!sums) {
		w->error = w->error ? w->error : -ENOMEM;
		return;
	}
	list_for_each (it, &t->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		for (uint32_t nsid = 1; nsid <= ss->nn; nsid++)
			if (nvme_ns_find(ss, nsid))
				save_ns(nvme_ns_find(ss, nsid), &sums[0], &sums[1], w);
	}
	free(sums);
}

struct latency_in {
	char nqn[NVME_NQN_FIELD];
	uint32_t nsid;
	struct tlv reads, writes; /* len 0: none */
};

static int latency_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct latency_in *in = ctx;

	switch (rec->type) {
	case NVME_CARRY_NQN:
		return tlv_get_str(rec, in->nqn, sizeof(in->nqn), err);
	case NVME_CARRY_NSID:
		return tlv_get_u32(rec, UINT32_MAX, &in->nsid, err);
	case NVME_CARRY_READ_LATENCY:
		in->reads = *rec;
		return 0;
	case NVME_CARRY_WRITE_LATENCY:
		in->writes = *rec;
		return 0;
	default:
		return tlv_unknown(rec, err);
	}
}

static bool add(struct hist *h, const struct tlv *rec)
{
	return !rec->len || hist_unpack(h, rec->value, rec->len);
}

int nvme_target_restore_latency(struct nvme_target *t, const struct tlv *rec, struct err *err)
{
	struct latency_in in = {.nqn = ""};
	struct nvme_subsystem *ss;
	struct nvme_ns *ns;
	struct ns_stats *stats;
	int rc = carry_each(rec, latency_field, &in, err);

	if (rc)
		return rc;
	ss = nvme_subsystem_find(t, in.nqn);
	ns = ss ? nvme_ns_find(ss, in.nsid) : NULL;
	if (!ns)
		return 0;
	stats = ns->stats[reactor_id(t->opts.control)];
	if (!add(&stats->read_latency, &in.reads) || !add(&stats->write_latency, &in.writes))
		return err_set(err, -EBADMSG, "a histogram of namespace %u of %s is none", in.nsid,
			       in.nqn);
	return 0;
}
