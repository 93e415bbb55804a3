/* SPDX-License-Identifier: Apache-2.0 */
/* Pools and disks through a hot upgrade; see store_handover.h. */
#include "engine/store_handover.h"

#include <errno.h>
#include <unistd.h>

#include "engine/engine.h"

static int not_yet(struct err *err)
{
	return err_set(err, -EOPNOTSUPP, "this engine does not hand pools over yet");
}

static void refuse(store_handover_fn done, void *ctx)
{
	struct err err = {0};
	int res = not_yet(&err);

	done(ctx, res, NULL, &err);
}

void store_hold(struct engine *e, store_handover_fn done, store_handover_fn broken, void *ctx)
{
	refuse(done, ctx);
}

void store_unhold(struct engine *e)
{
}

void store_freeze(struct engine *e, store_handover_fn done, void *ctx)
{
	refuse(done, ctx);
}

void store_thaw(struct engine *e)
{
}

void store_retire(struct engine *e)
{
}

int store_disks(struct engine *e, int *fds, unsigned max, unsigned *ret_n, json_t **ret,
		struct err *err)
{
	return not_yet(err);
}

int store_successor(struct engine *e, const json_t *plan, struct err *err)
{
	return not_yet(err);
}

int store_disks_adopt(struct engine *e, const json_t *disks, int *fds, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i]);
	return not_yet(err);
}

unsigned store_disks_left(struct engine *e)
{
	return 0;
}

void store_follow(struct engine *e, const json_t *state, store_handover_fn done, void *ctx)
{
	refuse(done, ctx);
}

void store_take_over(struct engine *e, store_handover_fn ready, store_handover_fn done, void *ctx)
{
	refuse(ready, ctx);
}

bool store_is_successor(const struct engine *e)
{
	return false;
}

int store_disk_take(struct engine *e, const char *name)
{
	return -1;
}

void store_disks_fini(struct engine *e)
{
}
