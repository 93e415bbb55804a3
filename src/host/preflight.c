/* SPDX-License-Identifier: Apache-2.0 */
/* A table of checks; each fills found and, when it is not info, fix. */
#include "host/preflight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>

#include "base/cleanup.h"
#include "host/devices.h"
#include "host/sys.h"

#define NOFILE_WANTED  65536
#define MEMLOCK_WANTED ((uint64_t)64 << 20)
#define LINE_SIZE      1024
#define TCP_LISTEN     0x0a /* include/net/tcp_states.h of Linux */

static void say(struct preflight_check *c, enum preflight_level level, const char *fix,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void say(struct preflight_check *c, enum preflight_level level, const char *fix,
		const char *fmt, ...)
{
	va_list ap;

	c->level = level;
	(void)snprintf(c->fix, sizeof(c->fix), "%s", fix);
	va_start(ap, fmt);
	(void)vsnprintf(c->found, sizeof(c->found), fmt, ap);
	va_end(ap);
}

static bool release_read(const struct host_env *env, char *text, size_t size, unsigned *ret_major,
			 unsigned *ret_minor)
{
	return sys_read(env, text, size, "/proc/sys/kernel/osrelease") &&
	       sscanf(text, "%u.%u", ret_major, ret_minor) == 2;
}

static void kernel_release(const struct host_env *env, struct preflight_check *c)
{
	unsigned major_nr, minor_nr;
	char text[96];

	if (!release_read(env, text, sizeof(text), &major_nr, &minor_nr))
		say(c, PREFLIGHT_WARN, "mount /proc", "the kernel's release cannot be read");
	else if (major_nr < 6 || (major_nr == 6 && minor_nr < 1))
		say(c, PREFLIGHT_ERROR, "install Linux 6.1 or newer (Debian 12 and 13 have it)",
		    "Linux %s", text);
	else
		say(c, PREFLIGHT_INFO, "", "Linux %s", text);
}

static void io_uring(const struct host_env *env, struct preflight_check *c)
{
	/* Kernels before 6.6 have no such switch. */
	uint64_t disabled = sys_number(env, 0, "/proc/sys/kernel/io_uring_disabled");

	if (disabled == 0)
		say(c, PREFLIGHT_INFO, "", "allowed");
	else if (disabled == 1)
		say(c, PREFLIGHT_WARN,
		    "run the engine with CAP_SYS_ADMIN or in the group kernel.io_uring_group, or: "
		    "sysctl -w kernel.io_uring_disabled=0",
		    "only for privileged processes (kernel.io_uring_disabled = 1)");
	else
		say(c, PREFLIGHT_ERROR,
		    "sysctl -w kernel.io_uring_disabled=0 (and keep it in "
		    "/etc/sysctl.d/litepool.conf)",
		    "switched off (kernel.io_uring_disabled = %" PRIu64 ")", disabled);
}

static bool file_has(const struct host_env *env, const char *name, const char *word)
{
	char path[SYS_PATH], release[96], line[LINE_SIZE];
	bool found = false;
	FILE *f;

	(void)sys_read(env, release, sizeof(release), "/proc/sys/kernel/osrelease");
	f = fopen(sys_path(env, path, "/lib/modules/%s/%s", release, name), "re");
	while (!found && f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, ":\n")] = '\0'; /* what it needs stands behind */
		found = strstr(line, word) != NULL;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static void nvme_tcp(const struct host_env *env, struct preflight_check *c)
{
	if (sys_exists(env, "/sys/module/nvme_tcp") && sys_exists(env, "/dev/nvme-fabrics"))
		say(c, PREFLIGHT_INFO, "", "loaded");
	else if (sys_exists(env, "/sys/module/nvme_tcp"))
		say(c, PREFLIGHT_WARN, "give the container the host's /dev",
		    "loaded, but there is no /dev/nvme-fabrics");
	else if (file_has(env, "modules.builtin", "/nvme-tcp.ko"))
		say(c, PREFLIGHT_INFO, "", "built into the kernel");
	else if (file_has(env, "modules.dep", "/nvme-tcp.ko"))
		say(c, PREFLIGHT_WARN,
		    "modprobe nvme-tcp && echo nvme-tcp > /etc/modules-load.d/litepool.conf",
		    "there, but not loaded: volumes cannot be attached here");
	else
		say(c, PREFLIGHT_WARN, "install the package with the kernel's nvme-tcp module",
		    "not there: this machine can serve volumes, but not attach them");
}

static void multipath(const struct host_env *env, struct preflight_check *c)
{
	if (host_multipath(env))
		say(c, PREFLIGHT_INFO, "", "native multipath is on");
	else if (!sys_exists(env, "/sys/module/nvme_core"))
		say(c, PREFLIGHT_INFO, "", "not known: nvme-core is not loaded");
	else
		say(c, PREFLIGHT_WARN,
		    "echo 'options nvme_core multipath=Y' > /etc/modprobe.d/litepool.conf, then "
		    "boot again",
		    "native multipath is off: volumes that move to another node are not followed");
}

static void limit_check(struct preflight_check *c, __rlimit_resource_t what, uint64_t wanted,
			const char *fix)
{
	struct rlimit limit;

	if (getrlimit(what, &limit) < 0)
		say(c, PREFLIGHT_WARN, "", "cannot be read: %s", strerror(errno));
	else if (limit.rlim_max == RLIM_INFINITY)
		say(c, PREFLIGHT_INFO, "", "no limit");
	else
		say(c, limit.rlim_max >= wanted ? PREFLIGHT_INFO : PREFLIGHT_WARN,
		    limit.rlim_max >= wanted ? "" : fix,
		    "%" PRIu64 ", wanted are %" PRIu64
		    " (of this shell; the engine's unit sets its own)",
		    (uint64_t)limit.rlim_max, wanted);
}

static void nofile(const struct host_env *env, struct preflight_check *c)
{
	(void)env;
	limit_check(c, RLIMIT_NOFILE, NOFILE_WANTED,
		    "LimitNOFILE=1048576 in the engine's unit, or ulimit -Hn 65536");
}

static void memlock(const struct host_env *env, struct preflight_check *c)
{
	(void)env;
	limit_check(c, RLIMIT_MEMLOCK, MEMLOCK_WANTED,
		    "LimitMEMLOCK=infinity in the engine's unit, or ulimit -l unlimited: buffers "
		    "cannot be registered otherwise");
}

/* Whether somebody listens at this TCP port, on any address. */
static bool listens(const struct host_env *env, const char *table, unsigned port)
{
	char path[SYS_PATH], line[LINE_SIZE];
	FILE *f = fopen(sys_path(env, path, "/proc/net/%s", table), "re");
	unsigned local, state;
	bool found = false;

	while (!found && f && fgets(line, sizeof(line), f))
		found = sscanf(line, " %*[^:]: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) ==
				2 &&
			local == port && state == TCP_LISTEN;
	if (f)
		(void)fclose(f);
	return found;
}

static void port_check(const struct host_env *env, struct preflight_check *c, unsigned port,
		       const char *what)
{
	if (listens(env, "tcp", port) || listens(env, "tcp6", port))
		say(c, PREFLIGHT_WARN,
		    "if it is not litepool-engine (ss -ltnp), stop it or use another port",
		    "somebody listens at port %u (%s)", port, what);
	else
		say(c, PREFLIGHT_INFO, "", "port %u (%s) is free", port, what);
}

static void port_io(const struct host_env *env, struct preflight_check *c)
{
	port_check(env, c, 4420, "NVMe/TCP");
}

static void port_discovery(const struct host_env *env, struct preflight_check *c)
{
	port_check(env, c, 8009, "discovery");
}

/* Leases and events carry times of the wall clock. */
static void clock_synced(const struct host_env *env, struct preflight_check *c)
{
	struct timex t = {0};
	int state = env->kernel ? TIME_OK : adjtimex(&t);

	if (state < 0)
		say(c, PREFLIGHT_WARN, "", "cannot be read: %s", strerror(errno));
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC))
		say(c, PREFLIGHT_WARN, "timedatectl set-ntp true, or install chrony",
		    "the clock is not synchronised with any other");
	else
		say(c, PREFLIGHT_INFO, "", "synchronised");
}

static void host_names(const struct host_env *env, struct preflight_check *c)
{
	char nqn[HOST_NQN_SIZE], id[64];
	bool have_nqn = sys_read(env, nqn, sizeof(nqn), "/etc/nvme/hostnqn") && nqn[0];
	bool have_id = sys_read(env, id, sizeof(id), "/etc/nvme/hostid") && id[0];
	struct err err = {0};

	if (have_nqn && host_nqn_check(nqn, &err) < 0)
		say(c, PREFLIGHT_ERROR, "nvme gen-hostnqn > /etc/nvme/hostnqn",
		    "/etc/nvme/hostnqn: %.180s", err.text);
	else if (have_nqn && have_id)
		say(c, PREFLIGHT_INFO, "", "%.200s", nqn);
	else
		say(c, PREFLIGHT_INFO, "", "none yet; the first attach makes them in /etc/nvme");
}

static const struct {
	const char *id;
	void (*check)(const struct host_env *env, struct preflight_check *c);
} checks[] = {
	{"kernel.release", kernel_release},
	{"kernel.io_uring", io_uring},
	{"kernel.nvme_tcp", nvme_tcp},
	{"kernel.multipath", multipath},
	{"limit.nofile", nofile},
	{"limit.memlock", memlock},
	{"port.nvme", port_io},
	{"port.discovery", port_discovery},
	{"clock", clock_synced},
	{"host.names", host_names},
};

void preflight_each(const struct host_env *env,
		    void (*fn)(void *ctx, const struct preflight_check *check), void *ctx)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct preflight_check c = {.id = checks[i].id};

		checks[i].check(env, &c);
		fn(ctx, &c);
	}
}

const char *preflight_level_name(enum preflight_level level)
{
	static const char *const names[] = {
		[PREFLIGHT_INFO] = "info", [PREFLIGHT_WARN] = "warn", [PREFLIGHT_ERROR] = "error"};

	return names[level];
}

struct report {
	json_t *checks, *devices;
	int count[PREFLIGHT_ERROR + 1];
};

static void report_check(void *ctx, const struct preflight_check *c)
{
	struct report *r = ctx;

	r->count[c->level]++;
	(void)json_array_append_new(r->checks, json_pack("{s:s, s:s, s:s, s:s}", "check", c->id,
							 "level", preflight_level_name(c->level),
							 "found", c->found, "fix", c->fix));
}

static bool report_disk(void *ctx, const struct disk *disk)
{
	struct report *r = ctx;

	(void)json_array_append_new(r->devices, disk_json(disk));
	return true;
}

json_t *preflight_json(const struct host_env *env, uint64_t disk_min_bytes)
{
	struct report r = {.checks = json_array(), .devices = json_array()};

	preflight_each(env, report_check, &r);
	host_disks_each(env, disk_min_bytes, report_disk, &r);
	return json_pack("{s:o, s:o, s:i, s:i}", "checks", r.checks, "devices", r.devices, "errors",
			 r.count[PREFLIGHT_ERROR], "warnings", r.count[PREFLIGHT_WARN]);
}
