/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of the target, for the files of this folder. All of them belong to the control thread; data reactors see
 * subsys_view (view.h) and, through a qpair, the few fields of its controller that say so.
 */
#ifndef LITEPOOL_NVME_MODEL_H
#define LITEPOOL_NVME_MODEL_H

#include "base/list.h"
#include "nvme/freeze.h"
#include "nvme/qpair.h"
#include "nvme/req.h"
#include "nvme/target.h"
#include "nvme/view.h"

#define NVME_PORTS_MAX         64
#define NVME_AER_MAX           16
#define NVME_NAMESPACES_MAX    1024 /* of a subsystem: what the Changed Namespace List has room for */
#define NVME_ERROR_LOG_ENTRIES 64

struct nvme_target {
	struct nvme_target_opts opts;
	struct list subsystems;
	struct nvme_port *ports[NVME_PORTS_MAX]; /* by index; NULL: free */
	struct nvme_subsystem *discovery;        /* its namespaces: none; any host may come */
	uint64_t discovery_gen;
	uint32_t home_next;                   /* tie-break of the least loaded reactor */
	uint32_t home_load[REACTORS_MAX + 1]; /* I/O queue pairs per data reactor */
	nvme_resv_save_fn resv_save;
	void *resv_save_ctx;
	bool stopping;                                /* Connect is refused */
	struct nvme_freeze *freeze[REACTORS_MAX + 1]; /* by reactor id; NULL: none */
};

struct nvme_port {
	struct nvme_target *target;
	uint32_t index; /* row of view->ana; PORTID - 1 */
	uint32_t refs;
	struct nvme_port_addr addr;
};

struct nvme_listener { /* a port in a subsystem */
	struct list link;
	struct nvme_port *port;
	uint8_t *ana; /* by anagrpid, 1 .. nn; [0] unused */
	uint64_t change_count;
};

struct nvme_host_entry {
	struct list link;
	char nqn[NVME_NQN_FIELD];
};

enum nvme_resv_type {
	NVME_RESV_NONE,
	NVME_RESV_WRITE_EXCL,
	NVME_RESV_EXCL_ACCESS,
	NVME_RESV_WRITE_EXCL_REG,
	NVME_RESV_EXCL_ACCESS_REG,
	NVME_RESV_WRITE_EXCL_ALL,
	NVME_RESV_EXCL_ACCESS_ALL,
};

struct resv_registrant {
	uint8_t hostid[16];
	uint64_t key;
};

struct resv { /* reservation.c; changed only by it */
	enum nvme_resv_type type;
	int holder; /* index, -1: none (or all registrants) */
	unsigned n;
	struct resv_registrant reg[RESV_HOSTS_MAX];
	uint32_t generation;
	bool ptpl; /* persist through power loss is on */
};

struct resv_notes { /* hosts to be told of a change */
	unsigned n;
	struct {
		uint8_t hostid[16];
		uint8_t type; /* enum resv_note */
	} note[RESV_HOSTS_MAX];
};

#define NVME_FUSED_BLOCKS_MAX 16 /* of a fused Compare and Write: ACWU and NACWU are this - 1 */

struct ns_gate { /* fused.c: one per reactor and namespace, touched by that reactor alone; zeroed = open */
	uint32_t writes[2]; /* under way, by epoch */
	uint8_t epoch;
	bool locked, draining;
	uint64_t lba; /* the locked range */
	uint32_t blocks;
	struct list parked; /* writes that wait for the end of the lock; zeroed = empty */
	struct msg msg;
	struct nvme_ns *ns;
};

struct ns_lock { /* fused.c: of the namespace's home reactor; zeroed = free */
	struct nvme_req *owner;
	struct list waiters; /* zeroed = empty */
	unsigned acks_missing;
	bool unlocking;
};

struct ns_stats { /* one per reactor, written by it; zeroed memory */
	struct ns_gate gate;
	counter reads, writes, others, read_bytes, write_bytes, errors, compares_failed;
	counter media_errors; /* of errors: the disk's, not the host's */
	struct hist read_latency, write_latency;
};

struct nvme_ns {
	struct nvme_subsystem *ss;
	uint32_t nsid, anagrpid;
	struct blk_dev *dev;
	struct nvme_qos *qos; /* may be NULL */
	uint8_t nguid[16], eui64[8];
	struct uuid uuid;
	bool ptpl_capable;
	bool removing;
	struct resv resv;
	struct list resv_queue; /* reservation commands wait here for the one that is under way */
	bool resv_busy, resv_running;
	struct nvme_req *resv_req; /* the one under way, the state it leads to, and whom to tell */
	struct resv resv_next;
	struct resv_notes resv_notes;
	unsigned resv_aborts; /* resv_abort.c: queues that have not answered */
	nvme_done_fn resv_aborted;
	struct msg resv_closed_msg;
	nvme_done_fn resv_closed; /* of nvme_resv_close() */
	void *resv_closed_ctx;
	struct ns_lock lock;
	struct ns_stats *stats[REACTORS_MAX +
			       1]; /* made before the namespace is published, one per reactor */
};

struct nvme_subsystem {
	struct list link;
	struct nvme_target *target;
	bool is_discovery, deleting;
	char nqn[NVME_NQN_FIELD];
	char serial[21], model[41];
	uint32_t
		nn; /* max_namespaces, at most NVME_NAMESPACES_MAX; also the number of ANA groups */
	uint32_t number; /* carry_save.c */
	uint16_t min_cntlid, max_cntlid, next_cntlid;
	bool allow_any_host, ana_reporting;
	struct list hosts, listeners, ctrlrs;
	struct nvme_ns **ns; /* nn entries, by nsid - 1 */
	struct resv **
		restored; /* likewise: reservations of namespaces that are yet to be added; entries may be NULL */
	uint64_t ana_change_count;

	/* view.c */
	struct view_slot *_Atomic
		*slots; /* current one per reactor, by reactor id; swapped by that reactor */
	uint64_t view_generation;
	struct subsys_view *published; /* the newest */
	struct list publishing;        /* struct view_publish */
	unsigned n_publishing;
	struct view_publish *publish_next;
};

#define RESV_LOG_ENTRIES 16
struct resv_log { /* Reservation Notification log, reservation.c; zeroed = empty. Overflow drops the oldest; count shows the gap. */
	uint64_t count; /* of all ever made */
	unsigned head, n;
	struct {
		uint64_t count;
		uint8_t type;
		uint32_t nsid;
	} e[RESV_LOG_ENTRIES];
};

enum nvme_ctrlr_state {
	NVME_CTRLR_LIVE,
	NVME_CTRLR_DELETING, /* every queue is being closed; freed with the last */
};

struct nvme_ctrlr {
	struct list link; /* of the subsystem */
	struct nvme_subsystem *ss;
	struct nvme_port *port; /* of the admin queue */
	enum nvme_ctrlr_state state;
	uint16_t cntlid;
	/* Fixed from Connect on: data reactors read them. */
	uint8_t hostid[16];
	char hostnqn[NVME_NQN_FIELD];

	_Atomic uint32_t cc, csts; /* data reactors read: an I/O command needs CC.EN and CSTS.RDY */
	_Atomic bool lbafee;       /* reserved for host behaviour support; data reactors read */

	struct nvme_qpair *admin;     /* NULL once it is gone */
	struct nvme_qpair *ioq[1024]; /* by qid; [0] unused; NULL: none */
	struct list qpairs;           /* all that are not gone yet */
	unsigned n_qpairs;

	/* keep alive (control thread) */
	uint32_t kato_ms;
	struct timer kato_timer;
	uint64_t kato_traffic; /* sum of the qpairs' commands at the last look */
	bool kato_doubt;       /* the last look found silence */

	/* asynchronous events */
	struct nvme_req *aer[NVME_AER_MAX];
	unsigned n_aer;
	uint32_t aen_config;
	uint32_t aen_pending; /* events that wait for an AER: aer.c's bits */
	uint32_t aen_masked;  /* reported, log page not read yet */
	uint32_t *changed_ns; /* bitmap by nsid - 1 */

	/* features */
	uint32_t feat_arbitration, feat_temperature, feat_error_recovery, feat_write_atomicity;
	uint32_t resv_mask; /* of Set Features 82h, kept per controller for all namespaces */
	struct resv_log resv_log;

	uint8_t host_behavior[512]; /* Host Behavior Support as set, only ACRE and LBAFEE kept */
	uint16_t n_ioq_granted;     /* Number of Queues feature, 0: not asked yet */

	/* SMART, error log */
	uint64_t connected_wall_ns;
	uint64_t error_count;
	/* ring, newest at error_count % N */
	struct nvme_error_entry errors[NVME_ERROR_LOG_ENTRIES];

	/* reset, shutdown, teardown (ctrlr.c) */
	bool resetting, shutting_down; /* every I/O queue is being closed for it */
	unsigned n_aborts;             /* Abort commands under way */
	unsigned n_flushes;            /* of the shutdown, under way */
	struct list waiters;           /* of deletes: nvme_ctrlr_delete */
	struct timer closing_timer;    /* DELETING: says what it waits for */
};

struct nvme_done { /* a callback in a list */
	struct list link;
	nvme_done_fn fn;
	void *ctx;
};

/* --- who provides what to whom (control thread unless said) --- */

/* ctrlr.c: Connect, Property Get/Set, Disconnect. Completes by nvme_req_done(). */
void nvme_fabrics_execute(struct nvme_req *req);
/* admin.c: every other admin command: one table of handlers by opcode. */
void nvme_admin_execute(struct nvme_req *req);
/* How many bytes an admin or fabrics command moves and which way, before its data is there; NVME_SC_* when it is refused at once. Control reactor. */
uint16_t nvme_admin_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
/* Closes all queues of c, then done (may be NULL). Idempotent. why is logged. */
void nvme_ctrlr_delete(struct nvme_ctrlr *c, const char *why, nvme_done_fn done, void *ctx);
/* Every controller of ss that match() picks; done when the last of them is gone. */
void nvme_ctrlrs_delete(struct nvme_subsystem *ss, bool (*match)(struct nvme_ctrlr *c, void *arg),
			void *arg, const char *why, nvme_done_fn done, void *ctx);
/* Records an error for log page 01h and the counters. Control thread. */
void nvme_ctrlr_log_error(struct nvme_ctrlr *c, const struct nvme_error_entry *e);

/* aer.c */
void nvme_aer_ns_changed(struct nvme_subsystem *ss, uint32_t nsid);
void nvme_aer_ana_changed(struct nvme_subsystem *ss);
void nvme_aer_discovery_changed(struct nvme_target *t); /* also counts discovery_gen up */
void nvme_aer_resv_log(struct nvme_ctrlr *c);           /* reservation log page available */
void nvme_aer_execute(struct nvme_req *req);
void nvme_aer_log_read(struct nvme_ctrlr *c, enum nvme_log_page page,
		       uint32_t nsid);      /* clears masks (RAE = 0) */
void nvme_aer_cancel(struct nvme_req *req); /* takes a held one off */

/* req.c, any reactor (the request's): the handler has finished; data_len and result are set. May be called inside execute. */
void nvme_req_done(struct nvme_req *req, uint16_t status);
/* The same for callers that are surely outside of every call of the transport (disk completions): answers at once. */
void nvme_req_end(struct nvme_req *req, uint16_t status);
/* What is still lent is copied into buf. */
void nvme_req_own(struct nvme_req *req);

/* io_cmd.c: state EXECUTE of an I/O queue's command, and its checks in state NEW. */
uint16_t nvme_io_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
void nvme_io_execute(struct nvme_req *req);

/* Compare of req's data with the namespace, piece by piece; then nvme_fused_compared() for a fused pair, else the end. */
void nvme_compare_start(struct nvme_req *req);

/* fused.c */
uint16_t nvme_fused_prepare(
	struct nvme_req
		*first); /* both halves are here: the status of first; the second's is set */
void nvme_fused_execute(struct nvme_req *first); /* lock, compare, write, unlock, end */
void nvme_fused_compared(struct nvme_req *first, uint16_t status);
/* A write may go to the disk. False: stands in line, nvme_io_execute() will be called again. */
bool nvme_gate_enter(struct nvme_req *req);
void nvme_gate_leave(struct nvme_req *req);

static inline bool nvme_is_reservation(uint8_t opcode)
{
	return opcode == NVME_IO_RESV_REGISTER || opcode == NVME_IO_RESV_REPORT ||
	       opcode == NVME_IO_RESV_ACQUIRE || opcode == NVME_IO_RESV_RELEASE;
}
/* reservation.c: moves to the control thread and back by message. */
uint16_t nvme_resv_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
void nvme_resv_execute(struct nvme_req *req);
/* Whether a command of this host conflicts, by the view (data reactors). write: it changes the namespace. */
bool nvme_resv_conflict(const struct resv_view *resv, const uint8_t hostid[16], bool write,
			bool read);
void nvme_resv_to_view(const struct resv *resv, struct resv_view *view);
json_t *nvme_resv_to_json(const struct resv *resv);
int nvme_resv_from_json(const json_t *json, struct resv *resv, struct err *err);
uint8_t nvme_resv_rescap(const struct nvme_ns *ns); /* RESCAP of Identify Namespace */
/*
 * Control thread. Before a namespace is freed: set removing and take it out of ss->ns[], then call this: its reservation commands
 * end (those in line with Invalid Namespace), then done. Never done inside the call.
 */
void nvme_resv_close(struct nvme_ns *ns, nvme_done_fn done, void *ctx);
/* Reservation Notification log page 80h, 64 bytes, next entry of this controller (taken off); all zero when there is none. */
void nvme_resv_log_page(struct nvme_ctrlr *c, uint8_t out[64]);

#define NVME_QOS_FREE UINT64_MAX /* nvme_req.qos_cost: not limited */
/* qos.c. True: go on. False: req stands in line (req->link) and will be resumed by nvme_req_resume(). Any data reactor. */
bool nvme_qos_admit(struct nvme_qos *qos, struct nvme_req *req, bool write, uint64_t bytes);
void nvme_qos_cancel(struct nvme_req *req);
/* Everything that stands in the line of this reactor is checked again (nvme_req_recheck): the view has changed. */
void nvme_qos_kick(struct nvme_qos *qos, struct reactor *r);
/* req.c: goes on after QOS, its tokens are paid. Not inside a call of the transport. */
void nvme_req_resume(struct nvme_req *req);
/* req.c: goes on after PARKED. Not inside a call of the transport. */
void nvme_req_unpark(struct nvme_req *req);
/* req.c: from QOS back to the checks. */
void nvme_req_recheck(struct nvme_req *req);

/* status.c: the one place where an errno becomes an NVMe status. */
uint16_t nvme_status_from_errno(int res, enum blk_op op);
const char *nvme_status_text(uint16_t status);

/* view.c: the first slots of a new subsystem (not yet seen by anyone), and their end. */
int view_init(struct nvme_subsystem *ss);
void view_fini(struct nvme_subsystem *ss);

/* qpair.c */
struct reactor *nvme_target_pick_home(struct nvme_target *t);

#endif
