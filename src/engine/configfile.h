/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as text: the shape of SPDK's save_config, that is, the calls that make the state again, by subsystem. Pure.
 */
#ifndef LITEPOOL_ENGINE_CONFIGFILE_H
#define LITEPOOL_ENGINE_CONFIGFILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/list.h"

#define CONFIG_VERSION     1
#define CONFIG_SIZE_MAX    ((size_t)64 << 20)
#define CONFIG_ENTRIES_MAX 100000

/* One call, flattened: {"subsystem": "bdev", "method": ..., "params": ...}. */
int config_parse(const char *text, size_t len, json_t **ret_entries, struct err *err);
/* The same from JSON that is there already, as load_config gets it. A missing version is taken as the current one. */
int config_flatten(const json_t *config, json_t **ret_entries, struct err *err);

/*
 * Entries that could not be carried out when the configuration was loaded (a disk is missing, ...). They stay part of the configuration until they
 * succeed, are replaced, or are removed by a person.
 */
struct config_problem {
	struct list link;
	unsigned id;
	json_t *entry; /* as from config_flatten */
	char *error;
};

struct config_problems {
	struct list list;
	unsigned count, next_id;
};

void config_problems_init(struct config_problems *problems);
void config_problems_fini(struct config_problems *problems);
/* entry: borrowed. -ENOMEM. */
int config_problems_add(struct config_problems *problems, json_t *entry, const char *error);
bool config_problems_remove(struct config_problems *problems, unsigned id);
/* Those that create the block device, or limit it; how many went. */
unsigned config_problems_drop_bdev(struct config_problems *problems, const char *name);
/* Those that add namespace nsid to nqn; nsid 0: all that is about nqn. */
unsigned config_problems_drop_ns(struct config_problems *problems, const char *nqn, unsigned nsid);
/* Whether an entry that waits holds that namespace id. */
bool config_problems_has_ns(const struct config_problems *problems, const char *nqn, unsigned nsid);
/* Whether a namespace of nqn waits to be made. */
bool config_problems_lack_ns(const struct config_problems *problems, const char *nqn);
json_t *config_problems_json(const struct config_problems *problems);
/* Appends {method, params} of those of the subsystem. */
int config_problems_append(const struct config_problems *problems, const char *subsystem,
			   json_t *array);

#endif
