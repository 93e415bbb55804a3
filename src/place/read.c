/* SPDX-License-Identifier: Apache-2.0 */
/* Members of API objects, read with an error that names them. */
#include "place/read.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "kube/text.h"

#define SHOWN_MAX 64

int place_read_size(const json_t *object, const char *path, bool required, uint64_t *ret,
		    struct err *err)
{
	const json_t *value = kube_at(object, path);
	const char *why = "";

	if (!value || json_is_null(value)) {
		*ret = 0;
		return required ? err_set(err, -EINVAL, "%s: is missing", path) : 0;
	}
	if (!kube_size_parse(value, ret, &why))
		return err_set(err, -EINVAL, "%s: %s", path, why);
	return 0;
}

int place_read_choice(const json_t *object, const char *path, const char *const *choices, int *ret,
		      struct err *err)
{
	const json_t *value = kube_at(object, path);
	const char *text = json_string_value(value);
	char shown[SHOWN_MAX];

	if (!value || json_is_null(value))
		return 0;
	for (int i = 0; text && choices[i]; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "%s: %s is not known here (%s, ...)", path,
		       text ? log_quote(text, shown, sizeof(shown)) : "what is no string",
		       choices[0]);
}

int place_read_number(const json_t *object, const char *path, uint32_t min, uint32_t max,
		      uint32_t *ret, struct err *err)
{
	const json_t *value = kube_at(object, path);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max)
		return err_set(err, -EINVAL, "%s: expected a whole number from %u to %u", path, min,
			       max);
	*ret = (uint32_t)json_integer_value(value);
	return 0;
}

int place_read_labels(const json_t *object, const char *path, const json_t **ret, struct err *err)
{
	const json_t *labels = kube_at(object, path);
	const char *key;
	json_t *value;

	*ret = NULL;
	if (!labels || json_is_null(labels))
		return 0;
	if (!json_is_object(labels))
		return err_set(err, -EINVAL, "%s: expected names and values", path);
	json_object_foreach ((json_t *)(uintptr_t)labels, key, value)
		if (!json_is_string(value))
			return err_set(err, -EINVAL, "%s.%s: expected a string", path, key);
	*ret = labels;
	return 0;
}

const char *place_read_user(const json_t *object)
{
	const json_t *attached = kube_at(object, "spec.attachedNodes");
	const char *one = json_string_value(json_array_get(attached, 0));

	if (json_array_size(attached) > 1)
		return "";
	return one ? one : kube_str(object, "spec.nodeName");
}
