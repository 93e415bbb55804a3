/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that their node uses as its own device. A pipe, or a device of the machine where root may make its node, stands for LVM's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "csi/local.h"
#include "rt/fs.h"

#define POOL        "11111111-2222-4333-8444-555555555555"
#define POOL_FOLDER "/dev/litepool-" POOL
#define UID         "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define OTHER       "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeee0"
#define PATH        POOL_FOLDER "/vol-" UID

static char root[64];
static struct uuid uid;

static const char *below(const char *path)
{
	static char full[256];

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	return full;
}

static int begin(void **state)
{
	struct err err = {0};

	(void)snprintf(root, sizeof(root), "/tmp/lp-local.XXXXXX");
	return mkdtemp(root) && uuid_parse(UID, &uid) &&
			       fs_make_dir(below(POOL_FOLDER), 0755, &err) == 0
		       ? 0
		       : -1;
}

static int end(void **state)
{
	static const char *const files[] = {PATH, "/run/litepool/local/" UID};
	static const char *const folders[] = {POOL_FOLDER,     "/dev", "/run/litepool/local",
					      "/run/litepool", "/run", ""};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		(void)unlink(below(files[i]));
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		(void)rmdir(below(folders[i]));
	return 0;
}

/* A device's node of no driver: nothing opens it. Not every root may make one. */
static void need_device(void)
{
	if (mknod(below(PATH), S_IFBLK | 0600, makedev(259, 4095)) < 0)
		skip();
}

static void only_the_volumes_own_path_is_taken(void **state)
{
	static const char *const bad[] = {
		"",
		"/dev/sda",
		"/dev/litepool-",
		POOL_FOLDER,
		POOL_FOLDER "/vol-",
		POOL_FOLDER "/vol-" OTHER,
		POOL_FOLDER "/vol-" UID "x",
		POOL_FOLDER "/new-" UID,
		POOL_FOLDER "/../vol-" UID,
		"/dev/litepool-../../../../../../../../../../../../vol-" UID,
		"/dev/litepool-11111111-2222-4333-8444-55555555555/vol-" UID,
		"/tmp/litepool-" POOL "/vol-" UID,
		"dev/litepool-" POOL "/vol-" UID,
	};
	struct err err = {0};

	assert_true(local_path_valid(PATH, &uid));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(local_path_valid(bad[i], &uid));
		assert_int_equal(local_attach(root, &uid, bad[i], &err), -EINVAL);
	}
}

static void what_is_not_there_or_no_device_is_refused(void **state)
{
	char device[CSI_DEVICE_MAX];
	struct err err = {0};

	assert_int_equal(local_attach(root, &uid, PATH, &err), -ENOENT);
	assert_non_null(strstr(err.text, "The agent"));
	assert_int_equal(mkfifo(below(PATH), 0600), 0);
	assert_int_equal(local_attach(root, &uid, PATH, &err), -ENOTBLK);
	assert_false(local_find(root, &uid, device));
}

static void an_attached_one_is_found_until_it_is_detached(void **state)
{
	char device[CSI_DEVICE_MAX];
	struct err err = {0};

	need_device();
	assert_false(local_find(root, &uid, device));
	for (int i = 0; i < 2; i++)
		assert_int_equal(local_attach(root, &uid, PATH, &err), 0);
	assert_true(local_find(root, &uid, device));
	assert_string_equal(device, PATH);
	for (int i = 0; i < 2; i++)
		assert_int_equal(local_detach(root, &uid, &err), 0);
	assert_false(local_find(root, &uid, device));
}

/* Its device may go (LVM's volume group is deactivated) and come again. */
static void one_without_its_device_is_not_attached(void **state)
{
	char device[CSI_DEVICE_MAX];
	struct err err = {0};

	need_device();
	assert_int_equal(local_attach(root, &uid, PATH, &err), 0);
	assert_int_equal(unlink(below(PATH)), 0);
	assert_false(local_find(root, &uid, device));
	need_device();
	assert_true(local_find(root, &uid, device));
}

/* Nothing that is in the folder is believed: a link to elsewhere is none of ours, and is replaced. */
static void a_link_to_elsewhere_is_not_followed(void **state)
{
	char device[CSI_DEVICE_MAX];
	struct err err = {0};

	need_device();
	assert_int_equal(fs_make_dir(below("/run/litepool/local"), 0755, &err), 0);
	assert_int_equal(symlink("/dev/sda", below("/run/litepool/local/" UID)), 0);
	assert_false(local_find(root, &uid, device));
	assert_int_equal(local_attach(root, &uid, PATH, &err), 0);
	assert_true(local_find(root, &uid, device));
	assert_string_equal(device, PATH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_the_volumes_own_path_is_taken, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_there_or_no_device_is_refused, begin,
						end),
		cmocka_unit_test_setup_teardown(an_attached_one_is_found_until_it_is_detached,
						begin, end),
		cmocka_unit_test_setup_teardown(one_without_its_device_is_not_attached, begin, end),
		cmocka_unit_test_setup_teardown(a_link_to_elsewhere_is_not_followed, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
