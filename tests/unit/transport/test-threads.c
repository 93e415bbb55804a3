/* SPDX-License-Identifier: Apache-2.0 */
/* Reactors in threads of their own: connections move between them, and are cut, while others work. For the thread sanitizer above all. */
#include "rig.h"

#include <sys/socket.h>
#include <unistd.h>

#define QUEUES 6
#define BEHIND 12

static uint8_t data[RIG_BLOCK];

static void write_and_read(struct client *c, uint64_t lba)
{
	struct nvme_sqe sqe = client_rw(true, 1, lba, 1, true);

	memset(data, (int)lba, sizeof(data));
	client_command(c, &sqe, data, sizeof(data));
	assert_int_equal(client_answer(c, 1), 0);
	sqe = client_rw(false, 2, lba, 1, false);
	client_command(c, &sqe, NULL, 0);
	assert_int_equal(client_next(c), PDU_C2H_DATA);
	assert_memory_equal(c->payload, data, sizeof(data));
}

static void queues_move_and_work(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig;

	opts.threads = true;
	rig = rig_new(&opts);
	for (unsigned round = 0; round < 5; round++) {
		struct client *admin = client_new(rig), *io[QUEUES];
		uint16_t cntlid;

		client_ic(admin, 0, 0);
		client_connect(admin, 0, 31, true, NVME_CNTLID_DYNAMIC);
		cntlid = admin->cntlid;
		client_enable(admin);
		for (uint16_t q = 0; q < QUEUES; q++) {
			io[q] = client_new(rig);
			client_ic(io[q], q & 3, 0);
			client_connect(io[q], q + 1, 31, false, cntlid);
			for (uint16_t i = 0; i <= q; i++)
				write_and_read(io[i], i);
		}
		/* The admin queue goes first: the controller closes its queues, whose hosts go at the same time. */
		client_free(admin);
		for (uint16_t q = 0; q < QUEUES; q++) {
			struct nvme_sqe sqe = client_rw(false, 9, q, 1, false);

			client_command(io[q], &sqe, NULL, 0);
			client_free(io[q]);
		}
	}
	rig_free(rig);
}

/* What came behind a Connect, whole commands and a piece of one, moves along with the connection while more of it arrives. */
static void commands_behind_a_connect_are_carried_along(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct client *admin, *io[BEHIND];
	uint16_t cntlid;
	struct rig *rig;

	opts.threads = true;
	rig = rig_new(&opts);
	admin = client_new(rig);
	client_ic(admin, 0, 0);
	client_connect(admin, 0, 31, true, NVME_CNTLID_DYNAMIC);
	cntlid = admin->cntlid;
	client_enable(admin);
	for (unsigned round = 0; round < 20; round++) {
		for (uint16_t q = 0; q < BEHIND; q++) {
			io[q] = client_new(rig);
			client_ic(io[q], q & 3, 0);
		}
		for (uint16_t q = 0; q < BEHIND; q++) {
			client_connect_begin(io[q], (uint16_t)(round * BEHIND + q) % 128 + 1, 31,
					     true, cntlid);
			for (uint16_t cid = 1; cid <= 20; cid++) {
				struct nvme_sqe sqe = client_rw(cid & 1, cid, q, 1, cid & 1);

				client_command(io[q], &sqe, data, cid & 1 ? RIG_BLOCK : 0);
			}
		}
		for (uint16_t q = 0; q < BEHIND; q++) {
			assert_int_equal(client_answer(io[q], 0), 0);
			for (unsigned left = 30; left; left--)
				assert_true(client_next(io[q]) >= 0); /* 10 data and 20 answers */
		}
		for (uint16_t q = 0; q < BEHIND; q++)
			client_free(io[q]);
	}
	client_free(admin);
	rig_free(rig);
}

static void a_target_stops_under_load(void **state)
{
	struct rig_opts opts = rig_opts_default();
	struct rig *rig;
	struct client *admin[3], *io[3];

	opts.threads = true;
	rig = rig_new(&opts);
	for (unsigned i = 0; i < 3; i++) {
		client_pair(rig, 0, 127, true, &admin[i], &io[i]);
		for (uint16_t cid = 0; cid < 100; cid++) {
			struct nvme_sqe sqe = client_rw(cid & 1, cid, cid, 1, cid & 1);

			client_command(io[i], &sqe, data, cid & 1 ? RIG_BLOCK : 0);
		}
	}
	rig_free(rig);
	for (unsigned i = 0; i < 3; i++) {
		client_free(io[i]);
		client_free(admin[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_move_and_work),
		cmocka_unit_test(commands_behind_a_connect_are_carried_along),
		cmocka_unit_test(a_target_stops_under_load),
	};

	return cmocka_run_group_tests_name("transport-threads", tests, NULL, NULL);
}
