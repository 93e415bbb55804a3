/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world keeps its own promises: streams, disks, power cuts, time, and the same run for the same seed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "rt/file.h"
#include "rt/sock.h"
#include "sim/env_sim.h"

#define SEEDS    12
#define STREAM   ((size_t)300000)
#define DISK     "sim:/disk"
#define BLOCKS   64u
#define BLOCK    4096u
#define DEADLINE (60 * NSEC_PER_SEC)

/* --- a call on a reactor --- */

struct call {
	struct msg msg;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void call_run(struct msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	call->fn(call->arg);
	call->done = true;
}

static bool call_is_done(void *arg)
{
	return ((struct call *)arg)->done;
}

/* Runs fn(arg) on r and comes back when it has run. */
static void call_on(struct sim_world *w, struct reactor *r, void (*fn)(void *arg), void *arg)
{
	struct call call = {.msg = {.run = call_run}, .fn = fn, .arg = arg};

	reactor_post(r, &call.msg);
	assert_true(sim_run_until(w, call_is_done, &call, DEADLINE));
}

/* --- streams --- */

struct peer { /* sends a stream of known bytes and checks the one that comes */
	struct reactor *r;
	struct sock *sock;
	uint8_t key;
	size_t sent, received;
	int error;
	bool eof, up, slow;
};

static uint8_t stream_byte(uint8_t key, size_t at)
{
	return (uint8_t)(key + at * 7 + (at >> 8));
}

static void peer_send(struct peer *p)
{
	uint8_t bytes[5000];

	while (p->sent < STREAM) {
		size_t n = MIN(sizeof(bytes), STREAM - p->sent);
		struct iovec iov[2] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
		ssize_t sent;

		for (size_t i = 0; i < n; i++)
			bytes[i] = stream_byte(p->key, p->sent + i);
		sent = sock_send(p->sock, iov, 2);
		if (sent == -EAGAIN) {
			sock_want_write(p->sock);
			return;
		}
		if (sent < 0) {
			p->error = (int)sent;
			return;
		}
		p->sent += (size_t)sent;
	}
	sock_shutdown_write(p->sock);
}

static void peer_recv(struct peer *p, uint8_t other_key)
{
	for (;;) {
		uint8_t bytes[3000];
		struct iovec iov[2] = {{bytes, 1000}, {bytes + 1000, 2000}};
		ssize_t got = sock_recv(p->sock, iov, 2);

		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			p->error = got < 0 ? (int)got : p->error;
			p->eof = got == 0;
			return;
		}
		for (ssize_t i = 0; i < got; i++)
			if (bytes[i] != stream_byte(other_key, p->received++))
				fail_msg("byte %zu of the stream is wrong", p->received - 1);
		if (got < 3000)
			return;
	}
}

struct streams {
	struct sim_world *w;
	struct sock *listener;
	struct sock_addr addr;
	struct peer client, server;
	int connect_error;
};

static void client_event(void *arg, unsigned events)
{
	struct streams *t = arg;

	if (events & SOCK_EV_WRITE && !t->client.up) {
		t->connect_error = sock_error(t->client.sock);
		t->client.up = true;
	}
	if (t->connect_error)
		return;
	if (events & SOCK_EV_READ)
		peer_recv(&t->client, 'S');
	if (events & SOCK_EV_WRITE)
		peer_send(&t->client);
}

static void server_event(void *arg, unsigned events)
{
	struct streams *t = arg;

	if (events & SOCK_EV_READ)
		peer_recv(&t->server, 'C');
	if (events & SOCK_EV_WRITE)
		peer_send(&t->server);
}

static void server_take(void *arg)
{
	struct streams *t = arg;

	assert_int_equal(sock_attach(t->server.sock, t->server.r, server_event, t), 0);
	t->server.up = true;
	peer_send(&t->server);
}

static struct call take_call;

static void listener_event(void *arg, unsigned events)
{
	struct streams *t = arg;
	struct sock_addr peer;

	if (sock_accept(t->listener, &t->server.sock, &peer))
		return;
	/* Accepted on one reactor, served by another. */
	take_call = (struct call){.msg = {.run = call_run}, .fn = server_take, .arg = t};
	reactor_post(t->server.r, &take_call.msg);
}

static void start_listening(void *arg)
{
	struct streams *t = arg;

	assert_int_equal(
		sock_listen(t->client.r, &t->addr, NULL, listener_event, t, &t->listener, NULL), 0);
	assert_int_equal(sock_local_addr(t->listener, &t->addr), 0);
}

static void start_connecting(void *arg)
{
	struct streams *t = arg;

	assert_int_equal(
		sock_connect(t->client.r, &t->addr, NULL, client_event, t, &t->client.sock, NULL),
		0);
}

static void close_server(void *arg)
{
	sock_close(((struct streams *)arg)->server.sock);
}

static void close_client(void *arg)
{
	struct streams *t = arg;

	sock_close(t->client.sock);
	sock_close(t->listener);
}

static void streams_setup(struct streams *t, uint64_t seed)
{
	struct sim_opts opts = sim_opts_default(seed);

	memset(t, 0, sizeof(*t));
	t->w = sim_world_new(&opts);
	t->client = (struct peer){.r = sim_reactor_new(t->w, 0, "a"), .key = 'C'};
	t->server = (struct peer){.r = sim_reactor_new(t->w, 1, "b"), .key = 'S'};
	assert_int_equal(sock_addr_ip("10.0.0.1", 0, &t->addr), 0);
	call_on(t->w, t->client.r, start_listening, t);
}

static void streams_teardown(struct streams *t)
{
	call_on(t->w, t->server.r, close_server, t);
	call_on(t->w, t->client.r, close_client, t);
	sim_reactor_free(t->w, t->server.r);
	sim_reactor_free(t->w, t->client.r);
	sim_world_free(t->w);
}

static bool both_ended(void *arg)
{
	const struct streams *t = arg;

	return (t->client.eof || t->client.error) && (t->server.eof || t->server.error);
}

static bool half_way(void *arg)
{
	return ((struct streams *)arg)->server.received > STREAM / 2;
}

static uint64_t stream_run(uint64_t seed)
{
	struct streams t;
	uint64_t hash;

	streams_setup(&t, seed);
	call_on(t.w, t.client.r, start_connecting, &t);
	assert_true(sim_run_until(t.w, both_ended, &t, DEADLINE));
	assert_int_equal(t.client.received, STREAM);
	assert_int_equal(t.server.received, STREAM);
	assert_int_equal(t.client.error | t.server.error, 0);
	assert_int_equal(sim_net_conns(t.w), 1);
	hash = sim_hash(t.w);
	streams_teardown(&t);
	return hash;
}

static void streams_arrive_whole_and_in_order_with_every_seed(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		(void)stream_run(seed);
}

static void the_same_seed_gives_the_same_run_and_another_seed_another(void **state)
{
	assert_true(stream_run(7) == stream_run(7));
	assert_true(stream_run(7) != stream_run(8));
}

static void a_reset_reaches_both_ends_and_loses_what_is_under_way(void **state)
{
	struct streams t;

	streams_setup(&t, 3);
	call_on(t.w, t.client.r, start_connecting, &t);
	assert_true(sim_run_until(t.w, half_way, &t, DEADLINE));
	assert_true(sim_net_reset_one(t.w));
	assert_true(sim_run_until(t.w, both_ended, &t, DEADLINE));
	assert_int_equal(t.client.error, -ECONNRESET);
	assert_int_equal(t.server.error, -ECONNRESET);
	assert_true(t.server.received < STREAM);
	assert_false(sim_net_reset_one(t.w));
	streams_teardown(&t);
}

static bool connect_decided(void *arg)
{
	return ((struct streams *)arg)->client.up;
}

static void nobody_listening_refuses_the_connect(void **state)
{
	struct streams t;

	streams_setup(&t, 4);
	sim_net_refuse(t.w, true);
	call_on(t.w, t.client.r, start_connecting, &t);
	assert_true(sim_run_until(t.w, connect_decided, &t, DEADLINE));
	assert_int_equal(t.connect_error, -ECONNREFUSED);
	streams_teardown(&t);
}

/* --- disks --- */

struct disk_test {
	struct sim_world *w;
	struct reactor *r;
	struct file *file;
	uint8_t *buf;
};

struct one_io {
	struct disk_test *t;
	struct file_io io;
	int result;
	bool done;
};

static void one_io_done(struct file_io *io, int res)
{
	struct one_io *one = container_of(io, struct one_io, io);

	one->result = res;
	one->done = true;
}

static void one_io_submit(void *arg)
{
	struct one_io *one = arg;

	one->io.done = one_io_done;
	file_submit(one->t->r, one->t->file, &one->io);
}

static bool one_io_is_done(void *arg)
{
	return ((struct one_io *)arg)->done;
}

static int do_io(struct disk_test *t, enum file_op op, unsigned flags, uint64_t block)
{
	struct one_io one = {.t = t,
			     .io = {.op = op,
				    .flags = flags,
				    .offset = op == FILE_SYNC ? 0 : block * BLOCK,
				    .length = op == FILE_SYNC ? 0 : BLOCK,
				    .buf = t->buf}};

	call_on(t->w, t->r, one_io_submit, &one);
	assert_true(sim_run_until(t->w, one_io_is_done, &one, DEADLINE));
	return one.result;
}

static void disk_setup(struct disk_test *t, uint64_t seed)
{
	struct sim_opts opts = sim_opts_default(seed);

	t->w = sim_world_new(&opts);
	t->r = sim_reactor_new(t->w, 0, "a");
	t->buf = aligned_alloc(BLOCK, BLOCK);
	sim_file_create(t->w, DISK, BLOCKS * BLOCK, 512);
	assert_int_equal(file_open(reactor_env(t->r), DISK, FILE_DIRECT, false, &t->file, NULL), 0);
}

static void disk_teardown(struct disk_test *t)
{
	file_close(t->file);
	sim_reactor_free(t->w, t->r);
	sim_world_free(t->w);
	free(t->buf);
}

static void write_block(struct disk_test *t, uint64_t block, uint8_t value, unsigned flags)
{
	memset(t->buf, value, BLOCK);
	assert_int_equal(do_io(t, FILE_WRITE, flags, block), 0);
}

/* How many of the 512-byte sectors of block hold value; every one is whole. */
static unsigned sectors_with(struct disk_test *t, uint64_t block, uint8_t value)
{
	uint8_t data[BLOCK];
	unsigned n = 0;

	sim_file_peek(t->w, DISK, block * BLOCK, data, BLOCK);
	for (unsigned s = 0; s < BLOCK / 512; s++) {
		for (unsigned i = 1; i < 512; i++)
			assert_int_equal(data[s * 512 + i], data[s * 512]);
		n += data[s * 512] == value;
	}
	return n;
}

static void what_was_flushed_survives_a_power_cut_with_every_seed(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct disk_test t;

		disk_setup(&t, seed);
		for (unsigned b = 0; b < 8; b++)
			write_block(&t, b, 1, 0);
		assert_int_equal(do_io(&t, FILE_SYNC, 0, 0), 0);
		for (unsigned b = 4; b < 8; b++)
			write_block(&t, b, 2, 0);
		sim_file_power_cut(t.w, DISK);
		for (unsigned b = 0; b < 4; b++)
			assert_int_equal(sectors_with(&t, b, 1), 8);
		for (unsigned b = 4; b < 8; b++)
			assert_int_equal(sectors_with(&t, b, 1) + sectors_with(&t, b, 2), 8);
		disk_teardown(&t);
	}
}

static void an_older_cached_write_never_overwrites_a_newer_fua_write(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct disk_test t;

		disk_setup(&t, seed);
		write_block(&t, 5, 1, 0);
		write_block(&t, 5, 2, FILE_FUA);
		sim_file_power_cut(t.w, DISK);
		assert_int_equal(sectors_with(&t, 5, 2), 8);
		disk_teardown(&t);
	}
}

static void unflushed_writes_are_lost_kept_and_torn_over_the_seeds(void **state)
{
	unsigned lost = 0, kept = 0, torn = 0;

	for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
		struct disk_test t;
		unsigned n;

		disk_setup(&t, seed);
		write_block(&t, 9, 3, 0);
		sim_file_power_cut(t.w, DISK);
		n = sectors_with(&t, 9, 3);
		lost += n == 0;
		kept += n == 8;
		torn += n > 0 && n < 8;
		disk_teardown(&t);
	}
	assert_true(lost > 0);
	assert_true(kept > 0);
	assert_true(torn > 0);
}

static void io_under_way_at_a_power_cut_ends_with_an_error(void **state)
{
	struct disk_test t;
	struct one_io one = {.t = &t};

	disk_setup(&t, 5);
	memset(t.buf, 1, BLOCK);
	one.io = (struct file_io){.op = FILE_WRITE, .offset = 0, .length = BLOCK, .buf = t.buf};
	call_on(t.w, t.r, one_io_submit, &one);
	if (!one.done) {
		sim_file_power_cut(t.w, DISK);
		assert_true(sim_run_until(t.w, one_io_is_done, &one, DEADLINE));
		assert_int_equal(one.result, -EIO);
	}
	disk_teardown(&t);
}

static void zeroed_and_discarded_blocks_read_as_zeroes(void **state)
{
	struct disk_test t;

	disk_setup(&t, 6);
	write_block(&t, 1, 9, 0);
	write_block(&t, 2, 9, 0);
	assert_int_equal(do_io(&t, FILE_ZERO, 0, 1), 0);
	assert_int_equal(do_io(&t, FILE_DISCARD, 0, 2), 0);
	assert_int_equal(do_io(&t, FILE_READ, 0, 1), 0);
	assert_int_equal(t.buf[0] | t.buf[BLOCK - 1], 0);
	assert_int_equal(sectors_with(&t, 2, 0), 8);
	disk_teardown(&t);
}

static void errors_come_as_ordered_and_range_errors_by_themselves(void **state)
{
	struct disk_test t;

	disk_setup(&t, 6);
	sim_file_fail(t.w, DISK, 1u << FILE_READ, 1, -EIO);
	assert_int_equal(do_io(&t, FILE_READ, 0, 1), -EIO);
	memset(t.buf, 1, BLOCK);
	assert_int_equal(do_io(&t, FILE_WRITE, 0, 1), 0);
	sim_file_fail(t.w, DISK, 0, 0, 0);
	assert_int_equal(do_io(&t, FILE_READ, 0, 1), 0);
	assert_int_equal(do_io(&t, FILE_READ, 0, BLOCKS), -EIO);
	sim_file_resize(t.w, DISK, (BLOCKS + 1) * BLOCK);
	assert_int_equal(do_io(&t, FILE_READ, 0, BLOCKS), 0);
	disk_teardown(&t);
}

/* --- time --- */

struct clocked {
	struct timer timer;
	struct reactor *r;
	uint64_t fired_ns;
};

static void clocked_fired(struct timer *timer)
{
	struct clocked *c = container_of(timer, struct clocked, timer);

	c->fired_ns = reactor_now_exact(c->r);
}

static void clocked_start(void *arg)
{
	struct clocked *c = arg;

	c->timer.run = clocked_fired;
	assert_int_equal(
		timer_start(c->r, &c->timer, reactor_now_exact(c->r) + 3600 * NSEC_PER_SEC), 0);
}

static bool clocked_has_fired(void *arg)
{
	return ((struct clocked *)arg)->fired_ns != 0;
}

static void an_idle_hour_passes_at_once_and_timers_fire_in_it(void **state)
{
	struct sim_opts opts = sim_opts_default(1);
	struct sim_world *w = sim_world_new(&opts);
	struct clocked c = {.r = sim_reactor_new(w, 0, "a")};
	struct reactor *idle = sim_reactor_new(w, 1, "b");

	call_on(w, c.r, clocked_start, &c);
	assert_true(sim_run_until(w, clocked_has_fired, &c, 3601 * NSEC_PER_SEC));
	assert_true(c.fired_ns >= 3600 * NSEC_PER_SEC);
	sim_reactor_free(w, idle);
	sim_reactor_free(w, c.r);
	sim_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_arrive_whole_and_in_order_with_every_seed),
		cmocka_unit_test(the_same_seed_gives_the_same_run_and_another_seed_another),
		cmocka_unit_test(a_reset_reaches_both_ends_and_loses_what_is_under_way),
		cmocka_unit_test(nobody_listening_refuses_the_connect),
		cmocka_unit_test(what_was_flushed_survives_a_power_cut_with_every_seed),
		cmocka_unit_test(an_older_cached_write_never_overwrites_a_newer_fua_write),
		cmocka_unit_test(unflushed_writes_are_lost_kept_and_torn_over_the_seeds),
		cmocka_unit_test(io_under_way_at_a_power_cut_ends_with_an_error),
		cmocka_unit_test(zeroed_and_discarded_blocks_read_as_zeroes),
		cmocka_unit_test(errors_come_as_ordered_and_range_errors_by_themselves),
		cmocka_unit_test(an_idle_hour_passes_at_once_and_timers_fire_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
