/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections, controllers and listeners through a hot upgrade: the engine's side of transport/ and nvme/. Control thread; callbacks come later, never inside.
 */
#ifndef LITEPOOL_ENGINE_HANDOVER_NET_H
#define LITEPOOL_ENGINE_HANDOVER_NET_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/options.h"
#include "rt/carry.h"

struct engine;
struct handover_bag;

struct handover_part { /* what one reactor writes */
	struct carry_out out;
	size_t offset, size, len; /* in the memory file; len: written */
};

typedef void (*handover_net_fn)(struct engine *e, int res, const struct err *err);

struct handover_net {
	int fd; /* memory file of all parts; -1: none */
	uint8_t *map;
	size_t map_size;
	struct handover_part part[ENGINE_DATA_MAX + 1];
	unsigned n_parts;
	handover_net_fn done;
	/* The new side: listening sockets that came. */
	json_t *listeners;
	int *listener_fd;
	unsigned n_listeners;
};

void handover_net_init(struct handover_net *net);
void handover_net_fini(struct handover_net *net);

/* Mandatory types of the records of connections. */
/* Connections there are now. */
unsigned handover_net_conns(struct engine *e);
size_t handover_net_types(uint16_t *ret, size_t max);

/* ---- the old side ---- */

/* [{address, fd}]; their descriptors go to fds[*at ...]. */
unsigned handover_net_listeners_max(struct engine *e);
json_t *handover_net_listeners(struct engine *e, int *fds, unsigned *at);
/* The stop: when done, every connection stands still and no command is under way. thaw: at any time, also before done, which does not come then. */
void handover_net_freeze(struct engine *e, handover_net_fn done);
void handover_net_thaw(struct engine *e);
/* Memory for the parts, touched before the stop. */
int handover_net_prepare(struct engine *e, struct err *err);
/* Frozen: every reactor writes its part. */
void handover_net_save(struct engine *e, handover_net_fn done);

/* ---- the new side ---- */

/* Takes the listening sockets of the plan out of the bag; nvmf_subsystem_add_listener finds them. */
int handover_net_adopt(struct engine *e, const json_t *listeners, struct handover_bag *bag,
		       struct err *err);
/* Part i of the state; takes fds. */
int handover_net_restore(struct engine *e, unsigned i, const void *data, size_t len, int *fds,
			 unsigned n_fds, struct err *err);
/* All parts are there: checks that they fit together. Returns how many connections, or an error. */
int handover_net_check(struct engine *e, struct err *err);
/* Serves: accepts, receives, answers. */
void handover_net_serve(struct engine *e);

#endif
