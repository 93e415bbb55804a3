/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said with an HTTP extender (docs/placement.md has the shape). Request: the volume and the best pools that passed our filters. Answer: which of them
 * it refuses and why, and scores 0..1000. Pools that it does not name are neither refused nor scored. The call itself is a place_call_fn.
 */
#ifndef LITEPOOL_PLACE_EXTENDER_H
#define LITEPOOL_PLACE_EXTENDER_H

#include <stddef.h>

#include "base/err.h"
#include "place/place.h"

#define PLACE_ANSWER_MAX ((size_t)4 << 20) /* bytes of an answer that are read */

struct place_extender_answer {
	json_t *refused; /* pool -> reason, or NULL */
	json_t *scores;  /* pool -> 0..1000, or NULL */
};

/* malloc'ed; NULL without memory. */
char *place_extender_encode(const struct place_request *request,
			    const struct place_candidate *candidates, size_t n);
/* -EINVAL says what is wrong with the answer: it is then a failure, and none of it is used. */
int place_extender_decode(const char *text, size_t len, struct place_extender_answer *ret,
			  struct err *err);
void place_extender_answer_fini(struct place_extender_answer *answer);
/* The reason, or NULL: not refused. */
const char *place_extender_refused(const struct place_extender_answer *answer, const char *pool);
uint32_t place_extender_score(const struct place_extender_answer *answer, const char *pool);

#endif
