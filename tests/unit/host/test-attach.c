/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fake.h"

static const struct host_path paths[] = {{.traddr = "192.0.2.1", .trsvcid = "4420"},
					 {.traddr = "192.0.2.2", .trsvcid = "4420"}};

struct test {
	struct fake f;
	struct host_attach_req req;
	struct host_attach_result result;
	struct err err;
};

static struct test t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	fake_open(&t.f);
	t.req = (struct host_attach_req){
		.nqn = FAKE_NQN, .paths = paths, .n_paths = 1, .timeout_ms = 60000};
	assert_true(host_id_parse(HOST_ID_NGUID, FAKE_NGUID, &t.req.id));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&t.f);
	return 0;
}

static int attach(void)
{
	return host_attach(&t.f.env, &t.req, &t.result, &t.err);
}

static void says(int code, const char *words)
{
	assert_int_equal(attach(), code);
	if (!strstr(t.err.text, words))
		fail_msg("no '%s' in: %s", words, t.err.text);
}

static void the_device_is_found_by_its_event(void **state)
{
	(void)state;
	assert_int_equal(attach(), 0);
	assert_string_equal(t.result.device.path, "/dev/nvme0n1");
	assert_int_equal(t.result.device.size_bytes, 1 << 30);
	assert_int_equal(t.result.device.block_size, 4096);
	assert_int_equal(t.result.device.ctrls.n, 1);
	assert_string_equal(t.result.device.ctrls.at[0].ana_state, "optimized");
	assert_int_equal(t.result.paths[0], HOST_PATH_CONNECTED);
}

static void options_reach_the_kernel(void **state)
{
	(void)state;
	t.req.opts = (struct host_attach_opts){
		.ctrl_loss_tmo = -1, .reconnect_delay = 2, .data_digest = true};
	assert_int_equal(attach(), 0);
	assert_string_equal(t.f.options,
			    "nqn=" FAKE_NQN ",transport=tcp,traddr=192.0.2.1,trsvcid=4420,hostnqn="
			    "nqn.2014-08.org.nvmexpress:uuid:me,"
			    "hostid=11111111-2222-3333-4444-555555555555,ctrl_loss_tmo=-1,"
			    "reconnect_delay=2,data_digest");
}

static void a_second_attach_connects_nothing(void **state)
{
	(void)state;
	assert_int_equal(attach(), 0);
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 1);
	assert_int_equal(t.result.paths[0], HOST_PATH_REUSED);
}

static void a_reconnecting_controller_is_used_a_dying_one_is_not(void **state)
{
	(void)state;
	fake_ctrl(&t.f, 7, FAKE_NQN, "traddr=192.0.2.1,trsvcid=4420", "connecting");
	fake_device(&t.f, 1, FAKE_NQN, FAKE_DASHED, 1 << 30);
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 0);
	fake_ctrl(&t.f, 7, FAKE_NQN, "traddr=192.0.2.1,trsvcid=4420", "deleting (no IO)");
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 1);
}

static void all_paths_are_connected_with_multipath_one_without(void **state)
{
	(void)state;
	t.req.n_paths = 2;
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 2);
	fake_close(&t.f);
	fake_open(&t.f);
	fake_put(&t.f, "N", "/sys/module/nvme_core/parameters/multipath");
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 1);
	assert_int_equal(t.result.paths[1], HOST_PATH_UNTRIED);
}

static void already_is_no_error(void **state)
{
	(void)state;
	fake_device(&t.f, 1, FAKE_NQN, FAKE_DASHED, 1 << 30);
	t.f.connect_result = -EALREADY;
	assert_int_equal(attach(), 0);
	assert_int_equal(t.result.paths[0], HOST_PATH_REUSED);
}

static void what_the_kernel_refuses_is_told_in_words(void **state)
{
	(void)state;
	t.f.connect_result = -EIO;
	t.f.log = "nvme nvme0: Connect for subsystem " FAKE_NQN " is not allowed, hostnqn: nqn.x";
	says(-EACCES, "litepool engine host add");
	t.f.log = "nvme nvme0: Connect Invalid Data Parameter, subsysnqn \"" FAKE_NQN "\"";
	says(-ENOENT, "has no subsystem");
	t.f.log = NULL;
	t.f.connect_result = -EINVAL;
	says(-EOPNOTSUPP, "modprobe nvme-tcp");
	t.f.connect_result = -EOPNOTSUPP;
	says(-EOPNOTSUPP, "modprobe nvme-tcp");
	t.f.probe_result = -ECONNREFUSED;
	says(-ECONNREFUSED, "nobody listens at 192.0.2.1:4420");
	t.f.probe_result = -ETIMEDOUT;
	says(-ETIMEDOUT, "firewall");
	t.f.probe_result = -EAGAIN;
	says(-EAGAIN, "says nothing");
	t.f.probe_result = -EPROTO;
	says(-EPROTO, "is the port right?");
}

static void nothing_is_left_after_the_deadline(void **state)
{
	(void)state;
	t.f.silent = true;
	t.req.timeout_ms = 0;
	says(-ENOENT, "no namespace of it appeared");
	assert_int_equal(t.f.n_disconnects, 1);
	assert_false(fake_has(&t.f, "/sys/class/nvme/nvme0"));
	assert_false(fake_has(&t.f, "/run/litepool/host/" FAKE_NQN
				    "/nguid-00112233445566778899AABBCCDDEEFF"));
}

#define RECORD "/run/litepool/host/" FAKE_NQN "/nguid-00112233445566778899AABBCCDDEEFF"

static void folders_go_with_their_last_namespace(void **state)
{
	const struct host_detach_req req = {.nqn = FAKE_NQN, .id = t.req.id, .timeout_ms = 60000};

	(void)state;
	assert_int_equal(attach(), 0);
	assert_true(fake_has(&t.f, RECORD));
	assert_int_equal(host_detach(&t.f.env, &req, &t.err), 0);
	assert_false(fake_has(&t.f, "/run/litepool/host/" FAKE_NQN));
	t.f.silent = true;
	t.req.timeout_ms = 0;
	assert_int_equal(attach(), -ENOENT);
	assert_false(fake_has(&t.f, "/run/litepool/host/" FAKE_NQN));
}

/* Another process that waits for the same namespace, or died waiting: it has made nvme7. */
static int other_attach(bool alive)
{
	char path[256];
	int fd;

	fake_ctrl(&t.f, 7, FAKE_NQN, "traddr=192.0.2.1,trsvcid=4420", "live");
	fake_put(&t.f, "waiting nvme7", RECORD);
	(void)snprintf(path, sizeof(path), "%s" RECORD, t.f.root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 13), 0); /* without the newline */
	if (alive)
		assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	return fd;
}

static void who_gives_up_takes_nothing_from_who_waits(void **state)
{
	int fd = other_attach(true);

	(void)state;
	t.req.timeout_ms = 0;
	assert_int_equal(attach(), -ENOENT);
	assert_int_equal(t.f.n_disconnects, 0);
	assert_true(fake_has(&t.f, RECORD));
	(void)close(fd);
	/* The last one takes back what the other has made, too. */
	assert_int_equal(attach(), -ENOENT);
	assert_int_equal(t.f.n_disconnects, 1);
	assert_false(fake_has(&t.f, "/sys/class/nvme/nvme7"));
	assert_false(fake_has(&t.f, "/run/litepool/host/" FAKE_NQN));
}

static void what_is_attached_nobody_takes_back(void **state)
{
	int fd = other_attach(true);

	(void)state;
	assert_int_equal(ftruncate(fd, 0), 0); /* the other has found it */
	(void)close(fd);
	t.req.timeout_ms = 0;
	assert_int_equal(attach(), -ENOENT);
	assert_int_equal(t.f.n_disconnects, 0);
	assert_true(fake_has(&t.f, RECORD));
}

static void what_a_dead_attach_has_made_is_taken_over(void **state)
{
	(void)state;
	(void)close(other_attach(false));
	fake_device(&t.f, 1, FAKE_NQN, FAKE_DASHED, 1 << 30);
	assert_int_equal(attach(), 0);
	assert_int_equal(t.f.n_connects, 0);
	fake_remove(&t.f, "/sys/block/nvme0n1");
	t.req.timeout_ms = 0;
	assert_int_equal(attach(), -ENOENT); /* it is attached, whatever has become of it */
	assert_int_equal(t.f.n_disconnects, 0);
}

static void another_nguid_is_told(void **state)
{
	(void)state;
	assert_true(host_id_parse(HOST_ID_NGUID, "ffffffffffffffffffffffffffffffff", &t.req.id));
	t.req.timeout_ms = 0;
	says(-ENOENT, "it has: nvme0n1 " FAKE_DASHED);
	assert_int_equal(t.f.n_disconnects, 1);
}

static void an_inaccessible_path_is_told(void **state)
{
	(void)state;
	fake_ctrl(&t.f, 7, FAKE_NQN, "traddr=192.0.2.1,trsvcid=4420", "live");
	fake_put(&t.f, FAKE_DASHED, "/sys/class/nvme/nvme7/nvme0c7n1/nguid");
	fake_put(&t.f, "inaccessible", "/sys/class/nvme/nvme7/nvme0c7n1/ana_state");
	t.req.timeout_ms = 0;
	says(-ETIMEDOUT, "is inaccessible");
	assert_int_equal(t.f.n_disconnects, 0); /* it was not ours */
}

static void what_others_want_stays(void **state)
{
	(void)state;
	t.f.n_namespaces = 2;
	assert_int_equal(attach(), 0);
	assert_true(host_id_parse(HOST_ID_NGUID, "ffffffffffffffffffffffffffffffff", &t.req.id));
	t.req.n_paths = 2;
	t.req.timeout_ms = 0;
	assert_int_equal(attach(), -ENOENT);
	assert_int_equal(t.f.n_disconnects, 0);
}

static void cancel_takes_back(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	t.f.env.cancel_fd = pair[0];
	t.f.silent = true;
	says(-ECANCELED, "cancelled");
	assert_int_equal(t.f.n_disconnects, 1);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void a_missing_node_is_told(void **state)
{
	(void)state;
	fake_ctrl(&t.f, 7, FAKE_NQN, "traddr=192.0.2.1,trsvcid=4420", "live");
	fake_device(&t.f, 1, FAKE_NQN, FAKE_DASHED, 1 << 30);
	fake_remove(&t.f, "/dev/nvme0n1");
	says(-ENODEV, "devtmpfs");
}

static void one_volume_is_not_attached_from_two_subsystems(void **state)
{
	(void)state;
	fake_device(&t.f, 1, "nqn.2026-11.io.litepool:other", FAKE_DASHED, 1 << 30);
	says(-EEXIST, "from the subsystem nqn.2026-11.io.litepool:other");
	assert_int_equal(t.f.n_connects, 0);
}

static void bad_requests_are_refused(void **state)
{
	struct host_path bad = {.traddr = "engine.example", .trsvcid = "4420"};

	(void)state;
	t.req.nqn = "nqn.a,b";
	says(-EINVAL, "no NVMe name");
	t.req.nqn = FAKE_NQN;
	t.req.n_paths = 0;
	says(-EINVAL, "no address");
	t.req.n_paths = 1;
	t.req.paths = &bad;
	t.f.probe_result = -EINVAL;
	says(-EINVAL, "no IP address");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_device_is_found_by_its_event),
		TEST(options_reach_the_kernel),
		TEST(a_second_attach_connects_nothing),
		TEST(a_reconnecting_controller_is_used_a_dying_one_is_not),
		TEST(all_paths_are_connected_with_multipath_one_without),
		TEST(already_is_no_error),
		TEST(what_the_kernel_refuses_is_told_in_words),
		TEST(nothing_is_left_after_the_deadline),
		TEST(folders_go_with_their_last_namespace),
		TEST(who_gives_up_takes_nothing_from_who_waits),
		TEST(what_is_attached_nobody_takes_back),
		TEST(what_a_dead_attach_has_made_is_taken_over),
		TEST(another_nguid_is_told),
		TEST(an_inaccessible_path_is_told),
		TEST(what_others_want_stays),
		TEST(cancel_takes_back),
		TEST(a_missing_node_is_told),
		TEST(one_volume_is_not_attached_from_two_subsystems),
		TEST(bad_requests_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
