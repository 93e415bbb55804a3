/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"

#define NAME_MAX_BYTES 63

struct row {
	const char *name, *env, *meta, *help;
};

enum {
	OPT_MODE,
	OPT_ENDPOINT,
	OPT_REGISTRATION,
	OPT_KUBELET,
	OPT_NODE_ID,
	OPT_DRIVER,
	OPT_SERVER,
	OPT_KUBECONFIG,
	OPT_MAX_VOLUMES,
	OPT_WORKERS,
	OPT_LOG_LEVEL,
	N_OPTS
};

static const struct row rows[N_OPTS] = {
	[OPT_MODE] = {"mode", "CSI_MODE", "MODE", "controller, node or all [all]"},
	[OPT_ENDPOINT] = {"endpoint", "CSI_ENDPOINT", "URL",
			  "unix:///path of the socket that CSI is served on"},
	[OPT_REGISTRATION] =
		{"registration-socket", "CSI_REGISTRATION_SOCKET", "PATH",
		 "socket to make in the kubelet's plugins_registry folder; answers its plugin "
		 "registration [none]"},
	[OPT_KUBELET] = {"kubelet-endpoint", "CSI_KUBELET_ENDPOINT", "PATH",
			 "path of the CSI socket as the kubelet sees it [that of --endpoint]"},
	[OPT_NODE_ID] =
		{"node-id", "NODE_ID", "ID",
		 "name of this node, which is that of its StorageNode; needed to serve the node "
		 "service"},
	[OPT_DRIVER] = {"driver-name", "CSI_DRIVER_NAME", "NAME",
			"name of the driver [" CSI_DRIVER_NAME "]"},
	[OPT_SERVER] = {"server", "LITEPOOL_SERVER", "URL",
			"the API server: unix:/path, https:// or http:// address"},
	[OPT_KUBECONFIG] = {"kubeconfig", "KUBECONFIG", "FILE",
			    "or a kubeconfig file that names it [that of the pod's service "
			    "account]"},
	[OPT_MAX_VOLUMES] =
		{"max-volumes", "CSI_MAX_VOLUMES", "N",
		 "volumes that may be attached to this node [what its StorageNode says]"},
	[OPT_WORKERS] = {"workers", "CSI_WORKERS", "N", "calls that are worked on at once [32]"},
	[OPT_LOG_LEVEL] = {"log-level", "LOG_LEVEL", "LEVEL", "error, warn, info or debug [info]"},
};

void csi_opts_help(FILE *out)
{
	(void)fputs("usage: litepool-csi --endpoint URL [OPTION ...]\n\n", out);
	for (size_t i = 0; i < N_OPTS; i++)
		(void)fprintf(out, "  --%s %s  %s (or $%s)\n", rows[i].name, rows[i].meta,
			      rows[i].help, rows[i].env);
	(void)fputs(
		"  --probe  ask the litepool-csi that serves --endpoint whether it answers, print "
		"its status and end\n",
		out);
	(void)fputs("  --parameters  print the parameters of StorageClasses as a table and end\n",
		    out);
	(void)fputs("  --version  print the version and end\n  --help  print this and end\n", out);
}

static int find_row(const char *name, size_t len, size_t *ret)
{
	for (size_t i = 0; i < N_OPTS; i++) {
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

/* --probe looks at the endpoint; the others end the reading. */
static bool take_flag(const char *arg, struct csi_opts *opts)
{
	struct {
		const char *name;
		bool *flag;
	} flags[] = {{"--help", &opts->help},
		     {"-h", &opts->help},
		     {"--version", &opts->version},
		     {"-V", &opts->version},
		     {"--parameters", &opts->parameters},
		     {"--probe", &opts->probe}};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (strcmp(arg, flags[i].name) == 0) {
			*flags[i].flag = true;
			return true;
		}
	}
	return false;
}

/* Collects the options' values; the environment's where argv says nothing. */
static int collect(int argc, char **argv, const char *values[N_OPTS], struct csi_opts *opts,
		   struct err *err)
{
	for (size_t i = 0; i < N_OPTS; i++) {
		values[i] = getenv(rows[i].env);
		if (values[i] && !values[i][0])
			values[i] = NULL;
	}
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *equals = strchr(arg, '=');
		size_t row;

		if (take_flag(arg, opts)) {
			if (opts->help || opts->version || opts->parameters)
				return 0;
			continue;
		}
		if (strncmp(arg, "--", 2) != 0 ||
		    find_row(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2), &row))
			return err_set(err, -EINVAL, "unknown option %s; see litepool-csi --help",
				       arg);
		values[row] = equals ? equals + 1 : i + 1 < argc ? argv[++i] : "";
		if (!values[row][0])
			return err_set(err, -EINVAL, "--%s needs a value: --%s %s", rows[row].name,
				       rows[row].name, rows[row].meta);
	}
	return 0;
}

static int take_mode(const char *text, enum csi_services *ret, struct err *err)
{
	if (!text || strcmp(text, "all") == 0)
		*ret = CSI_ALL;
	else if (strcmp(text, "controller") == 0)
		*ret = CSI_CONTROLLER;
	else if (strcmp(text, "node") == 0)
		*ret = CSI_NODE;
	else
		return err_set(err, -EINVAL, "--mode %s: expected controller, node or all", text);
	return 0;
}

/* "unix:///run/csi.sock", "unix:/run/csi.sock" or a path. */
static int take_endpoint(const char *text, const char **ret, struct err *err)
{
	const char *path = text;

	if (!text)
		return err_set(
			err, -EINVAL,
			"no endpoint: give --endpoint unix:///run/csi.sock or set CSI_ENDPOINT");
	if (strncmp(path, "unix://", 7) == 0)
		path += 7;
	else if (strncmp(path, "unix:", 5) == 0)
		path += 5;
	if (path[0] != '/')
		return err_set(
			err, -EINVAL,
			"--endpoint %s: expected unix:// and an absolute path; CSI is served "
			"on unix sockets only",
			text);
	*ret = path;
	return 0;
}

/* CSI: at most 63 bytes, letters and digits at the ends, in between also - and . */
static bool name_ok(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_BYTES || !isalnum((unsigned char)name[0]) ||
	    !isalpha((unsigned char)name[len - 1]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
	       len;
}

static int take_number(const char *const values[N_OPTS], size_t row, uint32_t min, uint32_t max,
		       uint32_t *ret, struct err *err)
{
	uint64_t n;

	if (!values[row])
		return 0;
	if (!str_to_u64(values[row], min, max, &n))
		return err_set(err, -EINVAL, "--%s %s: expected a number from %u to %u",
			       rows[row].name, values[row], min, max);
	*ret = (uint32_t)n;
	return 0;
}

static int check_node(const struct csi_opts *opts, struct err *err)
{
	if (!(opts->services & CSI_NODE))
		return 0;
	if (!opts->node_id[0])
		return err_set(err, -EINVAL,
			       "the node service needs to know its node: give --node-id or set "
			       "NODE_ID (in a pod: from fieldRef spec.nodeName), or take --mode "
			       "controller");
	if (strlen(opts->node_id) > 256)
		return err_set(err, -EINVAL,
			       "--node-id is longer than the 256 bytes that CSI allows");
	return 0;
}

int csi_opts_parse(int argc, char **argv, struct csi_opts *ret, struct err *err)
{
	struct csi_opts opts = {.log_level = LOG_LEVEL_INFO, .workers = 32};
	const char *values[N_OPTS];
	int rc = collect(argc, argv, values, &opts, err);

	if (rc < 0)
		return rc;
	if (opts.help || opts.version || opts.parameters) {
		*ret = opts;
		return 0;
	}
	if (opts.probe) {
		rc = take_endpoint(values[OPT_ENDPOINT], &opts.socket_path, err);
		*ret = opts;
		return rc;
	}
	opts.registration_path = values[OPT_REGISTRATION];
	opts.kubelet_endpoint = values[OPT_KUBELET];
	opts.node_id = values[OPT_NODE_ID] ? values[OPT_NODE_ID] : "";
	opts.server = values[OPT_SERVER];
	opts.kubeconfig = values[OPT_KUBECONFIG];
	opts.driver_name = values[OPT_DRIVER] ? values[OPT_DRIVER] : CSI_DRIVER_NAME;
	if (!name_ok(opts.driver_name))
		return err_set(err, -EINVAL,
			       "--driver-name %s: at most 63 letters, digits, dots and dashes, a "
			       "letter at the end",
			       opts.driver_name);
	if (values[OPT_LOG_LEVEL] && !log_level_parse(values[OPT_LOG_LEVEL], &opts.log_level))
		return err_set(err, -EINVAL, "--log-level %s: expected error, warn, info or debug",
			       values[OPT_LOG_LEVEL]);
	rc = take_mode(values[OPT_MODE], &opts.services, err);
	if (!rc)
		rc = take_endpoint(values[OPT_ENDPOINT], &opts.socket_path, err);
	if (!rc)
		rc = take_number(values, OPT_MAX_VOLUMES, 0, 65535, &opts.max_volumes, err);
	if (!rc)
		rc = take_number(values, OPT_WORKERS, 1, 256, &opts.workers, err);
	if (!rc)
		rc = check_node(&opts, err);
	if (!rc)
		*ret = opts;
	return rc;
}
