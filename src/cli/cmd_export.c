/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litepool engine export: block device, subsystem, namespace, host and listener in one go. What was made is unmade when a later step fails.
 *
 *   SOURCE -> TRANSPORT -> SUBSYSTEM -> NAMESPACE -> HOST -> LISTENER -> said
 */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"

#define EXPORT_NQN_PREFIX "nqn.2025-01.io.litepool:"

enum export_step {
	EXPORT_SOURCE,
	EXPORT_TRANSPORT,
	EXPORT_SUBSYSTEM,
	EXPORT_NAMESPACE,
	EXPORT_HOST,
	EXPORT_LISTENER,
	EXPORT_DONE,
};

struct export
{
	struct cli *cli;
	enum export_step step;
	struct cli_source source;
	char nqn[224];
	json_t *listen; /* the address as it was asked for, then as it is */
	bool made_subsystem;
	json_int_t nsid;
};

/* Calls with params (taken) and drops the answer, or gives it. */
static int call(struct cli *cli, const char *method, json_t *params, json_t **ret_result)
{
	json_t *result = NULL;
	int res = params ? cli_call(cli, method, params, &result)
			 : err_set(&cli->err, -ENOMEM, "out of memory");

	json_decref(params);
	if (res == 0 && ret_result)
		*ret_result = result;
	else if (res == 0)
		json_decref(result);
	return res;
}

static int step_source(struct export *x)
{
	return cli_source_open(x->cli, &x->source);
}

static int step_transport(struct export *x)
{
	json_t *transports;
	int res = call(x->cli, "nvmf_get_transports", json_object(), &transports);
	bool none = res == 0 && json_array_size(transports) == 0;

	if (res == 0)
		json_decref(transports);
	return none ? call(x->cli, "nvmf_create_transport", json_pack("{s:s}", "trtype", "TCP"),
			   NULL)
		    : res;
}

static int step_subsystem(struct export *x)
{
	const char *nqn = cli_text(x->cli, "nqn");
	int res;

	if (snprintf(x->nqn, sizeof(x->nqn), "%s%s", nqn ? nqn : EXPORT_NQN_PREFIX,
		     nqn ? "" : x->source.bdev) >= (int)sizeof(x->nqn))
		return err_set(&x->cli->err, -EINVAL, "the NQN is longer than 223 bytes");
	res = call(x->cli, "nvmf_create_subsystem",
		   json_pack("{s:s, s:b, s:b}", "nqn", x->nqn, "allow_any_host",
			     cli_given(x->cli, "any-host"), "ana_reporting", true),
		   NULL);
	x->made_subsystem = res == 0;
	return res;
}

static int step_namespace(struct export *x)
{
	json_t *nsid;
	int res = call(x->cli, "nvmf_subsystem_add_ns",
		       json_pack("{s:s, s:{s:s}}", "nqn", x->nqn, "namespace", "bdev_name",
				 x->source.bdev),
		       &nsid);

	if (res != 0)
		return res;
	x->nsid = json_integer_value(nsid);
	json_decref(nsid);
	return 0;
}

static int step_host(struct export *x)
{
	const char *host = cli_text(x->cli, "host");

	return host ? call(x->cli, "nvmf_subsystem_add_host",
			   json_pack("{s:s, s:s}", "nqn", x->nqn, "host", host), NULL)
		    : 0;
}

static int step_listener(struct export *x)
{
	json_t *listeners;
	int res = call(x->cli, "nvmf_subsystem_add_listener",
		       json_pack("{s:s, s:O}", "nqn", x->nqn, "listen_address", x->listen), NULL);

	if (res == 0)
		res = call(x->cli, "nvmf_subsystem_get_listeners",
			   json_pack("{s:s}", "nqn", x->nqn), &listeners);
	if (res != 0)
		return res;
	/* Port 0 became a real one. */
	json_decref(x->listen);
	x->listen = json_incref(json_object_get(json_array_get(listeners, 0), "address"));
	json_decref(listeners);
	return x->listen ? 0 : err_set(&x->cli->err, -EIO, "the engine shows no listener");
}

static void export_undo(struct export *x)
{
	struct err why = x->cli->err;

	if (x->made_subsystem)
		(void)call(x->cli, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", x->nqn),
			   NULL);
	cli_source_undo(x->cli, &x->source);
	x->cli->err = why;
}

static void export_say(struct export *x)
{
	const char *host = cli_text(x->cli, "host");
	const char *addr = json_string_value(json_object_get(x->listen, "traddr"));
	const char *port = json_string_value(json_object_get(x->listen, "trsvcid"));
	FILE *out = x->cli->out;
	json_t *json;

	if (x->cli->json) {
		json = json_pack("{s:s, s:s, s:I, s:O}", "bdev", x->source.bdev, "nqn", x->nqn,
				 "nsid", (json_int_t)x->nsid, "listen_address", x->listen);
		cli_print_json(out, json);
		json_decref(json);
		return;
	}
	fprintf(out, "%s is namespace %lld of %s at %s port %s\n\nOn the host%s:\n", x->source.bdev,
		(long long)x->nsid, x->nqn, addr, port, host ? " that is allowed" : "");
	fprintf(out,
		"  modprobe nvme-tcp\n  nvme connect -t tcp -a %s -s %s -n %s%s%s\n  nvme list\n",
		addr, port, x->nqn, host ? " --hostnqn " : "", host ? host : "");
	fprintf(out,
		"\nTo end it:\n  nvme disconnect -n %s\n  litepool engine subsystem delete %s\n",
		x->nqn, x->nqn);
	if (x->source.made)
		fprintf(out, "  litepool engine bdev delete %s\n", x->source.bdev);
}

int cli_cmd_export(struct cli *cli, const struct cli_cmd *cmd, json_t *params)
{
	static int (*const steps[])(struct export *x) = {
		[EXPORT_SOURCE] = step_source,       [EXPORT_TRANSPORT] = step_transport,
		[EXPORT_SUBSYSTEM] = step_subsystem, [EXPORT_NAMESPACE] = step_namespace,
		[EXPORT_HOST] = step_host,           [EXPORT_LISTENER] = step_listener,
	};
	struct export x = {.cli = cli};
	int res = 0;

	if (!cli_given(cli, "host") && !cli_given(cli, "any-host"))
		return err_set(&cli->err, -EINVAL,
			       "say who may connect: --host NQN (on that host: cat "
			       "/etc/nvme/hostnqn), or --any-host");
	x.listen = cli_given(cli, "listen")
			   ? json_incref(json_object_get(cli->values, "listen"))
			   : json_pack("{s:s, s:s, s:s, s:s}", "trtype", "TCP", "adrfam", "IPv4",
				       "traddr", "127.0.0.1", "trsvcid", "4420");
	for (; res == 0 && x.step < EXPORT_DONE; x.step++)
		res = steps[x.step](&x);
	if (res == 0)
		export_say(&x);
	else
		export_undo(&x);
	json_decref(x.listen);
	return res;
}
