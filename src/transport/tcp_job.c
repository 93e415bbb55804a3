/* SPDX-License-Identifier: Apache-2.0 */
/* One piece of work for every reactor of the transport at once, and its end on the control reactor. */
#include "transport/tcp_priv.h"

#include "base/check.h"

static void job_done(struct msg *msg)
{
	struct tcp_reactor *tr = container_of(msg, struct tcp_reactor, job.msg);
	struct tcp_transport *t = tr->transport;

	if (tr->job.res && !t->jobs_err.code) {
		t->jobs_err = tr->job.err;
		t->jobs_err.code = tr->job.res;
	}
	t->jobs_end_ns = MAX(t->jobs_end_ns, tr->job.end_ns);
	ASSERT(t->jobs_missing > 0);
	if (--t->jobs_missing == 0)
		t->jobs_done(t->jobs_ctx, t->jobs_err.code);
}

static void job_run(struct msg *msg)
{
	struct tcp_reactor *tr = container_of(msg, struct tcp_reactor, job.msg);

	tr->job.err = (struct err){0};
	tr->job.res = tr->job.run(tr, &tr->job.err);
	tr->job.end_ns = reactor_now_exact(tr->reactor);
	msg->run = job_done;
	reactor_post(tr->transport->control, msg);
}

void tcp_jobs_run(struct tcp_transport *t, int (*run)(struct tcp_reactor *tr, struct err *err),
		  nvme_done_fn done, void *ctx)
{
	ASSERT(!t->jobs_missing);
	t->jobs_done = done;
	t->jobs_ctx = ctx;
	t->jobs_err = (struct err){0};
	t->jobs_end_ns = 0;
	for (size_t i = 0; i < ARRAY_LEN(t->reactors); i++) {
		struct tcp_reactor *tr = t->reactors[i];

		if (!tr)
			continue;
		t->jobs_missing++;
		tr->job.run = run;
		tr->job.msg.run = job_run;
		reactor_post(tr->reactor, &tr->job.msg);
	}
}
