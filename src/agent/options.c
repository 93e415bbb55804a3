/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "rt/options.h"

#define AT(member) offsetof(struct agent_opts, member)

static const struct option table[] = {
	{"node", "NAME", OPT_TEXT, AT(node), 0, 0, "name of this node's StorageNode [the host's]"},
	{"server", "URL", OPT_TEXT, AT(server), 0, 0,
	 "the API: unix:/PATH or https://HOST [--kubeconfig, in a pod its cluster, "
	 "else " AGENT_API_SOCKET "]"},
	{"kubeconfig", "FILE", OPT_TEXT, AT(kubeconfig), 0, 0,
	 "use the API server that FILE names"},
	{"state-dir", "DIR", OPT_TEXT, AT(state_dir), 0, 0,
	 "the lock of the one instance, and what it remembers [" AGENT_STATE_DIR "]"},
	{"engine", "MODE", OPT_TEXT, AT(engine), 0, 0,
	 "spawn: start and watch the engine; external: another does, such as systemd [external]"},
	{"engine-bin", "PATH", OPT_TEXT, AT(engine_bin), 0, 0,
	 "the engine's program [litepool-engine in PATH]"},
	{"engine-socket", "PATH", OPT_TEXT, AT(engine_socket), 0, 0,
	 "the engine's RPC socket [" AGENT_ENGINE_SOCKET "]"},
	{"engine-state-dir", "DIR", OPT_TEXT, AT(engine_state_dir), 0, 0,
	 "the state directory of an engine that is spawned [" AGENT_ENGINE_STATE "]"},
	{"engine-options", "TEXT", OPT_TEXT, AT(engine_options), 0, 0,
	 "further options of an engine that is spawned, separated by blanks"},
	{"stop-engine", NULL, OPT_FLAG, AT(stop_engine), 0, 0,
	 "end a spawned engine with the agent; without this it serves on"},
	{"addresses", "LIST", OPT_TEXT, AT(addresses), 0, 0,
	 "where targets listen, the best first, separated by commas; for a new StorageNode"},
	{"target-port", "PORT", OPT_U32, AT(target_port), 0, 65535,
	 "port of the targets; 0: the kernel chooses one for each volume [4420]"},
	{"rack", "NAME", OPT_TEXT, AT(rack), 0, 0, "for a new StorageNode"},
	{"zone", "NAME", OPT_TEXT, AT(zone), 0, 0, "for a new StorageNode"},
	{"access-point", "NAME", OPT_TEXT, AT(access_point), 0, 0, "for a new StorageNode"},
	{"workers", "N", OPT_U32, AT(workers), 1, 64, "objects that are worked on at once [4]"},
	{"poll", "SECONDS", OPT_U32, AT(poll_s), 1, 3600, "how often pools are looked at [3]"},
	{"check", "SECONDS", OPT_U32, AT(check_s), 1, 86400,
	 "how often all of the engine is compared with all objects [30]"},
	{"lease", "SECONDS", OPT_U32, AT(lease_s), 2, 3600,
	 "how long others wait for a sign of life; one is given each fifth of it [10]"},
	{"metrics-socket", "PATH", OPT_TEXT, AT(metrics_socket), 0, 0,
	 "serve /metrics, /healthz, /readyz there [no]"},
	{"metrics-listen", "ADDR:PORT", OPT_TEXT, AT(metrics_listen), 0, 0,
	 "serve them there, too: a loopback address; port 0: the kernel chooses [no]"},
	{"probe", "PATH", OPT_TEXT, AT(probe), 0, 0,
	 "ask the litepool-agent that serves --metrics-socket for PATH (/healthz, /readyz), print "
	 "its answer and end"},
	{"root", "DIR", OPT_TEXT, AT(root), 0, 0, "in front of /sys, /dev and /etc; for tests"},
	{"log-level", "LEVEL", OPT_LEVEL, AT(log_level), 0, 0, "error, warn, info or debug [info]"},
	{"version", NULL, OPT_FLAG, AT(version), 0, 0, "print the version and end"},
	{"help", NULL, OPT_FLAG, AT(help), 0, 0, "print this and end"},
};

static int check(struct agent_opts *opts, struct err *err)
{
	opts->spawn = !strcmp(opts->engine, "spawn");
	if (!opts->spawn && strcmp(opts->engine, "external") != 0)
		return err_set(err, -EINVAL, "--engine %s: expected spawn or external",
			       opts->engine);
	if (opts->server && opts->kubeconfig)
		return err_set(err, -EINVAL, "--server and --kubeconfig exclude each other");
	if (opts->probe && !opts->metrics_socket)
		return err_set(err, -EINVAL,
			       "--probe asks at the socket of --metrics-socket, which is missing");
	if (!opts->spawn && opts->stop_engine)
		return err_set(err, -EINVAL,
			       "--stop-engine is for an engine that the agent starts: it needs "
			       "--engine spawn");
	return 0;
}

int agent_opts_parse(int argc, char **argv, struct agent_opts *ret, struct err *err)
{
	struct agent_opts opts = {.state_dir = AGENT_STATE_DIR,
				  .engine = "external",
				  .engine_bin = "litepool-engine",
				  .engine_socket = AGENT_ENGINE_SOCKET,
				  .engine_state_dir = AGENT_ENGINE_STATE,
				  .target_port = 4420,
				  .workers = 4,
				  .poll_s = 3,
				  .check_s = 30,
				  .lease_s = 10,
				  .log_level = LOG_LEVEL_INFO};
	int rc = options_parse(table, ARRAY_LEN(table), "litepool-agent", argc, argv, &opts, err);

	if (!rc && !opts.help && !opts.version)
		rc = check(&opts, err);
	if (!rc)
		*ret = opts;
	return rc;
}

void agent_opts_help(FILE *out)
{
	(void)fputs(
		"Usage: litepool-agent [OPTION]...\n"
		"The agent of a LitePool node: it keeps pools, volumes and exports of this node's "
		"engine as the API declares them.\n\n",
		out);
	options_help(table, ARRAY_LEN(table), out);
	(void)fputs("\nExamples:\n"
		    "  litepool-agent --addresses 192.0.2.1\n"
		    "  litepool-agent --kubeconfig /etc/litepool/node-1.conf --engine spawn\n"
		    "\nSIGTERM or SIGINT end it in order; volumes are served on by the engine.\n"
		    "See litepool-agent(8).\n",
		    out);
}
