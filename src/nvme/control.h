/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control-thread files of this folder share with each other and with nobody else: connecting, the admin queue's commands, and the
 * calls of the control plane. Everything here runs on the control reactor unless it says otherwise.
 */
#ifndef LITEPOOL_NVME_CONTROL_H
#define LITEPOOL_NVME_CONTROL_H

#include "nvme/model.h"

#define NVME_ADMIN_DNR(sc)       ((uint16_t)((sc) | NVME_STATUS_DNR))
#define NVME_FIRMWARE_REVISION   "1.0" /* of the controller model, not of the package */
#define NVME_ABORTS_MAX          4     /* Abort commands of a controller at a time: ACL + 1 */
#define NVME_KATO_GRANULARITY_MS 1000  /* KAS */
#define NVME_ANATT_S             10
#define NVME_DISCOVERY_KATO_MS   120000 /* a discovery host that asked for none */

/* --- done.c --- */

/* Runs fn(ctx, res) in a later pass of the control reactor; fn NULL: nothing. */
void nvme_done_later(struct nvme_target *t, nvme_done_fn fn, void *ctx, int res);

/* --- subsystem.c, host.c --- */

struct nvme_subsystem *nvme_subsystem_alloc(struct nvme_target *t, const char *nqn, uint32_t nn);
void nvme_subsystem_free(struct nvme_subsystem *ss);
/* NQN text of a host or subsystem as the rules want it; -EINVAL with the reason. */
int nvme_nqn_check(const char *nqn, struct err *err);
bool nvme_host_allowed(const struct nvme_subsystem *ss, const char *hostnqn);
void nvme_hosts_free(struct nvme_subsystem *ss);

/* --- namespace.c --- */

/* The namespace as hosts may see it now, or NULL. */
struct nvme_ns *nvme_ns_find(const struct nvme_subsystem *ss, uint32_t nsid);
void nvme_ns_free(struct nvme_ns *ns);

/* --- ana.c --- */

struct nvme_listener *nvme_listener_find(const struct nvme_subsystem *ss,
					 const struct nvme_port *port);
bool nvme_ana_state_valid(unsigned state);
void nvme_listeners_free(struct nvme_subsystem *ss);
/* State that a controller of that port reports for a group. */
enum nvme_ana_state nvme_ana_state(const struct nvme_subsystem *ss, const struct nvme_port *port,
				   uint32_t anagrpid);

/* --- port.c --- */

void nvme_port_ref(struct nvme_port *port);

/* --- connect.c, property.c --- */

void nvme_connect_execute(struct nvme_req *req);
void nvme_property_get(struct nvme_req *req);
void nvme_property_set(struct nvme_req *req);
uint64_t nvme_ctrlr_cap(const struct nvme_ctrlr *c);

/* --- ctrlr.c --- */

/* A controller for a Connect on the admin queue qp. NULL without memory. */
struct nvme_ctrlr *nvme_ctrlr_new(struct nvme_subsystem *ss, struct nvme_qpair *qp,
				  uint16_t cntlid);
struct nvme_ctrlr *nvme_ctrlr_find(struct nvme_subsystem *ss, uint16_t cntlid);
void nvme_ctrlr_add_qpair(struct nvme_ctrlr *c, struct nvme_qpair *qp);
/* The queue pair is gone: frees its place and goes on with what waited for that. */
void nvme_ctrlr_qpair_gone(struct nvme_ctrlr *c, struct nvme_qpair *qp);
/* CC.EN 1 -> 0 and CC.SHN: I/O queues are closed; CSTS tells when it is done. */
void nvme_ctrlr_reset(struct nvme_ctrlr *c);
void nvme_ctrlr_shutdown(struct nvme_ctrlr *c);
static inline bool nvme_ctrlr_enabled(const struct nvme_ctrlr *c)
{
	return (c->cc & NVME_CC_EN) && (c->csts & NVME_CSTS_RDY);
}

/* --- features.c --- */

/* After host_behavior was set: what data reactors read of it. */
void nvme_host_behavior_apply(struct nvme_ctrlr *c);

/* --- qpair.c --- */

/* Counts a queue pair that came: home, or, with NULL, the least loaded data reactor; returns which. */
struct reactor *nvme_target_take_home(struct nvme_target *t, struct reactor *home);

/* Has the transport close qp, wherever it lives. Idempotent. */
void nvme_qpair_close(struct nvme_qpair *qp);
/*
 * A message that runs on the reactor where qp lives and comes back. While it is out qp is not freed. The message's run function calls
 * nvme_qpair_follow() first and returns if that says true: the queue pair has moved and the message was sent after it.
 */
void nvme_qpair_send(struct nvme_qpair *qp, struct msg *msg, void (*run)(struct msg *msg));
bool nvme_qpair_follow(struct nvme_qpair *qp, struct msg *msg);
/* Back on the control reactor: the message is home. qp may be gone after it. */
void nvme_qpair_back(struct nvme_qpair *qp);

/* --- keepalive.c --- */

/* Rounds up to the granularity, (re)starts the timer; 0: none. False: more than kato_max_ms. */
bool nvme_keepalive_set(struct nvme_ctrlr *c, uint32_t kato_ms);
void nvme_keepalive_stop(struct nvme_ctrlr *c);

/* --- admin.c --- */

bool nvme_admin_supported(const struct nvme_ctrlr *c, uint8_t opcode);

/* --- identify.c, log.c, features.c, abort.c: prepare says how many bytes, execute ends with nvme_req_done(). --- */

uint16_t nvme_identify_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
void nvme_identify_execute(struct nvme_req *req);
uint16_t nvme_log_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len);
void nvme_log_execute(struct nvme_req *req);
uint16_t nvme_set_features_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer,
				   uint32_t *ret_len);
uint16_t nvme_get_features_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer,
				   uint32_t *ret_len);
void nvme_set_features_execute(struct nvme_req *req);
void nvme_get_features_execute(struct nvme_req *req);
void nvme_abort_execute(struct nvme_req *req);

/*
 * A log page is produced from its first byte on; only what falls into the window that the host asked for is kept, so a page may be any
 * number of reads long and costs no memory.
 */
struct nvme_log_window {
	uint8_t *buf;
	uint64_t off, len; /* the part of the page that goes to buf */
	uint64_t pos;      /* bytes produced so far; at the end the size of the page */
};
void nvme_log_put(struct nvme_log_window *win, const void *data, uint64_t len);
void nvme_discovery_log(struct nvme_ctrlr *c, struct nvme_log_window *win); /* discovery.c */
void nvme_ana_log(struct nvme_ctrlr *c, bool groups_only, struct nvme_log_window *win); /* ana.c */

/* --- aer.c --- */

/* Every held request ends (controller reset). */
void nvme_aer_flush(struct nvme_ctrlr *c);
uint32_t
nvme_aer_config_supported(const struct nvme_ctrlr *c); /* OAES and what Set Features may set */

#endif
