/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme-file --addr IP --port N --nqn NQN --hostnqn NQN --hostid UUID FILE: the namespace 1 of a subsystem as a file, by FUSE, through our own NVMe/TCP host. For
 * tests on kernels without nvme-tcp, with a loop device on top (nvme-hostd.py): as there, lost connections are made again and what was under way waits for them.
 *
 * Prints "ready SIZE BLOCK", and "size SIZE" whenever the namespace has become another size. Ends when FILE is unmounted; SIGKILL is a host that dies.
 * A line "OPCODE CDW10 KEY KEY" on stdin is a reservation command (numbers as the specification has them, 0 for a key that it has not); its status comes as "answer WORDS".
 *
 * Three threads: this one reads the kernel's requests and posts them; the reactor's runs them and writes the answers; one reads stdin.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "initiator/initiator.h"
#include "nvme/spec_identify.h"
#include "rt/uring.h"

#define IO_MAX  (128u * 1024) /* bytes of a request, as FUSE has it by default */
#define BUF_MAX (IO_MAX + 4096)
#define QUEUE   64

/* One request of the kernel, from read() to its answer. */
struct call {
	struct msg msg;
	struct nvme_hostcmd cmd;
	struct fuse_in_header in;
	uint8_t *data; /* 4096 before the payload of a write: the request as it came */
	uint32_t len;
};

static struct {
	struct reactor *reactor;
	struct nvme_host *host;
	struct nvme_hostcmd id;
	uint8_t id_data[NVME_IDENTIFY_SIZE];
	int fuse;
	unsigned lbads;
	uint64_t size;
	bool identifying, again;
	struct msg started;
} self = {.fuse = -1};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("nvme-file: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

/* ---- answers ---- */

static void answer(struct call *c, int error, const void *data, size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len), .error = error, .unique = c->in.unique};
	union {
		const void *c;
		void *v;
	} p = {data};
	struct iovec iov[2] = {{&out, sizeof(out)}, {p.v, len}};

	/* ENOENT: the request was interrupted; nobody waits for it. */
	if (writev(self.fuse, iov, len ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV)
		(void)fprintf(stderr, "nvme-file: answer: %s\n", strerror(errno));
	free(c->data);
	free(c);
}

static void answer_init(struct call *c)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
				    .minor = FUSE_KERNEL_MINOR_VERSION,
				    .max_readahead = IO_MAX,
				    .flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES,
				    .max_background = QUEUE,
				    .congestion_threshold = QUEUE,
				    .max_write = IO_MAX,
				    .time_gran = 1};

	answer(c, 0, &out, sizeof(out));
}

static void answer_attr(struct call *c)
{
	struct fuse_attr_out out = {.attr = {.ino = FUSE_ROOT_ID,
					     .size = self.size,
					     .blocks = self.size >> 9,
					     .mode = S_IFREG | 0600,
					     .nlink = 1,
					     .blksize = 4096}};

	answer(c, 0, &out, sizeof(out));
}

static void io_done(struct nvme_hostcmd *cmd, int status)
{
	struct call *c = cmd->ctx;
	struct fuse_write_out written = {.size = cmd->data_len};
	char text[NVME_HOSTCMD_STATUS_TEXT];

	if (status != 0) {
		(void)fprintf(stderr, "nvme-file: opcode %u: %s\n", cmd->sqe.opcode,
			      nvme_hostcmd_status_text(status, text));
		answer(c, -EIO, NULL, 0);
	} else if (c->in.opcode == FUSE_READ) {
		answer(c, 0, cmd->data, cmd->data_len);
	} else if (c->in.opcode == FUSE_WRITE) {
		answer(c, 0, &written, sizeof(written));
	} else {
		answer(c, 0, NULL, 0);
	}
}

static void rw(struct call *c, bool write, uint64_t offset, uint32_t len, void *data)
{
	uint64_t mask = (1u << self.lbads) - 1;

	if ((offset | len) & mask || offset + len > self.size || !len) {
		answer(c, offset >= self.size ? 0 : -EINVAL, NULL, 0);
		return;
	}
	nvme_hostcmd_rw(&c->cmd, write, 1, offset >> self.lbads, len >> self.lbads, data, len);
	nvme_host_io(self.host, 0, &c->cmd);
}

/* On the reactor. */
static void call_run(struct msg *msg)
{
	struct call *c = container_of(msg, struct call, msg);
	const struct fuse_read_in *r = (const void *)(c->data + sizeof(c->in));
	const struct fuse_write_in *w = (const void *)(c->data + sizeof(c->in));
	struct fuse_open_out open = {.open_flags = FOPEN_DIRECT_IO};
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .namelen = 255}};

	c->cmd.done = io_done;
	c->cmd.ctx = c;
	switch (c->in.opcode) {
	case FUSE_INIT:
		answer_init(c);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer_attr(c);
		break;
	case FUSE_OPEN:
		answer(c, 0, &open, sizeof(open));
		break;
	case FUSE_STATFS:
		answer(c, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_READ: {
		uint64_t offset = r->offset;
		uint32_t size = r->size;

		rw(c, false, offset, size, c->data);
		break;
	}
	case FUSE_WRITE:
		rw(c, true, w->offset, w->size, c->data + sizeof(c->in) + sizeof(*w));
		break;
	case FUSE_FSYNC:
		nvme_hostcmd_flush(&c->cmd, 1);
		nvme_host_io(self.host, 0, &c->cmd);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		answer(c, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* these have no answer */
		free(c->data);
		free(c);
		break;
	default:
		answer(c, -ENOSYS, NULL, 0);
		break;
	}
}

/* ---- the host ---- */

static void identify(void)
{
	self.again = self.identifying;
	if (self.identifying)
		return;
	self.identifying = true;
	nvme_hostcmd_identify(&self.id, NVME_CNS_NS, 1, self.id_data);
	nvme_host_admin(self.host, &self.id);
}

static void identified(struct nvme_hostcmd *cmd, int status)
{
	const struct nvme_id_ns *id = (const void *)self.id_data;
	uint64_t size, was;
	bool first = !self.lbads;

	self.identifying = false;
	if (status != 0) {
		if (first)
			die("Identify: status %d", status);
		return;
	}
	self.lbads = id->lbaf[id->flbas & 0xf].lbads;
	size = get_le64(&id->nsze) << self.lbads;
	if (!size && first)
		die("the subsystem has no namespace 1");
	was = self.size;
	if (size)
		self.size = size;
	if (first)
		(void)printf("ready %" PRIu64 " %u\n", size, 1u << self.lbads);
	else if (self.size != was)
		(void)printf("size %" PRIu64 "\n", size);
	(void)fflush(stdout);
	if (self.again)
		identify();
}

static void on_state(struct nvme_host *h, int state, const struct err *err, void *ctx)
{
	if (state == 0) {
		identify();
		return;
	}
	(void)fprintf(stderr, "nvme-file: %s\n", err->text);
	if (!self.lbads)
		die("cannot connect: %s", err->text);
}

static void on_event(struct nvme_host *h, uint32_t dw0, void *ctx)
{
	identify();
}

static struct nvme_host_opts wanted;

static void host_start(struct msg *msg)
{
	struct err err = {0};

	self.id.done = identified;
	if (nvme_host_new(self.reactor, &wanted, &self.host, &err) < 0)
		die("%s", err.text);
}

/* ---- reservations ---- */

/* One line of stdin, from the thread that read it to its answer. */
struct order {
	struct msg msg;
	struct nvme_hostcmd cmd;
	uint8_t keys[16];
};

static void order_done(struct nvme_hostcmd *cmd, int status)
{
	struct order *order = cmd->ctx;
	char text[NVME_HOSTCMD_STATUS_TEXT];

	(void)printf("answer %s\n", status ? nvme_hostcmd_status_text(status, text) : "success");
	(void)fflush(stdout);
	free(order);
}

static void order_run(struct msg *msg)
{
	nvme_host_io(self.host, 0, &container_of(msg, struct order, msg)->cmd);
}

static void *read_orders(void *unused)
{
	char line[160];

	while (fgets(line, sizeof(line), stdin)) {
		struct order *order = calloc(1, sizeof(*order));
		uint64_t first, second;
		uint32_t cdw10;
		uint8_t opcode;

		if (!order)
			die("no memory for an order");
		if (sscanf(line, "%" SCNu8 " %" SCNu32 " %" SCNu64 " %" SCNu64, &opcode, &cdw10,
			   &first, &second) != 4)
			die("no order: %s", line);
		nvme_hostcmd_simple(&order->cmd, opcode, 1);
		put_le32(&order->cmd.sqe.cdw10, cdw10);
		put_le64(order->keys, first);
		put_le64(order->keys + 8, second);
		order->cmd.data = order->keys;
		order->cmd.data_len = opcode == NVME_IO_RESV_RELEASE ? 8 : 16;
		order->cmd.done = order_done;
		order->cmd.ctx = order;
		order->msg.run = order_run;
		reactor_post(self.reactor, &order->msg);
	}
	return NULL;
}

/* ---- FUSE ---- */

static void serve(void)
{
	static uint8_t buf[BUF_MAX];

	for (;;) {
		ssize_t n = read(self.fuse, buf, sizeof(buf));
		struct call *c;

		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < 0 && errno == ENODEV) /* unmounted */
			return;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			die("/dev/fuse: %s", strerror(errno));
		c = calloc(1, sizeof(*c));
		if (c)
			c->data = malloc(BUF_MAX);
		if (!c || !c->data)
			die("no memory for a request");
		memcpy(&c->in, buf, sizeof(c->in));
		memcpy(c->data, buf, (size_t)n);
		c->len = (uint32_t)n;
		c->msg.run = call_run;
		reactor_post(self.reactor, &c->msg);
	}
}

static void mount_file(const char *file)
{
	char options[128];

	self.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (self.fuse < 0)
		die("/dev/fuse: %s", strerror(errno));
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=100600,user_id=0,group_id=0,max_read=%u", self.fuse, IO_MAX);
	if (mount("nvme-file", file, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		die("mounting %s: %s", file, strerror(errno));
}

static const char *take_options(int argc, char **argv)
{
	static const struct option options[] = {{"addr", 1, NULL, 'a'},   {"port", 1, NULL, 'p'},
						{"nqn", 1, NULL, 'n'},    {"hostnqn", 1, NULL, 'q'},
						{"hostid", 1, NULL, 'i'}, {NULL, 0, NULL, 0}};
	const char *addr = "", *port = "4420";
	int opt;

	wanted = nvme_host_opts_default();
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			addr = optarg;
			break;
		case 'p':
			port = optarg;
			break;
		case 'n':
			wanted.subnqn = optarg;
			break;
		case 'q':
			wanted.hostnqn = optarg;
			break;
		case 'i':
			if (!uuid_parse(optarg, &wanted.hostid))
				die("--hostid %s is no UUID", optarg);
			break;
		default:
			die("see the head of its source");
		}
	}
	if (optind + 1 != argc || !wanted.subnqn ||
	    sock_addr_ip(addr, (uint16_t)strtol(port, NULL, 10), &wanted.addr) < 0)
		die("needs --addr, --port, --nqn and a file");
	return argv[optind];
}

int main(int argc, char **argv)
{
	struct reactor_opts opts = {.name = "nvme-file", .cpu = -1, .poll_us = POLL_US_NEVER};
	const char *file = take_options(argc, argv);
	struct env *env;
	struct err err = {0};
	pthread_t orders;

	(void)signal(SIGPIPE, SIG_IGN);
	wanted.queue_size = QUEUE;
	wanted.kato_ms = 5000;
	wanted.reconnect = true;
	wanted.on_state = on_state;
	wanted.on_event = on_event;
	mount_file(file);
	if (uring_env_new(NULL, &env, &err) < 0 ||
	    reactor_new(&opts, env, &self.reactor, &err) < 0 ||
	    reactor_start(self.reactor, &err) < 0)
		die("%s", err.text);
	self.started.run = host_start;
	reactor_post(self.reactor, &self.started);
	if (pthread_create(&orders, NULL, read_orders, NULL) != 0)
		die("no thread for stdin");
	serve();
	/* Unmounted: nothing is under way. The target notices the end of the connections. */
	return 0;
}
