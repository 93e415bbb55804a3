/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "host/sys.h"
#include "rt/fs.h"

__attribute__((format(printf, 3, 0))) static void path_of(const struct fake *f, char *path,
							  const char *fmt, va_list ap)
{
	int n = snprintf(path, SYS_PATH, "%s", f->root);

	assert_true(vsnprintf(path + n, (size_t)(SYS_PATH - n), fmt, ap) < SYS_PATH - n);
}

#define PATH_OF(f, path, fmt)                                                                      \
	do {                                                                                       \
		va_list ap_;                                                                       \
		va_start(ap_, fmt);                                                                \
		path_of(f, path, fmt, ap_);                                                        \
		va_end(ap_);                                                                       \
	} while (0)

void fake_put(struct fake *f, const char *text, const char *fmt, ...)
{
	char path[SYS_PATH], folder[SYS_PATH];
	struct err err = {0};
	FILE *file;

	PATH_OF(f, path, fmt);
	assert_true(str_copy(folder, sizeof(folder), path));
	*strrchr(folder, '/') = '\0';
	if (fs_make_dir(folder, 0755, &err) < 0)
		fail_msg("%s", err.text);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fprintf(file, "%s\n", text) > 0);
	assert_int_equal(fclose(file), 0);
}

bool fake_has(struct fake *f, const char *fmt, ...)
{
	char path[SYS_PATH];

	PATH_OF(f, path, fmt);
	return access(path, F_OK) == 0;
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what, (void)ftw;
	return remove(path);
}

void fake_remove(struct fake *f, const char *fmt, ...)
{
	char path[SYS_PATH];

	PATH_OF(f, path, fmt);
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fake_ctrl(struct fake *f, unsigned instance, const char *nqn, const char *address,
	       const char *state)
{
	fake_put(f, nqn, "/sys/class/nvme/nvme%u/subsysnqn", instance);
	fake_put(f, address, "/sys/class/nvme/nvme%u/address", instance);
	fake_put(f, state, "/sys/class/nvme/nvme%u/state", instance);
	fake_put(f, "nqn.2014-08.org.nvmexpress:uuid:me", "/sys/class/nvme/nvme%u/hostnqn",
		 instance);
}

void fake_device(struct fake *f, unsigned head, const char *nqn, const char *dashed_nguid,
		 uint64_t bytes)
{
	struct host_ctrls ctrls;
	char number[32], name[32];

	(void)snprintf(name, sizeof(name), "nvme0n%u", head);
	fake_put(f, nqn, "/sys/block/%s/device/subsysnqn", name);
	fake_put(f, "LitePool Volume                         ", "/sys/block/%s/device/model", name);
	(void)snprintf(number, sizeof(number), "%" PRIu64, bytes / 512);
	fake_put(f, number, "/sys/block/%s/size", name);
	(void)snprintf(number, sizeof(number), "%u", head);
	fake_put(f, number, "/sys/block/%s/nsid", name);
	(void)snprintf(number, sizeof(number), "259:%u", head);
	fake_put(f, number, "/sys/block/%s/dev", name);
	fake_put(f, "4096", "/sys/block/%s/queue/logical_block_size", name);
	fake_put(f, dashed_nguid, "/sys/block/%s/nguid", name);
	fake_put(f, dashed_nguid, "/sys/block/%s/uuid", name);
	fake_put(f, "", "/dev/%s", name);
	host_ctrls_read(&f->env, nqn, &ctrls);
	for (unsigned i = 0; i < ctrls.n; i++)
		fake_put(f, "optimized", "/sys/class/nvme/%s/nvme0c%un%u/ana_state",
			 ctrls.at[i].name, ctrls.at[i].instance, head);
}

void fake_event(struct fake *f, const char *action, const char *name, const char *more)
{
	char text[1024];
	int n = snprintf(
		text, sizeof(text),
		"%s@/devices/x/%s|ACTION=%s|DEVPATH=/devices/x/%s|SUBSYSTEM=block|DEVTYPE=disk|%s",
		action, name, action, name, more ? more : "SEQNUM=1");

	for (int i = 0; i < n; i++)
		if (text[i] == '|')
			text[i] = '\0';
	assert_int_equal(send(f->said, text, (size_t)n + 1, 0), n + 1);
}

static int fake_connect(void *ctx, const char *options, struct err *err)
{
	struct fake *f = ctx;
	unsigned instance = f->n_connects++;
	char address[128], traddr[64], trsvcid[16];

	assert_true(str_copy(f->options, sizeof(f->options), options));
	if (f->connect_result < 0) {
		(void)err_set(err, f->connect_result, "%s", f->log ? f->log : "");
		return f->connect_result;
	}
	assert_int_equal(sscanf(strstr(options, "traddr="), "traddr=%63[^,],trsvcid=%15[^,]",
				traddr, trsvcid),
			 2);
	(void)snprintf(address, sizeof(address), "traddr=%s,trsvcid=%s,src_addr=192.0.2.9", traddr,
		       trsvcid);
	fake_ctrl(f, instance, FAKE_NQN, address, "live");
	for (unsigned i = 0; !f->silent && i < f->n_namespaces; i++) {
		char nguid[] = FAKE_DASHED, name[32];

		nguid[sizeof(nguid) - 2] = (char)('f' - i);
		fake_device(f, i + 1, FAKE_NQN, nguid, 1 << 30);
		(void)snprintf(name, sizeof(name), "nvme0n%u", i + 1);
		fake_event(f, "add", name, NULL);
	}
	return (int)instance;
}

/* The last controller takes the devices with it. */
static int fake_disconnect(void *ctx, const char *ctrl)
{
	struct fake *f = ctx;
	struct host_ctrls left;
	char name[32];

	f->n_disconnects++;
	fake_remove(f, "/sys/class/nvme/%s", ctrl);
	host_ctrls_read(&f->env, FAKE_NQN, &left);
	for (unsigned i = 1; left.n == 0 && i < 8; i++) {
		(void)snprintf(name, sizeof(name), "nvme0n%u", i);
		if (!fake_has(f, "/sys/block/%s", name))
			continue;
		fake_remove(f, "/sys/block/%s", name);
		fake_remove(f, "/dev/%s", name);
		fake_event(f, "remove", name, NULL);
	}
	return 0;
}

static int fake_probe(void *ctx, const char *traddr, uint16_t port, const char *iface,
		      int64_t deadline)
{
	struct fake *f = ctx;

	(void)traddr, (void)port, (void)iface, (void)deadline;
	return f->probe_result;
}

static int fake_uevents(void *ctx, struct err *err)
{
	struct fake *f = ctx;
	(void)err;
	return fcntl(f->heard, F_DUPFD_CLOEXEC, 0);
}

void fake_open(struct fake *f)
{
	int pair[2];

	*f = (struct fake){.n_namespaces = 1};
	assert_true(str_copy(f->root, sizeof(f->root), "/tmp/litepool-host.XXXXXX"));
	assert_non_null(mkdtemp(f->root));
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	f->heard = pair[0];
	f->said = pair[1];
	f->kernel = (struct host_kernel){.ctx = f,
					 .connect = fake_connect,
					 .disconnect = fake_disconnect,
					 .probe = fake_probe,
					 .uevents = fake_uevents};
	f->env = (struct host_env){.root = f->root, .cancel_fd = -1, .kernel = &f->kernel};
	fake_put(f, "Y", "/sys/module/nvme_core/parameters/multipath");
	fake_put(f, "nqn.2014-08.org.nvmexpress:uuid:me", "/etc/nvme/hostnqn");
	fake_put(f, "11111111-2222-3333-4444-555555555555", "/etc/nvme/hostid");
}

void fake_close(struct fake *f)
{
	(void)close(f->heard);
	(void)close(f->said);
	fake_remove(f, "/");
}
