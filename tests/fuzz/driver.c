/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: every file of its corpus as it is, then a fixed number of seeded random mutations of
 * them. The seed is fixed unless given, so that a failure comes again. The input that killed the target is kept in
 * ./crash-input.
 *
 *   driver-NAME [--runs N] [--seed S] FILE-OR-FOLDER...
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/str.h"

#include "fuzz.h"

#define INPUT_MAX  ((size_t)65536)
#define INPUTS_MAX 4096

struct input {
	uint8_t *data;
	size_t size;
};

static struct input corpus[INPUTS_MAX];
static size_t corpus_count;
static uint8_t current[INPUT_MAX];
static size_t current_size;
static uint64_t runs = 20000, seed = 1;

static void usage(void)
{
	fprintf(stderr, "usage: driver [--runs N] [--seed S] FILE-OR-FOLDER...\n");
	exit(2);
}

static void add_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct input in = {.data = malloc(INPUT_MAX)};

	if (!f || !in.data || corpus_count == INPUTS_MAX) {
		fprintf(stderr, "cannot take %s into the corpus: %s\n", path, strerror(errno));
		exit(2);
	}
	in.size = fread(in.data, 1, INPUT_MAX, f);
	(void)fclose(f);
	corpus[corpus_count++] = in;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_path(const char *path)
{
	struct dirent **names;
	char full[4096];
	struct stat st;
	int n;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	/* Sorted, so that a seed means the same on every file system. */
	n = scandir(path, &names, NULL, by_name);
	if (n < 0) {
		fprintf(stderr, "cannot read the corpus %s: %s\n", path, strerror(errno));
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			(void)snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
			add_file(full);
		}
		free(names[i]);
	}
	free(names);
}

/* Keeps the input that killed the target. Only async-signal-safe calls from here on. */
static void keep_input(int sig)
{
	static const char name[] = "crash-input";
	ssize_t n;
	int fd;

	(void)unlink(name);
	fd = creat(name, 0644);
	if (fd >= 0) {
		n = write(fd, current, current_size);
		n += write(STDERR_FILENO, "the input is in ./crash-input\n", 30);
		(void)n;
	}
	(void)raise(sig);
}

static void insert_bytes(struct rng *rng, const uint8_t *from, size_t len)
{
	size_t at = rng_below(rng, current_size + 1);

	len = MIN(len, INPUT_MAX - current_size);
	memmove(current + at + len, current + at, current_size - at);
	memmove(current + at, from, len);
	current_size += len;
}

static void erase_bytes(struct rng *rng)
{
	size_t at = rng_below(rng, current_size);
	size_t len = 1 + rng_below(rng, MIN(current_size - at, (size_t)64));

	memmove(current + at, current + at + len, current_size - at - len);
	current_size -= len;
}

/* Puts a piece of another input over or into this one. */
static void cross(struct rng *rng)
{
	const struct input *other = &corpus[rng_below(rng, corpus_count)];
	size_t from, len;

	if (other->size == 0)
		return;
	from = rng_below(rng, other->size);
	len = 1 + rng_below(rng, other->size - from);
	if (rng_chance(rng, 0.5))
		insert_bytes(rng, other->data + from, len);
	else if (len <= current_size)
		memcpy(current + rng_below(rng, current_size - len + 1), other->data + from, len);
}

static void put_number(struct rng *rng)
{
	static const uint64_t odd[] = {0,         1,          0x7f,       0x80,     0xff,
				       0x7fff,    0xffff,     0x7fffffff, 1u << 31, UINT32_MAX,
				       INT64_MAX, UINT64_MAX, 4096,       8192};
	size_t width = (size_t)1 << rng_below(rng, 4);
	uint8_t bytes[8];

	put_le64(bytes, odd[rng_below(rng, ARRAY_LEN(odd))]);
	if (width <= current_size)
		memcpy(current + rng_below(rng, current_size - width + 1), bytes, width);
}

static void mutate(struct rng *rng)
{
	uint8_t random[8];

	rng_fill(rng, random, sizeof(random));
	switch (current_size ? rng_below(rng, 7) : 0) {
	case 0:
		insert_bytes(rng, random, 1 + rng_below(rng, sizeof(random)));
		break;
	case 1:
		current[rng_below(rng, current_size)] ^= (uint8_t)(1u << rng_below(rng, 8));
		break;
	case 2:
		current[rng_below(rng, current_size)] = random[0];
		break;
	case 3:
		erase_bytes(rng);
		break;
	case 4:
		cross(rng);
		break;
	case 5:
		put_number(rng);
		break;
	default:
		current_size = rng_below(rng, current_size + 1);
		break;
	}
}

/* The target gets memory of just the size, so that sanitizers see every step behind it. */
static void run_current(void)
{
	uint8_t *exact = malloc(current_size ? current_size : 1);

	if (!exact)
		exit(2);
	memcpy(exact, current, current_size);
	(void)LLVMFuzzerTestOneInput(exact, current_size);
	free(exact);
}

static void load(const struct input *in)
{
	if (in->size)
		memcpy(current, in->data, in->size);
	current_size = in->size;
}

static void run_all(void)
{
	struct rng rng;

	for (size_t i = 0; i < corpus_count; i++) {
		load(&corpus[i]);
		run_current();
	}
	rng_seed(&rng, seed);
	for (uint64_t i = 0; i < runs; i++) {
		uint64_t changes = 1 + rng_below(&rng, 8);

		load(&corpus[rng_below(&rng, corpus_count)]);
		while (changes--)
			mutate(&rng);
		run_current();
	}
}

int main(int argc, char **argv)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
	struct sigaction sa = {.sa_handler = keep_input, .sa_flags = SA_RESETHAND | SA_NODEFER};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
			if (!str_to_u64(argv[++i], 0, UINT64_MAX, &runs))
				usage();
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			if (!str_to_u64(argv[++i], 0, UINT64_MAX, &seed))
				usage();
		} else if (argv[i][0] == '-') {
			usage();
		} else {
			add_path(argv[i]);
		}
	}
	if (corpus_count == 0)
		usage();
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		(void)sigaction(fatal[i], &sa, NULL);
	run_all();
	printf("%zu corpus inputs and %" PRIu64 " mutations (seed %" PRIu64 ") passed\n",
	       corpus_count, runs, seed);
	for (size_t i = 0; i < corpus_count; i++)
		free(corpus[i].data);
	return 0;
}
