/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins out of shared objects (include/litepool/plugin.h). The one part of this folder that reaches outside: it loads code. For the owner's thread. */
#ifndef LITEPOOL_PLACE_PLUGIN_H
#define LITEPOOL_PLACE_PLUGIN_H

#include "base/err.h"
#include "place/hook.h"

struct place_plugins {
	void *handles[PLACE_PLUGINS_MAX];
	struct place_hooks hooks; /* for place_decide(); call and call_ctx are the owner's to set */
};

/* Loads and opens all that config names, or none: the error says which and why. Keeps nothing of config. -ENOENT, -EPROTO, -EINVAL. */
int place_plugins_open(const struct place_config *config, struct place_plugins *ret,
		       struct err *err);
void place_plugins_close(struct place_plugins *plugins);

#endif
