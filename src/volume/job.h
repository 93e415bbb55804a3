/* SPDX-License-Identifier: Apache-2.0 */
/* The background work under way, for job*.c alone. */
#ifndef LITEPOOL_VOLUME_JOB_H
#define LITEPOOL_VOLUME_JOB_H

#include "pool/batch.h"
#include "volume/job_pace.h"
#include "volume/priv.h"

enum job_kind {
	JOB_MERGE, /* what the child needs of a layer without a name moves into the child; then the layer goes */
	JOB_DECOUPLE, /* what the parent has is copied into the head; then the grandparent is the parent */
	JOB_INFLATE, /* what the chain has is copied into the head; then it stands alone */
};

enum job_step {
	JOB_CLAIM, /* the target's clusters, one after the other */
	JOB_READ,  /* blocks that the target lacks, cluster by cluster */
	JOB_WRITE,
	JOB_PUT,   /* merge: clusters of which the target has nothing become its own, in RAM */
	JOB_TURN,  /* merge: nobody is left who saw the target without them */
	JOB_TXN,   /* merge: both maps; all: the cursor */
	JOB_DROP,  /* claims, and clusters that nobody owns any more */
	JOB_VIEWS, /* the layers that nothing is in any more are left out of all views */
	JOB_FINISH,
	JOB_PAUSED, /* between slices, in the timer */
};

struct job_cluster {
	struct map_claim claim;
	uint64_t free_phys; /* detached; goes back once that is durable */
	bool cleared;       /* the source's entry is to be cleared */
};

struct volume_job {
	struct pool_op op;
	struct pool_txn txn;
	struct gate_turn turn;
	struct view_publish publish;
	struct batch batch;
	struct batch_xfer *xfer; /* one per block of a cluster */
	struct timer timer;      /* PAUSED */
	struct volumes *set;
	uint64_t layer; /* that has the work flag */
	enum job_kind kind;
	bool looked; /* kind is of an earlier slice */
	enum job_step step;
	struct pool_layer *source; /* merge: the layer; else: the parent. Valid within an op */
	struct pool_layer *target;
	uint64_t cursor, next;
	unsigned n, at;      /* clusters of the slice; the one at work */
	unsigned slice;      /* clusters of the next one at most */
	bool copies;         /* this one has some to copy */
	uint64_t started_ns; /* of the slice */
	uint64_t entered;    /* pool_entered() at the end of the one before */
	struct job_cluster c[JOB_CLUSTERS_MAX];
	struct block_mask fill; /* blocks of c[at] being copied */
	uint8_t *buf;           /* a cluster */
	const char *waits_for;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* job_copy.c: whether c[at] has blocks to copy; then xfer has n of them for reading. */
unsigned job_plan_read(struct volume_job *job);
/* Attaches a cluster to the target if it has none, and fills xfer for writing. -ENOSPC. */
int job_plan_write(struct volume_job *job, unsigned *ret_n);
/* The blocks are written. */
void job_copied(struct volume_job *job);

#endif
