/* SPDX-License-Identifier: Apache-2.0 */
/* The units of an installed package: their options in /etc/default, started and kept by systemd. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/up.h"
#include "rt/command.h"

#define AGENT_DEFAULTS "/etc/default/litepool-agent"
#define START_MS       120000

#define SHOW_MS        10000
#define SHOW_MAX       ((size_t)64 << 10)
#define SECONDS_MAX    UINT64_C(7258118400) /* the year 2200: no product with ns is too large */
#define NS_PER_S       UINT64_C(1000000000)

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

/* The value behind "KEY=" in systemctl's lines; "": it is not there. */
static const char *value_of(const char *text, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);
	const char *line = text;

	buf[0] = '\0';
	while (line && (strncmp(line, key, len) != 0 || line[len] != '=')) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (line)
		(void)snprintf(buf, size, "%.*s", (int)strcspn(line + len + 1, "\n"),
			       line + len + 1);
	return buf;
}

void up_systemd_state(enum up_part part, struct up_state *ret)
{
	_cleanup_free_ struct command_result *result = malloc(sizeof(*result));
	_cleanup_free_ char *text = NULL;
	char unit[64], value[64];
	const char *const argv[] = {"systemctl",
				    "show",
				    "--timestamp=unix",
				    "--property=ActiveState,MainPID,ActiveEnterTimestamp",
				    unit,
				    NULL};
	struct err err = {0};
	uint64_t number;

	*ret = (struct up_state){.state = "unknown"};
	(void)snprintf(unit, sizeof(unit), "litepool-%s.service", up_part_names[part]);
	if (!result || command_read(argv, SHOW_MS, SHOW_MAX, &text, result, &err) < 0)
		return;
	if (value_of(text, "ActiveState", value, sizeof(value))[0])
		(void)snprintf(ret->state, sizeof(ret->state), "%s", value);
	if (str_to_u64(value_of(text, "MainPID", value, sizeof(value)), 0, INT32_MAX, &number))
		ret->pid = (pid_t)number;
	/* "@1767225600": when it began to be active; "" while it never was. What ended is not since then. */
	if (value_of(text, "ActiveEnterTimestamp", value, sizeof(value))[0] == '@' && ret->pid &&
	    str_to_u64(value + 1, 1, SECONDS_MAX, &number))
		ret->since_ns = number * NS_PER_S;
}
