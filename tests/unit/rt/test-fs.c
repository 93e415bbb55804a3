/* SPDX-License-Identifier: Apache-2.0 */
/* Small whole files. */
#include "rt_test.h"

#include <sys/stat.h>

#include "rt/fs.h"

struct fixture {
	char dir[64], path[96];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	(void)snprintf(fx->dir, sizeof(fx->dir), "/tmp/rt-fs-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	(void)snprintf(fx->path, sizeof(fx->path), "%s/file", fx->dir);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	(void)unlink(fx->path);
	/* Nothing but the file was left behind. */
	assert_int_equal(rmdir(fx->dir), 0);
	free(fx);
	return 0;
}

static void file_is_replaced_whole_with_its_mode(void **state)
{
	struct fixture *fx = *state;
	struct err err = {0};
	struct stat st;
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(fs_read(fx->path, 100, &text, &len, &err), -ENOENT);
	assert_int_equal(err.code, 0);
	assert_int_equal(fs_write_atomic(fx->path, "first and longer", 16, 0600, &err), 0);
	assert_int_equal(fs_write_atomic(fx->path, "second", 6, 0644, &err), 0);
	assert_int_equal(stat(fx->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(fs_read(fx->path, 100, &text, &len, &err), 0);
	assert_string_equal(text, "second");
	assert_int_equal(len, 6);
	free(text);
}

static void empty_and_large_files_are_read_and_too_large_ones_refused(void **state)
{
	struct fixture *fx = *state;
	struct err err = {0};
	char *text = NULL, *big = malloc(100000);
	size_t len = 1;

	assert_non_null(big);
	memset(big, 'x', 100000);
	assert_int_equal(fs_write_atomic(fx->path, "", 0, 0600, &err), 0);
	assert_int_equal(fs_read(fx->path, 0, &text, &len, &err), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(fs_write_atomic(fx->path, big, 100000, 0600, &err), 0);
	assert_int_equal(fs_read(fx->path, 99999, &text, &len, &err), -EFBIG);
	assert_non_null(strstr(err.text, "99999"));
	assert_int_equal(fs_read(fx->path, 100000, &text, NULL, &err), 0);
	assert_int_equal(strlen(text), 100000);
	free(text);
	free(big);
}

static void failed_write_keeps_the_old_text(void **state)
{
	struct fixture *fx = *state;
	struct err err = {0};
	char temporary[128], *text = NULL;

	assert_int_equal(fs_write_atomic(fx->path, "old", 3, 0600, &err), 0);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", fx->path);
	assert_int_equal(mkdir(temporary, 0700), 0);
	assert_true(fs_write_atomic(fx->path, "new", 3, 0600, &err) < 0);
	assert_non_null(strstr(err.text, fx->path));
	assert_int_equal(rmdir(temporary), 0);
	assert_int_equal(fs_read(fx->path, 10, &text, NULL, &err), 0);
	assert_string_equal(text, "old");
	free(text);
}

static void folders_are_made_with_their_parents(void **state)
{
	struct fixture *fx = *state;
	char a[128], ab[144];
	struct err err = {0};

	(void)snprintf(a, sizeof(a), "%s/a", fx->dir);
	(void)snprintf(ab, sizeof(ab), "%s/b/", a);
	assert_int_equal(fs_make_dir(ab, 0700, &err), 0);
	assert_int_equal(fs_make_dir(ab, 0700, &err), 0);
	assert_int_equal(rmdir(ab), 0);
	assert_int_equal(fs_write_atomic(fx->path, "x", 1, 0600, &err), 0);
	assert_int_equal(fs_make_dir(fx->path, 0700, &err), -ENOTDIR);
	assert_int_equal(fs_make_dir("", 0700, &err), -EINVAL);
	assert_int_equal(rmdir(a), 0);
}

static void second_locker_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct err err = {0};
	int fd, other;

	assert_int_equal(fs_lock(fx->path, &fd, &err), 0);
	assert_int_equal(fs_lock(fx->path, &other, &err), -EBUSY);
	assert_non_null(strstr(err.text, fx->path));
	(void)close(fd);
	assert_int_equal(fs_lock(fx->path, &fd, &err), 0);
	(void)close(fd);
}

int main(void)
{
#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		FS_TEST(file_is_replaced_whole_with_its_mode),
		FS_TEST(empty_and_large_files_are_read_and_too_large_ones_refused),
		FS_TEST(failed_write_keeps_the_old_text),
		FS_TEST(folders_are_made_with_their_parents),
		FS_TEST(second_locker_is_refused),
	};

	return cmocka_run_group_tests_name("rt.fs", tests, NULL, NULL);
}
