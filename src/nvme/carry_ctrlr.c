/* SPDX-License-Identifier: Apache-2.0 */
/* A CTRLR record into a controller, see carry_restore.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/carry_parts.h"
#include "nvme/control.h"

struct ctrlr_in {
	struct nvme_carry *carry;
	struct nvme_ctrlr c; /* fields alone */
	struct nvme_port *port;
	uint64_t state, resv_log_count;
	const struct tlv *changed_ns;
	struct tlv changed_ns_rec;
};

static int ctrlr_u32(struct ctrlr_in *in, const struct tlv *rec, bool *ret_found, struct err *err)
{
	for (size_t i = 0; i < nvme_carry_u32_n; i++) {
		uint32_t v = 0;
		int rc;

		if (nvme_carry_u32[i].type != rec->type)
			continue;
		*ret_found = true;
		rc = tlv_get_u32(rec, nvme_carry_u32[i].max, &v, err);
		memcpy((uint8_t *)&in->c + nvme_carry_u32[i].offset, &v, sizeof(v));
		return rc;
	}
	return 0;
}

static int ctrlr_resv_log(struct resv_log *log, const struct tlv *rec, struct err *err)
{
	const uint8_t *at = rec->value;

	if (rec->len % CARRY_RESV_LOG_BYTES || rec->len / CARRY_RESV_LOG_BYTES > RESV_LOG_ENTRIES)
		return err_set(err, -EBADMSG, "%u bytes are no reservation log", rec->len);
	log->n = rec->len / CARRY_RESV_LOG_BYTES;
	for (unsigned i = 0; i < log->n; i++, at += CARRY_RESV_LOG_BYTES) {
		log->e[i].count = get_le64(at);
		log->e[i].nsid = get_le32(at + 8);
		log->e[i].type = (uint8_t)get_le32(at + 12);
	}
	return 0;
}

/* The newest is number error_count; the ring is filled so that it lies where it belongs. */
static int ctrlr_errors(struct nvme_ctrlr *c, const struct tlv *rec, struct err *err)
{
	const uint32_t n = rec->len / CARRY_ERROR_BYTES;
	const uint8_t *at = rec->value;

	if (rec->len % CARRY_ERROR_BYTES || n > NVME_ERROR_LOG_ENTRIES || n > c->error_count)
		return err_set(err, -EBADMSG, "%u bytes are no error log", rec->len);
	for (uint64_t i = c->error_count - n; i < c->error_count; i++, at += CARRY_ERROR_BYTES)
		c->errors[i % NVME_ERROR_LOG_ENTRIES] = (struct nvme_error_entry){
			.count = get_le64(at),
			.lba = get_le64(at + 8),
			.nsid = get_le32(at + 16),
			.sqid = get_le16(at + 20),
			.cid = get_le16(at + 22),
			.status = get_le16(at + 24),
		};
	return 0;
}

static int ctrlr_field(void *ctx, const struct tlv *rec, struct err *err)
{
	struct ctrlr_in *in = ctx;
	struct nvme_ctrlr *c = &in->c;
	bool found = false;
	int rc = ctrlr_u32(in, rec, &found, err);

	if (found)
		return rc;
	switch (rec->type) {
	case NVME_CARRY_CNTLID:
		return tlv_get_u16(rec, NVME_CNTLID_MAX, &c->cntlid, err);
	case NVME_CARRY_PORT_INDEX:
		return carry_get_port(in->carry, rec, &in->port, err);
	case NVME_CARRY_HOSTID:
		return tlv_get_bytes(rec, c->hostid, 16, err);
	case NVME_CARRY_HOSTNQN:
		return tlv_get_str(rec, c->hostnqn, sizeof(c->hostnqn), err);
	case NVME_CARRY_CTRLR_STATE:
		return tlv_get_uint(rec, 7, &in->state, err);
	case NVME_CARRY_KATO_MS:
		return tlv_get_u32(rec, in->carry->target->opts.kato_max_ms, &c->kato_ms, err);
	case NVME_CARRY_CHANGED_NS_OVERFLOW:
		return 0; /* older engines said false */
	case NVME_CARRY_CHANGED_NS:
		in->changed_ns_rec = *rec;
		in->changed_ns = &in->changed_ns_rec;
		return 0;
	case NVME_CARRY_N_IOQ:
		return tlv_get_u16(rec, ARRAY_LEN(c->ioq) - 1, &c->n_ioq_granted, err);
	case NVME_CARRY_CONNECTED:
		return tlv_get_uint(rec, UINT64_MAX, &c->connected_wall_ns, err);
	case NVME_CARRY_HOST_BEHAVIOR:
		return tlv_get_bytes(rec, c->host_behavior, sizeof(c->host_behavior), err);
	case NVME_CARRY_RESV_LOG_COUNT:
		return tlv_get_uint(rec, UINT64_MAX, &c->resv_log.count, err);
	case NVME_CARRY_RESV_LOG:
		return ctrlr_resv_log(&c->resv_log, rec, err);
	case NVME_CARRY_ERROR_COUNT:
		return tlv_get_uint(rec, UINT64_MAX, &c->error_count, err);
	case NVME_CARRY_ERRORS:
		return ctrlr_errors(c, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

/* The fields that came, into the controller that is linked. */
static void ctrlr_take_fields(struct nvme_ctrlr *c, const struct ctrlr_in *in)
{
	memcpy(c->hostid, in->c.hostid, sizeof(c->hostid));
	memcpy(c->hostnqn, in->c.hostnqn, sizeof(c->hostnqn));
	for (size_t i = 0; i < nvme_carry_u32_n; i++)
		memcpy((uint8_t *)c + nvme_carry_u32[i].offset,
		       (const uint8_t *)&in->c + nvme_carry_u32[i].offset, sizeof(uint32_t));
	c->kato_ms = in->c.kato_ms;
	c->n_ioq_granted = in->c.n_ioq_granted;
	c->connected_wall_ns = in->c.connected_wall_ns;
	memcpy(c->host_behavior, in->c.host_behavior, sizeof(c->host_behavior));
	nvme_host_behavior_apply(c);
	c->resv_log = in->c.resv_log;
	c->error_count = in->c.error_count;
	memcpy(c->errors, in->c.errors, sizeof(c->errors));
	if (in->state & CARRY_CTRLR_DELETING)
		c->state = NVME_CTRLR_DELETING;
	c->resetting = in->state & CARRY_CTRLR_RESETTING;
	c->shutting_down = in->state & CARRY_CTRLR_SHUTTING_DOWN;
}

static int ctrlr_make(struct nvme_subsystem *ss, const struct ctrlr_in *in, struct err *err)
{
	struct nvme_ctrlr *c;

	if (!in->port || !in->c.cntlid || nvme_nqn_check(in->c.hostnqn, NULL))
		return err_set(err, -EBADMSG, "a controller of %s lacks its id, host or port",
			       ss->nqn);
	if (nvme_ctrlr_find(ss, in->c.cntlid))
		return err_set(err, -EBADMSG, "controller %u of %s comes twice", in->c.cntlid,
			       ss->nqn);
	if (in->changed_ns && in->changed_ns->len != carry_changed_ns_bytes(ss))
		return err_set(err, -EBADMSG, "the changed namespaces of %s have %u bytes", ss->nqn,
			       in->changed_ns->len);
	c = nvme_ctrlr_alloc(ss, in->port, in->c.cntlid);
	if (!c)
		return err_set(err, -ENOMEM, "no memory for a controller");
	ctrlr_take_fields(c, in);
	if (in->changed_ns)
		memcpy(c->changed_ns, in->changed_ns->value, in->changed_ns->len);
	return 0;
}

int carry_restore_ctrlr(struct nvme_carry *carry, struct nvme_subsystem *ss, const struct tlv *rec,
			struct err *err)
{
	struct ctrlr_in *in = calloc(1, sizeof(*in));
	int rc;

	if (!in)
		return err_set(err, -ENOMEM, "no memory for a controller");
	in->carry = carry;
	rc = carry_each(rec, ctrlr_field, in, err);
	if (!rc)
		rc = ctrlr_make(ss, in, err);
	free(in);
	return rc;
}
