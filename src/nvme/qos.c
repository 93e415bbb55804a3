/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets of a namespace, shared by all reactors without a lock (GCRA, the leaky bucket as a meter): a limit is one atomic time,
 * "when all that was let through will have been paid". A command may start when that lies at most the burst ahead of now, and pushes it
 * on by its own cost. So a command larger than the bucket passes as soon as the bucket is full, and those after it pay.
 *
 * What may not start stands in the line of its reactor:
 *  1. The first of a line has paid already and has a time to start: a reservation. Reactors that compete for a bucket get turns by it in
 *     the order of asking; a reactor that looks more often gets no more.
 *  2. A new command never passes its line. In the line, queues take turns: a command's tag is one more than that of the one before it
 *     on its queue, but not before the line's present nor behind its end (start-time fair queueing), so a queue at depth 1 waits one
 *     round and not behind the whole depth of its neighbour.
 *  3. One timer per line; it never sleeps longer than RECHECK_NS, so that limits raised live, or a reservation made at an old rate,
 *     delay nobody for longer.
 *
 * Time is kept in sixteenths of a nanosecond: exact enough for millions per second, 36 years of uptime.
 */
#include <stdlib.h>

#include "base/check.h"
#include "nvme/carry_parts.h"
#include "nvme/model.h"

#define TIME_SHIFT       4
#define RECHECK_NS       (100 * NSEC_PER_MSEC)
#define BURST_MS_DEFAULT 100

enum { RW_IOS, R_IOS, W_IOS, RW_BYTES, R_BYTES, W_BYTES, BUCKETS };

struct bucket {
	_Atomic uint64_t rate;      /* per second, 0: no limit */
	_Atomic uint64_t paid_till; /* see above */
};

struct line { /* one per reactor, touched by it alone but for what is _Atomic */
	struct nvme_qos *qos;
	struct reactor *_Atomic reactor; /* set at first use; read by nvme_qos_set */
	struct list parked;              /* sorted by tag */
	struct nvme_req *reserved;       /* the first, when it has paid */
	uint64_t reserved_at, epoch;
	uint64_t present; /* tag of the last that left */
	struct timer timer;
	struct msg wake;
	_Atomic bool wake_posted;
};

struct nvme_qos {
	struct bucket bucket[BUCKETS];
	_Atomic uint64_t burst;        /* time */
	_Atomic uint64_t epoch;        /* of the limits */
	_Atomic bool limited;          /* by any bucket */
	_Atomic uint32_t refs;         /* the owner and each wake under way */
	struct nvme_qos_limits limits; /* control thread */
	struct line line[REACTORS_MAX + 1];
};

static void line_run(struct line *line);

/* --- buckets --- */

static uint64_t bucket_cost(const struct bucket *b, uint64_t n)
{
	const uint64_t rate = atomic_load_explicit(&b->rate, memory_order_relaxed);

	if (!rate)
		return 0;
	return (uint64_t)((unsigned __int128)n * (NSEC_PER_SEC << TIME_SHIFT) / rate);
}

/* Pays n and returns when it may start. */
static uint64_t bucket_pay(struct bucket *b, uint64_t n, uint64_t now, uint64_t burst)
{
	const uint64_t cost = bucket_cost(b, n);
	uint64_t till = atomic_load_explicit(&b->paid_till, memory_order_relaxed);
	uint64_t from;

	if (!cost)
		return 0;
	do {
		from = MAX(till, now);
	} while (!atomic_compare_exchange_weak_explicit(
		&b->paid_till, &till, from + cost, memory_order_relaxed, memory_order_relaxed));
	return from > burst ? from - burst : 0;
}

static void bucket_refund(struct bucket *b, uint64_t n)
{
	const uint64_t cost = bucket_cost(b, n);
	uint64_t till = atomic_load_explicit(&b->paid_till, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&b->paid_till, &till,
						      till > cost ? till - cost : 0,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static uint64_t pay(struct nvme_qos *qos, const struct nvme_req *req, uint64_t now)
{
	const uint64_t burst = atomic_load_explicit(&qos->burst, memory_order_relaxed);
	struct bucket *b = qos->bucket;
	const uint64_t at[] = {
		bucket_pay(&b[RW_IOS], 1, now, burst),
		bucket_pay(&b[req->qos_write ? W_IOS : R_IOS], 1, now, burst),
		bucket_pay(&b[RW_BYTES], req->qos_cost, now, burst),
		bucket_pay(&b[req->qos_write ? W_BYTES : R_BYTES], req->qos_cost, now, burst),
	};

	return MAX(MAX(at[0], at[1]), MAX(at[2], at[3]));
}

static void refund(struct nvme_qos *qos, const struct nvme_req *req)
{
	struct bucket *b = qos->bucket;

	bucket_refund(&b[RW_IOS], 1);
	bucket_refund(&b[req->qos_write ? W_IOS : R_IOS], 1);
	bucket_refund(&b[RW_BYTES], req->qos_cost);
	bucket_refund(&b[req->qos_write ? W_BYTES : R_BYTES], req->qos_cost);
}

/* --- lines --- */

static uint64_t line_now(const struct line *line)
{
	return reactor_now(atomic_load_explicit(&line->reactor, memory_order_relaxed))
	       << TIME_SHIFT;
}

static void line_timer(struct timer *timer)
{
	line_run(container_of(timer, struct line, timer));
}

/* Sleeps until the first may start. False: no memory for a timer. */
static bool line_sleep(struct line *line, uint64_t now)
{
	const uint64_t wait_ns = (line->reserved_at - now) >> TIME_SHIFT;
	struct reactor *r = atomic_load_explicit(&line->reactor, memory_order_relaxed);

	line->timer.run = line_timer;
	return timer_start(r, &line->timer, reactor_now(r) + MIN(wait_ns + 1, RECHECK_NS)) == 0;
}

static void line_reserve(struct line *line, struct nvme_req *first, uint64_t start)
{
	line->reserved = first;
	line->reserved_at = start;
	line->epoch = atomic_load_explicit(&line->qos->epoch, memory_order_acquire);
}

/* Lets go whoever's time has come. */
static void line_run(struct line *line)
{
	while (!list_empty(&line->parked)) {
		struct nvme_req *first = list_first(&line->parked, struct nvme_req, link);
		const uint64_t now = line_now(line);

		/* New limits have emptied the buckets: what was paid is forgotten. */
		if (line->epoch != atomic_load_explicit(&line->qos->epoch, memory_order_acquire))
			line->reserved = NULL;
		if (!line->reserved)
			line_reserve(line, first, pay(line->qos, first, now));
		ASSERT(line->reserved == first);
		if (line->reserved_at > now && line_sleep(line, now))
			return;
		list_remove(&first->link);
		line->reserved = NULL;
		line->present = first->qos_tag;
		nvme_req_resume(first);
	}
	timer_stop(&line->timer);
}

/* Invariant 2: before the first whose tag is greater, but never before the one that has paid. */
static void line_insert(struct line *line, struct nvme_req *req)
{
	struct list *at = line->parked.prev;
	const uint64_t end = list_empty(&line->parked)
				     ? line->present
				     : list_entry(at, struct nvme_req, link)->qos_tag;

	req->qos_tag = MAX(line->present, MIN(req->qp->qos_tag, end) + 1);
	req->qp->qos_tag = req->qos_tag;
	while (at != &line->parked) {
		const struct nvme_req *before = list_entry(at, struct nvme_req, link);

		if (before->qos_tag <= req->qos_tag || before == line->reserved)
			break;
		at = at->prev;
	}
	list_push_after(at, &req->link);
	req->throttled = true;
}

bool nvme_qos_admit(struct nvme_qos *qos, struct nvme_req *req, bool write, uint64_t bytes)
{
	struct reactor *r = atomic_load_explicit(&req->qp->reactor, memory_order_relaxed);
	struct line *line = &qos->line[reactor_id(r)];
	const bool alone = list_empty(&line->parked);

	req->qos_write = write;
	req->qos_cost = bytes;
	if (alone && !atomic_load_explicit(&qos->limited, memory_order_relaxed))
		return true;
	atomic_store_explicit(&line->reactor, r, memory_order_release);
	if (!alone) {
		line_insert(line, req);
		return false;
	}

	const uint64_t now = line_now(line), start = pay(qos, req, now);

	if (start <= now)
		return true;
	line_insert(line, req);
	line_reserve(line, req, start);
	if (line_sleep(line, now))
		return false;
	/* Limits are kept as well as can be: without a timer nobody would ever wake it. */
	list_remove(&req->link);
	line->reserved = NULL;
	return true;
}

static void line_unreserve(struct line *line)
{
	if (line->reserved &&
	    line->epoch == atomic_load_explicit(&line->qos->epoch, memory_order_acquire))
		refund(line->qos, line->reserved);
	line->reserved = NULL;
}

void nvme_qos_cancel(struct nvme_req *req)
{
	struct reactor *r = atomic_load_explicit(&req->qp->reactor, memory_order_relaxed);
	struct line *line = &req->nsv->qos->line[reactor_id(r)];

	if (line->reserved == req)
		line_unreserve(line);
	list_remove(&req->link);
	if (list_empty(&line->parked)) {
		timer_stop(&line->timer);
	} else if (
		!line->reserved) { /* the next one's turn comes in the next pass: nobody is called from here */
		line->reserved_at = 0;
		(void)timer_start(r, &line->timer,
				  reactor_now(r)); /* armed: only moves, no memory needed */
	}
}

void nvme_qos_kick(struct nvme_qos *qos, struct reactor *r)
{
	struct line *line = &qos->line[reactor_id(r)];
	struct list parked;

	if (list_empty(&line->parked))
		return;
	line_unreserve(line);
	timer_stop(&line->timer);
	list_init(&parked);
	list_splice_back(&parked, &line->parked);
	for (struct list *it; (it = list_pop_front(&parked));)
		nvme_req_recheck(list_entry(it, struct nvme_req, link));
}

/* --- control thread --- */

struct nvme_qos *nvme_qos_new(void)
{
	struct nvme_qos *qos = calloc(1, sizeof(*qos));

	if (!qos)
		return NULL;
	atomic_store(&qos->refs, 1);
	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		qos->line[i].qos = qos;
		list_init(&qos->line[i].parked);
	}
	return qos;
}

void nvme_qos_debt(const struct nvme_qos *qos, uint64_t now_ns, uint64_t debt_ns[BUCKETS])
{
	const uint64_t now = now_ns << TIME_SHIFT;

	for (unsigned i = 0; i < BUCKETS; i++) {
		const uint64_t till =
			atomic_load_explicit(&qos->bucket[i].paid_till, memory_order_relaxed);

		debt_ns[i] = till > now ? (till - now) >> TIME_SHIFT : 0;
	}
}

/* A debt beyond all reason is another process's error: nobody shall wait for it. */
#define DEBT_MAX_NS (60 * NSEC_PER_SEC)

void nvme_qos_owe(struct nvme_qos *qos, uint64_t now_ns, const uint64_t debt_ns[BUCKETS])
{
	for (unsigned i = 0; i < BUCKETS; i++)
		if (debt_ns[i])
			atomic_store_explicit(&qos->bucket[i].paid_till,
					      (now_ns + MIN(debt_ns[i], DEBT_MAX_NS)) << TIME_SHIFT,
					      memory_order_relaxed);
}

static void qos_put(struct nvme_qos *qos)
{
	if (atomic_fetch_sub_explicit(&qos->refs, 1, memory_order_acq_rel) == 1)
		free(qos);
}

void nvme_qos_free(struct nvme_qos *qos)
{
	if (!qos)
		return;
	for (unsigned i = 0; i <= REACTORS_MAX; i++)
		ASSERT(list_empty(&qos->line[i].parked));
	qos_put(qos);
}

static void line_wake(struct msg *msg)
{
	struct line *line = container_of(msg, struct line, wake);

	atomic_store_explicit(&line->wake_posted, false, memory_order_release);
	line_run(line);
	qos_put(line->qos);
}

static void wake_lines(struct nvme_qos *qos)
{
	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		struct line *line = &qos->line[i];
		struct reactor *r = atomic_load_explicit(&line->reactor, memory_order_acquire);

		if (!r || atomic_exchange_explicit(&line->wake_posted, true, memory_order_acq_rel))
			continue;
		atomic_fetch_add_explicit(&qos->refs, 1, memory_order_relaxed);
		line->wake.run = line_wake;
		reactor_post(r, &line->wake);
	}
}

void nvme_qos_set(struct nvme_qos *qos, const struct nvme_qos_limits *limits)
{
	const uint64_t rate[BUCKETS] = {
		[RW_IOS] = limits->rw_ios_per_sec,   [R_IOS] = limits->r_ios_per_sec,
		[W_IOS] = limits->w_ios_per_sec,     [RW_BYTES] = limits->rw_bytes_per_sec,
		[R_BYTES] = limits->r_bytes_per_sec, [W_BYTES] = limits->w_bytes_per_sec,
	};
	const uint64_t burst_ms = limits->burst_ms ? limits->burst_ms : BURST_MS_DEFAULT;
	bool limited = false;

	qos->limits = *limits;
	atomic_store_explicit(&qos->burst, (burst_ms * NSEC_PER_MSEC) << TIME_SHIFT,
			      memory_order_relaxed);
	for (unsigned i = 0; i < BUCKETS; i++) {
		limited |= rate[i] != 0;
		atomic_store_explicit(&qos->bucket[i].rate, rate[i], memory_order_relaxed);
		atomic_store_explicit(&qos->bucket[i].paid_till, 0, memory_order_relaxed);
	}
	atomic_store_explicit(&qos->limited, limited, memory_order_relaxed);
	atomic_fetch_add_explicit(&qos->epoch, 1, memory_order_release);
	wake_lines(qos);
}

struct nvme_qos_limits nvme_qos_get(const struct nvme_qos *qos)
{
	return qos->limits;
}
