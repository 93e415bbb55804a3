/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that all nouns of the API have: list, show, label, delete; and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/api.h"
#include "kube/meta.h"
#include "kube/text.h"

int cli_cmd_object_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	const char *labels = cli_text(cli, "selector"), *fields = cli_text(cli, "field-selector");
	_cleanup_json_ json_t *objects = NULL;
	int res;

	if (cli_given(cli, "watch"))
		return api_watch(cli, noun, labels, fields);
	res = api_list(cli, noun->kind, labels, fields, &objects);
	if (res == 0)
		api_print_list(cli, noun, objects);
	return res;
}

static int event_order(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

	return strcmp(kube_str(*x, "lastTimestamp"), kube_str(*y, "lastTimestamp"));
}

/* By time, the latest last. New reference. */
static json_t *events_sorted(const json_t *events)
{
	size_t n = json_array_size(events);
	json_t **at = calloc(n + 1, sizeof(json_t *)), *sorted = json_array();

	for (size_t i = 0; at && i < n; i++)
		at[i] = json_array_get(events, i);
	if (at)
		qsort(at, n, sizeof(json_t *), event_order);
	for (size_t i = 0; at && i < n; i++)
		(void)json_array_append(sorted, at[i]);
	free(at);
	return sorted;
}

int cli_cmd_object_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	_cleanup_json_ json_t *obj = NULL, *events = NULL, *sorted = NULL;
	const char *name = cli_text(cli, "NAME");
	char fields[512];
	int res = api_get(cli, noun->kind, name, &obj);

	if (res < 0)
		return res;
	(void)snprintf(fields, sizeof(fields), "involvedObject.kind=%s,involvedObject.name=%s",
		       noun->kind, name);
	/* Without the right to see events, the object is shown all the same. */
	if (api_list(cli, "Event", NULL, fields, &events) == 0)
		sorted = events_sorted(events);
	api_print_object(cli, noun, obj, sorted);
	return 0;
}

/* "volume/db-0" to a field selector. */
static int events_about(struct cli *cli, char *fields, size_t size)
{
	const char *about = cli_text(cli, "for"), *slash = about ? strchr(about, '/') : NULL;
	const struct api_noun *noun = NULL;
	struct cli_cmd probe = {0};
	char word[32];
	size_t len = 0;

	fields[0] = '\0';
	if (about) {
		(void)snprintf(word, sizeof(word), "%.*s", slash ? (int)(slash - about) : 0, about);
		probe.words = word;
		noun = api_noun(&probe);
		if (!noun || !slash[1])
			return err_set(
				&cli->err, -EINVAL,
				"--for '%s': expected a noun and a name, such as volume/db-0",
				about);
		len = (size_t)snprintf(fields, size,
				       "involvedObject.kind=%s,involvedObject.name=%s", noun->kind,
				       slash + 1);
	}
	if (cli_given(cli, "warnings") && len < size)
		(void)snprintf(fields + len, size - len, "%stype=Warning", len ? "," : "");
	return 0;
}

int cli_cmd_events(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	_cleanup_json_ json_t *events = NULL, *sorted = NULL;
	char fields[512];
	int res = events_about(cli, fields, sizeof(fields));

	if (res < 0)
		return res;
	if (cli_given(cli, "watch"))
		return api_watch(cli, NULL, NULL, fields[0] ? fields : NULL);
	res = api_list(cli, "Event", NULL, fields[0] ? fields : NULL, &events);
	if (res < 0)
		return res;
	sorted = events_sorted(events);
	api_print_list(cli, NULL, sorted);
	return 0;
}

/* "rack=r1" sets, "rack-" takes away. */
static int label_take(struct cli *cli, const char *text, json_t *labels)
{
	const char *equals = strchr(text, '=');
	size_t len = strlen(text);
	char key[320];

	if (!equals && (len < 2 || text[len - 1] != '-'))
		return err_set(&cli->err, -EINVAL,
			       "'%s': expected KEY=VALUE, or KEY- to take the label away", text);
	(void)snprintf(key, sizeof(key), "%.*s", (int)(equals ? equals - text : (ssize_t)len - 1),
		       text);
	return json_object_set_new(labels, key, equals ? json_string(equals + 1) : json_null()) < 0
		       ? -ENOMEM
		       : 0;
}

int cli_cmd_object_label(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	const json_t *given = json_object_get(cli->values, "LABELS"), *one;
	_cleanup_json_ json_t *labels = json_object(), *patch = NULL, *obj = NULL;
	size_t i;
	int res = 0;

	json_array_foreach (given, i, one) {
		res = label_take(cli, json_string_value(one), labels);
		if (res < 0)
			return res;
	}
	patch = json_pack("{s:{s:O}}", "metadata", "labels", labels);
	res = api_merge(cli, noun->kind, cli_text(cli, "NAME"), patch, &obj);
	if (res == 0)
		api_print_done(cli, noun, obj, "labeled");
	return res;
}

/* delete */

static int impact_of(struct cli *cli, const struct api_noun *noun, const json_t *obj,
		     struct api_impact *ret)
{
	if (!strcmp(noun->word, "volume"))
		return api_impact_volume(cli, obj, ret);
	if (!strcmp(noun->word, "snapshot"))
		return api_impact_snapshot(cli, obj, ret);
	if (!strcmp(noun->word, "pool"))
		return api_impact_pool(cli, obj, ret);
	if (!strcmp(noun->word, "node"))
		return api_impact_node(cli, obj, ret);
	*ret = (struct api_impact){.lines = json_pack("[s]", "the space that it holds is free for "
							     "others; volumes in it stay")};
	return 0;
}

/* The controller lets a pool with volumes go only when the object itself says that its data may be lost. */
static int pool_delete(struct cli *cli, const char *name, bool loss)
{
	_cleanup_json_ json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations",
						 "litepool.io/accept-data-loss", name);
	int res = loss ? api_merge(cli, "StoragePool", name, patch, NULL) : 0;

	return res == 0 ? api_delete(cli, "StoragePool", name, NULL) : res;
}

static int node_delete(struct cli *cli, const char *name, bool loss)
{
	_cleanup_json_ json_t *pools = NULL;
	char field[320];
	const json_t *pool;
	size_t i;
	int res;

	(void)snprintf(field, sizeof(field), "spec.nodeName=%s", name);
	res = api_list(cli, "StoragePool", NULL, field, &pools);
	if (res < 0)
		return res;
	json_array_foreach (pools, i, pool) {
		res = pool_delete(cli, kube_name(pool), loss);
		if (res < 0)
			return res;
	}
	return api_delete(cli, "StorageNode", name, NULL);
}

static int object_delete(struct cli *cli, const struct api_noun *noun, const char *name)
{
	bool loss = cli_given(cli, "accept-volume-loss");

	if (!strcmp(noun->word, "pool"))
		return pool_delete(cli, name, loss);
	if (!strcmp(noun->word, "node"))
		return node_delete(cli, name, loss);
	return api_delete(cli, noun->kind, name, NULL);
}

int cli_cmd_object_delete(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	const char *name = cli_text(cli, "NAME");
	struct api_wait wait = {.kind = noun->kind, .name = name, .look = api_look_gone};
	_cleanup_json_ json_t *obj = NULL;
	struct api_impact impact = {0};
	char what[320];
	int res = api_get(cli, noun->kind, name, &obj);

	if (res == 0)
		res = impact_of(cli, noun, obj, &impact);
	if (res == 0)
		res = api_consent(cli, name, &impact);
	api_impact_fini(&impact);
	if (res != 0)
		return res < 0 ? res : 0;
	res = object_delete(cli, noun, name);
	if (res == 0 && cli_given(cli, "wait")) {
		(void)snprintf(what, sizeof(what), "%s %s to be gone", noun->word, name);
		wait.what = what;
		res = api_wait(cli, &wait, NULL);
	}
	if (res == 0)
		api_print_done(cli, noun, obj,
			       cli_given(cli, "wait") ? "deleted" : "will be deleted");
	return res;
}
