/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flush, and the durable end of FUA requests. If the journal has all that the head shows, the device's cache is all there is to flush; else the pool commits: data first, then
 * the journal. Both happen outside of the gate: a commit may wait for a cut, and a cut waits for the gate.
 */
#include <errno.h>

#include "volume/io.h"

enum vio_state vio_flush(struct volume_io *vio)
{
	int refused = pool_writable(vio->lane->pool);
	bool clean = vio_clean(vio), writable = vio->view->writable;

	vio_leave(vio);
	if (!writable || refused == -EROFS)
		return VIO_FINISH; /* nobody can have written */
	if (refused)
		return vio_fail(vio, refused);
	if (!clean)
		return VIO_COMMIT;
	vio_child_start(vio, BLK_FLUSH, 0, 0, 0, NULL);
	return vio_wait(vio, VIO_FLUSHED);
}

static void fail_returns(struct msg *msg)
{
	vio_run(container_of(msg, struct volume_io, msg));
}

static void fail_arrives(struct msg *msg)
{
	struct volume_io *vio = container_of(msg, struct volume_io, msg);

	pool_flush_failed(vio->lane->pool, vio->res, "flush of data");
	msg->run = fail_returns;
	reactor_post(vio->lane->slot->reactor, msg);
}

/* After a failed flush nobody knows what the device has, and a second one may say that all is well: no more writes. */
enum vio_state vio_flushed(struct volume_io *vio)
{
	if (!vio->res)
		return VIO_FINISH;
	vio->msg.run = fail_arrives;
	reactor_post(pool_home(vio->lane->pool), &vio->msg);
	return vio_wait(vio, VIO_FINISH);
}

static void commit_done(struct pool_commit *commit, int res)
{
	struct volume_io *vio = container_of(commit, struct volume_io, pool_commit);

	if (res)
		vio->state = vio_fail(vio, res);
	vio_run(vio);
}

enum vio_state vio_wait_for_commit(struct volume_io *vio, enum vio_state then)
{
	vio_leave(vio);
	vio->pool_commit.done = commit_done;
	pool_commit(vio->lane->pool, &vio->pool_commit);
	return vio_wait(vio, then);
}

enum vio_state vio_commit(struct volume_io *vio)
{
	vio->commit = false;
	return vio_wait_for_commit(vio, VIO_FINISH);
}
