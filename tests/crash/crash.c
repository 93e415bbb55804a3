/* SPDX-License-Identifier: Apache-2.0 */
/* crash [--cuts N] [--seed S] ...: power cuts against the real pool and volume code. crash.h says how; docs/testing.md what for. */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "crash/crash.h"

static struct run the_run;

static void died(int sig)
{
	char line[160];
	int n = snprintf(line, sizeof(line),
			 "FAIL %s --seed %" PRIu64 " --life %u --event %u --choice %u: signal %d\n",
			 the_run.name, the_run.opts.seed, the_run.life, the_run.event,
			 the_run.choice, sig);

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(1);
	_exit(1);
}

static void silent(const char *line, size_t len)
{
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

struct totals {
	uint64_t cuts, failures, changes[CHANGES], refused[CHANGES], ios, reads, summed, checked;
};

static void add(struct totals *t, const struct run *run)
{
	t->cuts += run->cuts;
	t->failures += run->failures;
	t->ios += run->ios;
	t->reads += run->reads;
	t->summed += run->summed;
	t->checked += run->checked;
	for (unsigned i = 0; i < CHANGES; i++) {
		t->changes[i] += run->changes[i];
		t->refused[i] += run->refused[i];
	}
}

static void run_seed(const struct run_opts *opts, struct totals *t)
{
	run_start(&the_run, opts, "random", &weights_random);
	if (!the_run.broken)
		run_lives(&the_run);
	add(t, &the_run);
	run_end(&the_run);
}

static void after_directed(struct run *run, void *ctx)
{
	add(ctx, run);
}

static void print_totals(const struct totals *t, uint64_t ns, uint64_t seed)
{
	uint64_t ms = ns / NSEC_PER_MSEC ? ns / NSEC_PER_MSEC : 1;

	for (unsigned i = 1; i < CHANGES; i++)
		printf("%s%s %" PRIu64 "/%" PRIu64, i > 1 ? ", " : "done/refused: ", change_name[i],
		       t->changes[i], t->refused[i]);
	printf("; I/Os %" PRIu64 ", of them reads %" PRIu64 "; blocks against their sums %" PRIu64
	       ", all of an image %" PRIu64 " times\n",
	       t->ios, t->reads, t->summed, t->checked);
	printf("crash cuts=%" PRIu64 " failures=%" PRIu64 " cuts_per_s=%" PRIu64 " seed=%" PRIu64
	       "\n",
	       t->cuts, t->failures, t->cuts * 1000 / ms, seed);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "crash: %s is not a number\n", text);
		exit(2);
	}
	return n;
}

struct wish { /* the command line */
	struct run_opts opts;
	const char *directed;
};

static bool parse(int argc, char **argv, struct wish *w)
{
	static const struct option options[] = {
		{"cuts", required_argument, NULL, 'n'},     {"seed", required_argument, NULL, 's'},
		{"life", required_argument, NULL, 'l'},     {"event", required_argument, NULL, 'e'},
		{"choice", required_argument, NULL, 'c'},   {"trace", no_argument, NULL, 't'},
		{"choices", required_argument, NULL, 'k'},  {"uncut", required_argument, NULL, 'u'},
		{"directed", required_argument, NULL, 'd'}, {"sums", no_argument, NULL, 'S'},
		{"no-sums", no_argument, NULL, 'N'},        {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 't')
			w->opts.trace = true;
		else if (c == 'S')
			w->opts.sums = 1;
		else if (c == 'N')
			w->opts.sums = -1;
		else if (c == 'd')
			w->directed = optarg;
		else if (c == 'n')
			w->opts.cuts = number(optarg);
		else if (c == 's')
			w->opts.seed = number(optarg);
		else if (c == 'l')
			w->opts.only_life = (unsigned)number(optarg);
		else if (c == 'e')
			w->opts.only_event = (unsigned)number(optarg);
		else if (c == 'c')
			w->opts.only_choice = (int)number(optarg);
		else if (c == 'k')
			w->opts.choices = (unsigned)number(optarg);
		else if (c == 'u')
			w->opts.uncut = number(optarg);
		else
			return false;
	}
	return true;
}

/* Memory that is used again and again stays with the process: an opening is mostly buffers. */
static void prepare(const struct wish *w)
{
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
	(void)mallopt(M_TOP_PAD, 32 << 20);
	if (!w->opts.trace)
		log_set_sink(silent);
	(void)sigaction(SIGABRT, &(struct sigaction){.sa_handler = died}, NULL);
	(void)sigaction(SIGSEGV, &(struct sigaction){.sa_handler = died}, NULL);
}

static bool run_all(const struct wish *w, struct totals *t)
{
	struct run_opts opts = w->opts;
	const char *name = w->directed && strcmp(w->directed, "all") ? w->directed : NULL;

	opts.cuts = 0;
	if (w->directed)
		return directed_run(&opts, name, &the_run, after_directed, t);
	if (opts.uncut)
		opts.choices = 0;
	if (opts.only_life)
		run_seed(&opts, t);
	for (uint64_t i = 0; i < opts.uncut && !t->failures; i++, opts.seed++)
		run_seed(&opts, t);
	if (opts.uncut || opts.only_life)
		return true;
	for (; t->cuts < w->opts.cuts && !t->failures; opts.seed++) {
		opts.cuts = w->opts.cuts - t->cuts;
		run_seed(&opts, t);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct wish w = {.opts = {.seed = 1,
				  .cuts = 10000,
				  .lives = 6,
				  .choices = 2,
				  .only_choice = -1,
				  .failures_max = 5}};
	struct totals t = {0};
	uint64_t start = now_ns();

	if (!parse(argc, argv, &w))
		return 2;
	prepare(&w);
	if (!run_all(&w, &t)) {
		fprintf(stderr, "crash: there is no directed test %s\n", w.directed);
		return 2;
	}
	print_totals(&t, now_ns() - start, w.opts.seed);
	return t.failures ? 1 : 0;
}
