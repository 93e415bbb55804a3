/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations: the rules, the conflict table, the drain behind a preemption, what persists, what hosts are told. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "rig.h"

#define DNR      NVME_STATUS_DNR
#define CONFLICT (NVME_SC_RESERVATION_CONFLICT | DNR)
#define INVALID  (NVME_SC_INVALID_FIELD | DNR)
#define KEY(h)   (0x100 + (uint64_t)(h))

static struct rig *rig;

static int setup(void **state)
{
	(void)state;
	rig = rig_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_unhang(rig, 0);
	rig_free(rig);
	return 0;
}

static uint16_t reg(unsigned h)
{
	return rig_resv(rig, h, NVME_IO_RESV_REGISTER, 0, 0, KEY(h));
}

static uint16_t unreg(unsigned h)
{
	return rig_resv(rig, h, NVME_IO_RESV_REGISTER, 1, KEY(h), 0);
}

static uint16_t acquire(unsigned h, unsigned type)
{
	return rig_resv(rig, h, NVME_IO_RESV_ACQUIRE, type << 8, KEY(h), 0);
}

static uint16_t preempt(unsigned h, unsigned type, uint64_t victim_key)
{
	return rig_resv(rig, h, NVME_IO_RESV_ACQUIRE, type << 8 | 1, KEY(h), victim_key);
}

static uint16_t release(unsigned h, unsigned type)
{
	return rig_resv(rig, h, NVME_IO_RESV_RELEASE, type << 8, KEY(h), 0);
}

static uint16_t clear(unsigned h)
{
	return rig_resv(rig, h, NVME_IO_RESV_RELEASE, 1, KEY(h), 0);
}

static uint16_t io(unsigned h, uint8_t op)
{
	struct rig_req *r = rig_rw(&rig->qp[h][1], op, 1, 0, 1);

	if (op == NVME_IO_DSM) {
		rig_data(r, 16);
		rig_cdw(r, 0, 4, 0);
	}
	return rig_run_free(r);
}

/* --- rules --- */

static void registering(void **state)
{
	(void)state;
	assert_int_equal(reg(0), 0);
	assert_int_equal(reg(0), 0); /* the same key again */
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 0, 0, 5), CONFLICT);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 2, 99, 5), CONFLICT);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 2, KEY(0), 5), 0);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 2 | 8, 99, KEY(0)), 0);
	assert_int_equal(rig_resv(rig, 1, NVME_IO_RESV_REGISTER, 2, 0, 5), CONFLICT);
	assert_int_equal(rig_resv(rig, 1, NVME_IO_RESV_REGISTER, 2 | 8, 0, KEY(1)), 0);
	assert_int_equal(rig_resv(rig, 1, NVME_IO_RESV_REGISTER, 1, 99, 0), CONFLICT);
	assert_int_equal(rig_resv(rig, 1, NVME_IO_RESV_REGISTER, 1 | 8, 99, 0), 0);
	assert_int_equal(unreg(1), CONFLICT);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 3, 0, 0), INVALID);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 1u << 30, 0, 0), INVALID);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_REGISTER, 3u << 30, 0, KEY(0)), INVALID);
	assert_int_equal(rig->ns[0].resv.n, 1);
	assert_int_equal(rig->ns[0].resv.generation, 6);
}

static void acquiring_and_releasing(void **state)
{
	(void)state;
	assert_int_equal(acquire(0, 1), CONFLICT); /* not registered */
	reg(0);
	reg(1);
	assert_int_equal(acquire(0, 0), INVALID);
	assert_int_equal(acquire(0, 7), INVALID);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_ACQUIRE, 1 << 8 | 8, KEY(0), 0), INVALID);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_ACQUIRE, 1 << 8, 99, 0), CONFLICT);
	assert_int_equal(acquire(0, 1), 0);
	assert_int_equal(acquire(0, 1), 0);
	assert_int_equal(acquire(0, 2), CONFLICT);
	assert_int_equal(acquire(1, 1), CONFLICT);
	assert_int_equal(release(1, 1), 0); /* not the holder: nothing happens */
	assert_int_equal(rig->ns[0].resv.type, 1);
	assert_int_equal(release(0, 2), INVALID);
	assert_int_equal(rig_resv(rig, 0, NVME_IO_RESV_RELEASE, 1 << 8, 99, 0), CONFLICT);
	assert_int_equal(release(0, 1), 0);
	assert_int_equal(rig->ns[0].resv.type, 0);
	assert_int_equal(release(0, 1), 0);
	assert_int_equal(acquire(1, 6), 0);
	assert_int_equal(acquire(0, 6), 0); /* all registrants hold */
	assert_int_equal(release(0, 6), 0);
	assert_int_equal(rig->ns[0].resv.type, 0);
	assert_int_equal(acquire(0, 1), 0);
	assert_int_equal(clear(1), 0);
	assert_int_equal(rig->ns[0].resv.n, 0);
	assert_int_equal(rig->ns[0].resv.type, 0);
}

static void the_holder_who_unregisters_releases(void **state)
{
	(void)state;
	reg(0);
	reg(1);
	acquire(0, 3);
	assert_int_equal(unreg(0), 0);
	assert_int_equal(rig->ns[0].resv.type, 0);
	acquire(1, 5);
	reg(0);
	assert_int_equal(unreg(1), 0);
	assert_int_equal(rig->ns[0].resv.type, 5); /* host 0 still holds */
	assert_int_equal(unreg(0), 0);
	assert_int_equal(rig->ns[0].resv.type, 0);
}

static void preempting(void **state)
{
	const struct resv *r = &rig->ns[0].resv;

	(void)state;
	reg(0);
	reg(1);
	reg(2);
	assert_int_equal(preempt(0, 1, 0x999), CONFLICT); /* nobody has that key */
	assert_int_equal(preempt(0, 1, KEY(2)), 0); /* no reservation: the registration goes */
	assert_int_equal(r->n, 2);
	assert_int_equal(r->type, 0);
	reg(2);
	acquire(1, 1);
	assert_int_equal(preempt(0, 2, 0), INVALID);
	assert_int_equal(preempt(0, 2, KEY(2)),
			 0); /* not the holder's key: reservation as it was */
	assert_int_equal(r->type, 1);
	assert_int_equal(preempt(0, 2, KEY(1)), 0);
	assert_int_equal(r->type, 2);
	assert_int_equal(r->n, 1);
	assert_true(resv_holds(r, 0));
	assert_int_equal(preempt(0, 5, KEY(0)), 0); /* itself: only the type changes */
	assert_int_equal(r->type, 5);
	assert_int_equal(r->n, 1);
	reg(1);
	reg(2);
	assert_int_equal(preempt(1, 5, KEY(2)), 0);
	assert_int_equal(r->n, 2);
	assert_int_equal(r->type, 5);
	assert_int_equal(preempt(1, 4, 0), 0); /* of all registrants: everybody else goes */
	assert_int_equal(r->n, 1);
	assert_int_equal(r->type, 4);
	assert_int_equal(unreg(0), CONFLICT);
}

static void sixty_four_hosts_and_no_more(void **state)
{
	struct resv r = {.holder = -1};
	struct resv_notes notes;
	struct resv_cmd cmd = {.action = RESV_REGISTER, .other_key = 1};

	(void)state;
	for (unsigned i = 0; i < RESV_HOSTS_MAX; i++) {
		cmd.hostid[0] = (uint8_t)i;
		assert_int_equal(resv_apply(&r, &cmd, &notes), 0);
	}
	cmd.hostid[1] = 1;
	assert_int_equal(resv_apply(&r, &cmd, &notes), NVME_SC_INTERNAL | DNR);
	assert_int_equal(r.n, RESV_HOSTS_MAX);
}

/* --- conflicts --- */

static void the_conflict_table(void **state)
{
	static const uint8_t reads[] = {NVME_IO_READ, NVME_IO_COMPARE, NVME_IO_VERIFY};
	static const uint8_t writes[] = {NVME_IO_WRITE, NVME_IO_WRITE_ZEROES, NVME_IO_DSM,
					 NVME_IO_FLUSH};
	/* Host 0 holds, host 1 is registered, host 2 is not: r = reads refused, w = writes refused. */
	static const char *const refused[7][3] = {
		[1] = {"", "w", "w"}, [2] = {"", "rw", "rw"}, [3] = {"", "", "w"},
		[4] = {"", "", "rw"}, [5] = {"", "", "w"},    [6] = {"", "", "rw"},
	};

	(void)state;
	for (unsigned type = 1; type <= 6; type++) {
		reg(0);
		reg(1);
		assert_int_equal(acquire(0, type), 0);
		for (unsigned h = 0; h < 3; h++) {
			for (unsigned i = 0; i < sizeof(reads); i++)
				assert_int_equal(io(h, reads[i]) == CONFLICT,
						 strchr(refused[type][h], 'r') != NULL);
			for (unsigned i = 0; i < sizeof(writes); i++)
				assert_int_equal(io(h, writes[i]) == CONFLICT,
						 strchr(refused[type][h], 'w') != NULL);
		}
		assert_int_equal(acquire(2, type), CONFLICT);
		assert_int_equal(release(2, type), CONFLICT);
		assert_int_equal(clear(0), 0);
		for (unsigned h = 0; h < 3; h++)
			assert_int_equal(io(h, NVME_IO_WRITE), 0);
	}
}

/* --- drain --- */

static struct rig_req *start_preempt(unsigned h, uint64_t victim)
{
	struct rig_req *r = rig_req_new(&rig->qp[h][0], NVME_IO_RESV_ACQUIRE, 1);

	rig_data(r, 16);
	put_le64(r->data, KEY(h));
	put_le64(r->data + 8, victim);
	rig_cdw(r, 1u << 8 | 2, 0, 0); /* Preempt and Abort, Write Exclusive */
	rig_start(r);
	rig_pump(rig);
	return r;
}

static void success_is_told_when_the_preempted_writes_have_ended(void **state)
{
	struct rig_req *hung = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 0, 1);
	struct rig_req *owing = rig_rw(&rig->qp[1][0], NVME_IO_WRITE, 1, 1, 1);
	struct rig_req *p, *second;

	(void)state;
	reg(0);
	reg(1);
	acquire(1, 1);
	(void)rig_hang(rig, 0, 1u << BLK_WRITE);
	owing->no_fetch = true;
	rig_start(hung);
	rig_start(owing);
	rig_pump(rig);
	p = start_preempt(0, KEY(1));
	assert_int_equal(p->completes, 0);
	assert_int_equal(io(1, NVME_IO_WRITE), CONFLICT);
	/* A second command of the namespace stands in line behind the first. */
	second = rig_req_new(&rig->qp[2][0], NVME_IO_RESV_REGISTER, 1);
	rig_data(second, 16);
	put_le64(second->data + 8, KEY(2));
	rig_start(second);
	rig_pump(rig);
	assert_int_equal(second->completes, 0);
	rig_fetched(owing); /* its data comes too late */
	rig_pump(rig);
	assert_int_equal(owing->status, CONFLICT);
	assert_int_equal(p->completes, 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_status(hung->status, 0);
	assert_true(hung->done_at < p->done_at);
	assert_true(p->done_at < second->done_at);
	assert_status(p->status, 0);
	assert_status(second->status, 0);
	rig_req_free(hung);
	rig_req_free(owing);
	rig_req_free(p);
	rig_req_free(second);
}

static void preempt_and_abort_ends_what_waits_for_its_host(void **state)
{
	struct rig_req *owing = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 1, 1);
	struct rig_req *other_ns = rig_rw(&rig->qp[1][0], NVME_IO_WRITE, 2, 1, 1);
	struct rig_req *other_host = rig_rw(&rig->qp[0][1], NVME_IO_WRITE, 1, 2, 1);
	struct rig_req *p, *waiting[] = {owing, other_ns, other_host};

	(void)state;
	reg(0);
	reg(1);
	acquire(1, 3);
	for (unsigned i = 0; i < 3; i++) {
		waiting[i]->no_fetch = true;
		rig_start(waiting[i]);
	}
	rig_pump(rig);
	p = start_preempt(0, KEY(1));
	assert_status(p->status, 0);
	assert_int_equal(owing->completes, 1);
	assert_status(owing->status, NVME_SC_ABORTED_PREEMPT);
	assert_true(owing->done_at < p->done_at);
	assert_int_equal(other_ns->completes + other_host->completes, 0);
	rig_fetched(other_ns);
	rig_fetched(other_host);
	rig_pump(rig);
	assert_status(other_ns->status, 0);
	assert_status(other_host->status, 0);
	rig_req_free(p);
	for (unsigned i = 0; i < 3; i++)
		rig_req_free(waiting[i]);
}

static void closed(void *ctx, int res)
{
	assert_int_equal(res, 0);
	++*(unsigned *)ctx;
}

static void a_namespace_closes_after_what_is_under_way(void **state)
{
	struct rig_req *hung = rig_rw(&rig->qp[1][1], NVME_IO_WRITE, 1, 0, 1);
	struct rig_req *p, *line;
	unsigned done = 0;

	(void)state;
	reg(0);
	reg(1);
	acquire(1, 1);
	(void)rig_hang(rig, 0, 1u << BLK_WRITE);
	rig_start(hung);
	rig_pump(rig);
	p = start_preempt(0, KEY(1));
	line = start_preempt(0, KEY(1));
	rig->ns[0].removing = true;
	rig->ss.ns[0] = NULL;
	nvme_resv_close(&rig->ns[0], closed, &done);
	rig_pump(rig);
	assert_int_equal(done, 0);
	rig_unhang(rig, 0);
	rig_pump(rig);
	assert_int_equal(done, 1);
	assert_status(p->status, 0);
	assert_status(line->status, NVME_SC_INVALID_NS);
	assert_int_equal(reg(2), NVME_SC_INVALID_NS | DNR);
	rig_req_free(hung);
	rig_req_free(p);
	rig_req_free(line);
}

/* --- what persists --- */

static struct {
	json_t *json;
	nvme_done_fn done;
	void *ctx;
	unsigned calls;
} saver;

static void fake_save(void *ctx, const char *nqn, uint32_t nsid, const json_t *resv,
		      nvme_done_fn done, void *done_ctx)
{
	(void)ctx;
	(void)nqn;
	assert_int_equal(nsid, 1);
	json_decref(saver.json);
	saver.json = json_deep_copy(resv);
	saver.done = done;
	saver.ctx = done_ctx;
	saver.calls++;
}

static void success_is_told_when_it_is_durable(void **state)
{
	struct rig_req *r = rig_req_new(&rig->qp[0][0], NVME_IO_RESV_REGISTER, 1);
	struct resv back;

	(void)state;
	memset(&saver, 0, sizeof(saver));
	rig->target.resv_save = fake_save;
	rig->ns[0].ptpl_capable = true;
	assert_int_equal(nvme_resv_rescap(&rig->ns[0]), 0xff);
	rig_data(r, 16);
	put_le64(r->data + 8, UINT64_MAX);
	rig_cdw(r, 3u << 30, 0, 0);
	rig_start(r);
	rig_pump(rig);
	assert_int_equal(saver.calls, 1);
	assert_int_equal(r->completes, 0);
	saver.done(saver.ctx, -EIO);
	rig_pump(rig);
	assert_int_equal(r->status, NVME_SC_INTERNAL); /* not durable: nothing has changed */
	assert_int_equal(rig->ns[0].resv.n, 0);
	rig_start(r);
	rig_pump(rig);
	saver.done(saver.ctx, 0);
	rig_pump(rig);
	assert_status(r->status, 0);
	assert_int_equal(rig->ns[0].resv.n, 1);
	assert_int_equal(nvme_resv_from_json(saver.json, &back, NULL), 0);
	assert_memory_equal(&back.reg[0], &rig->ns[0].resv.reg[0], sizeof(back.reg[0]));
	assert_true(back.ptpl);
	json_decref(saver.json);
	rig_req_free(r);
	rig->target.resv_save = NULL;
}

static void bad_json_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{'type': 7, 'ptpl': true, 'registrants': []}",
		"{'type': 1, 'ptpl': true, 'registrants': []}",
		"{'type': 5, 'ptpl': true, 'registrants': []}",
		"{'type': 0, 'holder': '00', 'ptpl': true, 'registrants': []}",
		"{'type': 0, 'ptpl': true, 'registrants': [{'hostid': '12', 'key': '0x1'}]}",
		"{'type': 0, 'ptpl': true, 'registrants': [{'hostid': "
		"'00112233445566778899AABBCCDDEEFF', 'key': '1'}]}",
		"{'type': 0, 'ptpl': true, 'registrants': [{'hostid': "
		"'00112233445566778899AABBCCDDEEFF', 'key': '0x'}]}",
		"{'type': 0, 'ptpl': true, 'registrants': [{'hostid': "
		"'00112233445566778899AABBCCDDEEFF', 'key': '0x12345678901234567'}]}",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		char text[256];
		struct resv r;
		struct err err = {0};
		json_t *json;

		assert_true(strlen(bad[i]) < sizeof(text));
		memcpy(text, bad[i], strlen(bad[i]) + 1);
		for (char *c = text; (c = strchr(c, '\''));)
			*c = '"';
		json = json_loads(text, 0, NULL);
		assert_non_null(json);
		assert_int_equal(nvme_resv_from_json(json, &r, &err), -EINVAL);
		assert_true(strlen(err.text) > 10);
		json_decref(json);
	}
}

/* Whatever hosts do, the state keeps its invariants (asserted in resv_apply) and survives JSON. */
static void random_commands_keep_the_invariants(void **state)
{
	struct resv r = {.holder = -1}, back;
	struct resv_notes notes;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 42);
	for (int i = 0; i < 20000; i++) {
		struct resv_cmd cmd = {.action = (enum resv_action)rng_below(&rng, RESV_CLEAR + 1),
				       .ignore_key = rng_chance(&rng, 0.2),
				       .type = (uint8_t)(1 + rng_below(&rng, 6)),
				       .cptpl = RESV_CPTPL_SET,
				       .key = rng_below(&rng, 3),
				       .other_key = rng_below(&rng, 3)};

		cmd.hostid[3] = (uint8_t)rng_below(&rng, 6);
		if (cmd.action == RESV_CLEAR && rng_chance(&rng, 0.9))
			continue;
		(void)resv_apply(&r, &cmd, &notes);
		if (i % 20)
			continue;
		r.ptpl = true;
		json_t *json = nvme_resv_to_json(&r);

		assert_int_equal(nvme_resv_from_json(json, &back, NULL), 0);
		assert_int_equal(back.n, r.n);
		assert_int_equal(back.type, r.type);
		assert_int_equal(back.holder, r.holder);
		assert_memory_equal(back.reg, r.reg, r.n * sizeof(r.reg[0]));
		json_decref(json);
	}
}

/* --- what hosts see --- */

static void report_lists_registrants(void **state)
{
	struct rig_req *r = rig_req_new(&rig->qp[2][0], NVME_IO_RESV_REPORT, 1);

	(void)state;
	reg(0);
	reg(1);
	acquire(1, 3);
	list_remove(&rig->ctrlr[0].link); /* host 0 is registered and away */
	rig_data(r, 4096);
	rig_cdw(r, 1023, 0, 0);
	assert_int_equal(rig_run(r), NVME_SC_HOSTID_INCONSISTENT | DNR);
	rig_cdw(r, 1023, 1, 0);
	assert_status(rig_run(r), 0);
	assert_int_equal(get_le32(r->data), 2);
	assert_int_equal(r->data[4], 3);
	assert_int_equal(get_le16(r->data + 5), 2);
	assert_int_equal(get_le16(r->data + 64), 0xffff);
	assert_int_equal(r->data[66], 0);
	assert_int_equal(get_le64(r->data + 72), KEY(0));
	assert_memory_equal(r->data + 80, rig->ctrlr[0].hostid, 16);
	assert_int_equal(get_le16(r->data + 128), 2);
	assert_int_equal(r->data[130], 1);
	rig_data(r, 68); /* cut in the middle of an entry */
	rig_cdw(r, 16, 1, 0);
	assert_status(rig_run(r), 0);
	assert_int_equal(get_le16(r->data + 5), 2);
	rig_cdw(r, UINT32_MAX, 1, 0);
	assert_int_equal(rig_run(r), INVALID);
	rig_req_free(r);
	list_push_back(&rig->ss.ctrlrs, &rig->ctrlr[0].link);
}

static void expect_note(unsigned h, unsigned type, unsigned more)
{
	uint8_t page[64];

	nvme_resv_log_page(&rig->ctrlr[h], page);
	assert_int_equal(page[8], type);
	assert_int_equal(page[9], more);
	assert_int_equal(get_le32(page + 12), type ? 1 : 0);
}

static void hosts_are_notified(void **state)
{
	(void)state;
	for (unsigned h = 0; h < 3; h++)
		reg(h);
	acquire(0, 3);
	assert_int_equal(rig->resv_events, 0);
	release(0, 3);
	expect_note(0, 0, 0);
	expect_note(1, RESV_NOTE_RELEASED, 0);
	expect_note(1, 0, 0);
	acquire(0, 1);
	release(0, 1); /* exclusive to one: nobody waits for it */
	acquire(0, 1);
	preempt(1, 1, KEY(0));
	expect_note(0, RESV_NOTE_REGISTRATION_PREEMPTED, 0);
	expect_note(2, RESV_NOTE_RELEASED, 0);
	expect_note(2, 0, 0);
	clear(1);
	expect_note(2, RESV_NOTE_PREEMPTED, 0);
	rig->ctrlr[2].resv_mask = 1u << RESV_NOTE_PREEMPTED;
	reg(1);
	reg(2);
	clear(1);
	expect_note(2, 0, 0);
}

static void a_full_notification_log_drops_the_oldest(void **state)
{
	uint8_t page[64];

	(void)state;
	reg(0);
	for (unsigned i = 0; i < RESV_LOG_ENTRIES + 3; i++) {
		reg(1);
		preempt(0, 1, KEY(1));
	}
	nvme_resv_log_page(&rig->ctrlr[1], page);
	assert_int_equal(get_le64(page), 4);
	assert_int_equal(page[9], RESV_LOG_ENTRIES - 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registering),
		T(acquiring_and_releasing),
		T(the_holder_who_unregisters_releases),
		T(preempting),
		T(sixty_four_hosts_and_no_more),
		T(the_conflict_table),
		T(success_is_told_when_the_preempted_writes_have_ended),
		T(preempt_and_abort_ends_what_waits_for_its_host),
		T(a_namespace_closes_after_what_is_under_way),
		T(success_is_told_when_it_is_durable),
		T(bad_json_is_refused_with_a_reason),
		T(random_commands_keep_the_invariants),
		T(report_lists_registrants),
		T(hosts_are_notified),
		T(a_full_notification_log_drops_the_oldest),
	};

	return cmocka_run_group_tests_name("nvme/reservation", tests, NULL, NULL);
}
