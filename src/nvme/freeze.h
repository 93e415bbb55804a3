/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing a reactor, for a hot upgrade: commands that execute go on to their answers; no other begins to. What would, is parked, with the buffer and the data that it
 * has, in no view. A thaw lets the parked ones go on in the order in which they came, as if nothing had been. Reactor's own thread.
 */
#ifndef LITEPOOL_NVME_FREEZE_H
#define LITEPOOL_NVME_FREEZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct nvme_req;
struct nvme_target;
struct reactor;

struct nvme_freeze { /* one per reactor, its own */
	bool on;
	uint32_t executing;         /* commands, and flushes of shutdowns; counted always */
	struct list parked;         /* struct nvme_req, by link */
	void (*drained)(void *ctx); /* on, and the last that executed has been answered */
	void *ctx;
};

/* drained may come at any time until the thaw, also several times; not inside this call. True: nothing executes now. */
bool nvme_freeze(struct nvme_target *t, struct reactor *r, void (*drained)(void *ctx), void *ctx);
void nvme_thaw(struct nvme_target *t, struct reactor *r);
bool nvme_freeze_is_on(const struct nvme_target *t, const struct reactor *r);
uint32_t nvme_freeze_executing(const struct nvme_target *t, const struct reactor *r);

/* For the files of nvme/. */
/* The request (not ENDING) is parked if its reactor is frozen; its caller takes it out of its view. */
bool nvme_freeze_parks(struct nvme_req *req);
/* Begins to execute; is answered, or waits for an event of its own kind (held). Uncounting twice does nothing. */
void nvme_freeze_count(struct nvme_req *req);
void nvme_freeze_uncount(struct nvme_req *req);
/* Something else with the disk that a freeze has to wait for. */
void nvme_freeze_enter(struct nvme_target *t, struct reactor *r);
void nvme_freeze_leave(struct nvme_target *t, struct reactor *r);

int nvme_freeze_init(struct nvme_target *t);
void nvme_freeze_fini(struct nvme_target *t);

#endif
