/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes under one folder. A pid file says which process it is by number and start time, so that no other process is ever ended: a number is used again,
 * a start time with it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/up.h"

#define ARGS_MAX     24
#define ARGS_TEXTS   5
#define STOP_LOOK_MS 20
#define STOP_LOOKS   1500 /* 30 s: what the engine may need to stop in order */
#define KILL_LOOKS   500

extern char **environ;

const char *const up_part_names[UP_PARTS] = {
	[UP_CONTROLLER] = "controller", [UP_ENGINE] = "engine", [UP_AGENT] = "agent"};

static void path_in(const struct up_opts *opts, const char *folder, const char *name,
		    const char *suffix, char *path)
{
	(void)snprintf(path, UP_PATH_MAX + 64, "%s/%s/%s%s", opts->dir, folder, name, suffix);
}

int up_local_prepare(const struct up_opts *opts, struct err *err)
{
	static const char *const folders[] = {"", "run", "log", "pools"};
	char path[UP_PATH_MAX + 64];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", opts->dir, folders[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_set(err, -errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}

/* When the process began, in ticks since boot; 0: there is none, or only its remains. */
static unsigned long long start_time(pid_t pid)
{
	char path[64], text[1024];
	const char *at;
	unsigned long long start = 0;
	FILE *in;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return 0;
	len = fread(text, 1, sizeof(text) - 1, in);
	(void)fclose(in);
	text[len] = '\0';
	at = strrchr(text,
		     ')'); /* behind the name, which may hold anything; then the state, field 3 */
	if (!at || at[1] != ' ' || at[2] == 'Z')
		return 0;
	at += 2;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (at)
		start = strtoull(at, NULL, 10);
	return start;
}

pid_t up_local_pid(const struct up_opts *opts, enum up_part part)
{
	char path[UP_PATH_MAX + 64], text[64] = "", *end;
	unsigned long long start;
	long pid;
	FILE *in;

	path_in(opts, "run", up_part_names[part], ".pid", path);
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (!fgets(text, sizeof(text), in))
		text[0] = '\0';
	(void)fclose(in);
	pid = strtol(text, &end, 10);
	start = strtoull(end, NULL, 10);
	return pid > 1 && start > 0 && start_time((pid_t)pid) == start ? (pid_t)pid : 0;
}

/* The file is written when the process is started, and only then. */
void up_local_state(const struct up_opts *opts, enum up_part part, struct up_state *ret)
{
	char path[UP_PATH_MAX + 64];
	struct stat st;

	*ret = (struct up_state){.pid = up_local_pid(opts, part)};
	(void)snprintf(ret->state, sizeof(ret->state), "%s", ret->pid ? "active" : "not running");
	path_in(opts, "run", up_part_names[part], ".pid", path);
	if (ret->pid && stat(path, &st) == 0)
		ret->since_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u;
}

static int pid_write(const struct up_opts *opts, enum up_part part, pid_t pid, struct err *err)
{
	char path[UP_PATH_MAX + 64];
	FILE *out;
	bool good;

	path_in(opts, "run", up_part_names[part], ".pid", path);
	out = fopen(path, "we");
	good = out && fprintf(out, "%d %llu\n", (int)pid, start_time(pid)) > 0;
	if (out)
		good = fclose(out) == 0 && good;
	return good ? 0 : err_set(err, -errno, "%s: %s", path, strerror(errno));
}

/* Where the programs are: beside this one, in the sbin of its prefix, or in the build's folders. Else PATH decides. */
static void program_find(const char *name, char *path, size_t size)
{
	char self[UP_PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;

	(void)snprintf(path, size, "litepool-%s", name);
	if (len <= 0)
		return;
	self[len] = '\0';
	dir = dirname(self);
	for (int i = 0; i < 3; i++) {
		char at[UP_PATH_MAX + 128];

		if (i == 0)
			(void)snprintf(at, sizeof(at), "%s/litepool-%s", dir, name);
		else if (i == 1)
			(void)snprintf(at, sizeof(at), "%s/../sbin/litepool-%s", dir, name);
		else
			(void)snprintf(at, sizeof(at), "%s/../%s/litepool-%s", dir, name, name);
		if (access(at, X_OK) == 0) {
			(void)snprintf(path, size, "%s", at);
			return;
		}
	}
}

/* The command line; text holds the made-up words. */
static void args_make(const struct up_opts *opts, enum up_part part, const char *program,
		      char text[ARGS_TEXTS][UP_PATH_MAX + 128], const char *argv[ARGS_MAX])
{
	size_t n = 0;

	(void)snprintf(text[0], sizeof(text[0]), "%s/%s", opts->dir, up_part_names[part]);
	(void)snprintf(text[1], sizeof(text[1]), "%s/run/api.sock", opts->dir);
	(void)snprintf(text[2], sizeof(text[2]), "%s/run/engine.sock", opts->dir);
	(void)snprintf(text[3], sizeof(text[3]), "unix:%.*s/run/api.sock", UP_PATH_MAX - 1,
		       opts->dir);
	argv[n++] = program;
	argv[n++] = "--state-dir";
	argv[n++] = text[0];
	if (part == UP_CONTROLLER) {
		argv[n++] = "--embedded";
		argv[n++] = "--socket";
		argv[n++] = text[1];
	} else if (part == UP_ENGINE) {
		program_find("engine", text[4], sizeof(text[4]));
		argv[n++] = "--engine";
		argv[n++] = text[4];
		argv[n++] = "--";
		argv[n++] = "--rpc-socket";
		argv[n++] = text[2];
	} else {
		argv[n++] = "--server";
		argv[n++] = text[3];
		argv[n++] = "--engine-socket";
		argv[n++] = text[2];
		argv[n++] = "--node";
		argv[n++] = opts->node;
		if (opts->port) {
			argv[n++] = "--target-port";
			argv[n++] = opts->port;
		}
		if (opts->addresses) {
			argv[n++] = "--addresses";
			argv[n++] = opts->addresses;
		}
	}
	argv[n] = NULL;
}

/* In a session of its own, with its output in the log. */
static int spawn(const char *const argv[], const char *log, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int res;

	(void)sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)posix_spawn_file_actions_adddup2(&files, 1, 2);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	res = posix_spawnp(ret_pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv,
			   environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return -res;
}

int up_local_start(const struct up_opts *opts, enum up_part part, struct err *err)
{
	char program[UP_PATH_MAX + 128], log[UP_PATH_MAX + 64], text[ARGS_TEXTS][UP_PATH_MAX + 128];
	const char *argv[ARGS_MAX];
	pid_t pid;
	int res;

	if (up_local_pid(opts, part) > 0)
		return 0;
	/* The engine is run by its supervisor: the process that is known here. */
	program_find(part == UP_ENGINE ? "supervisor" : up_part_names[part], program,
		     sizeof(program));
	path_in(opts, "log", up_part_names[part], ".log", log);
	args_make(opts, part, program, text, argv);
	res = spawn(argv, log, &pid);
	if (res < 0)
		return err_set(err, res, "%s could not be started: %s", program, strerror(-res));
	return pid_write(opts, part, pid, err);
}

static bool gone_within(const struct up_opts *opts, enum up_part part, pid_t pid, int looks)
{
	for (; looks > 0; looks--) {
		/* Ours, when this command has started it: its remains are taken up. */
		(void)waitpid(pid, NULL, WNOHANG);
		if (up_local_pid(opts, part) != pid)
			return true;
		(void)api_pause(-1, STOP_LOOK_MS);
	}
	return false;
}

int up_local_stop(const struct up_opts *opts, enum up_part part, struct err *err)
{
	pid_t pid = up_local_pid(opts, part);
	char path[UP_PATH_MAX + 64];

	if (pid > 0) {
		if (kill(pid, SIGTERM) < 0 && errno != ESRCH)
			return err_set(err, -errno, "%s, pid %d, could not be ended: %s",
				       up_part_names[part], (int)pid, strerror(errno));
		if (!gone_within(opts, part, pid, STOP_LOOKS)) {
			(void)kill(pid, SIGKILL);
			if (!gone_within(opts, part, pid, KILL_LOOKS))
				return err_set(err, -ETIMEDOUT, "%s, pid %d, does not end",
					       up_part_names[part], (int)pid);
		}
	}
	path_in(opts, "run", up_part_names[part], ".pid", path);
	(void)unlink(path);
	return 0;
}

void up_local_log(const struct up_opts *opts, enum up_part part, char *text, size_t size)
{
	char path[UP_PATH_MAX + 64], line[400];
	FILE *in;

	path_in(opts, "log", up_part_names[part], ".log", path);
	(void)snprintf(text, size, "see %s", path);
	in = fopen(path, "re");
	if (!in)
		return;
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			(void)snprintf(text, size, "%s", line);
	}
	(void)fclose(in);
}
