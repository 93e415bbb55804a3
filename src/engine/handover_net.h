/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections, controllers and listeners through a hot upgrade: the engine's side of transport/ and nvme/. Control thread; callbacks come later, never inside.
 */
#ifndef LITEPOOL_ENGINE_HANDOVER_NET_H
#define LITEPOOL_ENGINE_HANDOVER_NET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/options.h"
#include "rt/carry.h"

struct engine;
struct handover_bag;

#define HANDOVER_PARTS_MAX (ENGINE_DATA_MAX + 1)

typedef void (*handover_net_fn)(struct engine *e, int res, const struct err *err);

struct handover_net {
	int fd; /* memory file of all parts; -1: none */
	uint8_t *map;
	size_t map_size, slice; /* bytes of each part */
	unsigned n_parts;
	handover_net_fn done;
	struct task task; /* tells done, where nothing is to be waited for */
	/* The old side. */
	struct carry_out out[HANDOVER_PARTS_MAX];
	uint64_t passes[ENGINE_DATA_MAX]; /* of the data reactors, when they were to be calm */
	/* The new side. */
	struct carry_in in[HANDOVER_PARTS_MAX];
	int *in_fds[HANDOVER_PARTS_MAX];
	unsigned n_conns;
	int *listener_fd; /* that came, for the transport when it is made */
	unsigned n_listeners;
};

void handover_net_init(struct handover_net *net);
void handover_net_fini(struct handover_net *net);

/* Connections there are now. */
unsigned handover_net_conns(struct engine *e);
/* Mandatory types of the records of connections. */
size_t handover_net_types(uint16_t *ret, size_t max);

/* ---- the old side ---- */

/* What there is to expect: [[entries of a queue, connections], ...]. NULL without memory. */
json_t *handover_net_queues(struct engine *e);
/* The listening sockets, borrowed, into fds[]; at most max. How many. */
unsigned handover_net_listeners(struct engine *e, int *fds, unsigned max);
/*
 * Before the stop: reactors spin no more and make short passes, so that they are soon still. is_calm: all of them do (to be asked again and again). thaw ends it, too.
 */
void handover_net_calm(struct engine *e);
bool handover_net_is_calm(struct engine *e);
/* The stop: when done, every connection stands still and no command is under way. thaw: at any time, also before done, which does not come then. */
void handover_net_freeze(struct engine *e, handover_net_fn done);
void handover_net_thaw(struct engine *e);
/* Memory for the parts, touched before the stop; with some room for who comes meanwhile. Again: only if that room is mostly used. */
int handover_net_prepare(struct engine *e, struct err *err);
/* Frozen: every reactor writes its part. */
void handover_net_save(struct engine *e, handover_net_fn done);

/* ---- the new side ---- */

/* Takes n listening sockets out of the bag, from at on. */
int handover_net_adopt(struct engine *e, struct handover_bag *bag, unsigned at, unsigned n,
		       struct err *err);
/* The configuration has made the transport: it holds, and gets the listening sockets. */
int handover_net_transport(struct engine *e, struct err *err);
/* Part i of the state; takes the descriptors in fds and the array. data stays. */
int handover_net_part(struct engine *e, unsigned i, const void *data, size_t len, int *fds,
		      unsigned n_fds, struct err *err);
/* Before that, while the old engine serves: memory for as many connections as its plan counts (queues, ctrlr_bytes), and room for their descriptors. */
void handover_net_expect(struct engine *e, const json_t *plan);
/* Builds connections and controllers of all parts, served by nobody. */
void handover_net_restore(struct engine *e, handover_net_fn done);
/* Accepts, receives, answers. */
void handover_net_serve(struct engine *e, handover_net_fn done);
/* In its done: when the last reactor had begun to. */
uint64_t handover_net_served_ns(struct engine *e);
/* Then: every reactor has come round, so the first commands that waited are served. */
void handover_net_pass(struct engine *e, handover_net_fn done);

/*
 * Both engines have their reactors on the same cores. Whether this one's spin, as --poll-us says, or sleep when there is nothing to do: what serves nothing yet, and what stands
 * still, leaves its core to the other.
 */
void handover_net_spin(struct engine *e, bool on);

#endif
