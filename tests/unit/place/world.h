/* SPDX-License-Identifier: Apache-2.0 */
/* Small clusters for the tests of placement: objects as the API has them, out of short texts. Everything asserts. */
#ifndef LITEPOOL_TESTS_PLACE_WORLD_H
#define LITEPOOL_TESTS_PLACE_WORLD_H

#include "place/assume.h"
#include "place/place.h"

#define TEST_GIB ((uint64_t)1 << 30)

/* The object of this JSON text (with ' for "), printf style. */
__attribute__((format(printf, 1, 2))) json_t *world_json(const char *fmt, ...);
/* The same, applied. */
__attribute__((format(printf, 2, 3))) void world_apply(struct place_inventory *inv, const char *fmt,
						       ...);
/* A ready node, in rack and zone; a healthy pool of capacity on it. */
void world_node(struct place_inventory *inv, const char *name, const char *rack, const char *zone);
void world_pool(struct place_inventory *inv, const char *name, const char *node, uint64_t gib);
/* A volume of gib on pool ("" for nowhere). */
void world_volume(struct place_inventory *inv, const char *name, const char *pool, uint64_t gib);
/* A thin request of gib. */
struct place_request world_request(const char *name, uint64_t gib);
/* Decides with the default configuration; the pool's name, "" when nothing fits (then *ret_summary, static memory, says why). */
const char *world_decide(const struct place_inventory *inv, const struct place_request *request,
			 const char **ret_summary);
uint64_t world_promised(const struct place_inventory *inv, const char *pool); /* GiB */

#endif
