/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/options.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"
#include "rt/options.h"

#define AT(member) offsetof(struct controller_opts, member)

static const struct option table[] = {
	{"embedded", NULL, OPT_FLAG, AT(embedded), 0, 0,
	 "serve the API from this process, stored in the state directory"},
	{"api-only", NULL, OPT_FLAG, AT(api_only), 0, 0,
	 "serve the API and nothing else: another controller places volumes"},
	{"kubeconfig", "FILE", OPT_TEXT, AT(kubeconfig), 0, 0,
	 "use the API server that FILE names [without --embedded: $KUBECONFIG, or the pod's own]"},
	{"placement", "FILE", OPT_TEXT, AT(placement), 0, 0,
	 "how volumes are placed (YAML); read again when it changes [the defaults]"},
	{"metrics", "ADDR", OPT_TEXT, AT(metrics), 0, 0,
	 "serve /metrics, /healthz, /readyz at unix:PATH or a loopback ADDRESS:PORT"},
	{"probe", "PATH", OPT_TEXT, AT(probe), 0, 0,
	 "ask the litepool-controller that serves --metrics for PATH (/healthz, /readyz), print "
	 "its answer and end"},
	{"state-dir", "DIR", OPT_TEXT, AT(state_dir), 0, 0,
	 "where the API store is [" CONTROLLER_STATE_DIR "]"},
	{"socket", "PATH", OPT_TEXT, AT(socket), 0, 0,
	 "unix socket of the API [" CONTROLLER_SOCKET "]"},
	{"socket-group", "GROUP", OPT_TEXT, AT(socket_group), 0, 0,
	 "members of GROUP may connect to the socket, too; who they are the users file says"},
	{"listen", "ADDR:PORT", OPT_TEXT, AT(listen), 0, 0,
	 "serve the API there, too, with TLS; port 0: the kernel chooses"},
	{"tls-cert", "FILE", OPT_TEXT, AT(tls.cert), 0, 0,
	 "the server's certificate (PEM, the chain behind it)"},
	{"tls-key", "FILE", OPT_TEXT, AT(tls.key), 0, 0, "its key (PEM, mode 0600)"},
	{"client-ca", "FILE", OPT_TEXT, AT(tls.client_ca), 0, 0,
	 "clients may show certificates of this CA (PEM)"},
	{"users", "FILE", OPT_TEXT, AT(users), 0, 0,
	 "tokens and local users with their roles (mode 0600)"},
	{"store-max", "SIZE", OPT_SIZE, AT(store_max_bytes), 0, 0,
	 "limit of the API store's file [only the disk]"},
	{"history", "N", OPT_U32, AT(history), 100, 10000000,
	 "changes that are kept for watches [10000]"},
	{"check-config", NULL, OPT_FLAG, AT(check_config), 0, 0,
	 "check options, users and certificates, and end"},
	{"log-level", "LEVEL", OPT_LEVEL, AT(log_level), 0, 0, "error, warn, info or debug [info]"},
	{"version", NULL, OPT_FLAG, AT(version), 0, 0, "print the version and end"},
	{"help", NULL, OPT_FLAG, AT(help), 0, 0, "print this and end"},
};

/* "192.0.2.1:7443", "[2001:db8::1]:7443" */
static int read_listen(struct controller_opts *opts, struct err *err)
{
	const char *text = opts->listen, *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	uint64_t port;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(opts->host) || !str_to_u64(colon + 1, 0, UINT16_MAX, &port))
		return err_set(
			err, -EINVAL,
			"--listen %s: expected an address and a port, such as 192.0.2.1:7443 or "
			"[2001:db8::1]:7443",
			opts->listen);
	memcpy(opts->host, text, len);
	opts->host[len] = 0;
	opts->port = (uint16_t)port;
	return 0;
}

/* What belongs together. */
static int check(struct controller_opts *opts, struct err *err)
{
	if (!opts->embedded && (opts->listen || opts->users || opts->tls.cert))
		return err_set(
			err, -EINVAL,
			"--listen, --users and the TLS options are for --embedded: without it "
			"another server serves the API");
	if (opts->probe && !opts->metrics)
		return err_set(err, -EINVAL,
			       "--probe asks at the address of --metrics, which is missing");
	if (opts->api_only && !opts->embedded)
		return err_set(err, -EINVAL, "--api-only is for --embedded");
	if (opts->api_only && (opts->placement || opts->metrics))
		return err_set(
			err, -EINVAL,
			"--placement and --metrics are the controller's, which --api-only leaves "
			"out");
	if (opts->embedded && opts->kubeconfig)
		return err_set(err, -EINVAL, "--embedded and --kubeconfig exclude each other");
	if (!opts->tls.cert != !opts->tls.key)
		return err_set(err, -EINVAL, "--tls-cert and --tls-key belong together");
	if (opts->listen && !opts->tls.cert)
		return err_set(
			err, -EINVAL,
			"--listen needs --tls-cert and --tls-key: the API is not served over TCP "
			"without TLS (litepool-controller init-tls makes both)");
	if (!opts->listen && (opts->tls.cert || opts->tls.client_ca))
		return err_set(err, -EINVAL,
			       "--tls-cert, --tls-key and --client-ca need --listen ADDR:PORT");
	if (opts->listen && !opts->tls.client_ca && !opts->users)
		return err_set(
			err, -EINVAL,
			"--listen needs --client-ca or --users: else nobody could be let in");
	return opts->listen ? read_listen(opts, err) : 0;
}

int controller_opts_parse(int argc, char **argv, struct controller_opts *ret, struct err *err)
{
	struct controller_opts opts = {.state_dir = CONTROLLER_STATE_DIR,
				       .socket = CONTROLLER_SOCKET,
				       .history = 10000,
				       .log_level = LOG_LEVEL_INFO};
	int rc = options_parse(table, ARRAY_LEN(table), "litepool-controller", argc, argv, &opts,
			       err);

	if (!rc && !opts.help && !opts.version)
		rc = check(&opts, err);
	if (!rc)
		*ret = opts;
	return rc;
}

void controller_opts_help(FILE *out)
{
	(void)fputs("Usage: litepool-controller --embedded [OPTION]...\n"
		    "       litepool-controller [--kubeconfig FILE] [OPTION]...\n"
		    "       litepool-controller init-tls|issue --help\n"
		    "The LitePool control plane: places volumes; with --embedded it serves the "
		    "API, too.\n\n",
		    out);
	options_help(table, ARRAY_LEN(table), out);
	(void)fputs("\nExamples:\n"
		    "  litepool-controller --embedded\n"
		    "  litepool-controller init-tls --dir ./tls --names 192.0.2.1,node-1\n"
		    "  litepool-controller --embedded --listen 192.0.2.1:7443 --tls-cert "
		    "./tls/server.crt \\\n"
		    "      --tls-key ./tls/server.key --client-ca ./tls/ca.crt\n"
		    "\nSIGTERM or SIGINT end it in order; SIGHUP reads users, certificates and "
		    "placement again.\n"
		    "See litepool-controller(8).\n",
		    out);
}
