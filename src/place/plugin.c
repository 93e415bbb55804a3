/* SPDX-License-Identifier: Apache-2.0 */
/* Loads plugins; what they export is checked before any of it is called. */
#include "place/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

typedef const struct litepool_plugin *(*entry_fn)(void);

static int ops_check(const char *path, const struct litepool_plugin *ops, struct err *err)
{
	if (!ops || ops->struct_size < sizeof(*ops))
		return err_set(
			err, -EPROTO,
			"plugin %s: its table has %zu bytes, %zu are expected: build it with "
			"this version's litepool/plugin.h",
			path, ops ? ops->struct_size : 0, sizeof(*ops));
	if (ops->abi != LITEPOOL_PLUGIN_ABI)
		return err_set(err, -EPROTO, "plugin %s: ABI %u, expected %u", path, ops->abi,
			       LITEPOOL_PLUGIN_ABI);
	if (!ops->name || !ops->name[0])
		return err_set(err, -EPROTO, "plugin %s: it has no name", path);
	return 0;
}

static int load(const char *path, void **ret_handle, const struct litepool_plugin **ret_ops,
		struct err *err)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	entry_fn entry;
	int res;

	if (!handle)
		return err_set(err, -ENOENT, "plugin %s cannot be loaded: %s", path, dlerror());
	/* POSIX wants the cast through an object pointer. */
	*(void **)(void *)&entry = dlsym(handle, LITEPOOL_PLUGIN_ENTRY);
	if (!entry) {
		(void)dlclose(handle);
		return err_set(err, -EPROTO, "plugin %s exports no %s()", path,
			       LITEPOOL_PLUGIN_ENTRY);
	}
	*ret_ops = entry();
	res = ops_check(path, *ret_ops, err);
	if (res < 0)
		(void)dlclose(handle);
	else
		*ret_handle = handle;
	return res;
}

static int open_one(const struct place_plugin_config *config, struct place_plugins *plugins,
		    struct err *err)
{
	struct place_hook *hook = &plugins->hooks.plugins[plugins->hooks.n_plugins];
	void **handle = &plugins->handles[plugins->hooks.n_plugins];
	char why[256] = "";
	int res = load(config->path, handle, &hook->ops, err);

	if (res < 0)
		return res;
	if (hook->ops->open &&
	    hook->ops->open(config->config ? config->config : "", &hook->ctx, why, sizeof(why))) {
		why[sizeof(why) - 1] = '\0';
		(void)dlclose(*handle);
		return err_set(err, -EINVAL, "plugin %s refuses its configuration: %s",
			       config->path, why);
	}
	hook->weight = config->weight;
	hook->filter = config->filter;
	hook->ignore = config->ignore;
	plugins->hooks.n_plugins++;
	return 0;
}

int place_plugins_open(const struct place_config *config, struct place_plugins *ret,
		       struct err *err)
{
	struct place_plugins plugins = {0};

	for (uint32_t i = 0; i < config->n_plugins; i++) {
		int res = open_one(&config->plugins[i], &plugins, err);

		if (res < 0) {
			place_plugins_close(&plugins);
			return res;
		}
	}
	*ret = plugins;
	return 0;
}

void place_plugins_close(struct place_plugins *plugins)
{
	for (uint32_t i = 0; i < plugins->hooks.n_plugins; i++) {
		const struct place_hook *hook = &plugins->hooks.plugins[i];

		if (hook->ops->close)
			hook->ops->close(hook->ctx);
		(void)dlclose(plugins->handles[i]);
	}
	*plugins = (struct place_plugins){0};
}
