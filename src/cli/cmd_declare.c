/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that declare: create, set, expand, cordon. The arguments' parameters are the object's members; what they cannot say is put in here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "kube/meta.h"
#include "kube/text.h"

/* --name a=b,c=d as a map at path. */
static int map_put(struct cli *cli, const char *name, const char *path, json_t *obj)
{
	const json_t *list = json_object_get(cli->values, name), *one;
	json_t *map;
	char key[320];
	size_t i;

	if (!list)
		return 0;
	map = json_object();
	json_array_foreach (list, i, one) {
		const char *text = json_string_value(one), *equals = strchr(text, '=');

		if (!equals) {
			json_decref(map);
			return err_set(&cli->err, -EINVAL, "--%s '%s': expected KEY=VALUE", name,
				       text);
		}
		(void)snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
		(void)json_object_set_new(map, key, json_string(equals + 1));
	}
	return cli_put(obj, path, map);
}

static int finish(struct cli *cli, const struct api_noun *noun, json_t *obj)
{
	char version[64];
	int res = map_put(cli, "node-selector", "spec.nodeSelector", obj);

	if (res == 0)
		res = map_put(cli, "pool-selector", "spec.poolSelector", obj);
	if (res == 0)
		res = map_put(cli, "labels", "metadata.labels", obj);
	if (res == 0 && cli_given(cli, "thick"))
		res = cli_put(obj, "spec.provisioning", json_string("Thick"));
	if (res < 0)
		return res;
	(void)json_object_set_new(obj, "kind", json_string(noun->kind));
	return json_object_set_new(obj, "apiVersion",
				   json_string(kube_api_version(api_resource(noun), version,
								sizeof(version)))) < 0
		       ? -ENOMEM
		       : 0;
}

static int ready_wait(struct cli *cli, const struct api_noun *noun, const char *name, json_t **obj)
{
	struct api_wait wait = {.kind = noun->kind, .name = name, .look = api_look_ready};
	json_t *seen = NULL;
	char what[320];
	int res;

	(void)snprintf(what, sizeof(what), "%s %s to be ready", noun->word, name);
	wait.what = what;
	res = api_wait(cli, &wait, &seen);
	if (res < 0)
		return res;
	json_decref(*obj);
	*obj = seen;
	return 0;
}

int cli_cmd_object_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	const char *name = cli_text(cli, "NAME");
	_cleanup_json_ json_t *obj = NULL;
	int res = finish(cli, noun, params);

	if (res == 0)
		res = api_create(cli, noun->kind, params, &obj);
	if (res == -EEXIST)
		return err_set(&cli->err, res, "%s %s is there already; see: litepool %s show %s",
			       noun->word, name, noun->word, name);
	if (res == 0 && cli_given(cli, "wait"))
		res = ready_wait(cli, noun, name, &obj);
	if (res == 0)
		api_print_done(cli, noun, obj, cli_given(cli, "wait") ? "is ready" : "created");
	return res;
}

int cli_cmd_object_set(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	_cleanup_json_ json_t *obj = NULL;
	int res;

	if (json_object_size(params) == 0)
		return err_set(&cli->err, -EINVAL,
			       "nothing is said that shall be set; see litepool %s --help",
			       cmd->words);
	res = api_merge(cli, noun->kind, cli_text(cli, "NAME"), params, &obj);
	if (res == 0)
		api_print_done(cli, noun, obj, "set");
	return res;
}

/* expand */

static int look_size(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	const uint64_t *want = ctx;

	if (!obj)
		return err_set(&cli->err, -ENOENT, "it was deleted meanwhile");
	*why = api_reason(obj);
	return api_size_at(obj, strcmp(kube_str(obj, "kind"), "StoragePool")
					? "status.size"
					: "status.capacity") >= *want;
}

int cli_cmd_object_expand(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct api_noun *noun = api_noun(cmd);
	uint64_t want = (uint64_t)json_integer_value(json_object_get(cli->values, "SIZE"));
	const char *name = cli_text(cli, "NAME");
	struct api_wait wait = {.kind = noun->kind, .name = name, .look = look_size, .ctx = &want};
	_cleanup_json_ json_t *before = NULL, *obj = NULL;
	char what[320], size[32];
	uint64_t is;
	int res = api_get(cli, noun->kind, name, &before);

	if (res < 0)
		return res;
	is = api_size_at(before, "spec.size");
	if (want < is)
		return err_set(&cli->err, -EINVAL,
			       "%s %s has %s: it can only become larger. SIZE is the whole new "
			       "size",
			       noun->word, name, str_size(is, size, sizeof(size)));
	res = api_merge(cli, noun->kind, name, params, &obj);
	/* A pool uses a little of its file for itself: there is no exact size to wait for. */
	if (res == 0 && cli_given(cli, "wait") && !strcmp(noun->word, "volume")) {
		(void)snprintf(what, sizeof(what), "%s %s to have %s", noun->word, name,
			       str_size(want, size, sizeof(size)));
		wait.what = what;
		res = api_wait(cli, &wait, NULL);
	}
	if (res == 0)
		api_print_done(cli, noun, obj, cli_given(cli, "wait") ? "expanded" : "expands");
	return res;
}
