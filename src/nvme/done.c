/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks that must not run inside the call that asked for them: each goes through a message to the control reactor. */
#include <stdlib.h>

#include "base/check.h"
#include "nvme/control.h"

struct done_call {
	struct msg msg;
	nvme_done_fn fn;
	void *ctx;
	int res;
};

static void done_run(struct msg *msg)
{
	struct done_call *call = container_of(msg, struct done_call, msg);
	struct done_call copy = *call;

	free(call);
	copy.fn(copy.ctx, copy.res);
}

void nvme_done_later(struct nvme_target *t, nvme_done_fn fn, void *ctx, int res)
{
	struct done_call *call;

	if (!fn)
		return;
	call = calloc(1, sizeof(*call));
	ASSERT(call); /* A few bytes of the control path; there is no way to go on without them. */
	call->fn = fn;
	call->ctx = ctx;
	call->res = res;
	call->msg.run = done_run;
	reactor_post(t->opts.control, &call->msg);
}
