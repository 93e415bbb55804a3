/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts on disks, and preflight, on a machine of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"
#include "host/devices.h"
#include "host/preflight.h"

#define MIN        ((uint64_t)1 << 20)
#define DISK_BYTES (16 << 20)

static struct fake f;

static void content(const void *data, size_t len, off_t at)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/dev/sda", f.root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), len);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	(void)close(fd);
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f);
	fake_put(&f, "32768", "/sys/block/sda/size");
	fake_put(&f, "8:0", "/sys/block/sda/dev");
	fake_put(&f, "naa.5000c500a1b2c3d4", "/sys/block/sda/device/wwid");
	fake_put(&f, "512", "/sys/block/sda/queue/logical_block_size");
	fake_put(&f, "4096", "/sys/block/sda/queue/physical_block_size");
	fake_put(&f, "1", "/sys/block/sda/queue/rotational");
	fake_put(&f, "", "/dev/sda");
	content("", 1, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static void link_by_id(const char *name)
{
	char path[256];

	fake_put(&f, "", "/dev/disk/by-id/.keep");
	(void)snprintf(path, sizeof(path), "%s/dev/disk/by-id/%s", f.root, name);
	assert_int_equal(symlink("../../sda", path), 0);
}

static struct disk disk;

static void verdict(enum disk_verdict expected, const char *why)
{
	struct err err = {0};

	assert_int_equal(host_disk_find(&f.env, "sda", MIN, &disk, &err), 0);
	if (disk.verdict != expected || !strstr(disk.why, why))
		fail_msg("%s: %s", disk_verdict_name(disk.verdict), disk.why);
}

static void an_empty_disk_is_safe_and_known_by_its_best_name(void **state)
{
	(void)state;
	link_by_id("ata-EXAMPLE_123");
	link_by_id("wwn-0x5000c500a1b2c3d4");
	link_by_id("scsi-1ATA");
	verdict(DISK_SAFE, "");
	assert_string_equal(disk.by_id, "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4");
	assert_string_equal(disk.wwid, "naa.5000c500a1b2c3d4");
	assert_int_equal(disk.size_bytes, DISK_BYTES);
	assert_int_equal(disk.physical_block, 4096);
	assert_true(disk.rotational);
}

static void a_disk_with_data_is_not_safe(void **state)
{
	(void)state;
	content("LUKS\xba\xbe\0\1", 8, 0);
	verdict(DISK_HAS_DATA, "crypto_LUKS");
	content("\0\0\0\0\0\0\0\0", 8, 0);
	verdict(DISK_SAFE, "");
	content("\x55\xaa", 2, 510);
	content("\x80\1\1\0\x83\xfe\xff\xff\0\x08\0\0\0\x08\0\0", 16, 446);
	verdict(DISK_HAS_DATA, "partition table (dos)");
}

static void bytes_of_no_known_kind_are_data(void **state)
{
	(void)state;
	content("my own database", 15, 300000);
	verdict(DISK_HAS_DATA, "no known kind");
}

static void our_own_pool_is_told(void **state)
{
	(void)state;
	content("LITEPOOL", 8, 0);
	verdict(DISK_POOL, "LitePool pool");
	content("\0\0\0\0\0\0\0\0", 8, 0);
	content("LITEPOOL", 8, 3 << 20); /* one of the other copies */
	verdict(DISK_POOL, "LitePool pool");
}

static void what_is_used_is_not_read(void **state)
{
	(void)state;
	fake_put(&f, "1 0 8:0 / /srv rw - xfs /dev/sda rw", "/proc/self/mountinfo");
	verdict(DISK_IN_USE, "mounted at /srv");
	fake_remove(&f, "/proc/self");
	fake_put(&f, "1", "/sys/block/sda/sda1/partition");
	fake_put(&f, "8:1", "/sys/block/sda/sda1/dev");
	fake_put(&f, "md0", "/sys/block/sda/sda1/holders/md0");
	verdict(DISK_IN_USE, "under md0");
}

static void unfit_disks_say_why(void **state)
{
	(void)state;
	fake_put(&f, "1", "/sys/block/sda/ro");
	verdict(DISK_UNFIT, "read-only");
	fake_put(&f, "0", "/sys/block/sda/ro");
	fake_put(&f, "1", "/sys/block/sda/removable");
	verdict(DISK_UNFIT, "removable");
	fake_put(&f, "0", "/sys/block/sda/removable");
	fake_put(&f, "1000", "/sys/block/sda/size");
	verdict(DISK_UNFIT, "at least");
	fake_put(&f, "32768", "/sys/block/sda/size");
	fake_put(&f, "LitePool Volume", "/sys/block/sda/device/model");
	verdict(DISK_UNFIT, "volume of LitePool");
}

static void what_is_no_disk_is_left_out(void **state)
{
	struct err err = {0};

	(void)state;
	fake_put(&f, "32768", "/sys/block/zram0/size");
	fake_put(&f, "0", "/sys/block/loop0/size");
	fake_put(&f, "32768", "/sys/block/nvme0c0n1/size");
	fake_put(&f, "1", "/sys/block/nvme0c0n1/hidden");
	assert_int_equal(host_disk_find(&f.env, "zram0", MIN, &disk, &err), -ENOENT);
	assert_int_equal(host_disk_find(&f.env, "loop0", MIN, &disk, &err), -ENOENT);
	assert_int_equal(host_disk_find(&f.env, "nvme0c0n1", MIN, &disk, &err), -ENOENT);
	assert_int_equal(host_disk_find(&f.env, "/dev/none", MIN, &disk, &err), -ENOENT);
}

static struct preflight_check found;
static const char *wanted;

static void pick(void *ctx, const struct preflight_check *check)
{
	(void)ctx;
	if (strcmp(check->id, wanted) == 0)
		found = *check;
}

static void finds(const char *id, enum preflight_level level, const char *words)
{
	wanted = id;
	found = (struct preflight_check){0};
	preflight_each(&f.env, pick, NULL);
	if (!found.id || found.level != level ||
	    (!strstr(found.found, words) && !strstr(found.fix, words)))
		fail_msg("%s: level %d: %s; %s", id, (int)found.level, found.found, found.fix);
	if (level == PREFLIGHT_ERROR)
		assert_true(found.fix[0]);
}

static void preflight_reads_the_kernel(void **state)
{
	(void)state;
	fake_put(&f, "5.10.0-28-amd64", "/proc/sys/kernel/osrelease");
	finds("kernel.release", PREFLIGHT_ERROR, "6.1 or newer");
	fake_put(&f, "6.1.0-40-amd64", "/proc/sys/kernel/osrelease");
	finds("kernel.release", PREFLIGHT_INFO, "6.1.0-40-amd64");
	finds("kernel.io_uring", PREFLIGHT_INFO, "allowed");
	fake_put(&f, "2", "/proc/sys/kernel/io_uring_disabled");
	finds("kernel.io_uring", PREFLIGHT_ERROR, "sysctl -w");
	finds("kernel.multipath", PREFLIGHT_INFO, "is on");
	fake_put(&f, "N", "/sys/module/nvme_core/parameters/multipath");
	finds("kernel.multipath", PREFLIGHT_WARN, "modprobe.d");
}

static void preflight_knows_missing_from_not_loaded(void **state)
{
	(void)state;
	fake_put(&f, "6.1.0", "/proc/sys/kernel/osrelease");
	finds("kernel.nvme_tcp", PREFLIGHT_WARN, "install the package");
	fake_put(&f,
		 "kernel/drivers/nvme/host/nvme-fabrics.ko:\nkernel/drivers/nvme/target/nvmet.ko: "
		 "x/nvme-tcp.ko",
		 "/lib/modules/6.1.0/modules.dep");
	finds("kernel.nvme_tcp", PREFLIGHT_WARN, "install the package");
	fake_put(&f,
		 "kernel/drivers/nvme/host/nvme-tcp.ko: kernel/drivers/nvme/host/nvme-fabrics.ko",
		 "/lib/modules/6.1.0/modules.dep");
	finds("kernel.nvme_tcp", PREFLIGHT_WARN, "modprobe nvme-tcp");
	fake_put(&f, "live", "/sys/module/nvme_tcp/initstate");
	finds("kernel.nvme_tcp", PREFLIGHT_WARN, "no /dev/nvme-fabrics");
	fake_put(&f, "", "/dev/nvme-fabrics");
	finds("kernel.nvme_tcp", PREFLIGHT_INFO, "loaded");
}

static void preflight_sees_a_taken_port(void **state)
{
	(void)state;
	finds("port.nvme", PREFLIGHT_INFO, "free");
	fake_put(&f,
		 "  sl  local_address rem_address   st\n   0: 0100007F:1144 0100007F:9999 01 "
		 "00000000:00000000 00:00000000",
		 "/proc/net/tcp");
	finds("port.nvme", PREFLIGHT_INFO, "free"); /* a connection, no listener */
	fake_put(
		&f,
		"  sl  local_address rem_address   st\n   0: 00000000000000000000000000000000:1144 "
		"00000000000000000000000000000000:0000 0A 0:0",
		"/proc/net/tcp6");
	finds("port.nvme", PREFLIGHT_WARN, "somebody listens");
	finds("port.discovery", PREFLIGHT_INFO, "free");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_disk_is_safe_and_known_by_its_best_name),
		TEST(a_disk_with_data_is_not_safe),
		TEST(bytes_of_no_known_kind_are_data),
		TEST(our_own_pool_is_told),
		TEST(what_is_used_is_not_read),
		TEST(unfit_disks_say_why),
		TEST(what_is_no_disk_is_left_out),
		TEST(preflight_reads_the_kernel),
		TEST(preflight_knows_missing_from_not_loaded),
		TEST(preflight_sees_a_taken_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
