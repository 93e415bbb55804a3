/* SPDX-License-Identifier: Apache-2.0 */
/* What a deletion would destroy, said before it is done. Counts are of the moment: who wants to be sure stops the users first. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/api.h"
#include "kube/meta.h"
#include "kube/text.h"

#define NAMES_MAX 8

void api_impact_fini(struct api_impact *impact)
{
	json_decref(impact->lines);
	*impact = (struct api_impact){0};
}

static void begin(struct api_impact *impact)
{
	*impact = (struct api_impact){.lines = json_array()};
}

__attribute__((format(printf, 2, 3))) static void say(struct api_impact *impact, const char *fmt,
						      ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)json_array_append_new(impact->lines, json_vsprintf(fmt, ap));
	va_end(ap);
}

/* "a, b and 3 more" */
static void names_join(const json_t *objects, char *text, size_t size)
{
	size_t n = json_array_size(objects), len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && i < NAMES_MAX && len < size; i++) {
		const json_t *one = json_array_get(objects, i);
		const char *name = json_is_string(one) ? json_string_value(one) : kube_name(one);
		int add = snprintf(text + len, size - len, "%s%s", i ? ", " : "", name);

		len += add > 0 ? (size_t)add : 0;
	}
	if (n > NAMES_MAX && len < size)
		(void)snprintf(text + len, size - len, " and %zu more", n - NAMES_MAX);
}

/* Those whose member at path is name. A field selector does it on the server. */
static int find(struct cli *cli, const char *kind, const char *path, const char *name, json_t **ret)
{
	char field[320];

	(void)snprintf(field, sizeof(field), "%s=%s", path, name);
	return api_list(cli, kind, NULL, field, ret);
}

int api_impact_volume(struct cli *cli, const json_t *volume, struct api_impact *ret)
{
	const json_t *attached = kube_at(volume, "spec.attachedNodes");
	_cleanup_json_ json_t *snapshots = NULL;
	char names[512], size[32], allocated[32];
	int res = find(cli, "StorageSnapshot", "spec.volumeName", kube_name(volume), &snapshots);

	if (res < 0)
		return res;
	begin(ret);
	if (kube_str(volume, "status.poolName")[0]) {
		ret->volumes = 1;
		say(ret, "volume %s of %s, %s of it written, on pool %s: all its data are lost",
		    kube_name(volume),
		    str_size(api_size_at(volume, "spec.size"), size, sizeof(size)),
		    str_size(api_size_at(volume, "status.allocated"), allocated, sizeof(allocated)),
		    kube_str(volume, "status.poolName"));
	} else {
		say(ret, "volume %s was never placed: it holds no data", kube_name(volume));
	}
	if (json_array_size(snapshots) > 0) {
		names_join(snapshots, names, sizeof(names));
		say(ret, "its snapshots stay: %s", names);
	}
	if (json_array_size(attached) == 0)
		attached = kube_at(volume, "status.attachedNodes");
	if (json_array_size(attached) > 0) {
		names_join(attached, names, sizeof(names));
		say(ret, "it is attached to %s. Detach it first: litepool detach %s --node NODE",
		    names, kube_name(volume));
		ret->refused = true;
	}
	return 0;
}

int api_impact_snapshot(struct cli *cli, const json_t *snapshot, struct api_impact *ret)
{
	begin(ret);
	if (json_is_true(kube_at(snapshot, "status.readyToUse"))) {
		ret->snapshots = 1;
		say(ret, "snapshot %s of volume %s is lost; volumes made of it stay",
		    kube_name(snapshot), kube_str(snapshot, "spec.volumeName"));
	} else {
		say(ret, "snapshot %s was not cut yet", kube_name(snapshot));
	}
	return 0;
}

int api_impact_pool(struct cli *cli, const json_t *pool, struct api_impact *ret)
{
	_cleanup_json_ json_t *volumes = NULL, *snapshots = NULL;
	char names[512];
	int res = find(cli, "StorageVolume", "status.poolName", kube_name(pool), &volumes);

	if (res == 0)
		res = find(cli, "StorageSnapshot", "status.poolName", kube_name(pool), &snapshots);
	if (res < 0)
		return res;
	begin(ret);
	ret->volumes = (unsigned)json_array_size(volumes);
	ret->snapshots = (unsigned)json_array_size(snapshots);
	if (ret->volumes + ret->snapshots == 0) {
		say(ret, "pool %s on node %s holds nothing", kube_name(pool),
		    kube_str(pool, "spec.nodeName"));
		return 0;
	}
	if (ret->volumes) {
		names_join(volumes, names, sizeof(names));
		say(ret, "pool %s holds %u volumes whose data are lost: %s", kube_name(pool),
		    ret->volumes, names);
	}
	if (ret->snapshots) {
		names_join(snapshots, names, sizeof(names));
		say(ret, "pool %s holds %u snapshots that are lost: %s", kube_name(pool),
		    ret->snapshots, names);
	}
	return 0;
}

int api_impact_node(struct cli *cli, const json_t *node, struct api_impact *ret)
{
	_cleanup_json_ json_t *pools = NULL;
	const json_t *pool, *line;
	size_t i, k;
	int res = find(cli, "StoragePool", "spec.nodeName", kube_name(node), &pools);

	if (res < 0)
		return res;
	begin(ret);
	say(ret, "node %s has %zu pools; they are deleted with it", kube_name(node),
	    json_array_size(pools));
	json_array_foreach (pools, i, pool) {
		struct api_impact of_pool;

		res = api_impact_pool(cli, pool, &of_pool);
		if (res < 0)
			return res;
		ret->volumes += of_pool.volumes;
		ret->snapshots += of_pool.snapshots;
		json_array_foreach (of_pool.lines, k, line)
			(void)json_array_append(ret->lines, (json_t *)(uintptr_t)line);
		api_impact_fini(&of_pool);
	}
	if (json_array_size(pools) > 0)
		say(ret, "to keep them instead, put the disks into another node and say: litepool "
			 "pool move POOL NODE");
	return 0;
}

void api_impact_print(FILE *out, const struct api_impact *impact)
{
	const json_t *line;
	size_t i;

	json_array_foreach (impact->lines, i, line)
		fprintf(out, "  %s\n", json_string_value(line));
}

int api_consent(struct cli *cli, const char *name, const struct api_impact *impact)
{
	const char *given = cli_text(cli, "accept-volume-loss");
	size_t n = json_array_size(impact->lines);

	if (cli_given(cli, "show-impact")) {
		fputs("This would happen:\n", cli->out);
		api_impact_print(cli->out, impact);
		return 1;
	}
	if (impact->refused)
		return err_set(&cli->err, -EBUSY, "%s",
			       json_string_value(json_array_get(impact->lines, n - 1)));
	if (given && strcmp(given, name) != 0)
		return err_set(&cli->err, -EINVAL,
			       "--accept-volume-loss=%s names another object than %s: nothing was "
			       "done",
			       given, name);
	if (impact->volumes + impact->snapshots == 0 || given)
		return 0;
	fputs("litepool: this would happen:\n", stderr);
	api_impact_print(stderr, impact);
	return err_set(&cli->err, -EPERM, "nothing was done; to do it, add --accept-volume-loss=%s",
		       name);
}
