/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches. JSON patch works on a deep copy, so that a failure half-way leaves nothing behind.
 *
 * 1. A value is put at a place only when levels above it and levels in it make at most KUBE_DEPTH_MAX together.
 */
#include "kube/patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kube/text.h"

#define TOKEN_MAX 512

/* A null in patch removes; an object merges; all else replaces. Depth is that of patch, which is bounded. */
static json_t *merge(const json_t *target, const json_t *patch)
{
	const char *name;
	json_t *result, *value;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	result = json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
	json_object_foreach ((json_t *)(uintptr_t)patch, name, value) {
		if (json_is_null(value))
			(void)json_object_del(result, name);
		else
			(void)json_object_set_new(result, name,
						  merge(json_object_get(target, name), value));
	}
	return result;
}

int kube_merge_patch(const json_t *obj, const json_t *patch, json_t **ret, struct kube_fail *fail)
{
	json_t *shared;

	if (!json_is_object(patch))
		return kube_fail_set(fail, KUBE_BAD_REQUEST, "a merge patch must be a JSON object");
	/* Members that the patch does not touch are shared with obj by reference, until the copy. */
	shared = merge(obj, patch);
	*ret = json_deep_copy(shared);
	json_decref(shared);
	return *ret ? 0 : kube_fail_set(fail, KUBE_UNAVAILABLE, "no memory for a patch");
}

struct patch_run {
	json_t *root;
	size_t nodes_left, index;
	struct kube_fail *fail;
};

static int unfit(struct patch_run *run, const char *path, const char *why)
{
	return kube_fail_set(run->fail, KUBE_INVALID, "JSON patch operation %zu at \"%.200s\": %s",
			     run->index, path, why);
}

/* One token of a pointer, unescaped ("~1" is '/', "~0" is '~'); *path moves to the next '/' or the end. */
static bool take_token(const char **path, char *buf)
{
	const char *p = *path + 1;
	size_t n = 0;

	for (; *p && *p != '/'; p++) {
		char c = *p;

		if (c == '~') {
			if (p[1] != '0' && p[1] != '1')
				return false;
			c = *++p == '0' ? '~' : '/';
		}
		if (n + 1 >= TOKEN_MAX)
			return false;
		buf[n++] = c;
	}
	buf[n] = 0;
	*path = p;
	return true;
}

/* An index without leading zeros, up to max. */
static bool take_index(const char *token, size_t max, size_t *ret)
{
	uint64_t n;

	if ((token[0] == '0' && token[1]) || !str_to_u64(token, 0, max, &n))
		return false;
	*ret = (size_t)n;
	return true;
}

static json_t *child_of(const json_t *parent, const char *token)
{
	size_t i;

	if (json_is_object(parent))
		return json_object_get(parent, token);
	if (json_array_size(parent) && take_index(token, json_array_size(parent) - 1, &i))
		return json_array_get(parent, i);
	return NULL;
}

struct place {
	json_t *parent; /* NULL: the root itself */
	char token[TOKEN_MAX];
	unsigned depth; /* levels above */
};

static int find_place(struct patch_run *run, const char *path, struct place *ret)
{
	const char *p = path;

	ret->parent = NULL;
	ret->depth = 0;
	if (!*p)
		return 0;
	if (*p != '/')
		return kube_fail_set(run->fail, KUBE_BAD_REQUEST,
				     "JSON patch operation %zu: a path begins with '/'",
				     run->index);
	ret->parent = run->root;
	for (;;) {
		if (!take_token(&p, ret->token))
			return kube_fail_set(
				run->fail, KUBE_BAD_REQUEST,
				"JSON patch operation %zu: \"%.200s\" is no JSON pointer",
				run->index, path);
		if (++ret->depth > KUBE_DEPTH_MAX)
			return unfit(run, path, "too deep");
		if (!*p)
			return 0;
		ret->parent = child_of(ret->parent, ret->token);
		if (!ret->parent)
			return unfit(run, path, "there is nothing at a level above");
	}
}

static int find_value(struct patch_run *run, const char *path, json_t **ret)
{
	struct place place;
	int rc = find_place(run, path, &place);

	if (rc)
		return rc;
	*ret = place.parent ? child_of(place.parent, place.token) : run->root;
	return *ret ? 0 : unfit(run, path, "there is no such member");
}

/* Takes value. */
static int op_add(struct patch_run *run, const char *path, json_t *value, bool replace)
{
	struct place place;
	size_t i, n;
	int rc = find_place(run, path, &place);

	if (!rc && place.depth + kube_json_depth(value) > KUBE_DEPTH_MAX)
		rc = unfit(run, path, "too deep");
	if (!rc && replace && place.parent && !child_of(place.parent, place.token))
		rc = unfit(run, path, "there is no such member to replace");
	if (rc) {
		json_decref(value);
		return rc;
	}
	if (!place.parent) {
		json_decref(run->root);
		run->root = value;
		return 0;
	}
	if (json_is_object(place.parent)) {
		if (!json_object_set_new(place.parent, place.token, value))
			return 0;
		return unfit(run, path, "not a valid member name");
	}
	n = json_array_size(place.parent);
	i = n;
	if (!json_is_array(place.parent) ||
	    (strcmp(place.token, "-") != 0 && !take_index(place.token, n, &i))) {
		json_decref(value);
		return unfit(run, path, "no index of this array");
	}
	if (replace)
		(void)json_array_set_new(place.parent, i, value);
	else
		(void)json_array_insert_new(place.parent, i, value);
	return 0;
}

static int op_remove(struct patch_run *run, const char *path)
{
	struct place place;
	size_t i = 0;
	int rc = find_place(run, path, &place);

	if (rc)
		return rc;
	if (!place.parent)
		return unfit(run, path, "the whole object cannot be removed");
	if (!child_of(place.parent, place.token))
		return unfit(run, path, "there is no such member to remove");
	if (json_is_object(place.parent))
		(void)json_object_del(place.parent, place.token);
	else if (take_index(place.token, json_array_size(place.parent), &i))
		(void)json_array_remove(place.parent, i);
	return 0;
}

/* Counts down *left by the values in value; false when they are more. */
static bool count_nodes(const json_t *value, size_t *left)
{
	const char *name;
	json_t *v;

	if (!*left)
		return false;
	--*left;
	json_object_foreach ((json_t *)(uintptr_t)value, name, v) {
		if (!count_nodes(v, left))
			return false;
	}
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!count_nodes(json_array_get(value, i), left))
			return false;
	return true;
}

static int op_copy(struct patch_run *run, const char *from, const char *path, bool move)
{
	json_t *value;
	size_t len = strlen(from);
	int rc = find_value(run, from, &value);

	if (rc)
		return rc;
	if (move && !strncmp(path, from, len) && (path[len] == '/'))
		return unfit(run, path, "a value cannot be moved into itself");
	if (!count_nodes(value, &run->nodes_left))
		return unfit(run, path, "the patch copies too much");
	value = json_deep_copy(value);
	rc = move ? op_remove(run, from) : 0;
	if (rc) {
		json_decref(value);
		return rc;
	}
	return op_add(run, path, value, false);
}

static int op_test(struct patch_run *run, const char *path, const json_t *value)
{
	json_t *found;
	int rc = find_value(run, path, &found);

	if (rc)
		return rc;
	return json_equal(found, value) ? 0 : unfit(run, path, "test failed: the value differs");
}

static int run_op(struct patch_run *run, const json_t *op)
{
	const char *name = json_string_value(json_object_get(op, "op"));
	const char *path = json_string_value(json_object_get(op, "path"));
	const char *from = json_string_value(json_object_get(op, "from"));
	json_t *value = json_object_get(op, "value");

	if (name && path && value && (!strcmp(name, "add") || !strcmp(name, "replace")))
		return op_add(run, path, json_deep_copy(value), name[0] == 'r');
	if (name && path && value && !strcmp(name, "test"))
		return op_test(run, path, value);
	if (name && path && !strcmp(name, "remove"))
		return op_remove(run, path);
	if (name && path && from && (!strcmp(name, "copy") || !strcmp(name, "move")))
		return op_copy(run, from, path, name[0] == 'm');
	return kube_fail_set(
		run->fail, KUBE_BAD_REQUEST,
		"JSON patch operation %zu: \"op\" must be add, remove, replace, move, "
		"copy or test, with \"path\", and \"value\" or \"from\" where it needs one",
		run->index);
}

int kube_json_patch(const json_t *obj, const json_t *patch, json_t **ret, struct kube_fail *fail)
{
	struct patch_run run = {.nodes_left = KUBE_PATCH_NODES_MAX, .fail = fail};
	int rc = 0;

	if (!json_is_array(patch))
		return kube_fail_set(fail, KUBE_BAD_REQUEST,
				     "a JSON patch must be an array of operations");
	if (json_array_size(patch) > KUBE_PATCH_OPS_MAX)
		return kube_fail_set(
			fail, KUBE_TOO_LARGE,
			"The allowed maximum operations in a JSON patch is %d, got %zu",
			KUBE_PATCH_OPS_MAX, json_array_size(patch));
	run.root = json_deep_copy(obj);
	for (run.index = 0; !rc && run.index < json_array_size(patch); run.index++)
		rc = run_op(&run, json_array_get(patch, run.index));
	if (!rc && !json_is_object(run.root))
		rc = kube_fail_set(fail, KUBE_INVALID, "the patch leaves no object");
	if (rc)
		json_decref(run.root);
	else
		*ret = run.root;
	return rc;
}
