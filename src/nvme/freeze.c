/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reactor executes, and the list of those that may not begin to, see freeze.h.
 *
 *  1. executing counts a command from EXECUTE to DONE (a held Async Event Request: to HELD), always, frozen or not.
 *  2. A parked request is in no view and has no task; its parked_state is NEW or FETCH: both are safe to enter again without a view.
 *     (QOS, its tokens paid, becomes NEW: the check finds the view, admit() sees that it has paid.)
 *  3. Between freeze and thaw nothing enters EXECUTE, so what executes only becomes less.
 */
#include "nvme/freeze.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "nvme/model.h"
#include "nvme/req_parts.h"

static struct nvme_freeze *freeze_of(const struct nvme_target *t, const struct reactor *r)
{
	return t->freeze[reactor_id(r)];
}

static struct nvme_freeze *freeze_of_req(const struct nvme_req *req)
{
	return freeze_of(req->qp->target, req_reactor(req));
}

static int add(struct nvme_target *t, const struct reactor *r)
{
	struct nvme_freeze **slot = &t->freeze[reactor_id(r)];

	if (*slot) /* control may be a data reactor as well, in tests */
		return 0;
	*slot = calloc(1, sizeof(**slot));
	if (!*slot)
		return -ENOMEM;
	list_init(&(*slot)->parked);
	return 0;
}

int nvme_freeze_init(struct nvme_target *t)
{
	int rc = add(t, t->opts.control);

	for (unsigned i = 0; !rc && i < t->opts.n_data; i++)
		rc = add(t, t->opts.data[i]);
	return rc;
}

void nvme_freeze_fini(struct nvme_target *t)
{
	for (unsigned i = 0; i <= REACTORS_MAX; i++) {
		ASSERT(!t->freeze[i] || list_empty(&t->freeze[i]->parked));
		ASSERT(!t->freeze[i] || !t->freeze[i]->executing);
		free(t->freeze[i]);
		t->freeze[i] = NULL;
	}
}

bool nvme_freeze(struct nvme_target *t, struct reactor *r, void (*drained)(void *ctx), void *ctx)
{
	struct nvme_freeze *f = freeze_of(t, r);

	f->on = true;
	f->drained = drained;
	f->ctx = ctx;
	return f->executing == 0;
}

void nvme_thaw(struct nvme_target *t, struct reactor *r)
{
	struct nvme_freeze *f = freeze_of(t, r);
	struct list parked;

	f->on = false;
	f->drained = NULL;
	list_init(&parked);
	list_splice_back(&parked, &f->parked);
	for (struct list *it; (it = list_pop_front(&parked));)
		nvme_req_unpark(list_entry(it, struct nvme_req, link));
}

bool nvme_freeze_is_on(const struct nvme_target *t, const struct reactor *r)
{
	return freeze_of(t, r)->on;
}

uint32_t nvme_freeze_executing(const struct nvme_target *t, const struct reactor *r)
{
	return freeze_of(t, r)->executing;
}

bool nvme_freeze_parks(struct nvme_req *req)
{
	struct nvme_freeze *f = freeze_of_req(req);

	if (__builtin_expect(!f->on, 1))
		return false;
	ASSERT(req->state == NVME_REQ_NEW || req->state == NVME_REQ_QOS ||
	       req->state == NVME_REQ_FETCH);
	req->parked_state = req->state == NVME_REQ_QOS ? NVME_REQ_NEW : req->state;
	req->state = NVME_REQ_PARKED;
	list_push_back(&f->parked, &req->link);
	return true;
}

void nvme_freeze_enter(struct nvme_target *t, struct reactor *r)
{
	freeze_of(t, r)->executing++;
}

static void leave(struct nvme_freeze *f)
{
	ASSERT(f->executing > 0);
	if (--f->executing == 0 && f->on)
		f->drained(f->ctx);
}

void nvme_freeze_leave(struct nvme_target *t, struct reactor *r)
{
	leave(freeze_of(t, r));
}

void nvme_freeze_count(struct nvme_req *req)
{
	freeze_of_req(req)->executing++;
	req->counted = true;
}

void nvme_freeze_uncount(struct nvme_req *req)
{
	if (!req->counted)
		return;
	req->counted = false;
	leave(freeze_of_req(req));
}
