/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines in one process: the steps of a hot upgrade, of the transport alone. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "rt/carry.h"

#define PARTS      2
#define PART_BYTES ((size_t)2 << 20)
#define FDS_MAX    16

/* Of the one hand-over that is under way. */
static struct {
	int listen_fd;
	struct carry_out out[PARTS];
	struct carry_in in[PARTS];
	uint8_t *buf[PARTS];
	int fds[PARTS][FDS_MAX];
} state;

void rig_take_listener(struct rig *rig)
{
	struct err err;

	tcp_transport_hold(rig->transport);
	if (tcp_listen_import(rig->transport, rig->opts.listen_fd, &err))
		fail_msg("%s", err.text);
}

static void freeze(struct rig *rig)
{
	tcp_transport_freeze(rig->transport, rig_done, rig);
}

static void thaw(struct rig *rig)
{
	tcp_transport_thaw(rig->transport);
}

static void export_one(void *ctx, int fd)
{
	*(int *)ctx = dup(fd);
}

static void save(struct rig *rig)
{
	tcp_listeners_export(rig->transport, export_one, &state.listen_fd);
	assert_int_equal(tcp_transport_parts(rig->transport), PARTS);
	for (unsigned i = 0; i < PARTS; i++) {
		state.buf[i] = malloc(PART_BYTES);
		assert_non_null(state.buf[i]);
		carry_out_init(&state.out[i], state.buf[i], PART_BYTES, state.fds[i], FDS_MAX,
			       "test");
	}
	tcp_transport_save(rig->transport, state.out, rig_done, rig);
}

/* A message between processes makes copies of descriptors. */
static void restore(struct rig *rig)
{
	struct err err;

	for (unsigned i = 0; i < PARTS; i++) {
		for (unsigned k = 0; k < state.out[i].n_fds; k++) {
			state.fds[i][k] = dup(state.fds[i][k]);
			assert_true(state.fds[i][k] >= 0);
		}
		if (carry_in_init(&state.in[i], state.buf[i], state.out[i].w.len, state.fds[i],
				  state.out[i].n_fds, &err))
			fail_msg("%s", err.text);
	}
	tcp_transport_restore(rig->transport, state.in, PARTS, rig_done, rig);
}

static void serve(struct rig *rig)
{
	tcp_transport_serve(rig->transport, rig_done, rig);
}

static void discard(struct rig *rig)
{
	tcp_transport_discard(rig->transport, rig_done, rig);
}

static void abandon(struct rig *rig)
{
	tcp_transport_abandon(rig->transport, rig_done, rig);
}

static void step(struct rig *rig, void (*fn)(struct rig *rig))
{
	rig_call(rig, fn);
	rig_wait(rig);
}

/* Up to the point of no return: the old engine stands still, the new one has all. */
static struct rig *successor(struct rig *rig)
{
	struct rig_opts opts = rig->opts;
	struct rig *next;

	step(rig, freeze);
	step(rig, save);
	opts.port = rig->port;
	opts.listen_fd = state.listen_fd;
	next = rig_new(&opts);
	step(next, restore);
	return next;
}

static void parts_free(void)
{
	for (unsigned i = 0; i < PARTS; i++) {
		carry_in_fini(&state.in[i]);
		free(state.buf[i]);
	}
}

struct rig *rig_hand_over(struct rig *rig, struct client *const clients[], unsigned n)
{
	struct rig *next = successor(rig);

	step(next, serve);
	parts_free();
	for (unsigned i = 0; i < n; i++)
		clients[i]->rig = next;
	step(rig, abandon);
	rig_free(rig);
	return next;
}

void rig_hand_over_in_vain(struct rig *rig)
{
	struct rig *next = successor(rig);

	step(next, discard);
	parts_free();
	rig_call(rig, thaw);
	rig_free(next);
}
