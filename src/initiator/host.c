/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The association: one state machine from the first connect to the orderly end. host_step() reads in
 * the order in which things happen; every error goes through host_lost().
 *
 *	host_begin() -> ADMIN_QUEUE .. IO_CONNECT -> READY          host_step()
 *	any of these -> PAUSE -> host_begin(), or -> DOWN           host_lost(), pause_over()
 *	READY -> SHUTDOWN -> WAIT_SHUTDOWN -> CLOSING               nvme_host_close(), host_step()
 *	any -> CLOSING -> closed()                                  host_shut(), host_finish()
 *
 * Invariants: (1) setup is under way in at most one queue: a new attempt begins only when the queues of
 * the last one are gone; (2) commands of the user are on a queue only in READY and after it until the
 * queue is gone; (3) h is freed by the task host_finish alone, when no queue is left.
 */
#include "initiator/host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"

#define ADMIN_QUEUE_SIZE    32u
#define SETUP_TIMEOUT_NS    (10 * NSEC_PER_SEC)
#define SHUTDOWN_TIMEOUT_NS (5 * NSEC_PER_SEC)
#define CSTS_POLL_NS        NSEC_PER_MSEC

/* Identify Controller, bytes. */
#define IDCTRL_MDTS      77
#define IDCTRL_OAES      92
#define IDCTRL_AERL      259
#define IDCTRL_IOCCSZ    1792 /* units of 16 bytes, with the SQE */
#define IDCTRL_ICDOFF    1800

#define CAP_MQES(cap)    ((uint32_t)((cap) & 0xffff) + 1)
#define CAP_MPSMIN(cap)  ((unsigned)((cap) >> 48 & 0xf))
#define CC_IOSQES_IOCQES (6u << 16 | 4u << 20)
#define CSTS_SHST_MASK   0xcu

static void host_step(struct nvme_host *h, int status);

static void host_timer(struct nvme_host *h, struct timer *timer, uint64_t in_ns)
{
	if (timer_start(h->reactor, timer, reactor_now(h->reactor) + in_ns) < 0)
		host_lost(h, -ENOMEM, "no memory for a timer");
}

static void host_set_state(struct nvme_host *h, enum host_state state)
{
	h->state = state;
}

/* --- queues --- */

static void queue_state(struct nvme_hostq *q, int code, const struct err *err, void *ctx)
{
	struct host_queue *hq = ctx;
	struct nvme_host *h = hq->host;

	if (hq->q != q)
		return;
	if (code < 0)
		host_lost(h, code, "%s", err->text);
	else
		host_step(h, 0);
}

static void host_begin(struct nvme_host *h);

static void host_check_gone(struct nvme_host *h)
{
	if (h->n_alive)
		return;
	if (h->state == HOST_CLOSING)
		reactor_defer(h->reactor, &h->finish);
	else if (h->state == HOST_PAUSE && h->pause_over)
		host_begin(h);
}

static void queue_gone(struct nvme_hostq *q)
{
	struct host_queue *hq = q->opts.ctx;

	ASSERT(hq->host->n_alive > 0);
	hq->host->n_alive--;
	host_check_gone(hq->host);
}

static int queue_open(struct nvme_host *h, struct host_queue *hq, uint32_t size, struct err *err)
{
	struct nvme_hostq_opts opts = {
		.addr = h->opts.addr,
		.queue_size = size,
		.header_digest = h->opts.header_digest,
		.data_digest = h->opts.data_digest,
		.congestion = h->opts.congestion,
		.on_state = queue_state,
		.ctx = hq,
	};
	int rc = nvme_hostq_new(h->reactor, &opts, &hq->q, err);

	if (rc < 0)
		return rc;
	hq->q->lost = host_io_lost;
	hq->q->gone = queue_gone;
	h->n_alive++;
	return 0;
}

static void queue_close(struct host_queue *hq)
{
	struct nvme_hostq *q = hq->q;

	hq->q = NULL;
	nvme_hostq_free(q);
}

static void host_close_queues(struct nvme_host *h)
{
	timer_stop(&h->timer);
	timer_stop(&h->deadline);
	host_live_stop(h);
	queue_close(&h->admin);
	for (unsigned i = 0; i < h->opts.n_io_queues; i++)
		queue_close(&h->io[i]);
}

/* --- the machine --- */

static void setup_done(struct nvme_hostcmd *cmd, int status)
{
	host_step(cmd->ctx, status);
}

static void setup_send(struct nvme_host *h, struct host_queue *hq)
{
	nvme_hostq_submit(hq->q, &h->setup);
}

static void send_connect(struct nvme_host *h, struct host_queue *hq, uint16_t qid, uint32_t size)
{
	uint16_t cntlid = qid ? h->cntlid : NVME_CNTLID_DYNAMIC;
	uint8_t cattr = h->opts.disable_sqfc ? NVME_CATTR_DISABLE_SQFC : 0;

	nvme_hostcmd_connect(&h->setup, (struct nvme_connect_data *)(void *)h->setup_data, qid,
			     (uint16_t)(size - 1), qid ? 0 : h->opts.kato_ms, cattr, cntlid,
			     &h->opts.hostid, h->subnqn, h->hostnqn);
	setup_send(h, hq);
}

static void send_get(struct nvme_host *h, uint32_t offset, bool eight)
{
	nvme_hostcmd_property_get(&h->setup, offset, eight);
	setup_send(h, &h->admin);
}

static void send_set(struct nvme_host *h, uint32_t offset, uint64_t value)
{
	nvme_hostcmd_property_set(&h->setup, offset, value);
	setup_send(h, &h->admin);
}

static void send_identify(struct nvme_host *h)
{
	nvme_hostcmd_identify(&h->setup, NVME_CNS_CTRL, 0, h->setup_data);
	setup_send(h, &h->admin);
}

static void send_feature(struct nvme_host *h, uint8_t fid, uint32_t value)
{
	nvme_hostcmd_set_features(&h->setup, fid, value);
	setup_send(h, &h->admin);
}

static void take_identify(struct nvme_host *h)
{
	const uint8_t *id = h->setup_data;
	uint32_t ioccsz = get_le32(id + IDCTRL_IOCCSZ) * 16;
	unsigned shift = 12 + CAP_MPSMIN(h->cap) + id[IDCTRL_MDTS];

	h->mdts_bytes = id[IDCTRL_MDTS] == 0 || shift > 31 ? UINT32_MAX : (uint32_t)1 << shift;
	h->aerl = id[IDCTRL_AERL];
	h->oaes = get_le32(id + IDCTRL_OAES);
	h->capsule_bytes = 0;
	/* An offset of in-capsule data other than 0 is legal, and rare: then data goes by R2T. */
	if (ioccsz > sizeof(struct nvme_sqe) && get_le16(id + IDCTRL_ICDOFF) == 0)
		h->capsule_bytes = MIN(ioccsz - (uint32_t)sizeof(struct nvme_sqe), 1u << 20);
}

static bool host_is_discovery(const struct nvme_host *h)
{
	return strcmp(h->subnqn, NVME_DISCOVERY_NQN) == 0;
}

static void host_up(struct nvme_host *h)
{
	timer_stop(&h->deadline);
	host_set_state(h, HOST_READY);
	host_live_start(h);
	if (h->state != HOST_READY)
		return;
	host_io_resume(h);
	if (h->opts.on_state)
		h->opts.on_state(h, 0, NULL, h->opts.ctx);
}

/* The next I/O queue, or READY when all are up. */
static void host_next_queue(struct nvme_host *h)
{
	struct err err;
	int rc;

	if (h->n_up == h->n_io) {
		host_up(h);
		return;
	}
	host_set_state(h, HOST_IO_QUEUE);
	rc = queue_open(h, &h->io[h->n_up], h->queue_size, &err);
	if (rc < 0)
		host_lost(h, rc, "%s", err.text);
}

static void take_queue_count(struct nvme_host *h)
{
	unsigned granted = (get_le32(&h->setup.cqe.dw0) & 0xffff) + 1;

	h->n_io = MIN(h->opts.n_io_queues, granted);
	h->queue_size = MIN(h->opts.queue_size, CAP_MQES(h->cap));
}

static const char *const state_what[] = {
	[HOST_ADMIN_QUEUE] = "connecting the admin queue",
	[HOST_ADMIN_CONNECT] = "Connect of the admin queue",
	[HOST_CAPABILITIES] = "Property Get CAP",
	[HOST_ENABLE] = "Property Set CC",
	[HOST_WAIT_READY] = "waiting for CSTS.RDY",
	[HOST_IDENTIFY] = "Identify Controller",
	[HOST_EVENTS] = "Set Features of asynchronous events",
	[HOST_QUEUE_COUNT] = "Set Features of the number of queues",
	[HOST_IO_QUEUE] = "connecting an I/O queue",
	[HOST_IO_CONNECT] = "Connect of an I/O queue",
	[HOST_READY] = "running",
	[HOST_PAUSE] = "waiting to reconnect",
	[HOST_DOWN] = "being down",
	[HOST_SHUTDOWN] = "Property Set CC.SHN",
	[HOST_WAIT_SHUTDOWN] = "waiting for CSTS.SHST",
	[HOST_CLOSING] = "closing",
};

static void host_refused(struct nvme_host *h, int status)
{
	char text[NVME_HOSTCMD_STATUS_TEXT];

	host_lost(h, status < 0 ? status : -EACCES, "%s of %s failed: %s", state_what[h->state],
		  h->subnqn, nvme_hostcmd_status_text(status, text));
}

static void host_poll_csts(struct nvme_host *h, enum host_state state)
{
	bool again = h->state == state;

	host_set_state(h, state);
	if (again)
		host_timer(h, &h->timer, CSTS_POLL_NS);
	else
		send_get(h, NVME_PROP_CSTS, false);
}

static void csts_poll_due(struct nvme_host *h)
{
	send_get(h, NVME_PROP_CSTS, false);
}

static void host_shut(struct nvme_host *h);

/* CC.SHN is written; closes when the controller says that it is done, or does not say anything sensible. */
static void host_shutdown_step(struct nvme_host *h, int status)
{
	uint32_t shst = get_le32(&h->setup.cqe.dw0) & CSTS_SHST_MASK;
	bool asked = h->state == HOST_WAIT_SHUTDOWN;

	if (status != 0 || (asked && shst == NVME_CSTS_SHST_COMPLETE))
		host_shut(h);
	else
		host_poll_csts(h, HOST_WAIT_SHUTDOWN);
}

static void take_csts(struct nvme_host *h)
{
	uint32_t csts = get_le32(&h->setup.cqe.dw0);

	if (csts & NVME_CSTS_CFS) {
		host_lost(h, -EIO, "the controller reports a fatal status on enable");
	} else if (!(csts & NVME_CSTS_RDY)) {
		host_poll_csts(h, HOST_WAIT_READY);
	} else {
		host_set_state(h, HOST_IDENTIFY);
		send_identify(h);
	}
}

/* False: no events are wanted, or none can come. */
static bool ask_for_events(struct nvme_host *h)
{
	if (!h->opts.on_event || !host_live_event_mask(h))
		return false;
	host_set_state(h, HOST_EVENTS);
	send_feature(h, NVME_FEAT_ASYNC_EVENT, host_live_event_mask(h));
	return true;
}

static void ask_for_queues(struct nvme_host *h)
{
	const uint32_t n = h->opts.n_io_queues - 1;

	host_set_state(h, HOST_QUEUE_COUNT);
	send_feature(h, NVME_FEAT_NUM_QUEUES, n | n << 16);
}

/* The answer that h->state waits for has come with status: takes what it says and sends the next question. */
static void host_step(struct nvme_host *h, int status)
{
	if (status != 0 && h->state < HOST_READY) {
		host_refused(h, status);
		return;
	}
	switch (h->state) {
	case HOST_ADMIN_QUEUE:
		host_set_state(h, HOST_ADMIN_CONNECT);
		send_connect(h, &h->admin, 0, ADMIN_QUEUE_SIZE);
		break;
	case HOST_ADMIN_CONNECT:
		h->cntlid = (uint16_t)get_le32(&h->setup.cqe.dw0);
		host_set_state(h, HOST_CAPABILITIES);
		send_get(h, NVME_PROP_CAP, true);
		break;
	case HOST_CAPABILITIES:
		h->cap = get_le64(&h->setup.cqe.result);
		host_set_state(h, HOST_ENABLE);
		send_set(h, NVME_PROP_CC, NVME_CC_EN | CC_IOSQES_IOCQES);
		break;
	case HOST_ENABLE:
		host_poll_csts(h, HOST_WAIT_READY);
		break;
	case HOST_WAIT_READY:
		take_csts(h);
		break;
	case HOST_IDENTIFY:
		take_identify(h);
		if (ask_for_events(h))
			break;
		__attribute__((fallthrough));
	case HOST_EVENTS:
		if (host_is_discovery(h) || !h->opts.n_io_queues)
			host_up(h);
		else
			ask_for_queues(h);
		break;
	case HOST_QUEUE_COUNT:
		take_queue_count(h);
		host_next_queue(h);
		break;
	case HOST_IO_QUEUE:
		host_set_state(h, HOST_IO_CONNECT);
		send_connect(h, &h->io[h->n_up], (uint16_t)(h->n_up + 1), h->queue_size);
		break;
	case HOST_IO_CONNECT:
		nvme_hostq_set_capsule(h->io[h->n_up].q, h->capsule_bytes);
		h->n_up++;
		host_next_queue(h);
		break;
	case HOST_SHUTDOWN:
	case HOST_WAIT_SHUTDOWN:
		host_shutdown_step(h, status);
		break;
	case HOST_READY:
	case HOST_PAUSE:
	case HOST_DOWN:
	case HOST_CLOSING:
		break;
	}
}

static void host_begin(struct nvme_host *h)
{
	struct err err;
	int rc;

	ASSERT(h->n_alive == 0);
	h->n_up = 0;
	h->n_io = 0;
	h->pause_over = false;
	host_set_state(h, HOST_ADMIN_QUEUE);
	rc = queue_open(h, &h->admin, ADMIN_QUEUE_SIZE, &err);
	if (rc < 0) {
		host_lost(h, rc, "%s", err.text);
		return;
	}
	host_timer(h, &h->deadline, SETUP_TIMEOUT_NS);
}

/* --- losing, pausing, closing --- */

void host_lost(struct nvme_host *h, int code, const char *fmt, ...)
{
	char text[sizeof(h->err.text)];
	va_list ap;

	if (h->state >= HOST_PAUSE) {
		if (h->state == HOST_SHUTDOWN || h->state == HOST_WAIT_SHUTDOWN)
			host_shut(h);
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(&h->err, code, "%s", text);
	host_close_queues(h);
	h->pause_over = false;
	if (h->opts.reconnect) {
		host_set_state(h, HOST_PAUSE);
		if (timer_start(h->reactor, &h->timer,
				reactor_now(h->reactor) + h->opts.reconnect_ms * NSEC_PER_MSEC) < 0)
			host_set_state(h, HOST_DOWN);
	} else {
		host_set_state(h, HOST_DOWN);
	}
	if (h->state == HOST_DOWN)
		host_io_refuse_waiting(h);
	if (h->opts.on_state)
		h->opts.on_state(h, code, &h->err, h->opts.ctx);
}

static void timer_due(struct timer *timer)
{
	struct nvme_host *h = container_of(timer, struct nvme_host, timer);

	if (h->state == HOST_WAIT_READY || h->state == HOST_WAIT_SHUTDOWN) {
		csts_poll_due(h);
	} else if (h->state == HOST_PAUSE) {
		h->pause_over = true;
		host_check_gone(h);
	}
}

static void deadline_due(struct timer *timer)
{
	struct nvme_host *h = container_of(timer, struct nvme_host, deadline);

	host_lost(h, -ETIMEDOUT, "%s took longer than %u s", state_what[h->state],
		  (unsigned)(SETUP_TIMEOUT_NS / NSEC_PER_SEC));
}

/* Ends everything; closed() comes when the last queue is gone. */
static void host_shut(struct nvme_host *h)
{
	host_set_state(h, HOST_CLOSING);
	host_close_queues(h);
	host_io_refuse_waiting(h);
	host_check_gone(h);
}

static void host_finish(struct task *task)
{
	struct nvme_host *h = container_of(task, struct nvme_host, finish);
	void (*closed)(void *ctx) = h->closed;
	void *ctx = h->closed_ctx;

	if (!list_empty(&h->refused)) { /* a callback submitted once more */
		reactor_defer(h->reactor, &h->finish);
		return;
	}
	task_cancel(&h->refuse);
	free(h->io);
	free(h);
	if (closed)
		closed(ctx);
}

static bool host_close_begin(struct nvme_host *h, void (*closed)(void *ctx), void *ctx)
{
	ASSERT(h->state < HOST_SHUTDOWN);
	h->closed = closed;
	h->closed_ctx = ctx;
	return h->state == HOST_READY;
}

void nvme_host_close(struct nvme_host *h, void (*closed)(void *ctx), void *ctx)
{
	if (!host_close_begin(h, closed, ctx)) {
		host_shut(h);
		return;
	}
	host_live_stop(h);
	host_set_state(h, HOST_SHUTDOWN);
	host_timer(h, &h->deadline, SHUTDOWN_TIMEOUT_NS);
	if (h->state == HOST_SHUTDOWN)
		send_set(h, NVME_PROP_CC, NVME_CC_EN | NVME_CC_SHN_NORMAL | CC_IOSQES_IOCQES);
}

void nvme_host_kill(struct nvme_host *h, void (*closed)(void *ctx), void *ctx)
{
	(void)host_close_begin(h, closed, ctx);
	host_shut(h);
}

/* --- making --- */

struct nvme_host_opts nvme_host_opts_default(void)
{
	return (struct nvme_host_opts){
		.queue_size = 128,
		.n_io_queues = 1,
		.disable_sqfc = true,
		.reconnect_ms = 200,
	};
}

static int host_take_opts(struct nvme_host *h, const struct nvme_host_opts *opts, struct err *err)
{
	char id[UUID_TEXT_SIZE];

	if (!opts->subnqn || !str_copy(h->subnqn, sizeof(h->subnqn), opts->subnqn))
		return err_set(err, -EINVAL, "a subsystem NQN of at most %u bytes is needed",
			       NVME_NQN_FIELD);
	if (opts->queue_size < 2 || opts->queue_size > 65535)
		return err_set(err, -EINVAL, "queue_size is 2 to 65535, not %u", opts->queue_size);
	if (opts->n_io_queues > 65534)
		return err_set(err, -EINVAL, "at most 65534 I/O queues");
	h->opts = *opts;
	h->opts.subnqn = h->subnqn;
	if (uuid_is_null(&h->opts.hostid)) {
		uint8_t random[16];

		reactor_random(h->reactor, random, sizeof(random));
		h->opts.hostid = uuid_from_random(random);
	}
	if (!opts->hostnqn)
		(void)snprintf(h->hostnqn, sizeof(h->hostnqn), "nqn.2014-08.org.nvmexpress:uuid:%s",
			       uuid_format(&h->opts.hostid, id));
	else if (!str_copy(h->hostnqn, sizeof(h->hostnqn), opts->hostnqn))
		return err_set(err, -EINVAL, "a host NQN has at most %u bytes", NVME_NQN_FIELD);
	h->opts.hostnqn = h->hostnqn;
	return 0;
}

int nvme_host_new(struct reactor *r, const struct nvme_host_opts *opts, struct nvme_host **ret,
		  struct err *err)
{
	struct nvme_host *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return err_set(err, -ENOMEM, "no memory for a host");
	h->reactor = r;
	rc = host_take_opts(h, opts, err);
	if (rc == 0) {
		h->io = calloc(h->opts.n_io_queues ? h->opts.n_io_queues : 1, sizeof(*h->io));
		rc = h->io ? 0 : err_set(err, -ENOMEM, "no memory for the I/O queues");
	}
	if (rc < 0) {
		free(h);
		return rc;
	}
	h->setup.done = setup_done;
	h->setup.ctx = h;
	h->timer.run = timer_due;
	h->deadline.run = deadline_due;
	h->finish.run = host_finish;
	host_io_init(h);
	host_live_init(h);
	/* The first attempt begins like every later one, by the timer: nothing is called back inside this call. */
	h->state = HOST_PAUSE;
	rc = timer_start(r, &h->timer, reactor_now(r));
	if (rc < 0) {
		free(h->io);
		free(h);
		return err_set(err, rc, "no memory for a timer");
	}
	*ret = h;
	return 0;
}

bool nvme_host_ready(const struct nvme_host *h)
{
	return h->state == HOST_READY;
}

uint16_t nvme_host_cntlid(const struct nvme_host *h)
{
	return h->cntlid;
}

uint32_t nvme_host_mdts(const struct nvme_host *h)
{
	return h->mdts_bytes;
}
