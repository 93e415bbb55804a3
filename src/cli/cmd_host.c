/* SPDX-License-Identifier: Apache-2.0 */
/* This machine as a host of volumes: attach, detach, list, wait for a size. No engine is asked: it may be anywhere. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "host/attach.h"
#include "rt/blocking.h"

/* Ctrl-C takes back what was begun. */
static int env_open(struct cli *cli, struct host_env *env)
{
	*env = (struct host_env){.cancel_fd = blocking_signal_fd(&cli->err)};
	return env->cancel_fd < 0 ? env->cancel_fd : 0;
}

static int number(const struct cli *cli, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(cli->values, name));

	return n > INT32_MAX ? INT32_MAX : (int)n;
}

static int id_take(struct cli *cli, struct host_id *ret)
{
	static const struct {
		const char *name;
		enum host_id_kind kind;
	} kinds[] = {{"nguid", HOST_ID_NGUID}, {"uuid", HOST_ID_UUID}, {"nsid", HOST_ID_NSID}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *text = cli_text(cli, kinds[i].name);

		if (!text)
			continue;
		if (ret->kind != HOST_ID_NONE)
			return err_set(&cli->err, -EINVAL,
				       "give one of --nguid, --uuid and --nsid");
		if (!host_id_parse(kinds[i].kind, text, ret))
			return err_set(&cli->err, -EINVAL, "--%s '%s': expected %s", kinds[i].name,
				       text,
				       kinds[i].kind == HOST_ID_NSID ? "a number from 1"
								     : "32 hex digits or a UUID");
	}
	return 0;
}

/* "192.0.2.1", "192.0.2.1:4420", "[2001:db8::1]:4420" */
static bool path_take(const char *text, struct host_path *ret)
{
	bool v6 = text[0] == '[';
	const char *end = v6 ? strchr(text, ']') : text + strcspn(text, ":");
	const char *port = end && *end ? end + v6 : "";
	uint64_t n;

	if (!end || end == text + v6 || end - text - v6 >= HOST_ADDR_SIZE ||
	    (*port && *port != ':'))
		return false;
	(void)snprintf(ret->traddr, sizeof(ret->traddr), "%.*s", (int)(end - text - v6), text + v6);
	port = *port ? port + 1 : "4420";
	return str_to_u64(port, 1, UINT16_MAX, &n) &&
	       str_copy(ret->trsvcid, sizeof(ret->trsvcid), port);
}

static int paths_take(struct cli *cli, struct host_path *paths, unsigned *ret_n)
{
	const json_t *list = json_object_get(cli->values, "address");
	const char *iface = cli_text(cli, "interface");
	size_t n = json_array_size(list);

	if (n == 0)
		return err_set(
			&cli->err, -EINVAL,
			"--address is missing: where the engine listens, such as 192.0.2.1:4420");
	if (n > HOST_PATHS_MAX)
		return err_set(&cli->err, -EINVAL, "--address: %zu are given, %d are possible", n,
			       HOST_PATHS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		memset(&paths[i], 0, sizeof(paths[i]));
		if (!path_take(text, &paths[i]))
			return err_set(&cli->err, -EINVAL,
				       "--address '%s' must be an address and a port: "
				       "192.0.2.1:4420 or [2001:db8::1]:4420",
				       text);
		if (iface && !str_copy(paths[i].iface, sizeof(paths[i].iface), iface))
			return err_set(&cli->err, -EINVAL,
				       "--interface '%s' is no network interface", iface);
	}
	*ret_n = (unsigned)n;
	return 0;
}

static struct host_attach_opts options_of(const struct cli *cli)
{
	return (struct host_attach_opts){
		.ctrl_loss_tmo = cli_given(cli, "keep-trying") ? -1 : number(cli, "ctrl-loss-tmo"),
		.reconnect_delay = number(cli, "reconnect-delay"),
		.fast_io_fail_tmo = number(cli, "fast-io-fail-tmo"),
		.nr_io_queues = number(cli, "io-queues"),
		.keep_alive_tmo = number(cli, "keep-alive-tmo"),
		.hdr_digest = cli_given(cli, "header-digest"),
		.data_digest = cli_given(cli, "data-digest"),
	};
}

/* Paths that failed while another did not: the person should know. */
static json_t *attach_json(const struct host_attach_req *req,
			   const struct host_attach_result *result)
{
	static const char *const outcomes[] = {[HOST_PATH_UNTRIED] = "not needed",
					       [HOST_PATH_CONNECTED] = "connected",
					       [HOST_PATH_REUSED] = "was connected",
					       [HOST_PATH_FAILED] = "failed"};
	json_t *json = host_device_json(&result->device), *asked = json_array();

	for (unsigned i = 0; i < req->n_paths; i++)
		(void)json_array_append_new(asked, json_pack("{s:s, s:s, s:s, s:s*}", "traddr",
							     req->paths[i].traddr, "trsvcid",
							     req->paths[i].trsvcid, "outcome",
							     outcomes[result->paths[i]], "error",
							     result->paths[i] == HOST_PATH_FAILED
								     ? result->path_err[i].text
								     : NULL));
	(void)json_object_set_new(json, "asked", asked);
	return json;
}

static void attach_print(struct cli *cli, const struct host_attach_req *req,
			 const struct host_attach_result *result)
{
	json_t *json;

	if (cli->json) {
		json = attach_json(req, result);
		cli_print_json(cli->out, json);
		json_decref(json);
		return;
	}
	fprintf(cli->out, "%s\n", result->device.path);
	for (unsigned i = 0; i < req->n_paths; i++)
		if (result->paths[i] == HOST_PATH_FAILED)
			fprintf(stderr, "litepool: warning: one path is missing: %s\n",
				result->path_err[i].text);
}

int cli_cmd_host_attach(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct host_path paths[HOST_PATHS_MAX];
	struct host_attach_req req = {.nqn = cli_text(cli, "nqn"),
				      .hostnqn = cli_text(cli, "host-nqn"),
				      .hostid = cli_text(cli, "host-id"),
				      .paths = paths,
				      .opts = options_of(cli),
				      .timeout_ms = cli->timeout_ms};
	struct host_attach_result result;
	struct progress progress;
	struct host_env env;
	int res;

	if (!req.nqn)
		return err_set(&cli->err, -EINVAL, "--nqn is missing: the subsystem's name");
	res = id_take(cli, &req.id);
	if (res == 0 && req.id.kind == HOST_ID_NONE)
		return err_set(&cli->err, -EINVAL,
			       "--nguid (or --uuid, or --nsid) is missing; see: litepool engine "
			       "subsystem show %s",
			       req.nqn);
	if (res == 0)
		res = paths_take(cli, paths, &req.n_paths);
	if (res == 0)
		res = env_open(cli, &env);
	if (res < 0)
		return res;
	progress_begin(&progress, cli);
	progress_show(&progress, "the device", req.nqn, 0, 0);
	res = host_attach(&env, &req, &result, &cli->err);
	progress_end(&progress);
	(void)close(env.cancel_fd);
	if (res == 0)
		attach_print(cli, &req, &result);
	return res;
}

int cli_cmd_host_detach(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	struct host_detach_req req = {.nqn = cli_text(cli, "nqn"),
				      .device = cli_text(cli, "DEVICE"),
				      .timeout_ms = cli->timeout_ms};
	struct progress progress;
	struct host_env env;
	int res = id_take(cli, &req.id);

	if (res == 0)
		res = env_open(cli, &env);
	if (res < 0)
		return res;
	progress_begin(&progress, cli);
	progress_show(&progress, "the device to be gone", NULL, 0, 0);
	res = host_detach(&env, &req, &cli->err);
	progress_end(&progress);
	(void)close(env.cancel_fd);
	if (res < 0)
		return res;
	if (cli->json)
		fprintf(cli->out, "{\"detached\": true, \"device_stays\": %s}\n",
			res == 1 ? "true" : "false");
	else
		fputs(res == 1 ? "detached; the device stays as long as other volumes of its "
				 "subsystem are in use here\n"
			       : "detached\n",
		      cli->out);
	return 0;
}

int cli_cmd_host_list(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	const struct host_env env = {.cancel_fd = -1};
	json_t *rows = host_list(&env, cli_given(cli, "all"));

	if (!rows)
		return err_set(&cli->err, -ENOMEM, "out of memory");
	cli_print(cli, cmd, rows);
	json_decref(rows);
	return 0;
}

int cli_cmd_host_wait_size(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	uint64_t size = (uint64_t)json_integer_value(json_object_get(cli->values, "SIZE"));
	const char *device = cli_text(cli, "DEVICE");
	struct progress progress;
	struct host_env env;
	int res = env_open(cli, &env);

	if (res < 0)
		return res;
	progress_begin(&progress, cli);
	progress_show(&progress, "the new size", device, 0, 0);
	res = host_wait_size(&env, device, size, cli->timeout_ms, &size, &cli->err);
	progress_end(&progress);
	(void)close(env.cancel_fd);
	if (res == 0)
		fprintf(cli->out, cli->json ? "{\"size\": %" PRIu64 "}\n" : "%" PRIu64 "\n", size);
	return res;
}
