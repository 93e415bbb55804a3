/* SPDX-License-Identifier: Apache-2.0 */
/* Finds who holds a lock or a device, from /proc and /sys. Best effort: it only words an error. */
#include "rt/file_holder.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LINE_MAX_BYTES 1024

static bool lock_line_pid(const char *line, const struct stat *st, int *ret_pid)
{
	unsigned major_nr, minor_nr;
	unsigned long long inode;

	if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", ret_pid, &major_nr, &minor_nr,
		   &inode) != 4)
		return false;
	return inode == st->st_ino && major_nr == major(st->st_dev) &&
	       minor_nr == minor(st->st_dev);
}

static int flock_pid(const struct stat *st)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[LINE_MAX_BYTES];
	int pid = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (lock_line_pid(line, st, &pid))
			break;
		pid = 0;
	}
	if (f)
		(void)fclose(f);
	return pid;
}

const char *file_holder_flock(const struct stat *st, char *text, size_t size)
{
	char path[64], name[64] = "?";
	int pid = flock_pid(st);
	FILE *f;

	if (pid <= 0) {
		(void)snprintf(text, size,
			       " by another engine or another disk of this one; see fuser -v");
		return text;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		(void)fclose(f);
	(void)snprintf(text, size, " by process %d (%s); stop it or use another file", pid, name);
	return text;
}

/* Where a device is mounted, from lines "id parent major:minor root mountpoint ...". */
static bool mounted_at(dev_t dev, char *ret_path, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[LINE_MAX_BYTES], at[256];
	unsigned major_nr, minor_nr;
	bool found = false;

	while (!found && f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %*d %u:%u %*s %255s", &major_nr, &minor_nr, at) != 3)
			continue;
		found = makedev(major_nr, minor_nr) == dev;
	}
	if (f)
		(void)fclose(f);
	if (found)
		(void)snprintf(ret_path, size, "%.120s", at);
	return found;
}

/* A device on top (dm, md, ...), from /sys. */
static bool held_by(dev_t dev, char *ret_name, size_t size)
{
	struct dirent *entry;
	bool found = false;
	char path[96];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(dev), minor(dev));
	dir = opendir(path);
	while (!found && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(ret_name, size, "%.120s", entry->d_name);
		found = true;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

const char *file_holder_device(const struct stat *st, char *text, size_t size)
{
	char name[128];

	if (mounted_at(st->st_rdev, name, sizeof(name)))
		(void)snprintf(text, size, ": it is mounted at %s; unmount it first", name);
	else if (held_by(st->st_rdev, name, sizeof(name)))
		(void)snprintf(text, size, ": the device %s is on top of it; remove that first",
			       name);
	else
		(void)snprintf(
			text, size,
			" by a mount, swap, LVM, RAID, or another engine; see lsblk and fuser -v");
	return text;
}
