/* SPDX-License-Identifier: Apache-2.0 */
/* Labels as shared "key=value" objects that know who has them: a selector starts with the rarest of its labels. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "place/model.h"

static char *label_text(const char *key, const char *value)
{
	char *text = NULL;

	/* Neither a key nor a value of a valid object has '=', but then no two of them meet anyway. */
	return asprintf(&text, "%s=%s", key, value) < 0 ? NULL : text;
}

struct place_label *place_label_find(const struct strmap *by_text, const char *key,
				     const char *value)
{
	_cleanup_free_ char *text = label_text(key, value);

	return text ? strmap_get(by_text, text) : NULL;
}

static void label_drop(struct strmap *by_text, struct place_label *label)
{
	if (label->n)
		return;
	strmap_remove(by_text, label->text);
	free(label->holders);
	free(label->text);
	free(label);
}

static int label_hold(struct place_label *label, void *holder)
{
	if (label->n == label->cap) {
		uint32_t cap = label->cap ? label->cap * 2 : 4;
		void **holders = realloc(label->holders, cap * sizeof(void *));

		if (!holders)
			return -ENOMEM;
		label->holders = holders;
		label->cap = cap;
	}
	label->holders[label->n++] = holder;
	return 0;
}

static void label_leave(struct strmap *by_text, struct place_label *label, const void *holder)
{
	for (uint32_t i = 0; i < label->n; i++) {
		if (label->holders[i] == holder) {
			label->holders[i] = label->holders[--label->n];
			break;
		}
	}
	label_drop(by_text, label);
}

/* Found or made, held by holder. NULL without memory. */
static struct place_label *label_take(struct strmap *by_text, char *text, void *holder)
{
	struct place_label *label = text ? strmap_get(by_text, text) : NULL;

	if (label || !text) {
		free(text);
		return label && label_hold(label, holder) == 0 ? label : NULL;
	}
	label = calloc(1, sizeof(*label));
	if (!label || strmap_set(by_text, text, label, NULL) < 0) {
		free(label);
		free(text);
		return NULL;
	}
	label->text = text;
	if (label_hold(label, holder) == 0)
		return label;
	label_drop(by_text, label);
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(void *const *)a, y = (uintptr_t)*(void *const *)b;

	return (x > y) - (x < y);
}

static bool labels_equal(const struct place_labels *labels, const json_t *json)
{
	const char *key;
	json_t *value;

	if (labels->n != json_object_size(json))
		return false;
	for (uint32_t i = 0; i < labels->n; i++) {
		const char *text = labels->all[i]->text, *eq = strchr(text, '=');
		_cleanup_free_ char *name = strndup(text, (size_t)(eq - text));

		key = name ? name : "";
		value = json_object_get(json, key);
		if (!json_is_string(value) || strcmp(json_string_value(value), eq + 1) != 0)
			return false;
	}
	return true;
}

int place_labels_set(struct strmap *by_text, struct place_labels *labels, void *holder,
		     const json_t *json)
{
	struct place_labels made = {0};
	const char *key;
	json_t *value;

	if (labels_equal(labels, json))
		return 0;
	if (json_object_size(json)) {
		made.all = calloc(json_object_size(json), sizeof(struct place_label *));
		if (!made.all)
			return -ENOMEM;
	}
	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		struct place_label *label;

		if (!json_is_string(value))
			continue;
		label = label_take(by_text, label_text(key, json_string_value(value)), holder);
		if (!label) {
			place_labels_clear(by_text, &made, holder);
			return -ENOMEM;
		}
		made.all[made.n++] = label;
	}
	if (made.n)
		qsort(made.all, made.n, sizeof(struct place_label *), by_address);
	place_labels_clear(by_text, labels, holder);
	*labels = made;
	return 0;
}

void place_labels_clear(struct strmap *by_text, struct place_labels *labels, void *holder)
{
	for (uint32_t i = 0; i < labels->n; i++)
		label_leave(by_text, labels->all[i], holder);
	free(labels->all);
	*labels = (struct place_labels){0};
}

bool place_labels_have(const struct place_labels *labels, const struct place_label *label)
{
	for (uint32_t i = 0; i < labels->n; i++)
		if (labels->all[i] == label)
			return true;
	return false;
}
