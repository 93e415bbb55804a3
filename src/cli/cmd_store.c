/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on pools and volumes that are more than one call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/progress.h"

#define WORK_POLL_MS 500

static int call_drop(struct cli *cli, const char *method, const json_t *params)
{
	json_t *result;
	int res = cli_call(cli, method, params, &result);

	if (res == 0)
		json_decref(result);
	return res;
}

/* The numbers of --watermarks go where the call wants them. */
static int watermarks_put(struct cli *cli, json_t *params)
{
	const json_t *texts = json_object_get(cli->values, "watermarks");
	json_t *numbers;

	if (!texts)
		return 0;
	numbers = json_array();
	for (size_t i = 0; i < json_array_size(texts); i++) {
		uint64_t n;

		if (!str_to_u64(json_string_value(json_array_get(texts, i)), 1, 100, &n)) {
			json_decref(numbers);
			return err_set(&cli->err, -EINVAL,
				       "--watermarks: expected three percents, such as 80,90,95");
		}
		(void)json_array_append_new(numbers, json_integer((json_int_t)n));
	}
	return cli_put(params, "watermarks", numbers);
}

static int on_source(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct cli_source source = {0};
	json_t *result = NULL;
	int res = cli_source_open(cli, &source);

	if (res == 0)
		res = cli_put(params, "bdev_name", json_string(source.bdev));
	if (res == 0)
		res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		cli_source_undo(cli, &source);
	if (res == 0 && result)
		cli_print(cli, cmd, result);
	json_decref(result);
	return res;
}

int cli_cmd_pool_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	int res = watermarks_put(cli, params);

	return res < 0 ? res : on_source(cli, cmd, params);
}

int cli_cmd_pool_set(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	int res = watermarks_put(cli, params);
	json_t *result;

	if (res == 0)
		res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

static int print_pool_of(struct cli *cli, const char *bdev)
{
	json_t *pools;
	int res = cli_call(cli, "bdev_lvol_get_lvstores", NULL, &pools);

	if (res != 0)
		return res;
	res = -ENOENT;
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *one = json_array_get(pools, i);

		if (strcmp(json_string_value(json_object_get(one, "base_bdev")), bdev) != 0)
			continue;
		fprintf(cli->out, "%s\n", json_string_value(json_object_get(one, "name")));
		res = 0;
	}
	json_decref(pools);
	return res;
}

/*
 * A block device that is made is examined, and what it holds is opened: then there is nothing left to do. One that holds no such pool goes again; one whose pool cannot be opened stays, and
 * engine status has the reason.
 */
int cli_cmd_pool_open(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct cli_source source = {.readonly = cli_given(cli, "readonly"),
				    .pool_uuid = cli_text(cli, "uuid")};
	int res = cli_source_open(cli, &source);

	if (res != 0)
		return res;
	if (source.made && print_pool_of(cli, source.bdev) == 0)
		return 0;
	res = cli_put(params, "bdev_name", json_string(source.bdev));
	if (res == 0)
		res = call_drop(cli, cmd->method, params);
	if (res == -ENOENT)
		cli_source_undo(cli, &source);
	return res != 0 ? res : print_pool_of(cli, source.bdev);
}

int cli_cmd_pool_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *pools;
	int res = cli_call(cli, cmd->method, params, &pools);

	if (res != 0)
		return res;
	cli_print(cli, cmd, json_array_get(pools, 0));
	json_decref(pools);
	return 0;
}

int cli_cmd_volume_create(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const char *path = cli_text(cli, "POOL/NAME"), *slash = strchr(path, '/');
	json_t *result;
	int res;

	if (!slash || slash == path || !slash[1])
		return err_set(
			&cli->err, -EINVAL,
			"%s: expected POOL/NAME, such as fast/db; litepool engine pool list shows "
			"the pools",
			path);
	res = cli_put(params, "lvs_name", json_stringn(path, (size_t)(slash - path)));
	if (res == 0)
		res = cli_put(params, "lvol_name", json_string(slash + 1));
	if (res == 0)
		res = cli_put(params, "thin_provision", json_boolean(!cli_given(cli, "thick")));
	if (res == 0)
		res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

int cli_cmd_volume_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *list, *props;
	int res = cli_call(cli, "bdev_lvol_get_lvols", params, &list);

	if (res != 0)
		return res;
	res = cli_call(cli, "litepool_volume_get_props", params, &props);
	if (res == 0) {
		(void)json_object_update_missing(json_array_get(list, 0), props);
		json_decref(props);
		cli_print(cli, cmd, json_array_get(list, 0));
	}
	json_decref(list);
	return res;
}

int cli_cmd_volume_group(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const json_t *volumes = json_object_get(cli->values, "VOLUMES");
	const char *suffix = cli_text(cli, "SUFFIX");
	json_t *members = json_array(), *result;
	int res;

	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const char *volume = json_string_value(json_array_get(volumes, i));
		const char *slash = strrchr(volume, '/');
		char name[256];

		snprintf(name, sizeof(name), "%s-%s", slash ? slash + 1 : volume, suffix);
		(void)json_array_append_new(members, json_pack("{s:s, s:s}", "lvol_name", volume,
							       "snapshot_name", name));
	}
	res = cli_put(params, "volumes", members);
	if (res == 0)
		res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

int cli_cmd_volume_label(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const json_t *words = json_object_get(cli->values, "KEY=VALUE");
	json_t *labels = json_object(), *result;
	int res = 0;

	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		const char *equals = strchr(word, '=');
		char key[512];

		if (!equals || equals == word || equals - word >= (long)sizeof(key)) {
			json_decref(labels);
			return err_set(&cli->err, -EINVAL,
				       "%s: expected KEY=VALUE, or KEY= to take a label away",
				       word);
		}
		snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
		(void)json_object_set_new(labels, key,
					  equals[1] ? json_string(equals + 1) : json_null());
	}
	res = cli_put(params, "labels", labels);
	if (res == 0)
		res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

/* Page by page, so that neither side holds a whole disk's worth. */
int cli_cmd_volume_changed(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *all = NULL, *page;
	bool done = false;
	int res = 0;

	while (res == 0 && !done) {
		res = cli_call(cli, cmd->method, params, &page);
		if (res != 0)
			break;
		done = json_is_true(json_object_get(page, "done"));
		res = json_object_set(params, "offset", json_object_get(page, "next_offset"));
		if (!all) {
			all = page;
			continue;
		}
		(void)json_array_extend(json_object_get(all, "extents"),
					json_object_get(page, "extents"));
		json_decref(page);
	}
	if (res == 0 && all) {
		(void)json_object_del(all, "next_offset");
		(void)json_object_del(all, "done");
		cli_print(cli, cmd, all);
	}
	json_decref(all);
	return res;
}

/* How much is left, and the most that was to do at once: what has ended is in the list no more, and shall not make the rest look less. */
struct work_left {
	uint64_t bytes, most;
	const char *kind, *waits_for; /* of the first; borrowed from work; NULL: there is none */
};

static void work_add(struct work_left *left, const json_t *work)
{
	const json_t *one;
	uint64_t total = 0;
	size_t i;

	*left = (struct work_left){.most = left->most};
	json_array_foreach (work, i, one) {
		json_int_t done = json_integer_value(json_object_get(one, "done_bytes"));
		json_int_t of = json_integer_value(json_object_get(one, "total_bytes"));

		if (i == 0) {
			left->kind = json_string_value(json_object_get(one, "kind"));
			left->waits_for = json_string_value(json_object_get(one, "waits_for"));
		}
		total += of > 0 ? (uint64_t)of : 0;
		left->bytes += of > done ? (uint64_t)(of - done) : 0;
	}
	left->most = total > left->most ? total : left->most;
}

/* Until there is no work on any volume. */
static int work_wait_all(struct cli *cli, struct progress *progress)
{
	struct work_left left = {0};

	for (;;) {
		_cleanup_json_ json_t *work = NULL;
		int res = cli_call(cli, "litepool_volume_work", NULL, &work);

		if (res != 0)
			return res;
		work_add(&left, work);
		if (left.kind || left.most)
			progress_show(progress, left.kind ? left.kind : "work", left.waits_for,
				      left.most - left.bytes, left.most);
		if (json_array_size(work) == 0)
			return 0;
		if (cli_interrupted(WORK_POLL_MS))
			return err_set(
				&cli->err, -EINTR,
				"interrupted; the work goes on: litepool engine volume work");
	}
}

static int work_wait(struct cli *cli)
{
	struct progress progress;
	int res;

	progress_begin(&progress, cli);
	res = work_wait_all(cli, &progress);
	progress_end(&progress);
	return res;
}

/* "inflating" is "inflated" when it was waited for; "deleted" stays. */
static void done_print(const struct cli *cli, const struct cli_cmd *cmd)
{
	size_t len = strlen(cmd->done);
	bool goes_on = len > 3 && strcmp(cmd->done + len - 3, "ing") == 0;

	fprintf(cli->out, "%.*s%s\n", (int)(goes_on ? len - 3 : len), cmd->done,
		goes_on ? "ed" : "");
}

int cli_cmd_volume_wait(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *result;
	int res = cli_call(cli, cmd->method, params, &result);

	if (res != 0)
		return res;
	if (cli_given(cli, "wait"))
		res = work_wait(cli);
	if (res == 0 && cli_given(cli, "wait") && !cli->json)
		done_print(cli, cmd);
	else if (res == 0)
		cli_print(cli, cmd, result);
	json_decref(result);
	return res;
}

int cli_cmd_volume_work(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *work;
	int res = cli_given(cli, "wait") ? work_wait(cli) : 0;

	if (res == 0)
		res = cli_call(cli, cmd->method, NULL, &work);
	if (res != 0)
		return res;
	cli_print(cli, cmd, work);
	json_decref(work);
	return 0;
}
