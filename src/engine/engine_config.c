/* SPDX-License-Identifier: Apache-2.0 */
/* The state as the calls that make it again: what is there, and what waits to be carried out. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"

static int append_section(json_t *subsystems, const char *name, json_t *config)
{
	return json_array_append_new(
		subsystems,
		config ? json_pack("{s:s, s:o}", "subsystem", name, "config", config) : NULL);
}

/* Entries of a retry that have not had their turn yet are part of the configuration too. */
static int append_unplayed(struct engine *e, const char *subsystem, json_t *array)
{
	const struct replay *replay = &e->replay;

	if (!replay->entries || replay->stop_at_failure)
		return 0;
	for (size_t i = replay->index; i < json_array_size(replay->entries); i++) {
		const json_t *entry = json_array_get(replay->entries, i);
		const char *of = json_string_value(json_object_get(entry, "subsystem"));

		if (strcmp(of, subsystem) == 0 &&
		    json_array_append_new(array,
					  json_pack("{s:O, s:O*}", "method",
						    json_object_get(entry, "method"), "params",
						    json_object_get(entry, "params"))) < 0)
			return -ENOMEM;
	}
	return 0;
}

json_t *engine_subsystem_config_json(struct engine *e, const char *subsystem)
{
	json_t *array = json_array();
	int res = array ? 0 : -ENOMEM;

	if (res == 0 && strcmp(subsystem, "bdev") == 0)
		list_for_each (it, &e->bdevs.list)
			if (res == 0)
				res = bdev_config_append(list_entry(it, struct bdev, link), array);
	if (res == 0 && strcmp(subsystem, "nvmf") == 0) {
		json_t *nvmf = nvme_target_config_json(e->target);

		if (e->tcp)
			res = json_array_append_new(array, json_pack("{s:s, s:O}", "method",
								     "nvmf_create_transport",
								     "params", e->tcp_config));
		if (!nvmf || res < 0 || json_array_extend(array, nvmf) < 0)
			res = -ENOMEM;
		json_decref(nvmf);
	}
	if (res == 0)
		res = config_problems_append(&e->problems, subsystem, array);
	if (res == 0)
		res = append_unplayed(e, subsystem, array);
	if (res < 0) {
		json_decref(array);
		return NULL;
	}
	return array;
}

/* Problems of subsystems that this engine does not have are kept in sections of their own. */
static int append_foreign(struct engine *e, json_t *subsystems)
{
	json_t *seen = json_pack("{s:b, s:b}", "bdev", true, "nvmf", true);
	int res = seen ? 0 : -ENOMEM;

	list_for_each (it, &e->problems.list) {
		const json_t *entry = list_entry(it, struct config_problem, link)->entry;
		const char *of = json_string_value(json_object_get(entry, "subsystem"));

		if (res < 0 || json_object_get(seen, of))
			continue;
		res = json_object_set_new(seen, of, json_true());
		if (res == 0)
			res = append_section(subsystems, of, engine_subsystem_config_json(e, of));
	}
	json_decref(seen);
	return res;
}

json_t *engine_config_json(struct engine *e)
{
	json_t *subsystems = json_array();

	if (append_section(subsystems, "bdev", engine_subsystem_config_json(e, "bdev")) < 0 ||
	    append_section(subsystems, "nvmf", engine_subsystem_config_json(e, "nvmf")) < 0 ||
	    append_foreign(e, subsystems) < 0) {
		json_decref(subsystems);
		return NULL;
	}
	return json_pack("{s:i, s:s, s:o}", "version", CONFIG_VERSION, "written_by",
			 ENGINE_VERSION_TEXT, "subsystems", subsystems);
}
