/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on block devices and subsystems that are more than one call. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

int cli_cmd_bdev_create_sized(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_int_t size = json_integer_value(json_object_get(cli->values, "SIZE"));
	json_t *block = json_object_get(params, "block_size"), *result;
	json_int_t block_size = block ? json_integer_value(block) : 4096;
	int res;

	if (block_size != 512 && block_size != 4096)
		return err_set(&cli->err, -EINVAL, "--block-size must be 512 or 4096");
	if (size == 0 || size % block_size != 0)
		return err_set(&cli->err, -EINVAL, "SIZE must be a multiple of the block size, %d",
			       (int)block_size);
	if (cli_put(params, "block_size", json_integer(block_size)) < 0 ||
	    cli_put(params, "num_blocks", json_integer(size / block_size)) < 0)
		return err_set(&cli->err, -ENOMEM, "out of memory");
	res = cli_call(cli, cmd->method, params, &result);
	if (res != 0)
		return res;
	cli_print(cli, cmd, result);
	json_decref(result);
	return 0;
}

/* The method that deletes what bdev_get_bdevs shows. A device that is only in the configuration is a file whose disk is missing. */
static const char *delete_method(const json_t *bdevs)
{
	static const struct {
		const char *product, *method;
	} rows[] = {{"Null", "bdev_null_delete"},
		    {"Malloc", "bdev_malloc_delete"},
		    {"Fault", "litepool_fault_delete"}};
	const char *product =
		json_string_value(json_object_get(json_array_get(bdevs, 0), "product_name"));

	for (size_t i = 0; product && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strncmp(product, rows[i].product, strlen(rows[i].product)) == 0)
			return rows[i].method;
	return "bdev_aio_delete";
}

int cli_cmd_bdev_delete(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *bdevs = NULL, *result;
	int res = cli_call(cli, "bdev_get_bdevs", params, &bdevs);

	if (res != 0 && res != -ENODEV)
		return res;
	res = cli_call(cli, delete_method(bdevs), params, &result);
	json_decref(bdevs);
	if (res != 0)
		return res;
	json_decref(result);
	fprintf(cli->out, "deleted\n");
	return 0;
}

int cli_cmd_bdev_rescan(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *result, *bdevs;
	const json_t *bdev;
	char text[32];
	int res = cli_call(cli, cmd->method, params, &result);

	if (res != 0)
		return res;
	json_decref(result);
	res = cli_call(cli, "bdev_get_bdevs", params, &bdevs);
	if (res != 0)
		return res;
	bdev = json_array_get(bdevs, 0);
	if (cli->json)
		cli_print_json(cli->out, bdev);
	else
		fprintf(cli->out, "%s is %s now\n", cli_text(cli, "NAME"),
			str_size(
				(uint64_t)(json_integer_value(json_object_get(bdev, "num_blocks")) *
					   json_integer_value(json_object_get(bdev, "block_size"))),
				text, sizeof(text)));
	json_decref(bdevs);
	return 0;
}

/* One state for people when all groups have the same; with -o json every group is there. */
static void ana_fold(json_t *listeners)
{
	for (size_t i = 0; i < json_array_size(listeners); i++) {
		json_t *one = json_array_get(listeners, i);
		const json_t *groups = json_object_get(one, "ana_states");
		json_t *first = json_object_get(json_array_get(groups, 0), "ana_state");
		bool same = first != NULL;

		for (size_t k = 1; same && k < json_array_size(groups); k++)
			same = json_equal(json_object_get(json_array_get(groups, k), "ana_state"),
					  first);
		(void)json_object_set_new(one, "ana_state",
					  same ? json_incref(first) : json_string("by group"));
		if (same)
			(void)json_object_del(one, "ana_states");
	}
}

int cli_cmd_listener_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	json_t *listeners;
	int res = cli_call(cli, cmd->method, params, &listeners);

	if (res != 0)
		return res;
	if (!cli->json)
		ana_fold(listeners);
	cli_print(cli, cmd, listeners);
	json_decref(listeners);
	return 0;
}

int cli_cmd_subsystem_show(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	static const char *const more[][2] = {{"listeners", "nvmf_subsystem_get_listeners"},
					      {"controllers", "nvmf_subsystem_get_controllers"},
					      {"qpairs", "nvmf_subsystem_get_qpairs"}};
	json_t *subsystems, *part;
	int res = cli_call(cli, "nvmf_get_subsystems", params, &subsystems);

	for (size_t i = 0; res == 0 && i < sizeof(more) / sizeof(more[0]); i++) {
		res = cli_call(cli, more[i][1], params, &part);
		if (res == 0)
			(void)json_object_set_new(json_array_get(subsystems, 0), more[i][0], part);
		else
			json_decref(subsystems);
	}
	if (res != 0)
		return res;
	if (!cli->json)
		ana_fold(json_object_get(json_array_get(subsystems, 0), "listeners"));
	cli_print(cli, cmd, json_array_get(subsystems, 0));
	json_decref(subsystems);
	return 0;
}
