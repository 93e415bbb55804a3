/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP extender's request and answer as JSON. */
#include "place/extender.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/json.h"

char *place_extender_encode(const struct place_request *request,
			    const struct place_candidate *candidates, size_t n)
{
	_cleanup_json_ json_t *root =
		json_pack("{s:i, s:{s:s, s:I, s:s, s:s, s:s}}", "version", 1, "volume", "name",
			  request->name, "size", (json_int_t)request->size, "provisioning",
			  request->thick ? "Thick" : "Thin", "nodeName", request->node,
			  "antiAffinityGroup", request->group);
	json_t *pools = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
			pools, json_pack("{s:s, s:s, s:I, s:I}", "name", candidates[i].pool,
					 "nodeName", candidates[i].node, "free",
					 (json_int_t)MIN(candidates[i].free, (uint64_t)INT64_MAX),
					 "score", (json_int_t)candidates[i].score));
	if (!root || json_object_set_new(root, "pools", pools) < 0)
		return NULL;
	return json_text(root);
}

static int refused_check(const json_t *refused, struct err *err)
{
	const char *pool;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)refused, pool, value)
		if (!json_is_string(value))
			return err_set(err, -EINVAL, "its answer: refused.%s is no text", pool);
	return 0;
}

static int scores_check(const json_t *scores, struct err *err)
{
	const char *pool;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)scores, pool, value)
		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		    json_integer_value(value) > LITEPOOL_SCORE_MAX)
			return err_set(err, -EINVAL,
				       "its answer: scores.%s is no whole number from 0 to %d",
				       pool, LITEPOOL_SCORE_MAX);
	return 0;
}

int place_extender_decode(const char *text, size_t len, struct place_extender_answer *ret,
			  struct err *err)
{
	static const struct json_field fields[] = {
		{"refused", JSON_KIND_OBJECT, offsetof(struct place_extender_answer, refused)},
		{"scores", JSON_KIND_OBJECT, offsetof(struct place_extender_answer, scores)},
	};
	struct place_extender_answer answer = {0};
	_cleanup_json_ json_t *root = NULL;
	json_error_t where;
	int res;

	if (len > PLACE_ANSWER_MAX)
		return err_set(err, -EINVAL, "its answer has %zu bytes; at most %zu are read", len,
			       PLACE_ANSWER_MAX);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return err_set(err, -EINVAL, "its answer is no JSON: %s", where.text);
	res = json_decode(root, fields, ARRAY_LEN(fields), &answer, err);
	if (res == 0)
		res = refused_check(answer.refused, err);
	if (res == 0)
		res = scores_check(answer.scores, err);
	if (res < 0)
		return res;
	ret->refused = json_incref(answer.refused);
	ret->scores = json_incref(answer.scores);
	return 0;
}

void place_extender_answer_fini(struct place_extender_answer *answer)
{
	json_decref(answer->refused);
	json_decref(answer->scores);
	*answer = (struct place_extender_answer){0};
}

const char *place_extender_refused(const struct place_extender_answer *answer, const char *pool)
{
	return json_string_value(json_object_get(answer->refused, pool));
}

uint32_t place_extender_score(const struct place_extender_answer *answer, const char *pool)
{
	return (uint32_t)json_integer_value(json_object_get(answer->scores, pool));
}
