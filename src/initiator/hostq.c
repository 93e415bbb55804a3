/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue of the host: life, submission and sending.
 *
 *	CONNECT --TCP is up: sock_event()--> INIT --ICResp: hostq_ready()--> READY
 *	any --hostq_fail()--> DEAD --hostq_end(): commands end, on_state()--> stays until nvme_hostq_free()
 *
 * Invariants: (1) a command is on exactly one of waiting, inflight, ended, or is its caller's; (2) a
 * slot is taken exactly while its command is inflight; (3) no buffer of a command is on the send
 * queue once done() is called; (4) memory is freed by hostq_end() alone, which is a task, so that a
 * callback may free the queue it was called for; (5) after creation nothing is allocated;
 * (6) waiting is in order of submission, and while it is not empty nothing overtakes it; both halves of a fused pair go out in one
 * call, or neither does.
 */
#include "initiator/hostq.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/crc32c.h"

#define QUEUE_SIZE_MAX 65535u
#define SEND_IOV_MAX   512
#define SEND_STAGING   (64 * KIB)
#define SEND_ROUNDS    8 /* sendmsg calls in a row of one queue before others get their turn */

/* One vector at a time is under construction in a thread, and none lives longer than its sendmsg. */
static _Thread_local struct iovec send_iov[SEND_IOV_MAX];
static _Thread_local uint8_t send_staging[SEND_STAGING];

static void hostq_destroy(struct nvme_hostq *q)
{
	sock_close(q->sock);
	free(q->slots);
	free(q->free_cids);
	free(q->raw_bytes);
	free(q);
}

static void cmd_end(struct nvme_hostq *q, struct nvme_hostcmd *cmd, int status)
{
	cmd->state = HOSTCMD_IDLE;
	memset(&cmd->cqe, 0, sizeof(cmd->cqe));
	if (q->lost)
		q->lost(q, cmd, status);
	else
		cmd->done(cmd, status);
}

/* Ends all that is in list; what a callback adds to q->ended is taken in the same loop. */
static void hostq_end_list(struct nvme_hostq *q, struct list *from)
{
	struct list *node;

	while ((node = list_pop_front(from))) {
		struct nvme_hostcmd *cmd = list_entry(node, struct nvme_hostcmd, link);

		cmd_end(q, cmd, cmd->state == HOSTCMD_SENT ? -ECONNRESET : -ENOTCONN);
	}
}

static void hostq_end(struct task *task)
{
	struct nvme_hostq *q = container_of(task, struct nvme_hostq, end);
	struct list all;

	ASSERT(q->state == HOSTQ_DEAD);
	list_init(&all);
	list_splice_back(&all, &q->inflight);
	list_splice_back(&all, &q->waiting);
	list_splice_back(&all, &q->ended);
	hostq_end_list(q, &all);
	if (!q->freeing && !q->reported) {
		q->reported = true;
		q->opts.on_state(q, q->err.code, &q->err, q->opts.ctx);
	}
	if (!q->freeing)
		return;
	if (!list_empty(&q->ended)) {
		reactor_defer(q->reactor, &q->end);
		return;
	}
	task_cancel(&q->end);
	if (q->gone)
		q->gone(q);
	hostq_destroy(q);
}

static void hostq_bury(struct nvme_hostq *q)
{
	q->state = HOSTQ_DEAD;
	sock_close(TAKE_PTR(q->sock));
	task_cancel(&q->flush);
	reactor_defer(q->reactor, &q->end);
}

int hostq_fail(struct nvme_hostq *q, int code, const char *fmt, ...)
{
	char text[sizeof(q->err.text)];
	va_list ap;

	ASSERT(code < 0);
	if (q->state == HOSTQ_DEAD)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(&q->err, code, "%s", text);
	hostq_bury(q);
	return code;
}

/* --- sending --- */

static void hostq_kick(struct nvme_hostq *q)
{
	reactor_defer_late(q->reactor, &q->flush);
}

/* Which bytes of cmd travel in its capsule. */
static uint32_t capsule_len(const struct nvme_hostq *q, const struct nvme_hostcmd *cmd)
{
	return !cmd->to_host && cmd->data_len <= q->capsule_max ? cmd->data_len : 0;
}

static void fill_sgl(struct nvme_hostcmd *cmd, uint32_t in_capsule)
{
	struct nvme_sqe *sqe = &cmd->sqe;

	sqe->flags = (sqe->flags & NVME_SQE_FUSE_MASK) | NVME_SQE_PSDT_SGL_MPTR_CONTIG;
	memset(&sqe->sgl, 0, sizeof(sqe->sgl));
	put_le32(&sqe->sgl.length, cmd->data_len);
	sqe->sgl.type = in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT_DATA;
}

static void tx_payload(struct nvme_hostq *q, struct hostq_slot *slot, const uint8_t *data,
		       uint32_t len)
{
	slot->tx.head = slot->head;
	slot->tx.data = data;
	slot->tx.data_len = len;
	slot->tx.tail = slot->tail;
	slot->tx.tail_len = 0;
	if (len && q->fmt.ddgst) {
		pdu_put_digest(slot->tail, crc32c(data, len));
		slot->tx.tail_len = PDU_DIGEST_LEN;
	}
	slot->sending = true;
	wire_txq_push(&q->txq, &slot->tx);
	hostq_kick(q);
}

static void hostq_push_capsule(struct nvme_hostq *q, struct hostq_slot *slot)
{
	struct nvme_hostcmd *cmd = slot->cmd;
	uint32_t len = capsule_len(q, cmd);

	put_le16(&cmd->sqe.cid, cmd->cid);
	fill_sgl(cmd, len);
	cmd->moved = len;
	slot->tx.head_len =
		(uint8_t)pdu_build_cmd(slot->head, &q->fmt, &cmd->sqe, len, &slot->tx.pad_len);
	tx_payload(q, slot, cmd->data, len);
}

void hostq_push_data(struct nvme_hostq *q, struct hostq_slot *slot)
{
	uint32_t left = slot->r2t_end - slot->r2t_off;
	struct pdu_data_fields fields = {
		.cccid = slot->cmd->cid,
		.ttag = slot->ttag,
		.datao = slot->r2t_off,
		.datal = MIN(left, q->max_h2c_data),
	};
	const uint8_t *data = (const uint8_t *)slot->cmd->data + slot->r2t_off;

	ASSERT(left > 0);
	ASSERT(!slot->sending);
	if (fields.datal == left)
		fields.flags = PDU_F_LAST;
	slot->r2t_off += fields.datal;
	slot->cmd->moved = slot->r2t_off;
	slot->tx.head_len =
		(uint8_t)pdu_build_h2c_data(slot->head, &q->fmt, &fields, &slot->tx.pad_len);
	tx_payload(q, slot, data, fields.datal);
}

static void slot_finish(struct nvme_hostq *q, struct hostq_slot *slot);

/* What of slot was on the send queue is in the kernel. */
static void slot_sent(struct nvme_hostq *q, struct hostq_slot *slot)
{
	slot->sending = false;
	if (slot->answered)
		slot_finish(q, slot);
	else if (slot->r2t_off < slot->r2t_end)
		hostq_push_data(q, slot);
}

static void tx_mark_sent(struct nvme_hostq *q, struct wire_tx *tx)
{
	if (tx != &q->init_tx)
		container_of(tx, struct hostq_slot, tx)->cmd->state = HOSTCMD_SENT;
}

/* First all states, then callbacks: one of them may end the queue. */
static void hostq_sent(struct nvme_hostq *q, struct list *sent)
{
	struct list *node;

	list_for_each (it, sent)
		tx_mark_sent(q, list_entry(it, struct wire_tx, link));
	while ((node = list_pop_front(sent))) {
		struct wire_tx *tx = list_entry(node, struct wire_tx, link);
		struct hostq_slot *slot;

		if (tx == &q->init_tx)
			continue;
		slot = container_of(tx, struct hostq_slot, tx);
		slot_sent(q, slot);
		if (q->state == HOSTQ_DEAD)
			return; /* by a callback */
	}
}

/* The message at the front may be partly with the controller. */
static void hostq_mark_partial(struct nvme_hostq *q)
{
	if (q->txq.front_sent && !wire_txq_empty(&q->txq))
		tx_mark_sent(q, list_first(&q->txq.list, struct wire_tx, link));
}

static ssize_t hostq_send_once(struct nvme_hostq *q, size_t *ret_wanted)
{
	struct wire_gather gather;

	wire_gather_init(&gather, send_iov, SEND_IOV_MAX, send_staging, sizeof(send_staging));
	wire_txq_gather(&q->txq, &gather);
	*ret_wanted = gather.bytes;
	return sock_send(q->sock, gather.iov, gather.n);
}

static void hostq_flush(struct task *task)
{
	struct nvme_hostq *q = container_of(task, struct nvme_hostq, flush);

	for (int round = 0; round < SEND_ROUNDS; round++) {
		struct list sent;
		size_t wanted;
		ssize_t n;

		if (q->state == HOSTQ_DEAD || q->state == HOSTQ_CONNECT || wire_txq_empty(&q->txq))
			return;
		n = hostq_send_once(q, &wanted);
		if (n == -EAGAIN) {
			sock_want_write(q->sock);
			return;
		}
		if (n < 0) {
			(void)hostq_fail(q, (int)n, "sending failed: %s", strerror((int)-n));
			return;
		}
		list_init(&sent);
		wire_txq_advance(&q->txq, (size_t)n, &sent);
		hostq_mark_partial(q);
		hostq_sent(q, &sent);
		if ((size_t)n < wanted && q->state != HOSTQ_DEAD) {
			sock_want_write(q->sock);
			return;
		}
	}
	hostq_kick(q);
}

/* --- commands --- */

static void slot_take(struct nvme_hostq *q, struct nvme_hostcmd *cmd)
{
	uint16_t cid = q->free_cids[--q->n_free];
	struct hostq_slot *slot = &q->slots[cid];

	ASSERT(!slot->cmd);
	slot->cmd = cmd;
	slot->answered = false;
	slot->last = false;
	slot->digest_bad = false;
	slot->r2t_off = 0;
	slot->r2t_end = 0;
	cmd->cid = cid;
	cmd->state = HOSTCMD_QUEUED;
	list_push_back(&q->inflight, &cmd->link);
	hostq_push_capsule(q, slot);
}

/*
 * Whether cmd may go out: the first half of a fused pair only when the second, which is submitted right behind it, finds a slot too.
 * Controllers do not wait long for a second half, and a first half that waits holds their buffers.
 */
static bool slots_suffice(const struct nvme_hostq *q, const struct nvme_hostcmd *cmd)
{
	const unsigned fuse = cmd->sqe.flags & NVME_SQE_FUSE_MASK;
	const uint32_t wanted = fuse == NVME_SQE_FUSE_FIRST ? MIN(2u, q->opts.queue_size) : 1;

	return q->n_free >= wanted;
}

static void take_waiting(struct nvme_hostq *q)
{
	while (!list_empty(&q->waiting)) {
		struct nvme_hostcmd *cmd = list_first(&q->waiting, struct nvme_hostcmd, link);

		if (!slots_suffice(q, cmd))
			return;
		list_remove(&cmd->link);
		slot_take(q, cmd);
	}
}

static void slot_finish(struct nvme_hostq *q, struct hostq_slot *slot)
{
	struct nvme_hostcmd *cmd = TAKE_PTR(slot->cmd);

	ASSERT(!slot->sending);
	list_remove(&cmd->link);
	cmd->state = HOSTCMD_IDLE;
	q->free_cids[q->n_free++] = cmd->cid;
	take_waiting(q);
	cmd->done(cmd, slot->status);
}

void hostq_answer(struct nvme_hostq *q, struct hostq_slot *slot, int status)
{
	ASSERT(!slot->answered);
	slot->answered = true;
	slot->status = status;
	slot->r2t_end = slot->r2t_off;
	if (slot->sending && wire_txq_remove(&q->txq, &slot->tx))
		slot->sending = false;
	if (!slot->sending)
		slot_finish(q, slot);
}

void nvme_hostq_submit(struct nvme_hostq *q, struct nvme_hostcmd *cmd)
{
	ASSERT(cmd->done);
	ASSERT(cmd->data || !cmd->data_len);
	ASSERT(!q->raw && !q->opts.on_bytes);
	cmd->moved = 0;
	if (q->state == HOSTQ_DEAD) {
		cmd->state = HOSTCMD_ENDED;
		list_push_back(&q->ended, &cmd->link);
		reactor_defer(q->reactor, &q->end);
	} else if (q->state != HOSTQ_READY || !list_empty(&q->waiting) || !slots_suffice(q, cmd)) {
		cmd->state = HOSTCMD_WAITING;
		list_push_back(&q->waiting, &cmd->link);
	} else {
		slot_take(q, cmd);
	}
}

void nvme_hostq_set_capsule(struct nvme_hostq *q, uint32_t bytes)
{
	q->capsule_max = bytes;
}

int nvme_hostq_send_raw(struct nvme_hostq *q, const void *bytes, size_t len)
{
	uint8_t *copy;

	if (q->state == HOSTQ_DEAD)
		return -ENOTCONN;
	if (q->init_tx.link.next)
		return -EBUSY;
	copy = realloc(q->raw_bytes, len ? len : 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, len);
	q->raw = true;
	q->raw_bytes = copy;
	q->init_tx = (struct wire_tx){.data = copy, .data_len = (uint32_t)len};
	wire_txq_push(&q->txq, &q->init_tx);
	hostq_kick(q);
	return 0;
}

/* --- life --- */

void hostq_ready(struct nvme_hostq *q)
{
	q->state = HOSTQ_READY;
	take_waiting(q);
	q->opts.on_state(q, 0, NULL, q->opts.ctx);
}

static void hostq_connected(struct nvme_hostq *q)
{
	uint8_t dgst = (q->opts.header_digest ? PDU_DGST_HEADER : 0) |
		       (q->opts.data_digest ? PDU_DGST_DATA : 0);
	int rc = sock_error(q->sock);

	if (rc < 0) {
		char text[SOCK_ADDR_TEXT];

		(void)hostq_fail(q, rc, "connecting to %s failed: %s",
				 sock_addr_format(&q->opts.addr, text), strerror(-rc));
		return;
	}
	if (q->opts.on_bytes) {
		hostq_ready(q);
		hostq_kick(q);
		return;
	}
	q->state = HOSTQ_INIT;
	q->init_tx.head = q->init_head;
	q->init_tx.head_len = (uint8_t)pdu_build_icreq(q->init_head, q->opts.hpda, dgst, 0);
	wire_txq_push(&q->txq, &q->init_tx);
	hostq_kick(q);
}

static void sock_event(void *ctx, unsigned events)
{
	struct nvme_hostq *q = ctx;

	if (q->state == HOSTQ_DEAD)
		return;
	if (q->state == HOSTQ_CONNECT) {
		if (events & SOCK_EV_WRITE)
			hostq_connected(q);
		return;
	}
	if (events & SOCK_EV_READ)
		hostq_readable(q);
	if (events & SOCK_EV_WRITE && q->state != HOSTQ_DEAD)
		hostq_kick(q);
}

static int hostq_alloc(struct nvme_hostq *q)
{
	uint32_t n = q->opts.queue_size;

	q->slots = calloc(n, sizeof(*q->slots));
	q->free_cids = calloc(n, sizeof(*q->free_cids));
	if (!q->slots || !q->free_cids)
		return -ENOMEM;
	while (q->n_free < n) {
		q->free_cids[q->n_free] = (uint16_t)(n - 1 - q->n_free);
		q->n_free++;
	}
	return 0;
}

static int hostq_connect(struct nvme_hostq *q, struct err *err)
{
	const char *asked = q->opts.congestion;
	struct sock_opts opts = {.congestion = asked ? asked : SOCK_CONGESTION_DEFAULT};
	int rc;

	if (!opts.congestion[0])
		opts.congestion = NULL;
	rc = sock_connect(q->reactor, &q->opts.addr, &opts, sock_event, q, &q->sock, err);
	if (asked || (rc != -ENOENT && rc != -EPERM))
		return rc;
	/* A kernel without our default, or one that does not allow it. */
	opts.congestion = NULL;
	return sock_connect(q->reactor, &q->opts.addr, &opts, sock_event, q, &q->sock, err);
}

int nvme_hostq_new(struct reactor *r, const struct nvme_hostq_opts *opts, struct nvme_hostq **ret,
		   struct err *err)
{
	struct nvme_hostq *q;
	int rc;

	ASSERT(opts->on_state);
	if (opts->queue_size < 1 || opts->queue_size > QUEUE_SIZE_MAX)
		return err_set(err, -EINVAL, "a queue has 1 to %u entries, not %u", QUEUE_SIZE_MAX,
			       opts->queue_size);
	if (opts->hpda > PDU_PDA_MAX)
		return err_set(err, -EINVAL, "hpda is at most %u", PDU_PDA_MAX);
	q = calloc(1, sizeof(*q));
	if (!q)
		return err_set(err, -ENOMEM, "no memory for a queue");
	q->reactor = r;
	q->opts = *opts;
	q->capsule_max = HOSTQ_ADMIN_CAPSULE;
	q->flush.run = hostq_flush;
	q->end.run = hostq_end;
	list_init(&q->waiting);
	list_init(&q->inflight);
	list_init(&q->ended);
	wire_txq_init(&q->txq);
	wire_rx_init(&q->rx, WIRE_HOST, UINT32_MAX / 2);
	rc = hostq_alloc(q);
	if (rc < 0)
		rc = err_set(err, rc, "no memory for %u queue entries", opts->queue_size);
	else
		rc = hostq_connect(q, err);
	if (rc < 0) {
		hostq_destroy(q);
		return rc;
	}
	*ret = q;
	return 0;
}

void nvme_hostq_free(struct nvme_hostq *q)
{
	if (!q || q->freeing)
		return;
	q->freeing = true;
	if (q->state == HOSTQ_DEAD)
		reactor_defer(q->reactor, &q->end);
	else
		hostq_bury(q);
}
