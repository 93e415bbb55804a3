/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading configuration. Invariants:
 *  1. Text from a file is refused whole, with the place and the reason, or gives entries that each have a subsystem and a method.
 *  2. A version newer than ours is refused: loading it and saving it again would lose what we do not know.
 */
#include "engine/configfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int flatten_subsystem(const json_t *subsystem, size_t index, json_t *entries,
			     struct err *err);
static int flatten_entry(const char *subsystem, const json_t *entry, size_t index, json_t *entries,
			 struct err *err);

int config_parse(const char *text, size_t len, json_t **ret_entries, struct err *err)
{
	json_error_t where;
	json_t *config = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	int res;

	if (!config)
		return err_set(err, -EINVAL, "line %d column %d: %s", where.line, where.column,
			       where.text);
	res = config_flatten(config, ret_entries, err);
	json_decref(config);
	return res;
}

int config_flatten(const json_t *config, json_t **ret_entries, struct err *err)
{
	const json_t *version, *subsystems;
	json_t *entries;

	if (!json_is_object(config))
		return err_set(err, -EINVAL, "the configuration must be a JSON object");
	version = json_object_get(config, "version");
	if (version && (!json_is_integer(version) || json_integer_value(version) < 1))
		return err_set(err, -EINVAL, "\"version\" must be the number %d", CONFIG_VERSION);
	if (version && json_integer_value(version) > CONFIG_VERSION)
		return err_set(
			err, -EINVAL,
			"the configuration has version %lld, this engine knows versions up to %d; "
			"use the newer engine that wrote it",
			(long long)json_integer_value(version), CONFIG_VERSION);
	subsystems = json_object_get(config, "subsystems");
	if (!json_is_array(subsystems))
		return err_set(err, -EINVAL,
			       "\"subsystems\" must be an array of {\"subsystem\", \"config\"}");
	entries = json_array();
	if (!entries)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(subsystems); i++) {
		int res = flatten_subsystem(json_array_get(subsystems, i), i, entries, err);

		if (res < 0) {
			json_decref(entries);
			return res;
		}
	}
	*ret_entries = entries;
	return 0;
}

static int flatten_subsystem(const json_t *subsystem, size_t index, json_t *entries,
			     struct err *err)
{
	const char *name = json_string_value(json_object_get(subsystem, "subsystem"));
	const json_t *config = json_object_get(subsystem, "config");

	if (!name || !name[0])
		return err_set(err, -EINVAL, "subsystems[%zu] needs a string \"subsystem\"", index);
	if (!config || json_is_null(config))
		return 0;
	if (!json_is_array(config))
		return err_set(err, -EINVAL, "subsystems[%zu] (%.64s): \"config\" must be an array",
			       index, name);
	for (size_t i = 0; i < json_array_size(config); i++) {
		int res = flatten_entry(name, json_array_get(config, i), i, entries, err);

		if (res < 0)
			return res;
	}
	return 0;
}

static int flatten_entry(const char *subsystem, const json_t *entry, size_t index, json_t *entries,
			 struct err *err)
{
	const char *method = json_string_value(json_object_get(entry, "method"));
	json_t *params = json_object_get(entry, "params");
	json_t *flat;

	if (!method || !method[0])
		return err_set(err, -EINVAL, "%.64s config[%zu] needs a string \"method\"",
			       subsystem, index);
	if (params && !json_is_object(params) && !json_is_null(params))
		return err_set(err, -EINVAL,
			       "%.64s config[%zu] (%.64s): \"params\" must be an object", subsystem,
			       index, method);
	if (json_array_size(entries) >= CONFIG_ENTRIES_MAX)
		return err_set(err, -EFBIG, "more than %d entries", CONFIG_ENTRIES_MAX);
	flat = json_pack("{s:s, s:s}", "subsystem", subsystem, "method", method);
	if (flat && json_is_object(params) && json_object_set(flat, "params", params) < 0) {
		json_decref(flat);
		flat = NULL;
	}
	if (json_array_append_new(entries, flat) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

void config_problems_init(struct config_problems *problems)
{
	list_init(&problems->list);
	problems->count = 0;
	problems->next_id = 1;
}

static void problem_free(struct config_problems *problems, struct config_problem *problem)
{
	list_remove(&problem->link);
	problems->count--;
	json_decref(problem->entry);
	free(problem->error);
	free(problem);
}

void config_problems_fini(struct config_problems *problems)
{
	list_for_each_safe (it, &problems->list)
		problem_free(problems, list_entry(it, struct config_problem, link));
}

int config_problems_add(struct config_problems *problems, json_t *entry, const char *error)
{
	struct config_problem *problem = calloc(1, sizeof(*problem));
	char *copy = strdup(error);

	if (!problem || !copy) {
		free(problem);
		free(copy);
		return -ENOMEM;
	}
	problem->id = problems->next_id++;
	problem->entry = json_incref(entry);
	problem->error = copy;
	list_push_back(&problems->list, &problem->link);
	problems->count++;
	return 0;
}

bool config_problems_remove(struct config_problems *problems, unsigned id)
{
	list_for_each_safe (it, &problems->list) {
		struct config_problem *problem = list_entry(it, struct config_problem, link);

		if (problem->id == id) {
			problem_free(problems, problem);
			return true;
		}
	}
	return false;
}

static const char *entry_text(const json_t *entry, const char *name)
{
	return json_string_value(json_object_get(json_object_get(entry, "params"), name));
}

static bool entry_is_bdev(const json_t *entry, const char *name)
{
	const char *subsystem = json_string_value(json_object_get(entry, "subsystem"));
	const char *entry_name = entry_text(entry, "name");

	return strcmp(subsystem, "bdev") == 0 && entry_name && strcmp(entry_name, name) == 0;
}

static bool entry_is_ns(const json_t *entry, const char *nqn, unsigned nsid)
{
	const char *entry_nqn = entry_text(entry, "nqn");
	const json_t *ns = json_object_get(json_object_get(entry, "params"), "namespace");

	if (!entry_nqn || strcmp(entry_nqn, nqn) != 0)
		return false;
	return nsid == 0 || json_integer_value(json_object_get(ns, "nsid")) == nsid;
}

unsigned config_problems_drop_bdev(struct config_problems *problems, const char *name)
{
	unsigned count = problems->count;

	list_for_each_safe (it, &problems->list) {
		struct config_problem *problem = list_entry(it, struct config_problem, link);

		if (entry_is_bdev(problem->entry, name))
			problem_free(problems, problem);
	}
	return count - problems->count;
}

unsigned config_problems_drop_ns(struct config_problems *problems, const char *nqn, unsigned nsid)
{
	unsigned count = problems->count;

	list_for_each_safe (it, &problems->list) {
		struct config_problem *problem = list_entry(it, struct config_problem, link);

		if (entry_is_ns(problem->entry, nqn, nsid))
			problem_free(problems, problem);
	}
	return count - problems->count;
}

bool config_problems_has_ns(const struct config_problems *problems, const char *nqn, unsigned nsid)
{
	list_for_each (it, &problems->list)
		if (entry_is_ns(list_entry(it, struct config_problem, link)->entry, nqn, nsid))
			return true;
	return false;
}

bool config_problems_lack_ns(const struct config_problems *problems, const char *nqn)
{
	list_for_each (it, &problems->list) {
		const json_t *entry = list_entry(it, struct config_problem, link)->entry;
		const char *method = json_string_value(json_object_get(entry, "method"));

		if (strcmp(method, "nvmf_subsystem_add_ns") == 0 && entry_is_ns(entry, nqn, 0))
			return true;
	}
	return false;
}

json_t *config_problems_json(const struct config_problems *problems)
{
	json_t *array = json_array();

	list_for_each (it, &problems->list) {
		struct config_problem *problem = list_entry(it, struct config_problem, link);
		json_t *one = json_pack("{s:i, s:O, s:s}", "id", (int)problem->id, "entry",
					problem->entry, "error", problem->error);

		(void)json_array_append_new(array, one);
	}
	return array;
}

int config_problems_append(const struct config_problems *problems, const char *subsystem,
			   json_t *array)
{
	list_for_each (it, &problems->list) {
		const json_t *entry = list_entry(it, struct config_problem, link)->entry;
		const char *of = json_string_value(json_object_get(entry, "subsystem"));
		json_t *call;

		if (strcmp(of, subsystem) != 0)
			continue;
		call = json_pack("{s:O, s:O*}", "method", json_object_get(entry, "method"),
				 "params", json_object_get(entry, "params"));
		if (json_array_append_new(array, call) < 0)
			return -ENOMEM;
	}
	return 0;
}
