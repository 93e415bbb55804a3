/* SPDX-License-Identifier: Apache-2.0 */
/* lp-perf: a load on a namespace through our own NVMe/TCP host; one line of JSON on standard output. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/str.h"
#include "load.h"
#include "rt/process.h"
#include "rt/uring.h"

static const char usage[] =
	"Usage: lp-perf --nqn NQN [OPTION]...\n"
	"\n"
	"Reads and writes a namespace over NVMe/TCP and prints one JSON object.\n"
	"\n"
	"Where:\n"
	"  --addr IP          address of the target (127.0.0.1)\n"
	"  --port N           its port (4420)\n"
	"  --nqn NQN          subsystem\n"
	"  --hostnqn NQN      who we are (random)\n"
	"  --nsid N           namespace (1)\n"
	"  --offset SIZE      first byte used (0)\n"
	"  --size SIZE        bytes used (all)\n"
	"What:\n"
	"  --read, --write    only that (--read)\n"
	"  --mix PERCENT      reads among reads and writes\n"
	"  --bs SIZE          bytes per command (4k)\n"
	"  --qd N             commands under way per connection (1)\n"
	"  --conns N          connections (1)\n"
	"  --per-host N       I/O connections per association (1)\n"
	"  --sequential       in order instead of at random\n"
	"  --seconds S        length of the measurement (1); fractions are allowed\n"
	"  --warmup S         before it (0)\n"
	"  --ios N            ends after so many commands\n"
	"  --idle             connects and sends nothing\n"
	"  --kato MS          keep-alive timeout (0: none)\n"
	"  --hdgst, --ddgst   header, data digests\n"
	"  --congestion NAME  TCP congestion control (cubic, where there is one)\n"
	"  --reconnect        survives the loss of the target\n"
	"  --stall S          longest wait for commands after the end (30)\n"
	"  SIGTERM            ends the measurement as if its time were over\n"
	"Verification:\n"
	"  --verify           fills the range first, checks each read, reads all of it at the end\n"
	"  --versions FILE    keeps there what was written\n"
	"  --keep             checks what FILE says instead of filling first\n"
	"  --seed N           (1)\n"
	"How:\n"
	"  --cpu N            core to run on\n"
	"  --poll             never sleeps\n"
	"  --poll-us N        spins so long before it sleeps (50)\n"
	"\n"
	"Example: lp-perf --nqn nqn.2026-01.io.litepool:demo --mix 70 --qd 32 --seconds 5 "
	"--verify\n";

struct perf {
	struct load_opts load;
	struct reactor_opts reactor;
	const char *addr;
	uint64_t port;
	struct reactor *r;
	struct load *l;
	struct timer look; /* for a signal */
};

static volatile sig_atomic_t asked_to_end;

enum { OPT_FIRST = 256 };
enum opt {
	O_ADDR = OPT_FIRST,
	O_PORT,
	O_NQN,
	O_HOSTNQN,
	O_NSID,
	O_OFFSET,
	O_SIZE,
	O_READ,
	O_WRITE,
	O_MIX,
	O_BS,
	O_QD,
	O_CONNS,
	O_PER_HOST,
	O_SEQUENTIAL,
	O_SECONDS,
	O_WARMUP,
	O_IOS,
	O_IDLE,
	O_KATO,
	O_HDGST,
	O_DDGST,
	O_CONGESTION,
	O_RECONNECT,
	O_STALL,
	O_VERIFY,
	O_VERSIONS,
	O_KEEP,
	O_SEED,
	O_CPU,
	O_POLL,
	O_POLL_US,
	O_HELP,
};

static const struct option options[] = {
	{"addr", 1, NULL, O_ADDR},
	{"port", 1, NULL, O_PORT},
	{"nqn", 1, NULL, O_NQN},
	{"hostnqn", 1, NULL, O_HOSTNQN},
	{"nsid", 1, NULL, O_NSID},
	{"offset", 1, NULL, O_OFFSET},
	{"size", 1, NULL, O_SIZE},
	{"read", 0, NULL, O_READ},
	{"write", 0, NULL, O_WRITE},
	{"mix", 1, NULL, O_MIX},
	{"bs", 1, NULL, O_BS},
	{"qd", 1, NULL, O_QD},
	{"conns", 1, NULL, O_CONNS},
	{"per-host", 1, NULL, O_PER_HOST},
	{"sequential", 0, NULL, O_SEQUENTIAL},
	{"seconds", 1, NULL, O_SECONDS},
	{"warmup", 1, NULL, O_WARMUP},
	{"ios", 1, NULL, O_IOS},
	{"idle", 0, NULL, O_IDLE},
	{"kato", 1, NULL, O_KATO},
	{"hdgst", 0, NULL, O_HDGST},
	{"ddgst", 0, NULL, O_DDGST},
	{"congestion", 1, NULL, O_CONGESTION},
	{"reconnect", 0, NULL, O_RECONNECT},
	{"stall", 1, NULL, O_STALL},
	{"verify", 0, NULL, O_VERIFY},
	{"versions", 1, NULL, O_VERSIONS},
	{"keep", 0, NULL, O_KEEP},
	{"seed", 1, NULL, O_SEED},
	{"cpu", 1, NULL, O_CPU},
	{"poll", 0, NULL, O_POLL},
	{"poll-us", 1, NULL, O_POLL_US},
	{"help", 0, NULL, O_HELP},
	{NULL, 0, NULL, 0},
};

__attribute__((noreturn)) static void bad_option(int opt, const char *arg)
{
	(void)fprintf(stderr, "lp-perf: --%s: '%s' is not a value it takes; see lp-perf --help\n",
		      options[opt - OPT_FIRST].name, arg);
	exit(2);
}

static uint64_t number(int opt, const char *arg, uint64_t max)
{
	uint64_t v;

	if (!str_to_u64(arg, 0, max, &v))
		bad_option(opt, arg);
	return v;
}

static uint64_t size(int opt, const char *arg)
{
	uint64_t v;

	if (!str_to_size(arg, &v))
		bad_option(opt, arg);
	return v;
}

static uint64_t duration_ns(int opt, const char *arg)
{
	char *end;
	double s = strtod(arg, &end);

	if (end == arg || *end || !(s >= 0) || s > 1e6)
		bad_option(opt, arg);
	return (uint64_t)(s * 1e9);
}

/* True when opt was one of these. */
static bool take_place(struct perf *p, int opt, const char *arg)
{
	switch (opt) {
	case O_ADDR:
		p->addr = arg;
		return true;
	case O_PORT:
		p->port = number(opt, arg, 65535);
		return true;
	case O_NQN:
		p->load.subnqn = arg;
		return true;
	case O_HOSTNQN:
		p->load.hostnqn = arg;
		return true;
	case O_NSID:
		p->load.nsid = (uint32_t)number(opt, arg, UINT32_MAX);
		return true;
	case O_OFFSET:
		p->load.offset_bytes = size(opt, arg);
		return true;
	case O_SIZE:
		p->load.size_bytes = size(opt, arg);
		return true;
	default:
		return false;
	}
}

static bool take_shape(struct perf *p, int opt, const char *arg)
{
	switch (opt) {
	case O_READ:
		p->load.read_percent = 100;
		return true;
	case O_WRITE:
		p->load.read_percent = 0;
		return true;
	case O_MIX:
		p->load.read_percent = (unsigned)number(opt, arg, 100);
		return true;
	case O_BS:
		p->load.bs_bytes = (uint32_t)MIN(size(opt, arg), UINT32_MAX);
		return true;
	case O_QD:
		p->load.qd = (uint32_t)number(opt, arg, 65535);
		return true;
	case O_CONNS:
		p->load.conns = (uint32_t)number(opt, arg, 65535);
		return true;
	case O_PER_HOST:
		p->load.queues_per_host = (uint32_t)number(opt, arg, 65534);
		return true;
	case O_SEQUENTIAL:
		p->load.sequential = true;
		return true;
	case O_IOS:
		p->load.ios_max = number(opt, arg, UINT64_MAX);
		return true;
	case O_IDLE:
		p->load.idle = true;
		return true;
	default:
		return false;
	}
}

static bool take_time(struct perf *p, int opt, const char *arg)
{
	switch (opt) {
	case O_SECONDS:
		p->load.run_ns = duration_ns(opt, arg);
		return true;
	case O_WARMUP:
		p->load.warmup_ns = duration_ns(opt, arg);
		return true;
	case O_STALL:
		p->load.stall_ns = duration_ns(opt, arg);
		return true;
	case O_KATO:
		p->load.kato_ms = (uint32_t)number(opt, arg, UINT32_MAX);
		return true;
	case O_CPU:
		p->reactor.cpu = (int)number(opt, arg, 4095);
		return true;
	case O_POLL:
		p->reactor.poll_us = POLL_US_ALWAYS;
		return true;
	case O_POLL_US:
		p->reactor.poll_us = (int64_t)number(opt, arg, 1000000);
		return true;
	default:
		return false;
	}
}

static bool take_flags(struct perf *p, int opt, const char *arg)
{
	switch (opt) {
	case O_HDGST:
		p->load.header_digest = true;
		return true;
	case O_DDGST:
		p->load.data_digest = true;
		return true;
	case O_CONGESTION:
		p->load.congestion = arg;
		return true;
	case O_RECONNECT:
		p->load.reconnect = true;
		return true;
	case O_VERIFY:
		p->load.verify = true;
		return true;
	case O_VERSIONS:
		p->load.versions_path = arg;
		return true;
	case O_KEEP:
		p->load.keep = true;
		return true;
	case O_SEED:
		p->load.seed = number(opt, arg, UINT64_MAX);
		return true;
	default:
		return false;
	}
}

static void take_options(struct perf *p, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == O_HELP || opt == 'h') {
			(void)fputs(usage, stdout);
			exit(0);
		}
		if (opt == '?')
			exit(2);
		if (!take_place(p, opt, optarg) && !take_shape(p, opt, optarg) &&
		    !take_time(p, opt, optarg) && !take_flags(p, opt, optarg))
			UNREACHABLE();
	}
	if (optind < argc || !p->load.subnqn) {
		(void)fputs("lp-perf: --nqn is needed and no other words; see lp-perf --help\n",
			    stderr);
		exit(2);
	}
	p->load.exact_clock = (uint64_t)p->load.qd * p->load.conns <= 8;
}

#define LOOK_NS (50 * NSEC_PER_MSEC)

static void on_signal(int sig)
{
	asked_to_end = 1;
}

static void perf_look(struct timer *timer)
{
	struct perf *p = container_of(timer, struct perf, look);

	if (asked_to_end)
		load_stop(p->l);
	else
		(void)timer_start(p->r, timer,
				  reactor_now(p->r) + LOOK_NS); /* no memory: the time ends it */
}

static void perf_done(struct load *l, void *ctx)
{
	struct perf *p = ctx;

	timer_stop(&p->look);

	reactor_stop(p->r);
}

static void put_cpu(json_t *o)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru) < 0)
		return;
	(void)json_object_set_new(
		o, "user_s",
		json_real((double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6));
	(void)json_object_set_new(
		o, "sys_s",
		json_real((double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6));
}

static int perf_report(const struct perf *p, struct err *err)
{
	json_t *o = load_json(p->l);
	int rc = load_result(p->l, err);

	put_cpu(o);
	(void)json_dumpf(o, stdout, JSON_REAL_PRECISION(6));
	(void)putchar('\n');
	json_decref(o);
	return rc;
}

static int perf_run(struct perf *p, struct err *err)
{
	struct env *env;
	int rc = uring_env_new(NULL, &env, err);

	if (rc == 0)
		rc = reactor_new(&p->reactor, env, &p->r, err);
	if (rc == 0)
		rc = load_new(p->r, &p->load, &p->l, err);
	if (rc < 0)
		return rc;
	p->look.run = perf_look;
	(void)timer_start(p->r, &p->look, reactor_now(p->r) + LOOK_NS);
	load_start(p->l, perf_done, p);
	reactor_run(p->r);
	return perf_report(p, err);
}

int main(int argc, char **argv)
{
	struct perf p = {
		.load = load_opts_default(),
		.reactor = {.name = "lp-perf", .cpu = -1, .poll_us = POLL_US_DEFAULT},
		.addr = "127.0.0.1",
		.port = 4420,
	};
	struct err err;
	int rc;

	check_install_crash_handler("lp-perf");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
	(void)process_raise_nofile();
	take_options(&p, argc, argv);
	if (sock_addr_ip(p.addr, (uint16_t)p.port, &p.load.addr) < 0) {
		(void)fprintf(stderr, "lp-perf: '%s' is not an IP address\n", p.addr);
		return 2;
	}
	rc = perf_run(&p, &err);
	if (rc < 0)
		(void)fprintf(stderr, "lp-perf: %s\n", err.text);
	load_free(p.l);
	reactor_free(p.r);
	return rc < 0 ? 1 : 0;
}
