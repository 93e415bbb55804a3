/* SPDX-License-Identifier: Apache-2.0 */
/* The units of an installed package: their options in /etc/default, started and kept by systemd. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/up.h"
#include "rt/command.h"

#define AGENT_DEFAULTS "/etc/default/litepool-agent"
#define START_MS       120000

#define UNITS          "litepool-controller.service", "litepool-engine.service", "litepool-agent.service"

static int systemctl(const char *const argv[], struct err *err)
{
	_cleanup_free_ struct command_result *result = malloc(sizeof(*result));
	int res;

	if (!result)
		return err_set(err, -ENOMEM, "out of memory");
	if (access("/run/systemd/system", F_OK) < 0)
		return err_set(err, -ENOTSUP,
			       "systemd does not run here. To run LitePool without it, give a "
			       "folder: --no-systemd DIR");
	res = command_run(argv, START_MS, result, err);
	if (res < 0)
		return res;
	if (result->status)
		return err_set(err, -EIO, "systemctl %s: status %d: %.300s", argv[1],
			       result->status, result->output);
	return 0;
}

/* What an administrator has written there stays. */
static int defaults_write(const struct up_opts *opts, struct err *err)
{
	FILE *out = fopen(AGENT_DEFAULTS, "wxe");
	bool good;

	if (!out && errno == EEXIST)
		return 0;
	if (!out)
		return err_set(err, -errno, AGENT_DEFAULTS ": %s", strerror(errno));
	good = fprintf(out,
		       "# Written by litepool up. See litepool-agent(8).\n"
		       "LITEPOOL_AGENT_OPTIONS=--node %s%s%s%s%s\n",
		       opts->node, opts->addresses ? " --addresses " : "",
		       opts->addresses ? opts->addresses : "", opts->port ? " --target-port " : "",
		       opts->port ? opts->port : "") > 0;
	good = fclose(out) == 0 && good;
	return good ? 0 : err_set(err, -EIO, AGENT_DEFAULTS ": it could not be written whole");
}

int up_systemd_start(const struct up_opts *opts, struct err *err)
{
	static const char *const enable[] = {"systemctl", "enable", "--now", UNITS, NULL};
	int res = geteuid() == 0 ? 0 : err_set(err, -EPERM, "run this as root");

	if (res == 0 && access("/run/systemd/system", F_OK) == 0)
		res = defaults_write(opts, err);
	return res == 0 ? systemctl(enable, err) : res;
}

int up_systemd_stop(struct err *err)
{
	static const char *const disable[] = {"systemctl", "disable", "--now", UNITS, NULL};

	return systemctl(disable, err);
}

void up_systemd_state(enum up_part part, char *state, size_t size)
{
	_cleanup_free_ struct command_result *result = malloc(sizeof(*result));
	char unit[64];
	const char *const argv[] = {"systemctl", "is-active", unit, NULL};
	struct err err = {0};

	(void)snprintf(unit, sizeof(unit), "litepool-%s.service", up_part_names[part]);
	(void)snprintf(state, size, "unknown");
	/* Its status is not 0 for all but "active": the word says more. */
	if (!result || command_run(argv, START_MS, result, &err) < 0)
		return;
	/* A word, and a blank for the end of its line. */
	result->output[strcspn(result->output, " ")] = '\0';
	if (result->output[0])
		(void)snprintf(state, size, "%.30s", result->output);
}
