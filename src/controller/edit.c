/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a copy of an object, each telling whether it changed anything: what changes nothing is not written. */
#include <string.h>

#include "controller/control_priv.h"
#include "kube/text.h"

static json_t *status_of(json_t *obj)
{
	json_t *status = json_object_get(obj, "status");

	if (!json_is_object(status)) {
		status = json_object();
		(void)json_object_set_new(obj, "status", status);
	}
	return status;
}

bool edit_text(json_t *obj, const char *member, const char *text)
{
	json_t *status = status_of(obj);

	if (!strcmp(kube_str(status, member), text))
		return false;
	if (text[0])
		(void)json_object_set_new(status, member, json_string(text));
	else
		(void)json_object_del(status, member);
	return true;
}

bool edit_size(json_t *obj, const char *member, uint64_t bytes)
{
	json_t *status = status_of(obj);
	const char *why;
	uint64_t have;

	if (kube_size_parse(json_object_get(status, member), &have, &why) && have == bytes)
		return false;
	(void)json_object_set_new(status, member, json_integer((json_int_t)bytes));
	return true;
}

bool edit_condition(const struct control *c, json_t *obj, const char *type, const char *status,
		    const char *reason, const char *message)
{
	struct kube_condition condition = {
		.type = type,
		.status = status,
		.reason = reason,
		.message = message,
		.observed_generation = json_integer_value(kube_at(obj, "metadata.generation")),
	};
	const json_t *old = kube_condition_get(obj, type);

	/* A new generation alone is no news: agents and we would write in turns. */
	if (old && !strcmp(kube_str(old, "status"), status) &&
	    !strcmp(kube_str(old, "reason"), reason) && !strcmp(kube_str(old, "message"), message))
		return false;
	return kube_condition_set(obj, &condition, control_wall_ns(c));
}

uint64_t object_size(const json_t *obj, const char *path)
{
	const json_t *value = kube_at(obj, path);
	const char *why;
	uint64_t bytes;

	return value && kube_size_parse(value, &bytes, &why) ? bytes : 0;
}

bool object_lost(const json_t *obj)
{
	return kube_condition_is(obj, "DataLost", "True");
}
