/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises that the API does not show yet. The controller's order for a volume: decide (place.h), assume, write status.poolName; when
 * the write failed, forget. The watch event that brings the write back ends the assumption by itself. A controller that dies in between loses
 * nothing: what was written is in the API, what was not was never promised.
 *
 * Assuming checks space again, in the same step that takes it: two decisions made of one state cannot both be kept when only one fits.
 */
#ifndef LITEPOOL_PLACE_ASSUME_H
#define LITEPOOL_PLACE_ASSUME_H

#include "base/err.h"
#include "place/inventory.h"
#include "place/request.h"

/*
 * The volume of the request takes its size on pool. The same again is 0. -EEXIST: it is placed elsewhere; -ENOENT: no such pool; -ENOSPC: it
 * does not fit (any more); each with text.
 */
int place_assume_volume(struct place_inventory *inv, const struct place_request *request,
			const char *pool_name, struct err *err);
/* A placed volume gets the whole size: an absolute one, so that twice is once. A smaller one is -EINVAL; -ENOSPC, -ENOENT. */
int place_assume_grow(struct place_inventory *inv, const char *volume_name, uint64_t size,
		      struct err *err);
/* The reservation of the request (place_request.for_reservation) holds its size on pool. Errors as above. */
int place_assume_reservation(struct place_inventory *inv, const struct place_request *request,
			     const char *pool_name, struct err *err);

/*
 * Whether a held reservation may become so large, an absolute size. Nothing is taken: write it and apply the answer before the next decision. -ENOSPC,
 * -ENOENT; -EINVAL: its volumes use more.
 */
int place_check_resize(struct place_inventory *inv, const char *reservation_name, uint64_t size,
		       struct err *err);

/* The write came back as written (when there is no watch, or before it tells). False: nothing was assumed. */
bool place_confirm_volume(struct place_inventory *inv, const char *name);
/* The write failed for good: the space is free again. False: nothing was assumed. */
bool place_forget_volume(struct place_inventory *inv, const char *name);
bool place_forget_reservation(struct place_inventory *inv, const char *name);

#endif
