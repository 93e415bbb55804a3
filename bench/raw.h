/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the yardsticks (lp-echo, lp-nbd, lp-native) share: plain sockets, spinning loops, one batch per
 * system call, and the same JSON as lp-perf. They measure what the machine can do without our engine, so
 * they use nothing of it.
 */
#ifndef LITEPOOL_BENCH_RAW_H
#define LITEPOOL_BENCH_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lat.h"

#define RAW_IOV_MAX 1024

struct raw_opts {
	const char *program, *addr, *path;
	uint16_t port;
	bool write, store, cold;
	uint32_t bs, qd, conns;
	uint64_t region; /* bytes */
	uint64_t warmup_ns, run_ns;
	int cpu, server_cpu; /* -1: anywhere */
	int sndbuf;
};

/* Takes "--name value" pairs; the rest ends the program with a usage line. */
struct raw_opts raw_options(int argc, char **argv, const char *usage);
__attribute__((noreturn, format(printf, 1, 2))) void raw_die(const char *fmt, ...);
uint64_t raw_now_ns(void);
void raw_pin(int cpu);
void *raw_alloc(size_t bytes); /* page aligned, touched */
/* xorshift: below bound. */
uint64_t raw_random(uint64_t bound);

int raw_listen(uint16_t *port);                   /* on 127.0.0.1; port 0: any, told */
int raw_accept(int listener);                     /* non-blocking, TCP_NODELAY */
int raw_connect(const char *addr, uint16_t port); /* the same */
/* Blocking ends of a handshake, whatever the socket's mode. */
void raw_read_full(int fd, void *buf, size_t len);
void raw_write_full(int fd, const void *buf, size_t len);

/* A vector on its way out. Filled by raw_out_add() when empty, sent by raw_out_flush() in as few calls as it takes. */
struct raw_out {
	struct iovec iov[RAW_IOV_MAX];
	int n, first;
};
void raw_out_add(struct raw_out *out, const void *base, size_t len);
static inline int raw_out_room(const struct raw_out *out)
{
	return RAW_IOV_MAX - out->n;
}
/* True when all is out. Ends the program when the other side is gone. */
bool raw_out_flush(struct raw_out *out, int fd);

/* Results: counted within the measured span only. */
struct raw_run {
	uint64_t measure_ns, end_ns;
	uint64_t ios;
	struct lat lat;
};
void raw_run_begin(struct raw_run *run, const struct raw_opts *o);
static inline void raw_run_count(struct raw_run *run, uint64_t start_ns, uint64_t now_ns)
{
	if (start_ns < run->measure_ns)
		return;
	run->ios++;
	lat_add(&run->lat, now_ns - start_ns);
}
void raw_run_report(const struct raw_run *run, const struct raw_opts *o);

#endif
