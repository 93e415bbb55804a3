/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share. A connection is struct tcp_conn; it belongs to one reactor, first the control reactor, and all of
 * its fields are that reactor's, except where the control thread is named.
 *
 *   tcp_transport.c  the transport: options, stop, counters        tcp_rx.c   bytes to requests
 *   tcp_listener.c   listening sockets, accept                     tcp_tx.c   answers to bytes
 *   tcp_conn.c       life of a connection                          tcp_req.c  the slots for its commands
 *   tcp_move.c       after Connect: to its own reactor       tcp_ahead.c  payloads received before their commands are known
 *   tcp_freeze.c     all stands still, and goes on           tcp_job.c    one piece of work for every reactor
 *   tcp_stall.c      hosts that keep us waiting
 *   tcp_save.c, tcp_restore.c, tcp_restore_req.c, tcp_serve.c   to another engine
 */
#ifndef LITEPOOL_TRANSPORT_TCP_PRIV_H
#define LITEPOOL_TRANSPORT_TCP_PRIV_H

#include "base/counter.h"
#include "base/list.h"
#include "base/tlv.h"
#include "nvme/qpair.h"
#include "nvme/req.h"
#include "transport/tcp.h"
#include "wire/rx.h"
#include "wire/tx.h"

#define TCP_IOV_MAX          1024
#define TCP_STAGING_BYTES    ((size_t)64 * 1024)
#define TCP_ACCEPTS_PER_TURN 64
/* a C2HTermReq, or the last answers, may take that long to be taken by the host */
#define TCP_FLUSH_MS         1000
#define TCP_CAPSULES_MIN     8          /* in-capsule buffers that a connection may always hold */
#define TCP_CAPSULE_DATA_MAX (1u << 20) /* more in one capsule than any SGL could ask for: fatal */
/* a multiple of every block size: the unit in which lent data must not be torn */
#define TCP_LOAN_BLOCK 4096u
/* chunk offered while H2CData is due: what is read there has to be copied */
#define TCP_CHUNK_BEHIND_DATA 4096u

/* --- requests (tcp_req.c) --- */

enum tcp_req_state {
	TCP_REQ_FREE,
	TCP_REQ_CAPSULE, /* its in-capsule data is being received, or waits for a buffer; nvme does not know it */
	TCP_REQ_NVME,   /* with nvme */
	TCP_REQ_R2T,    /* R2T is queued or sent; data comes */
	TCP_REQ_ANSWER, /* the answer is queued, or it is to be dropped */
};

struct tcp_req {
	/* uses of its fields for the transport: toff, ttag, slot, tlink (dropped) */
	struct nvme_req req;
	struct wire_tx tx; /* R2T, then the answer: never both */
	enum tcp_req_state state;
	uint16_t cid, hash_next;
	uint32_t seq; /* of the commands of its connection */
	uint32_t
		looks; /* the connection's when it came, got its buffer, its R2T was queued, its answer was */
	bool digest_bad; /* some of its data came with a wrong digest */
	bool capsule;    /* counted in conn->capsules */
	bool answer_due; /* nvme completed it (Abort) while the host still sends its data */
	uint32_t r2t_len;
	struct iobuf *loan_copy;
	uint8_t head[sizeof(struct pdu_data) + PDU_DIGEST_LEN];
	uint8_t tail[PDU_DIGEST_LEN + sizeof(struct pdu_resp) + PDU_DIGEST_LEN];
};

struct tcp_reqs {
	struct tcp_req *slots; /* n; those from n_fresh on were never touched */
	uint16_t *free;        /* stack of n_free slots */
	uint16_t *hash;        /* chains by command id: slot + 1, 0 ends */
	uint32_t n, n_fresh, n_free, busy;
	uint32_t hash_mask;
	unsigned slot_bits; /* of a transfer tag; the rest is a generation */
};

int tcp_reqs_init(struct tcp_reqs *reqs, uint32_t n);
void tcp_reqs_fini(struct tcp_reqs *reqs);
/* An unused slot, clean, with state CAPSULE; NULL: all are in use. */
struct tcp_req *tcp_reqs_take(struct tcp_reqs *reqs);
void tcp_reqs_put(struct tcp_reqs *reqs, struct tcp_req *treq);
/* By command id. */
void tcp_reqs_hash(struct tcp_reqs *reqs, struct tcp_req *treq, uint16_t cid);
struct tcp_req *tcp_reqs_find(const struct tcp_reqs *reqs, uint16_t cid);
/* Gives treq a transfer tag that differs from its last one. */
void tcp_reqs_new_ttag(const struct tcp_reqs *reqs, struct tcp_req *treq);
/* That slot, for a command that came from another engine; NULL: it is in use, or there is no such. tcp_reqs_restored() comes after the last. */
struct tcp_req *tcp_reqs_take_slot(struct tcp_reqs *reqs, uint32_t slot);
void tcp_reqs_restored(struct tcp_reqs *reqs);
struct tcp_req *tcp_reqs_by_ttag(const struct tcp_reqs *reqs, uint16_t ttag);

/* --- transport and its reactors --- */

struct tcp_stats {                          /* writer: the reactor */
	counter accepted, refused, evicted; /* control reactor only */
	counter connects, closed;           /* Connect succeeded; connections ended */
	counter commands, r2ts, data_in, data_out;
	counter term_sent, term_received; /* fatal errors, ours and the host's */
	counter digest_errors, cid_conflicts;
	counter timeouts;
	counter stalls;        /* waits for an in-capsule buffer or a share of them */
	counter careful_reads; /* receives without a chunk */
	counter sends, sends_partial;
	counter loans_copied, loans_kept;
	counter ahead_taken; /* payloads that were received into their buffers before their command was known */
	counter ahead_copied; /* payloads where that guess was wrong */
	counter capsules_lent; /* payloads that went to the disk, or to their buffer, from the chunk */
};
/* They have nothing but counters. In this order they are handed over (TCP_CARRY_COUNTERS): it is for ever, and new ones come at the end. */
#define TCP_STATS 23u
static_assert(sizeof(struct tcp_stats) == TCP_STATS * sizeof(counter), "each is in tcp_stat[]");
struct tcp_stat {
	const char *name;
	size_t offset;
};
extern const struct tcp_stat tcp_stat[TCP_STATS];

#define TCP_AHEAD_MAX 15u /* pairs of header and 4 KiB in a chunk */

/* What was received by a guess and is not parsed yet; see tcp_ahead.c. */
struct tcp_ahead {
	struct iobuf *buf[TCP_AHEAD_MAX];
	uint32_t n,
		next; /* buffers; those before next are their commands'. n == 0: no guess is under way */
	bool taken; /* buf[next] is the current command's, which does not know yet that its payload is there */
	bool received;       /* something came */
	size_t lead, gap;    /* bytes before the first payload, between two */
	size_t payload;      /* bytes of each */
	size_t left;         /* bytes that came behind c->in */
	const uint8_t *head; /* in heads: where those of them that are not payload begin */
	uint8_t heads[TCP_AHEAD_MAX * (UINT8_MAX + PDU_DIGEST_LEN)];
};

/* The layout of the last commands of a connection. */
struct tcp_pattern {
	uint32_t payload; /* bytes */
	uint8_t header;   /* bytes before it, from the beginning of the PDU */
	uint8_t run;      /* commands in a row that had it */
	uint8_t pairs;    /* to ask for */
	uint8_t came;     /* commands since the last receive */
	bool filled;      /* the last receive brought all that it asked for by the pattern */
};

enum tcp_flow {
	TCP_FLOWING,
	TCP_FREEZING, /* nothing is received or begun; what executes ends, and its answers are sent */
	TCP_STILL,    /* and nothing is sent any more */
};

struct tcp_order {               /* from the control thread to a reactor: tcp_freeze.c */
	_Atomic uint64_t wanted; /* odd: be still; even: flow. Written by the control thread */
	_Atomic bool posted;
	struct msg msg;
};

struct tcp_report { /* from a reactor to the control thread */
	_Atomic uint64_t
		still_for; /* the order that was carried out, when it was odd. Written by the reactor */
	_Atomic bool posted;
	struct msg msg;
};

struct carry_out;
struct tcp_reactor;
struct tcp_restore;
struct tcp_job { /* saving, restoring, serving: one at a time */
	struct msg msg;
	int (*run)(struct tcp_reactor *tr, struct err *err);
	struct carry_out *out;
	int res;
	struct err err;
	uint64_t end_ns; /* when it was done */
};

struct tcp_reactor { /* one per reactor; its own */
	struct tcp_transport *transport;
	struct reactor *reactor;
	struct list conns; /* by here_link: those that live here and are not GONE */
	enum tcp_flow flow;
	bool held_early;    /* FLOWING: something was held for an order that is on its way */
	_Atomic bool calm;  /* tcp_transport_calm(); written by the control thread */
	uint64_t calm_pass; /* the reactor's pass of calm_turns */
	uint32_t calm_turns;
	uint64_t order_no; /* the one that was taken last */
	struct task look;  /* FREEZING: is it still? */
	struct tcp_order order;
	struct tcp_report report;
	struct tcp_job job;
	/* in-capsule buffers that one connection may hold; 0: not known yet */
	uint32_t capsule_share;
	struct tcp_stats stats;
	struct tcp_ahead ahead;
	struct iovec iov[TCP_IOV_MAX];
	uint8_t staging[TCP_STAGING_BYTES];
};
/* Counter i of tcp_stat[]. */
counter *tcp_stat_of(struct tcp_reactor *tr, unsigned i);

#define TCP_SPARE_KINDS 8u /* lengths of queues that are told apart; there are two or three */

struct tcp_queues {
	uint32_t entries, n;
};

struct tcp_spare_reqs {
	uint32_t entries, n;
	struct tcp_reqs *reqs; /* n of them, each with so many entries */
};

struct tcp_spares { /* tcp_spare.c; control thread */
	struct tcp_conn **conns;
	uint32_t n_conns;
	unsigned kinds;
	struct tcp_spare_reqs reqs[TCP_SPARE_KINDS];
};

struct tcp_transport { /* control thread, except opts and the pointers, which do not change */
	struct nvme_target *target;
	struct reactor *control;
	struct tcp_transport_opts opts;
	uint32_t in_capsule_bytes;
	struct tcp_reactor *reactors[REACTORS_MAX + 1]; /* by id; NULL: none */
	struct list listeners, conns;
	struct list strangers; /* connections without a successful Connect, the oldest first */
	uint32_t n_conns, n_strangers;
	enum tcp_flow
		flow; /* FREEZING until every reactor is still, and nothing is under way between them */
	uint64_t order_no;
	nvme_done_fn freeze_done;
	void *freeze_ctx;
	/* tcp_job.c */
	unsigned jobs_missing;
	nvme_done_fn jobs_done;
	void *jobs_ctx;
	struct err jobs_err;
	uint64_t jobs_end_ns; /* when the last reactor had done its part */
	/* a new engine that waits for tcp_transport_serve(): listeners are not attached */
	bool held;
	struct list imports; /* struct tcp_import, tcp_listener.c */
	struct tcp_restore *restore;
	struct tcp_spares spares;
	bool stopping;
	nvme_done_fn stop_done;
	void *stop_ctx;
	struct msg stop_msg;
};

struct tcp_listener {
	struct list link;
	struct tcp_transport *transport;
	struct sock *sock;
	struct sock_addr addr; /* with the port that was chosen */
	char congestion[16];
	struct nvme_port *port;
	unsigned users;
	struct timer retry; /* accept failed for want of something */
};

/* --- connections --- */

enum tcp_conn_state {
	TCP_CONN_ICREQ,   /* accepted */
	TCP_CONN_CONNECT, /* ICResp is queued; one command at a time until a Connect succeeds */
	TCP_CONN_MOVING, /* an I/O queue on its way to its reactor; nothing is under way, the socket is detached */
	TCP_CONN_READY,
	TCP_CONN_FLUSH, /* ends: what is queued may still be sent; what comes in is dropped */
	TCP_CONN_DRAIN, /* the socket is closed; waits for requests */
	TCP_CONN_GONE,  /* with nvme_qpair_disconnect() */
};

enum tcp_stall {
	TCP_STALL_NONE,
	TCP_STALL_BUFFER,  /* stands in line for an in-capsule buffer */
	TCP_STALL_SHARE,   /* holds its share of them */
	TCP_STALL_CONNECT, /* a command before the queue is connected is under way */
	TCP_STALL_SEND,    /* the host does not read its answers */
};

struct tcp_carried_rx {   /* what the receive machine was in the middle of */
	bool is_payload;  /* a PDU with data */
	bool drops;       /* nobody wants the data */
	uint32_t command; /* position among the COMMAND records; UINT32_MAX: none */
};

struct tcp_conn {
	struct nvme_qpair qp;
	struct tcp_transport *transport;
	struct tcp_reactor *tr;
	struct sock *sock;
	enum tcp_conn_state state;
	bool linger; /* FLUSH: what was sent is to reach the host before the socket is closed */
	/* while its reactor does not flow: a READ event came; resume was to run */
	bool read_held, resume_held;

	struct wire_rx rx;
	struct tcp_pattern pattern;
	bool lends;        /* the last write in a capsule went to a disk that takes data at once */
	struct wire_in in; /* not parsed yet: in chunk */
	struct iobuf *chunk; /* held between two events only while in is not empty */
	enum tcp_stall stall;
	struct tcp_req *rx_req; /* whose data is being received, or waits for a buffer */
	struct iobuf_waiter capsule_wait;
	uint32_t capsules; /* in-capsule buffers that its commands hold */
	uint32_t r2ts;     /* commands that wait for H2CData */
	uint32_t seq;      /* commands that came */
	uint32_t turn_commands, turn_bytes;
	bool drained;      /* the last receive came back short: the next READ event will tell */
	bool turn_goes_on; /* resume is queued to go on with the turn */
	bool connect_ok;   /* a Connect succeeded; its answer is on the way */
	struct task resume;
	uint8_t small[PDU_HEADER_MAX + PDU_DIGEST_LEN]; /* in place of a chunk when there is none */

	struct wire_txq txq;
	struct pdu_format fmt;
	bool tx_blocked;               /* the socket is full: goes on with SOCK_EV_WRITE */
	uint32_t loans;                /* queued answers whose data is the disk's */
	struct iobuf_waiter loan_wait; /* for a buffer to copy one of them to */
	struct task late;

	struct tcp_reqs reqs;
	struct list dropped; /* requests to release without an answer */
	struct task drop;

	struct timer timer;
	uint64_t deadline_ns; /* ICREQ, CONNECT, FLUSH: fixed */
	uint64_t progress_ns; /* READY: when bytes last moved */
	uint32_t looks;       /* at which the host kept us waiting: tcp_stall.c */

	struct list link; /* control thread */
	struct list here_link;
	/* control thread; linked until Connect has succeeded or the connection ends */
	struct list stranger_link;
	struct msg move;
	uint8_t *stash; /* bytes that came behind a Connect and move along */
	size_t stash_len;

	/* Came from another engine (tcp_restore.c); the rest of its record until it serves. */
	bool is_carried;
	struct tlv carried;
	struct tcp_carried_rx carried_rx;
	uint16_t *carried_new; /* slots of the commands to begin, in their order */
	uint32_t n_carried_new;
	uint8_t *flat; /* of flat_tx: what the other engine had not sent */
	bool flat_closes;
	struct wire_tx flat_tx;

	struct wire_tx ic_tx, term_tx, block_tx;
	uint8_t block[TCP_LOAN_BLOCK]; /* of block_tx; untouched memory until first needed */
	uint8_t ic_pdu[sizeof(struct pdu_icresp)];
	uint8_t term_pdu[sizeof(struct pdu_term) + PDU_TERM_DATA_MAX];
};

static inline struct tcp_conn *tcp_conn_of(struct nvme_qpair *qp)
{
	return container_of(qp, struct tcp_conn, qp);
}
static inline struct tcp_req *tcp_req_of(struct nvme_req *req)
{
	return container_of(req, struct tcp_req, req);
}
static inline struct iobuf_pool *tcp_pool(const struct tcp_conn *c)
{
	return reactor_iobufs(c->tr->reactor);
}
/* What came along, as not parsed yet; never a null pointer, which may not be counted on from. */
static inline struct wire_in tcp_conn_stash(const struct tcp_conn *c)
{
	const uint8_t *p = c->stash ? c->stash : c->small;

	return (struct wire_in){.p = p, .end = p + (c->stash ? c->stash_len : 0)};
}
/* Answers are sent and commands taken; not on its way out. */
static inline bool tcp_conn_open(const struct tcp_conn *c)
{
	return c->state < TCP_CONN_FLUSH;
}

/* tcp_conn.c */
/* Takes s on success. Control thread. */
int tcp_conn_new(struct tcp_transport *t, struct nvme_port *port, struct sock *s,
		 const struct sock_addr *peer);
/* Ends the connection at once. why is for people. Idempotent. */
void tcp_conn_close(struct tcp_conn *c, const char *why);
/* ops->complete */
void tcp_conn_complete(struct nvme_req *req);
/* Sends what is queued, for TCP_FLUSH_MS at most, then closes. */
void tcp_conn_flush_close(struct tcp_conn *c, const char *why);
/* rx has failed: C2HTermReq, then the end. */
void tcp_conn_fatal(struct tcp_conn *c);
/* FLUSH: all is sent. */
void tcp_conn_flushed(struct tcp_conn *c);
void tcp_conn_event(void *ctx, unsigned events);
/* Something to wait for has begun: the timer runs. */
void tcp_conn_watch(struct tcp_conn *c);
/* READY: its timer ran; ends it when the host has kept us waiting for too long. */
void tcp_conn_look(struct tcp_conn *c);
/* A request ends without an answer; it is released in a task. */
void tcp_conn_drop(struct tcp_conn *c, struct tcp_req *treq);
/* An answer has been sent, or a request was never started. */
void tcp_conn_put_req(struct tcp_conn *c, struct tcp_req *treq);
/* It has connected, or ends. On a reactor of its own: nothing. */
void tcp_conn_no_stranger(struct tcp_conn *c);
/* Closes the oldest connection that has not connected, if it had a fair chance. True if so. Control thread. */
bool tcp_conns_evict(struct tcp_transport *t);
/* Closes those that have no controller yet. Control thread. */
void tcp_conns_close_unconnected(struct tcp_transport *t, const struct nvme_port *port_or_null);

/*
 * tcp_move.c: the answer of a successful Connect has been sent and its request released. True: goes on here. False: closed, or
 * another reactor's from now on: not to be touched.
 */
bool tcp_conn_connected(struct tcp_conn *c);

/* tcp_rx.c */
void tcp_rx_init(struct tcp_conn *c);
/* ops->fetch */
void tcp_rx_fetch(struct nvme_req *req);
void tcp_rx_readable(struct tcp_conn *c);
/* The reason of a stall may be over: goes on soon. */
void tcp_rx_resume(struct tcp_conn *c);
/* Leaves lines, gives back the chunk and the request under way. The connection ends. */
void tcp_rx_stop(struct tcp_conn *c);
void tcp_rx_release_chunk(struct tcp_conn *c);
/* In-capsule buffers that one connection may hold. */
uint32_t tcp_capsule_share(const struct tcp_conn *c);
/* Whether the host has announced data that is not here yet. */
bool tcp_rx_in_payload(const struct tcp_conn *c);

/* tcp_ahead.c */
/* A command came; in_capsule: with a payload that is wanted. */
void tcp_ahead_learn(struct tcp_conn *c, bool in_capsule);
/* Entries (2 * TCP_AHEAD_MAX at most) to receive behind the payload under way, by the pattern; 0: no guess, nothing to undo. */
int tcp_ahead_offer(struct tcp_conn *c, struct iovec *iov);
static inline bool tcp_ahead_offered(const struct tcp_conn *c)
{
	return c->tr->ahead.n;
}
/* got bytes came into these entries: c->in is the first part of them. */
void tcp_ahead_received(struct tcp_conn *c, size_t got);
/* The buffer that the payload of the current command lies in, which is to be its destination; NULL: a buffer as usual. */
struct iobuf *tcp_ahead_take(struct tcp_conn *c);
/* c->in is parsed: on to the next part. False: there is none. */
bool tcp_ahead_next(struct tcp_conn *c);
/* Parsing stops: all that is left is in c->in. */
void tcp_ahead_end(struct tcp_conn *c);

/* tcp_tx.c */
void tcp_tx_init(struct tcp_conn *c);
void tcp_tx_push(struct tcp_conn *c, struct wire_tx *tx);
void tcp_tx_ic(struct tcp_conn *c, uint8_t dgst);
void tcp_tx_term(struct tcp_conn *c);
void tcp_tx_answer(struct tcp_conn *c, struct tcp_req *treq);
void tcp_tx_r2t(struct tcp_conn *c, struct tcp_req *treq);
/* Takes an R2T back that the host has not begun to see. True if so. */
bool tcp_tx_recall(struct tcp_conn *c, struct tcp_req *treq);
void tcp_tx_writable(struct tcp_conn *c);
/* Drops what is queued. */
void tcp_tx_stop(struct tcp_conn *c);

/* tcp_job.c: run() on every reactor, in parallel; then done(ctx, the first error), on the control reactor. */
void tcp_jobs_run(struct tcp_transport *t, int (*run)(struct tcp_reactor *tr, struct err *err),
		  nvme_done_fn done, void *ctx);

/* tcp_spare.c: a clean connection, and its slots as of tcp_reqs_init(); spares while there are some. */
struct tcp_conn *tcp_spare_conn(struct tcp_transport *t);
int tcp_spare_reqs(struct tcp_transport *t, struct tcp_reqs *reqs, uint32_t entries);
void tcp_spares_free(struct tcp_transport *t);

/* tcp_conn.c, for tcp_restore.c: a connection in state ICREQ, in no list but the transport's; s (attached nowhere) is its. NULL: no memory. */
struct tcp_conn *tcp_conn_alloc(struct tcp_transport *t, struct nvme_port *port, struct sock *s);
/* Fills in the addresses of both ends. */
void tcp_conn_addrs(struct tcp_conn *c, const struct sock_addr *peer);
void tcp_conn_add(struct tcp_conn *c);
void tcp_conn_stranger(struct tcp_conn *c);
void tcp_conn_deadline(struct tcp_conn *c, uint64_t deadline_ns);

/* tcp_rx.c, likewise */
void tcp_rx_start(struct tcp_conn *c, struct tcp_req *treq);
/* tcp_listener.c: sockets that wait for serve. */
void tcp_listeners_serve(struct tcp_transport *t);

/* tcp_freeze.c */
void tcp_freeze_init(struct tcp_reactor *tr);
/* Whether a READ event is to be held: from the moment that a freeze is ordered, in the middle of a pass that may still have a thousand sockets before it. */
static inline bool tcp_freeze_holds(struct tcp_reactor *tr)
{
	if (tr->flow != TCP_FLOWING)
		return true;
	if (atomic_load_explicit(&tr->order.wanted, memory_order_relaxed) % 2 == 0)
		return false;
	tr->held_early = true;
	return true;
}
/* Whether a READ event is put off to the next pass, because enough sockets had their turn in this one. */
bool tcp_freeze_calms(struct tcp_reactor *tr);
/* A timer that ran while its reactor does not flow runs again later: time that passes is not the host's. True if so. */
bool tcp_freeze_puts_off(struct tcp_conn *c, struct timer *timer);

/* tcp_listener.c: all of them, whoever uses them. Control thread. */
void tcp_listeners_close(struct tcp_transport *t);

/* tcp_transport.c: a connection is freed. Control thread. */
void tcp_transport_conn_gone(struct tcp_transport *t);

#endif
