/* SPDX-License-Identifier: Apache-2.0 */
/* The loop from inside, for src/controller only. Everything here is for the loop's thread. */
#ifndef LITEPOOL_CONTROLLER_CONTROL_PRIV_H
#define LITEPOOL_CONTROLLER_CONTROL_PRIV_H

#include "controller/control.h"
#include "controller/heartbeat.h"
#include "controller/inbox.h"
#include "controller/objects.h"
#include "controller/placement.h"
#include "kube/conditions.h"
#include "place/assume.h"

#define FINALIZER_POOL     "litepool.io/pool"
#define FINALIZER_VOLUME   "litepool.io/volume"
#define FINALIZER_SNAPSHOT "litepool.io/snapshot"
#define ANNOTATION_FENCE   "litepool.io/fence"
#define ANNOTATION_CONSENT "litepool.io/accept-data-loss"

struct events;
struct informer;
struct leader;
struct workqueue;
struct background;
struct lock;

/* The watch of one kind. */
struct control_watch {
	struct control *control;
	enum object_kind kind;
	struct informer *informer;
	uint64_t due_ms; /* without threads: when to step it */
};

struct control {
	struct control_config config;
	enum control_state state;
	struct leader *leader;
	struct events *events;
	struct workqueue *queue;
	struct lock *worker_lock;
	struct background *worker; /* under worker_lock; NULL without threads */
	struct inbox *inbox;
	struct control_watch watches[OBJECT_WATCHED];
	struct objects objects;
	struct heartbeats heartbeats;
	struct place_inventory *inv; /* never NULL */
	struct placement *placement;
	struct strmap waiting;     /* keys that any gain wakes; values are not NULL */
	struct strmap unsure;      /* keys whose last write has no answer */
	uint64_t born_ns, touches; /* by the wall clock; how often we have touched */
	uint64_t leader_due_ms, reload_due_ms, retry_ms;
	_Atomic bool reload_asked; /* any thread sets it */
	struct control_stats stats;
};

enum verdict {
	VERDICT_DONE,  /* until there is news of it */
	VERDICT_AGAIN, /* there is a next step now */
	VERDICT_WAIT,  /* for others: at once when there is a gain, else later and later */
	VERDICT_RETRY, /* something failed: later and later */
};

/* "v/NAME": the key of an object in the queue. */
#define CONTROL_KEY_SIZE 512
const char *control_key(enum object_kind kind, const char *name, char key[CONTROL_KEY_SIZE]);
void control_enqueue(struct control *c, enum object_kind kind, const char *name);
void control_enqueue_after(struct control *c, enum object_kind kind, const char *name,
			   uint64_t delay_ms);
/* Everything that waits is looked at again. */
void control_wake_waiting(struct control *c);
uint64_t control_now_ms(const struct control *c);
uint64_t control_wall_ns(const struct control *c);
bool control_leads(const struct control *c);

/* learn.c: an object as the API has it now; tells those whom it concerns. own: it is the answer to our own write. */
void control_learn(struct control *c, enum object_kind kind, json_t *obj, bool own);
void control_learn_gone(struct control *c, enum object_kind kind, const char *name,
			const char *uid);
void control_learn_lease(struct control *c, const json_t *lease);

/* takeover.c. 0, or negative: try again. */
int control_take_over(struct control *c);

/* write.c. Whatever comes of it is learnt. */
enum write_result {
	WRITE_DONE,
	WRITE_CONFLICT, /* it was decided on an old version */
	WRITE_GONE,     /* there is no such object */
	WRITE_REFUSED,  /* nothing was changed */
	WRITE_UNKNOWN,  /* no answer: it may be made, now or soon */
};
/* obj is a changed copy with the resourceVersion that was read. */
enum write_result write_status(struct control *c, enum object_kind kind, const json_t *obj);
enum write_result write_meta(struct control *c, enum object_kind kind, const json_t *obj);
/* Makes every write that was decided before miss, and learns the object. */
enum write_result write_touch(struct control *c, enum object_kind kind, const char *name);
/* The object of the API, learnt. 0, -ENOENT (learnt, too), or another negative errno. */
int control_read(struct control *c, enum object_kind kind, const char *name);
/* What a reconciler does after a write that it has nothing more to say about. */
enum verdict write_verdict(enum write_result result);
enum verdict add_finalizer(struct control *c, enum object_kind kind, const json_t *obj,
			   const char *name);
enum verdict remove_finalizer(struct control *c, enum object_kind kind, const json_t *obj,
			      const char *name);

/* edit.c: changes of a copy; all return whether they changed anything. */
bool edit_text(json_t *obj, const char *member, const char *text); /* "" removes it */
bool edit_size(json_t *obj, const char *member, uint64_t bytes);
bool edit_condition(const struct control *c, json_t *obj, const char *type, const char *status,
		    const char *reason, const char *message);
/* Bytes at a path; 0 when it is missing or no size. */
uint64_t object_size(const json_t *obj, const char *path);
bool object_lost(const json_t *obj); /* condition DataLost is True */

/* One each; obj is borrowed and may be freed by any write: they hold a reference of their own. */
enum verdict reconcile_node(struct control *c, const json_t *obj);
enum verdict reconcile_pool(struct control *c, const json_t *obj);
enum verdict reconcile_volume(struct control *c, const json_t *obj);
enum verdict reconcile_snapshot(struct control *c, const json_t *obj);
enum verdict reconcile_reservation(struct control *c, const json_t *obj);

/* node.c: the Lease of the node has run out. */
bool node_is_lost(struct control *c, const char *name);
/* pool.c: its node is lost, so nobody knows how it is. */
enum write_result pool_silence(struct control *c, const json_t *obj);
/* volume.c: its pool is gone, and it was never made there: back to the beginning. */
enum write_result write_unplaced(struct control *c, const json_t *obj, const char *why);
/* volume_place.c */
enum verdict volume_place(struct control *c, const json_t *obj);
enum verdict volume_grow(struct control *c, const json_t *obj);

#endif
