/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a host may keep us waiting, for data that it announced and for answers that it does not read: meanwhile we keep buffers for it.
 *
 *  1. Without a byte: the stall timeout.
 *  2. With a byte now and then, as by one that is broken or hostile: TCP_SLOW_FACTOR times that, for the data of one command and for its answer. A
 *     host of Linux has given a command up long before (30 s by default).
 *  3. A third of both, while others stand in line for buffers.
 *  4. Time in which we do not read, or stand still (tcp_freeze.c), is not the host's. So 2. is counted in looks of the timer that found it waiting
 *     for the host, not by a clock; nothing is done for it per command but to remember their number.
 *
 * The connection is then closed without a C2HTermReq: no fatal error status of the specification means "late", and the host may not read.
 */
#include "transport/tcp_priv.h"

#include "base/check.h"
#include "base/log.h"

#define TCP_LOOKS       6u /* in a stall timeout */
#define TCP_SLOW_FACTOR 10u

/* Whether it is the host that keeps us waiting. */
static bool waits_for_host(const struct tcp_conn *c)
{
	if (!wire_txq_empty(&c->txq))
		return true;
	if (c->stall) /* we are not reading: what it announced may be there */
		return false;
	return c->r2ts || tcp_rx_in_payload(c);
}

/* How patient we are is divided by that. */
static unsigned haste(const struct tcp_conn *c)
{
	for (int cls = IOBUF_SMALL; cls <= IOBUF_LARGE; cls++)
		if (iobuf_usage(tcp_pool(c), (enum iobuf_class)cls).waiting)
			return 3;
	return 1;
}

/* A command whose data or answer has been under way for too long. */
static bool has_slow_command(const struct tcp_conn *c)
{
	const uint32_t looks_max = TCP_LOOKS * TCP_SLOW_FACTOR / haste(c);

	for (uint32_t i = 0; i < c->reqs.n_fresh; i++) {
		const struct tcp_req *treq = &c->reqs.slots[i];
		const bool waits = treq->state == TCP_REQ_R2T || treq->state == TCP_REQ_ANSWER ||
				   (treq->state == TCP_REQ_CAPSULE && !c->stall);

		if (waits && c->looks - treq->looks >= looks_max)
			return true;
	}
	return false;
}

static uint64_t stall_timeout_ns(const struct tcp_conn *c)
{
	return c->transport->opts.stall_timeout_ms * NSEC_PER_MSEC;
}

/* Often enough to see that others have come to stand in line. */
static void look_again(struct tcp_conn *c, uint64_t now)
{
	(void)timer_start(c->tr->reactor, &c->timer, now + stall_timeout_ns(c) / TCP_LOOKS);
}

void tcp_conn_watch(struct tcp_conn *c)
{
	uint64_t now = reactor_now(c->tr->reactor);

	ASSERT(c->state <= TCP_CONN_FLUSH);
	if (c->timer.heap_index)
		return;
	c->progress_ns = now;
	look_again(c, now);
}

static void timed_out(struct tcp_conn *c, const char *why)
{
	counter_add(&c->tr->stats.timeouts, 1);
	log_limited(LOG_LEVEL_WARN, "tcp.conn.timeout", "peer=%s qid=%u why=\"%s\"", c->qp.peer,
		    c->qp.qid, why);
	tcp_conn_close(c, why);
}

void tcp_conn_look(struct tcp_conn *c)
{
	uint64_t now = reactor_now(c->tr->reactor);

	if (!waits_for_host(c)) {
		if (!c->stall && !c->r2ts)
			return;
		c->progress_ns = now; /* it was us who kept it waiting */
		look_again(c, now);
		return;
	}
	c->looks++;
	if (now >= c->progress_ns + stall_timeout_ns(c) / haste(c))
		timed_out(c, "the host neither sends announced data nor reads its answers");
	else if (has_slow_command(c))
		timed_out(c, "the host has been sending the data of a command, or reading an "
			     "answer, for too long");
	else
		look_again(c, now);
}
