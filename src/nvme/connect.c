/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect (Base 6.3): makes a controller (admin queue) or gives it one more queue. Every refusal says by IPO and IATTR which field of the
 * command or of its data was wrong.
 *
 *  1. Nothing of the host's data is believed before it is checked: NQNs end within their fields, the host is allowed, an I/O queue comes
 *     from the host that made the controller.
 *  2. A refused Connect leaves no trace; the host may try again on the same connection.
 *  3. Refusals that a restarting or migrating engine may cause for a moment (unknown subsystem, no listener, busy) carry no DNR: Linux
 *     gives up its reconnects for good, and removes the disk, when it sees that bit. That goes for every doubt about the association of
 *     an I/O queue: its admin queue may have been connected to the engine that died a moment ago, and by now the controller id is
 *     nobody's, or another host's.
 */
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/probes.h"
#include "base/str.h"
#include "nvme/control.h"

#define IPO_CMD(field)  ((uint32_t)offsetof(struct nvme_connect_cmd, field))
#define IPO_DATA(field) ((uint32_t)offsetof(struct nvme_connect_data, field) | 1u << 16)

struct connect {
	struct nvme_req *req;
	struct nvme_qpair *qp;
	struct nvme_target *t;
	struct nvme_connect_cmd cmd;
	struct nvme_connect_data data;
	uint16_t qid, sqsize, cntlid;
	struct nvme_subsystem *ss;
	struct nvme_ctrlr *c;
};

/* Invalid Parameters with the place of the field; dnr: trying again is of no use. */
static uint16_t connect_invalid(struct connect *con, uint32_t ipo, uint16_t dnr)
{
	con->req->cqe.dw0 = htole32(ipo);
	return NVME_SC_CONNECT_INVALID_PARAM | dnr;
}

static bool field_ends(const char *field)
{
	return memchr(field, 0, NVME_NQN_FIELD) != NULL;
}

static uint16_t connect_check_command(struct connect *con)
{
	if (con->qp->state == NVME_QP_READY)
		return NVME_ADMIN_DNR(NVME_SC_CMD_SEQ_ERROR);
	if (con->qp->state == NVME_QP_CLOSING)
		return NVME_SC_CONNECT_CTRL_BUSY;
	if (le16toh(con->cmd.recfmt))
		return NVME_ADMIN_DNR(NVME_SC_CONNECT_FORMAT);
	if (!con->sqsize || con->sqsize >= nvme_target_queue_max(con->t, con->qid))
		return connect_invalid(con, IPO_CMD(sqsize), NVME_STATUS_DNR);
	if (con->qid > con->t->opts.io_queues_max)
		return connect_invalid(con, IPO_CMD(qid), NVME_STATUS_DNR);
	return 0;
}

static uint16_t connect_check_names(struct connect *con)
{
	struct nvme_connect_data *d = &con->data;

	if (!field_ends(d->subnqn))
		return connect_invalid(con, IPO_DATA(subnqn), NVME_STATUS_DNR);
	if (!field_ends(d->hostnqn) || nvme_nqn_check(d->hostnqn, NULL))
		return connect_invalid(con, IPO_DATA(hostnqn), NVME_STATUS_DNR);
	con->ss = nvme_subsystem_find(con->t, d->subnqn);
	if (!con->ss || con->ss->deleting)
		return connect_invalid(con, IPO_DATA(subnqn), 0);
	if (!con->ss->is_discovery && !nvme_listener_find(con->ss, con->qp->port))
		return connect_invalid(con, IPO_DATA(subnqn), 0);
	if (!nvme_host_allowed(con->ss, d->hostnqn)) {
		log_limited(LOG_LEVEL_WARN, "nvme.connect.refused",
			    "nqn=%s host=%s why=\"host is not on the list\"", con->ss->nqn,
			    d->hostnqn);
		return NVME_ADMIN_DNR(NVME_SC_CONNECT_INVALID_HOST);
	}
	return 0;
}

/* A free controller id: the next one in turn, so that an id does not come back soon. 0: none. */
static uint16_t cntlid_alloc(struct nvme_subsystem *ss)
{
	uint32_t range = (uint32_t)ss->max_cntlid - ss->min_cntlid + 1;

	for (uint32_t i = 0; i < range; i++) {
		uint16_t id = ss->next_cntlid;

		ss->next_cntlid = id == ss->max_cntlid ? ss->min_cntlid : (uint16_t)(id + 1);
		if (!nvme_ctrlr_find(ss, id))
			return id;
	}
	return 0;
}

static uint16_t cntlid_choose(struct connect *con, uint16_t *ret_id)
{
	struct nvme_subsystem *ss = con->ss;

	if (con->cntlid == NVME_CNTLID_DYNAMIC || con->cntlid == NVME_CNTLID_ANY_STATIC) {
		*ret_id = cntlid_alloc(ss);
		return *ret_id ? 0 : NVME_SC_CONNECT_CTRL_BUSY;
	}
	if (ss->is_discovery || con->cntlid < ss->min_cntlid || con->cntlid > ss->max_cntlid)
		return connect_invalid(con, IPO_DATA(cntlid), NVME_STATUS_DNR);
	if (nvme_ctrlr_find(ss, con->cntlid))
		return NVME_SC_CONNECT_CTRL_BUSY;
	*ret_id = con->cntlid;
	return 0;
}

static bool hostid_is_zero(const uint8_t id[16])
{
	static const uint8_t zero[16];

	return !memcmp(id, zero, sizeof(zero));
}

static uint16_t connect_admin(struct connect *con)
{
	uint32_t kato_ms = le32toh(con->cmd.kato);
	struct nvme_ctrlr *c;
	uint16_t id = 0, status;

	if (con->t->stopping)
		return NVME_SC_CONNECT_CTRL_BUSY;
	/* Reservations are kept by host identifier: an I/O controller needs one (Base 6.3). */
	if (!con->ss->is_discovery && hostid_is_zero(con->data.hostid))
		return connect_invalid(con, IPO_DATA(hostid), NVME_STATUS_DNR);
	if (kato_ms > con->t->opts.kato_max_ms)
		return connect_invalid(con, IPO_CMD(kato), NVME_STATUS_DNR);
	status = cntlid_choose(con, &id);
	if (status)
		return status;
	c = nvme_ctrlr_new(con->ss, con->qp, id);
	if (!c)
		return NVME_SC_CONNECT_CTRL_BUSY;
	memcpy(c->hostid, con->data.hostid, sizeof(c->hostid));
	(void)str_copy(c->hostnqn, sizeof(c->hostnqn), con->data.hostnqn);
	con->c = c;
	return 0;
}

static uint16_t connect_io(struct connect *con)
{
	struct nvme_ctrlr *c;

	if (con->ss->is_discovery)
		return connect_invalid(con, IPO_CMD(qid), NVME_STATUS_DNR);
	c = nvme_ctrlr_find(con->ss, con->cntlid);
	if (!c || c->state != NVME_CTRLR_LIVE)
		return connect_invalid(con, IPO_DATA(cntlid), 0);
	/* All queues of an association come in by one port: another path's controller, after a restart. */
	if (c->port != con->qp->port)
		return connect_invalid(con, IPO_DATA(cntlid), 0);
	if (memcmp(c->hostid, con->data.hostid, sizeof(c->hostid)) != 0)
		return connect_invalid(con, IPO_DATA(hostid), 0);
	if (strcmp(c->hostnqn, con->data.hostnqn) != 0)
		return connect_invalid(con, IPO_DATA(hostnqn), 0);
	if (c->resetting || c->shutting_down)
		return NVME_SC_CONNECT_CTRL_BUSY;
	if (!nvme_ctrlr_enabled(c) || (c->csts & NVME_CSTS_SHST_MASK))
		return connect_invalid(con, IPO_CMD(qid), 0);
	if (c->n_ioq_granted && con->qid > c->n_ioq_granted)
		return connect_invalid(con, IPO_CMD(qid), 0);
	if (c->ioq[con->qid])
		return NVME_SC_QID_INVALID; /* Perhaps only until the old connection has been found dead. */
	con->c = c;
	return 0;
}

static void connect_accept(struct connect *con)
{
	struct nvme_qpair *qp = con->qp;
	struct nvme_ctrlr *c = con->c;
	uint32_t kato_ms = le32toh(con->cmd.kato);

	qp->qid = con->qid;
	qp->qsize = (uint16_t)(con->sqsize + 1);
	qp->sqfc_disabled = con->cmd.cattr & NVME_CATTR_DISABLE_SQFC;
	qp->sqhd = qp->sqfc_disabled ? 0xffff : 0;
	ASSERT(c->state == NVME_CTRLR_LIVE);
	nvme_ctrlr_add_qpair(c, qp);
	if (qp->qid) {
		qp->home = nvme_target_pick_home(con->t);
	} else {
		if (!kato_ms && con->ss->is_discovery)
			kato_ms = MIN(NVME_DISCOVERY_KATO_MS, con->t->opts.kato_max_ms);
		(void)nvme_keepalive_set(c, MIN(kato_ms, con->t->opts.kato_max_ms));
		log_info("nvme.ctrlr.connected", "nqn=%s cntlid=%u host=%s peer=%s kato_ms=%u",
			 con->ss->nqn, c->cntlid, c->hostnqn, qp->peer, c->kato_ms);
	}
	probe_qpair_connect(c->cntlid, qp->qid, qp->home ? reactor_id(qp->home) : 0);
	qp->state = NVME_QP_READY;
	con->req->cqe.dw0 = htole32(c->cntlid); /* AUTHREQ: none */
}

void nvme_connect_execute(struct nvme_req *req)
{
	struct connect con = {.req = req, .qp = req->qp, .t = req->qp->target};
	uint16_t status;

	memcpy(&con.cmd, &req->sqe, sizeof(con.cmd));
	memcpy(&con.data, nvme_req_buf(req), sizeof(con.data));
	con.qid = le16toh(con.cmd.qid);
	con.sqsize = le16toh(con.cmd.sqsize);
	con.cntlid = le16toh(con.data.cntlid);
	status = connect_check_command(&con);
	if (!status)
		status = connect_check_names(&con);
	if (!status)
		status = con.qid ? connect_io(&con) : connect_admin(&con);
	if (!status)
		connect_accept(&con);
	nvme_req_done(req, status);
}
