/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions as Kubernetes' own helpers keep them: one of each type, the time of the last change of status. */
#include "kube/conditions.h"

#include <string.h>

#include "base/json.h"
#include "kube/text.h"

static json_t *find(const json_t *obj, const char *type, size_t *ret_at)
{
	json_t *list = kube_at(obj, "status.conditions");

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *condition = json_array_get(list, i);

		if (strcmp(kube_str(condition, "type"), type) != 0)
			continue;
		if (ret_at)
			*ret_at = i;
		return condition;
	}
	return NULL;
}

const json_t *kube_condition_get(const json_t *obj, const char *type)
{
	return find(obj, type, NULL);
}

bool kube_condition_is(const json_t *obj, const char *type, const char *status)
{
	return !strcmp(kube_str(find(obj, type, NULL), "status"), status);
}

static json_t *list_of(json_t *obj)
{
	json_t *status = json_object_get(obj, "status"), *list;

	if (!json_is_object(status)) {
		status = json_object();
		(void)json_object_set_new(obj, "status", status);
	}
	list = json_object_get(status, "conditions");
	if (!json_is_array(list)) {
		list = json_array();
		(void)json_object_set_new(status, "conditions", list);
	}
	return list;
}

bool kube_condition_set(json_t *obj, const struct kube_condition *condition, uint64_t wall_ns)
{
	size_t at = 0;
	json_t *old = find(obj, condition->type, &at);
	const char *since = kube_str(old, "lastTransitionTime");
	char now[KUBE_TIME_SIZE];
	json_t *made;

	if (!since[0] || strcmp(kube_str(old, "status"), condition->status) != 0)
		since = kube_time_format(wall_ns, false, now, sizeof(now));
	made = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", condition->type, "status",
			 condition->status, "reason", condition->reason ? condition->reason : "",
			 "message", condition->message ? condition->message : "",
			 "lastTransitionTime", since);
	if (condition->observed_generation)
		(void)json_object_set_new(made, "observedGeneration",
					  json_integer(condition->observed_generation));
	if (old && json_equal(old, made)) {
		json_decref(made);
		return false;
	}
	if (old)
		(void)json_array_set_new(kube_at(obj, "status.conditions"), at, made);
	else
		(void)json_array_append_new(list_of(obj), made);
	return true;
}

bool kube_condition_remove(json_t *obj, const char *type)
{
	size_t at;

	if (!find(obj, type, &at))
		return false;
	(void)json_array_remove(kube_at(obj, "status.conditions"), at);
	return true;
}
