/* SPDX-License-Identifier: Apache-2.0 */
/* Options, sockets and reports of the yardsticks. Errors end the program: there is nobody to recover for. */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/str.h"

static const char *program = "bench";

void raw_die(const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s: ", program);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

uint64_t raw_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void raw_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		raw_die("pinning to core %d: %s", cpu, strerror(errno));
}

void *raw_alloc(size_t bytes)
{
	void *p = aligned_alloc(4096, align_up(bytes, 4096));

	if (!p)
		raw_die("no memory for %zu bytes", bytes);
	memset(p, 0x5a, bytes);
	return p;
}

uint64_t raw_random(uint64_t bound)
{
	static uint64_t x = 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % bound;
}

/* --- sockets --- */

static const char *congestion; /* of all sockets; NULL: the host's default */

static void socket_setup(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		raw_die("setting up a socket: %s", strerror(errno));
	if (congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
				     (socklen_t)strlen(congestion)) < 0)
		raw_die("congestion control '%s': %s", congestion, strerror(errno));
}

int raw_listen(uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(*port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		raw_die("listening: %s", strerror(errno));
	*port = ntohs(sin.sin_port);
	return fd;
}

int raw_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		raw_die("accepting: %s", strerror(errno));
	socket_setup(fd);
	return fd;
}

int raw_connect(const char *addr, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1)
		raw_die("'%s' is not an IPv4 address", addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		raw_die("connecting to %s:%u: %s", addr, port, strerror(errno));
	socket_setup(fd);
	return fd;
}

static void wait_for(int fd, short events)
{
	struct pollfd pfd = {fd, events, 0};

	if (poll(&pfd, 1, 10000) <= 0)
		raw_die("the other side says nothing");
}

void raw_read_full(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(fd, (char *)buf + done, len - done, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			raw_die("the other side closed the connection");
		if (n < 0)
			wait_for(fd, POLLIN);
		else
			done += (size_t)n;
	}
}

void raw_write_full(int fd, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, (const char *)buf + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			raw_die("sending: %s", strerror(errno));
		if (n < 0)
			wait_for(fd, POLLOUT);
		else
			done += (size_t)n;
	}
}

void raw_out_add(struct raw_out *out, const void *base, size_t len)
{
	union {
		const void *c;
		void *v;
	} p = {base};

	/* Neighbours in memory are one entry. */
	if (out->n > out->first &&
	    (char *)out->iov[out->n - 1].iov_base + out->iov[out->n - 1].iov_len == base)
		out->iov[out->n - 1].iov_len += len;
	else
		out->iov[out->n++] = (struct iovec){p.v, len};
}

static void out_advance(struct raw_out *out, size_t sent)
{
	while (out->first < out->n && sent >= out->iov[out->first].iov_len)
		sent -= out->iov[out->first++].iov_len;
	if (out->first < out->n) {
		out->iov[out->first].iov_base = (char *)out->iov[out->first].iov_base + sent;
		out->iov[out->first].iov_len -= sent;
	} else {
		out->first = 0;
		out->n = 0;
	}
}

bool raw_out_flush(struct raw_out *out, int fd)
{
	struct msghdr msg = {0};
	ssize_t n;

	if (out->first == out->n)
		return true;
	msg.msg_iov = out->iov + out->first;
	msg.msg_iovlen = (size_t)(out->n - out->first);
	n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		exit(0); /* the other side has seen enough */
	if (n > 0)
		out_advance(out, (size_t)n);
	return out->n == 0;
}

/* --- options and results --- */

static const struct option options[] = {
	{"read", 0, NULL, 'r'},       {"write", 0, NULL, 'w'},      {"store", 0, NULL, 'S'},
	{"bs", 1, NULL, 'b'},         {"qd", 1, NULL, 'q'},         {"region", 1, NULL, 'g'},
	{"seconds", 1, NULL, 's'},    {"warmup", 1, NULL, 'u'},     {"cpu", 1, NULL, 'c'},
	{"server-cpu", 1, NULL, 'C'}, {"addr", 1, NULL, 'a'},       {"port", 1, NULL, 'p'},
	{"file", 1, NULL, 'f'},       {"help", 0, NULL, 'h'},       {"cold", 0, NULL, 'd'},
	{"conns", 1, NULL, 'n'},      {"congestion", 1, NULL, 'G'}, {NULL, 0, NULL, 0},
};

static uint64_t option_number(const char *arg, uint64_t max)
{
	uint64_t v;

	if (!str_to_size(arg, &v) || v > max)
		raw_die("'%s' is not a number up to %llu", arg, (unsigned long long)max);
	return v;
}

static void option_take(struct raw_opts *o, int opt, const char *usage)
{
	switch (opt) {
	case 'r':
		o->write = false;
		break;
	case 'w':
		o->write = true;
		break;
	case 'S':
		o->store = true;
		break;
	case 'd':
		o->cold = true;
		break;
	case 'G':
		congestion = optarg;
		break;
	case 'n':
		o->conns = (uint32_t)option_number(optarg, 10000);
		break;
	case 'b':
		o->bs = (uint32_t)option_number(optarg, 16 * MIB);
		break;
	case 'q':
		o->qd = (uint32_t)option_number(optarg, 4096);
		break;
	case 'g':
		o->region = option_number(optarg, TIB);
		break;
	case 's':
		o->run_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
		break;
	case 'u':
		o->warmup_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
		break;
	case 'c':
		o->cpu = (int)option_number(optarg, 4095);
		break;
	case 'C':
		o->server_cpu = (int)option_number(optarg, 4095);
		break;
	case 'a':
		o->addr = optarg;
		break;
	case 'p':
		o->port = (uint16_t)option_number(optarg, 65535);
		break;
	case 'f':
		o->path = optarg;
		break;
	case 'h':
		(void)fputs(usage, stdout);
		exit(0);
	default:
		(void)fputs(usage, stderr);
		exit(2);
	}
}

struct raw_opts raw_options(int argc, char **argv, const char *usage)
{
	struct raw_opts o = {
		.program = argv[0],
		.addr = "127.0.0.1",
		.bs = 4096,
		.qd = 1,
		.conns = 1,
		.region = 256 * MIB,
		.run_ns = NSEC_PER_SEC,
		.cpu = -1,
		.server_cpu = -1,
	};
	int opt;

	program = argv[0];
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		option_take(&o, opt, usage);
	if (optind < argc || !o.bs || !o.qd || !o.conns || (o.conns > 1 && o.qd > 1) ||
	    o.region < o.bs || !o.run_ns) {
		(void)fputs(usage, stderr);
		exit(2);
	}
	return o;
}

void raw_run_begin(struct raw_run *run, const struct raw_opts *o)
{
	memset(run, 0, sizeof(*run));
	run->measure_ns = raw_now_ns() + o->warmup_ns;
	run->end_ns = run->measure_ns + o->run_ns;
}

void raw_run_report(const struct raw_run *run, const struct raw_opts *o)
{
	double iops = (double)run->ios / ((double)o->run_ns / 1e9);
	json_t *json = json_object();

	(void)json_object_set_new(json, "iops", json_integer((json_int_t)iops));
	(void)json_object_set_new(json, "mib_s",
				  json_integer((json_int_t)(iops * o->bs / (double)MIB)));
	lat_report(&run->lat, json);
	(void)json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
	(void)putchar('\n');
	json_decref(json);
}
