/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's data path in the simulated world: several hosts read, write, compare and deallocate against a data model while
 * connections break, stall and are refused, disks fail and hang, buffers run out, and namespaces, hosts and paths change.
 *
 * What must hold: every command ends exactly once; data is what the model allows; nothing waits for ever once the faults have
 * stopped; no buffer, connection or claim is left at the end; what was flushed is on the disk after a power cut.
 *
 *	sim-nvme [--seed N] [--steps M]	   one run
 *	sim-nvme --seeds N [--steps M]	   the seeds 1 .. N
 *	sim-nvme --seconds S [--seed N]	   seed after seed for that long
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "base/str.h"
#include "sim/nvme_world.h"

#define STEPS_DEFAULT 600000
#define ROUNDS        3
#define READ_BLOCKS   16u

static char replay[128];

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n%s\n", replay);
	exit(1);
}

/* --- stepping --- */

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

void world_call(struct nvme_world *w, struct reactor *r, void (*fn)(void *arg), void *arg)
{
	struct call call = {.msg = {.run = call_run}, .fn = fn, .arg = arg};

	reactor_post(r, &call.msg);
	if (!sim_run_until(w->sim, call_is_done, &call, 60 * NSEC_PER_SEC))
		sim_fail("a message was not delivered");
}

void world_wait(struct nvme_world *w, bool (*cond)(void *arg), void *arg, uint64_t seconds,
		const char *what)
{
	if (sim_run_until(w->sim, cond, arg, seconds * NSEC_PER_SEC))
		return;
	for (unsigned i = 0; i < w->n_clients; i++)
		client_print(&w->client[i]);
	target_print(w);
	sim_fail("no progress: %s (not within %" PRIu64 " s of virtual time)", what, seconds);
}

static uint64_t below(struct nvme_world *w, uint64_t n)
{
	return rng_below(sim_rng(w->sim), n);
}

/* --- the load and its disturbance --- */

static void client_chaos_msg(struct msg *msg)
{
	struct client *c = container_of(msg, struct client, msg);

	c->msg_busy = false;
	client_chaos(c);
}

static void client_pump_msg(struct msg *msg)
{
	struct client *c = container_of(msg, struct client, msg);

	c->msg_busy = false;
	if (!c->host && c->state == CLIENT_DOWN)
		(void)timer_start(
			c->r, &c->retry,
			reactor_now(c->r)); /* first connect: a failure shows as no progress */
	client_pump(c);
}

static void client_post(struct client *c, void (*run)(struct msg *msg))
{
	if (c->msg_busy)
		return;
	c->msg_busy = true;
	c->msg.run = run;
	reactor_post(c->r, &c->msg);
}

static void chaos_run(void *arg)
{
	target_chaos(arg);
}

static void disturb(struct nvme_world *w)
{
	switch (below(w, 8)) {
	case 0:
		(void)sim_net_reset_one(w->sim);
		return;
	case 1:
	case 2: /* now and then beyond every timeout */
		(void)sim_net_stall_one(w->sim, below(w, 20) ? below(w, 50 * NSEC_PER_MSEC)
							     : below(w, 60 * NSEC_PER_SEC));
		return;
	case 3:
		client_post(&w->client[below(w, w->n_clients)], client_chaos_msg);
		return;
	case 4:
		sim_net_refuse(w->sim, below(w, 8) == 0);
		return;
	default:
		world_call(w, w->control, chaos_run, w);
		return;
	}
}

/* A hand-over has few steps, each of them soon: hosts wait meanwhile. */
static uint64_t disturb_and_wait(struct nvme_world *w)
{
	if (w->handover == HANDOVER_NONE ? below(w, 6) == 0 : below(w, 2) == 0)
		handover_chaos(w);
	else
		disturb(w);
	return 1 + below(w, w->handover == HANDOVER_NONE ? 3000 : 300);
}

static void load(struct nvme_world *w, uint64_t steps)
{
	bool calm = below(w, 4) == 0; /* a round of pure load now and then */
	uint64_t next = 500;

	for (unsigned i = 0; i < w->n_clients; i++)
		client_post(&w->client[i], client_pump_msg);
	for (uint64_t step = 0; step < steps; step++) {
		bool idle = !sim_step(w->sim);

		if (idle && calm)
			sim_fail("nothing is left to happen under load");
		if (calm || (step < next && !idle)) /* idle: everything may hang by a rule */
			continue;
		next = step + disturb_and_wait(w);
	}
}

/* --- when it is quiet --- */

static bool clients_quiet(void *arg)
{
	const struct nvme_world *w = arg;

	for (unsigned i = 0; i < w->n_clients; i++)
		if (!client_is_quiet(&w->client[i]) || w->client[i].msg_busy)
			return false;
	return true;
}

static bool clients_up(void *arg)
{
	const struct nvme_world *w = arg;

	for (unsigned i = 0; i < w->n_clients; i++)
		if (w->client[i].state != CLIENT_UP)
			return false;
	return true;
}

struct one { /* a command of the driver, through a client's connection */
	struct client *client;
	struct nvme_hostcmd cmd;
	int status;
	bool done;
};

static void one_done(struct nvme_hostcmd *cmd, int status)
{
	struct one *one = container_of(cmd, struct one, cmd);

	one->status = status;
	one->done = true;
}

static void one_submit(void *arg)
{
	struct one *one = arg;

	one->cmd.done = one_done;
	nvme_host_io(one->client->host, 0, &one->cmd);
}

static bool one_is_done(void *arg)
{
	return ((struct one *)arg)->done;
}

/* True when it succeeded, false when the connection went away (a long stall may still end in a timeout). */
static bool one_run(struct nvme_world *w, struct one *one, const char *what)
{
	struct nvme_sqe sqe = one->cmd.sqe;

	for (unsigned attempt = 0; attempt < 5; attempt++) {
		world_wait(w, clients_up, w, 300, "every host is connected");
		one->client = &w->client[below(w, w->n_clients)];
		one->cmd.sqe = sqe;
		one->done = false;
		world_call(w, one->client->r, one_submit, one);
		world_wait(w, one_is_done, one, 300, what);
		if (one->status == 0)
			return true;
		if (one->status > 0)
			sim_fail("%s ended with status %x", what, (unsigned)one->status);
	}
	return false;
}

static void settle_ns(struct nvme_world *w, struct model *m, uint8_t *buf)
{
	for (uint64_t lba = 0; lba < m->n_blocks; lba += READ_BLOCKS) {
		uint32_t n = (uint32_t)MIN((uint64_t)READ_BLOCKS, m->n_blocks - lba);
		struct one one = {0};

		if (m->block_size * n > 16 * KIB)
			n = (uint32_t)(16 * KIB) / m->block_size;
		nvme_hostcmd_rw(&one.cmd, false, m->nsid, lba, n, buf, n * m->block_size);
		if (!one_run(w, &one, "a read of settled data"))
			sim_fail("a read of settled data failed on five connections");
		if (!model_settle(m, lba, n, buf, sim_now(w->sim)))
			sim_fail("settled data is wrong");
		lba -= READ_BLOCKS - n; /* fewer blocks than a step */
	}
}

/* Stops the load, heals the world, and finds out what is on the disks. */
static void settle(struct nvme_world *w)
{
	uint8_t *buf = aligned_alloc(4096, 64 * KIB);

	ASSERT(buf);
	w->stopping = true;
	handover_settle(w);
	target_heal(w);
	world_wait(w, clients_quiet, w, 300, "every command ends");
	world_wait(w, clients_up, w, 300, "every host connects again");
	/* Commands of connections that died: those that wait are cancelled, those with a disk end. */
	sim_run_for(w->sim, 2 * NSEC_PER_SEC);
	world_wait(w, target_disks_quiet, w, 60, "the disks come to rest");
	for (unsigned i = 0; i < N_NS; i++)
		settle_ns(w, &w->ns[i].model, buf);
	w->stopping = false;
	free(buf);
}

static void flush_all(struct nvme_world *w)
{
	for (unsigned i = 0; i < N_NS; i++) {
		struct one one = {0};

		nvme_hostcmd_flush(&one.cmd, w->ns[i].model.nsid);
		if (!one_run(w, &one, "a flush"))
			sim_fail("a flush failed on five connections");
	}
}

/* After the end of everything: the file alone, with the power gone and back. */
static void check_power_cut(struct nvme_world *w)
{
	struct model *m = &w->ns[1].model;
	uint8_t *buf = aligned_alloc(4096, m->block_size);

	ASSERT(buf);
	sim_file_power_cut(w->sim, SIM_DISK);
	for (uint64_t lba = 0; lba < m->n_blocks; lba++) {
		sim_file_peek(w->sim, SIM_DISK, lba * m->block_size, buf, m->block_size);
		if (!model_check(m, lba, 1, buf, sim_now(w->sim), sim_now(w->sim)))
			sim_fail("flushed data did not survive the power cut");
	}
	free(buf);
}

/* --- one run --- */

static void client_leave_run(void *arg)
{
	client_leave(arg);
}

static bool clients_gone(void *arg)
{
	const struct nvme_world *w = arg;

	for (unsigned i = 0; i < w->n_clients; i++)
		if (w->client[i].host)
			return false;
	return true;
}

/* Of the present side; ids from there on. */
static unsigned reactors_make(struct nvme_world *w, unsigned id)
{
	for (unsigned i = 0; i < w->n_data; i++)
		w->data[i] = sim_reactor_new(w->sim, id++, "data");
	w->control = sim_reactor_new(w->sim, id++, "control");
	return id;
}

static void reactors_free(struct nvme_world *w)
{
	for (unsigned i = 0; i < w->n_data; i++)
		sim_reactor_free(w->sim, w->data[i]);
	sim_reactor_free(w->sim, w->control);
	iobuf_arena_free(w->arena);
}

static void world_start(struct nvme_world *w, uint64_t seed)
{
	struct sim_opts opts = sim_opts_default(seed);
	unsigned id;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->sim = sim_world_new(&opts);
	w->n_data = 1 + (unsigned)below(w, N_DATA_MAX);
	w->n_clients = 1 + (unsigned)below(w, N_CLIENTS_MAX);
	w->data = w->data_of[0];
	w->other.data = w->data_of[1];
	w->other.n_data = below(w, 3) ? w->n_data : 1 + (unsigned)below(w, N_DATA_MAX);
	id = reactors_make(w, 0);
	target_swap(w);
	id = reactors_make(w, id);
	target_swap(w);
	for (unsigned i = 0; i < N_HOST_REACTORS; i++)
		w->host_r[i] = sim_reactor_new(w->sim, id++, "hosts");
	for (unsigned i = 0; i < w->n_clients; i++)
		client_init(w, i);
	target_start(w);
}

static void world_end(struct nvme_world *w)
{
	w->stopping = true;
	for (unsigned i = 0; i < w->n_clients; i++)
		world_call(w, w->client[i].r, client_leave_run, &w->client[i]);
	world_wait(w, clients_gone, w, 60, "the hosts close");
	target_stop(w);
	sim_run_for(w->sim, NSEC_PER_SEC);
	if (sim_net_conns(w->sim))
		sim_fail("%u connections are left", sim_net_conns(w->sim));
	check_power_cut(w);
	reactors_free(w);
	target_swap(w);
	reactors_free(w);
	for (unsigned i = 0; i < N_HOST_REACTORS; i++)
		sim_reactor_free(w->sim, w->host_r[i]);
	for (unsigned i = 0; i < N_NS; i++)
		model_fini(&w->ns[i].model);
	for (unsigned i = 0; i < w->n_clients; i++)
		client_fini(&w->client[i]);
}

static uint64_t run(uint64_t seed, uint64_t steps)
{
	struct nvme_world *w = calloc(1, sizeof(*w));
	uint64_t hash;

	ASSERT(w);
	(void)snprintf(replay, sizeof(replay),
		       "replay: sim-nvme --seed %" PRIu64 " --steps %" PRIu64 "\n", seed, steps);
	/* Said before, since a failed ASSERT leaves no time to say it. */
	printf("%s", replay);
	(void)fflush(stdout);
	world_start(w, seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		load(w, steps / ROUNDS);
		settle(w);
	}
	w->stopping = true;
	flush_all(w);
	world_end(w);
	hash = sim_hash(w->sim);
	printf("seed=%" PRIu64 " steps=%" PRIu64 " hosts=%u reactors=%u ops=%" PRIu64 " ok=%" PRIu64
	       " reads_checked=%" PRIu64 " ahead=%" PRIi64 "+%" PRIi64 " breaks=%" PRIu64
	       " freezes=%" PRIu64 " thaws=%" PRIu64 " handovers=%" PRIu64 " refused=%" PRIu64
	       " virtual_ms=%" PRIu64 " hash=%016" PRIx64 "\n",
	       seed, steps, w->n_clients, w->n_data, w->ops_done, w->ops_ok, w->reads_checked,
	       w->ahead_taken, w->ahead_copied, w->breaks, w->freezes, w->thaws, w->handovers,
	       w->refused, sim_now(w->sim) / NSEC_PER_MSEC, hash);
	(void)fflush(stdout);
	sim_world_free(w->sim);
	free(w);
	return hash;
}

static uint64_t number(const char *text)
{
	uint64_t n;

	if (!str_to_u64(text, 0, UINT64_MAX, &n)) {
		fprintf(stderr, "sim-nvme: '%s' is not a number\n", text);
		exit(2);
	}
	return n;
}

static void run_seconds(uint64_t seed, uint64_t steps, uint64_t seconds)
{
	time_t end = time(NULL) + (time_t)seconds;

	while (time(NULL) < end)
		(void)run(seed++, steps);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},  {"steps", required_argument, NULL, 'm'},
		{"seeds", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},     {0},
	};
	uint64_t seed = 1, seeds = 0, steps = STEPS_DEFAULT, seconds = 0;
	bool verbose = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			seed = number(optarg);
			break;
		case 'm':
			steps = number(optarg);
			break;
		case 'n':
			seeds = number(optarg);
			break;
		case 't':
			seconds = number(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		default:
			fprintf(stderr, "usage: sim-nvme [--seed N] [--steps M] [--seeds N] "
					"[--seconds S] [--verbose]\n");
			return 2;
		}
	}
	log_set_level(verbose ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	if (seconds) {
		run_seconds(seed, steps, seconds);
		return 0;
	}
	if (!seeds) {
		(void)run(seed, steps);
		return 0;
	}
	if (run(1, steps) != run(1, steps))
		sim_fail("the same seed gave two different runs");
	for (uint64_t i = 2; i <= seeds; i++)
		(void)run(i, steps);
	return 0;
}
