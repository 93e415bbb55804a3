/* SPDX-License-Identifier: Apache-2.0 */
/* Detach, list, waiting for a size, and the host's own names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "fake.h"
#include "host/identity.h"

static const struct host_path path = {.traddr = "192.0.2.1", .trsvcid = "4420"};
static struct fake f;
static struct err err;

static int setup(void **state)
{
	(void)state;
	fake_open(&f);
	err = (struct err){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static struct host_id nguid(const char *text)
{
	struct host_id id;

	assert_true(host_id_parse(HOST_ID_NGUID, text, &id));
	return id;
}

static void attach(const char *id)
{
	struct host_attach_req req = {.nqn = FAKE_NQN,
				      .paths = &path,
				      .n_paths = 1,
				      .id = nguid(id),
				      .timeout_ms = 60000};
	struct host_attach_result result;

	if (host_attach(&f.env, &req, &result, &err) < 0)
		fail_msg("%s", err.text);
}

static int detach(const char *id, const char *device)
{
	struct host_detach_req req = {.device = device, .timeout_ms = 60000};

	if (id)
		req.id = nguid(id);
	return host_detach(&f.env, &req, &err);
}

static void detach_ends_controllers_and_is_idempotent(void **state)
{
	(void)state;
	attach(FAKE_NGUID);
	assert_int_equal(detach(NULL, "/dev/nvme0n1"), 0);
	assert_int_equal(f.n_disconnects, 1);
	assert_false(fake_has(&f, "/sys/block/nvme0n1"));
	assert_int_equal(detach(NULL, "/dev/nvme0n1"), 0);
	assert_int_equal(detach(FAKE_NGUID, NULL), 0);
	assert_int_equal(f.n_disconnects, 1);
}

static void controllers_without_the_device_end_too(void **state)
{
	(void)state;
	attach(FAKE_NGUID);
	fake_remove(&f, "/sys/block/nvme0n1");
	assert_int_equal(detach(FAKE_NGUID, NULL), 0); /* the record tells the subsystem */
	assert_int_equal(f.n_disconnects, 1);
}

static void refused(const char *words)
{
	assert_int_equal(detach(FAKE_NGUID, NULL), -EBUSY);
	if (!strstr(err.text, words))
		fail_msg("no '%s' in: %s", words, err.text);
	assert_int_equal(f.n_disconnects, 0);
}

static void a_device_in_use_stays(void **state)
{
	(void)state;
	attach(FAKE_NGUID);
	fake_put(&f, "36 25 259:1 / /srv/data rw - ext4 /dev/nvme0n1 rw", "/proc/self/mountinfo");
	refused("mounted at /srv/data");
	fake_remove(&f, "/proc/self");
	fake_put(&f, "Filename Type\n/dev/nvme0n1 partition 1 0 -2", "/proc/swaps");
	refused("swap");
	fake_remove(&f, "/proc/swaps");
	fake_put(&f, "vg-lv", "/sys/block/dm-3/dm/name");
	fake_put(&f, "", "/sys/block/nvme0n1/holders/dm-3");
	refused("under dm-3 (vg-lv)");
	fake_remove(&f, "/sys/block/nvme0n1/holders");
	fake_put(&f, "1", "/sys/block/nvme0n1/nvme0n1p1/partition");
	fake_put(&f, "259:9", "/sys/block/nvme0n1/nvme0n1p1/dev");
	fake_put(&f, "36 25 259:9 / /srv/part rw - ext4 /dev/nvme0n1p1 rw", "/proc/1/mountinfo");
	refused("mounted at /srv/part");
	fake_remove(&f, "/proc/1");
	assert_int_equal(detach(FAKE_NGUID, NULL), 0);
}

static void the_last_of_a_subsystem_ends_it(void **state)
{
	(void)state;
	f.n_namespaces = 2;
	attach(FAKE_NGUID);
	attach("00112233445566778899aabbccddeefe");
	assert_int_equal(f.n_connects, 1);
	assert_int_equal(detach(FAKE_NGUID, NULL), 1);
	assert_int_equal(f.n_disconnects, 0);
	assert_int_equal(detach(NULL, "nvme0n2"), 0);
	assert_int_equal(f.n_disconnects, 1);
}

static void one_that_nobody_noted_but_somebody_uses_keeps_the_subsystem(void **state)
{
	(void)state;
	f.n_namespaces = 2;
	attach(FAKE_NGUID);
	fake_put(&f, "36 25 259:2 / /srv/b rw - ext4 /dev/nvme0n2 rw", "/proc/self/mountinfo");
	assert_int_equal(detach(FAKE_NGUID, NULL), 1);
	assert_int_equal(f.n_disconnects, 0);
}

static void list_has_paths_and_use(void **state)
{
	json_t *rows;

	(void)state;
	attach(FAKE_NGUID);
	fake_device(&f, 5, "nqn.2026-11.com.example:foreign",
		    "99999999-9999-9999-9999-999999999999", 4096);
	fake_put(&f, "Other", "/sys/block/nvme0n5/device/model");
	fake_put(&f, "36 25 259:1 / /srv/data rw - ext4 /dev/nvme0n1 rw", "/proc/self/mountinfo");
	rows = host_list(&f.env, false);
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "use")),
			    "mounted at /srv/data");
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(json_array_get(rows, 0), "path_states"), 0)),
			    "192.0.2.1:4420=live/optimized");
	json_decref(rows);
	rows = host_list(&f.env, true);
	assert_int_equal(json_array_size(rows), 2);
	json_decref(rows);
}

static void wait_size_sees_growth(void **state)
{
	uint64_t size;

	(void)state;
	attach(FAKE_NGUID);
	assert_int_equal(host_wait_size(&f.env, "/dev/nvme0n1", 1 << 30, 60000, &size, &err), 0);
	assert_int_equal(size, 1 << 30);
	assert_int_equal(host_wait_size(&f.env, "/dev/nvme0n1", (1 << 30) + 1, 0, &size, &err),
			 -ETIMEDOUT);
	assert_int_equal(host_wait_size(&f.env, "/dev/nvme0n9", 1, 0, &size, &err), -ENOENT);
}

static void names_are_made_once(void **state)
{
	struct host_identity one, two;

	(void)state;
	fake_remove(&f, "/etc");
	assert_int_equal(host_identity_get(&f.env, &one, &err), 0);
	assert_int_equal(host_identity_get(&f.env, &two, &err), 0);
	assert_string_equal(one.nqn, two.nqn);
	assert_string_equal(one.id, two.id);
	assert_string_equal(strrchr(one.nqn, ':') + 1, one.id);
	fake_remove(&f, "/etc/nvme/hostid");
	assert_int_equal(host_identity_get(&f.env, &two, &err), 0);
	assert_string_equal(one.id, two.id); /* out of the NQN */
	fake_put(&f, "not a uuid", "/etc/nvme/hostid");
	assert_int_equal(host_identity_get(&f.env, &two, &err), -EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(detach_ends_controllers_and_is_idempotent),
		TEST(controllers_without_the_device_end_too),
		TEST(a_device_in_use_stays),
		TEST(the_last_of_a_subsystem_ends_it),
		TEST(one_that_nobody_noted_but_somebody_uses_keeps_the_subsystem),
		TEST(list_has_paths_and_use),
		TEST(wait_size_sees_growth),
		TEST(names_are_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
