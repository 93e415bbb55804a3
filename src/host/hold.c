/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hold.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "host/sys.h"

#define DEVICES_MAX 65 /* the disk and its partitions */
#define WORDS_SIZE  320
#define LINE_SIZE   4096

struct hold {
	const struct host_env *env;
	unsigned n_dev;
	struct {
		unsigned major_nr, minor_nr;
		char name[40];
	} dev[DEVICES_MAX];
	unsigned n_uses;
	char words[WORDS_SIZE];
};

__attribute__((format(printf, 2, 3))) static void use(struct hold *h, const char *fmt, ...)
{
	size_t len = strlen(h->words);
	va_list ap;

	if (h->n_uses++ > 0)
		len += (size_t)snprintf(h->words + len, WORDS_SIZE - len, ", ");
	if (len >= WORDS_SIZE - 1)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(h->words + len, WORDS_SIZE - len, fmt, ap);
	va_end(ap);
}

static int dev_find(const struct hold *h, unsigned major_nr, unsigned minor_nr)
{
	for (unsigned i = 0; i < h->n_dev; i++)
		if (h->dev[i].major_nr == major_nr && h->dev[i].minor_nr == minor_nr)
			return (int)i;
	return -1;
}

static void dev_add(struct hold *h, const char *name, const char *text)
{
	unsigned n = h->n_dev;

	if (n == DEVICES_MAX ||
	    sscanf(text, "%u:%u", &h->dev[n].major_nr, &h->dev[n].minor_nr) != 2)
		return;
	(void)snprintf(h->dev[n].name, sizeof(h->dev[n].name), "%.39s", name);
	h->n_dev++;
}

static void devices_read(struct hold *h, const char *disk)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(h->env, "/sys/block/%s", disk);
	char text[32];
	const char *name;

	if (sys_read(h->env, text, sizeof(text), "/sys/block/%s/dev", disk))
		dev_add(h, disk, text);
	while ((name = sys_next(dir)))
		if (sys_exists(h->env, "/sys/block/%s/%s/partition", disk, name) &&
		    sys_read(h->env, text, sizeof(text), "/sys/block/%s/%s/dev", disk, name))
			dev_add(h, name, text);
}

static void holders(struct hold *h, const char *disk)
{
	for (unsigned i = 0; i < h->n_dev; i++) {
		const char *part = i == 0 ? "" : h->dev[i].name;
		_cleanup_(sys_dir_closep) DIR *dir =
			sys_dir(h->env, "/sys/block/%s/%s/holders", disk, part);
		const char *name;
		char dm[128];

		while ((name = sys_next(dir))) {
			if (sys_read(h->env, dm, sizeof(dm), "/sys/block/%s/dm/name", name) &&
			    dm[0])
				use(h, "under %s (%s)", name, dm);
			else
				use(h, "under %s", name);
		}
	}
}

/* Lines "id parent major:minor root mountpoint ...". Each mount once, whatever sees it. */
static void mounts(struct hold *h, const char *who)
{
	char path[SYS_PATH], line[LINE_SIZE], at[256];
	FILE *f = fopen(sys_path(h->env, path, "/proc/%s/mountinfo", who), "re");
	unsigned major_nr, minor_nr;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d %*d %u:%u %*s %255s", &major_nr, &minor_nr, at) == 3 &&
		    dev_find(h, major_nr, minor_nr) >= 0)
			use(h, "mounted at %.120s", at);
	if (f)
		(void)fclose(f);
}

static void swaps(struct hold *h)
{
	char path[SYS_PATH], line[LINE_SIZE];
	FILE *f = fopen(sys_path(h->env, path, "/proc/swaps"), "re");

	while (f && fgets(line, sizeof(line), f))
		for (unsigned i = 0; i < h->n_dev; i++)
			if (strncmp(line, "/dev/", 5) == 0 &&
			    strcspn(line + 5, " \t") == strlen(h->dev[i].name) &&
			    strncmp(line + 5, h->dev[i].name, strlen(h->dev[i].name)) == 0)
				use(h, "used as swap");
	if (f)
		(void)fclose(f);
}

/* udev looks at each device that changes, for a moment. */
static bool is_udev(const char *comm)
{
	return strstr(comm, "udev") != NULL;
}

static void opener(struct hold *h, const char *pid)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(h->env, "/proc/%s/fd", pid);
	const char *fd;
	char comm[64];

	while ((fd = sys_next(dir))) {
		struct statx st;

		/* Asks no file server: a dead one would hold us. */
		if (statx(dirfd(dir), fd, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) <
			    0 ||
		    !S_ISBLK(st.stx_mode) || dev_find(h, st.stx_rdev_major, st.stx_rdev_minor) < 0)
			continue;
		if (sys_read(h->env, comm, sizeof(comm), "/proc/%s/comm", pid) && !is_udev(comm))
			use(h, "open by process %s (%s)", pid, comm);
		return;
	}
}

static void processes(struct hold *h, bool look_for_mounts)
{
	_cleanup_(sys_dir_closep) DIR *dir = sys_dir(h->env, "/proc");
	const char *pid;

	while (h->n_uses < 8 && (pid = sys_next(dir))) {
		if (!isdigit((unsigned char)pid[0]))
			continue;
		opener(h, pid);
		if (look_for_mounts && h->n_uses == 0)
			mounts(h, pid);
	}
}

static void find_quick(struct hold *h, const char *disk)
{
	devices_read(h, disk);
	holders(h, disk);
	mounts(h, "self");
	if (h->n_uses == 0)
		mounts(h, "1");
	swaps(h);
}

bool hold_quick(const struct host_env *env, const char *name, char *text, size_t size)
{
	struct hold h = {.env = env};

	find_quick(&h, name);
	(void)snprintf(text, size, "%s", h.words);
	return h.n_uses > 0;
}

int hold_check(const struct host_env *env, const char *name, int *ret_claim, struct err *err)
{
	struct hold h = {.env = env};
	_cleanup_close_ int claim = -1;
	char path[SYS_PATH];
	bool busy;

	find_quick(&h, name);
	if (h.n_dev == 0)
		return err_set(err, -ENOENT, "there is no block device %s", name);
	/* Before our own claim, which the search would find. */
	if (h.n_uses == 0)
		processes(&h, false);
	if (h.n_uses == 0) {
		/* The use of a partition counts as the disk's: this is the kernel's word on all of it. */
		claim = open(sys_path(env, path, "/dev/%s", name),
			     O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
		busy = claim < 0 && errno == EBUSY;
		if (busy)
			processes(&h, true);
		if (busy && h.n_uses == 0)
			use(&h, "claimed in the kernel by a mount in another namespace, swap, LVM "
				"or RAID");
	}
	if (h.n_uses > 0)
		return err_set(err, -EBUSY,
			       "/dev/%s is in use: %s. End that first (umount, lvchange -an, mdadm "
			       "--stop, or stop the "
			       "process; lsblk and fuser -v show more)",
			       name, h.words);
	if (ret_claim)
		*ret_claim = TAKE_FD(claim);
	return 0;
}
