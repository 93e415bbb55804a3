/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/str.h"
#include "rt/uring.h"

#define PAYLOAD_MAX (2u << 20)

struct rig_opts rig_opts_default(void)
{
	struct rig_opts o = {.tcp = tcp_transport_opts_default(), .bufs = iobuf_counts_default()};

	return o;
}

static struct reactor *make_reactor(unsigned id, const char *name)
{
	struct reactor_opts opts = {.id = id, .name = name, .cpu = -1, .poll_us = 0};
	struct reactor *r = NULL;
	struct env *env;
	struct err err;

	if (uring_env_new(NULL, &env, &err) || reactor_new(&opts, env, &r, &err))
		fail_msg("%s", err.text);
	return r;
}

void rig_done(void *ctx, int res)
{
	struct rig *rig = ctx;

	assert_int_equal(res, 0);
	assert_int_equal(sem_post(&rig->done), 0);
}

void rig_wait(struct rig *rig)
{
	struct timespec deadline;

	if (rig->threads) {
		assert_int_equal(clock_gettime(CLOCK_REALTIME, &deadline), 0);
		deadline.tv_sec += 30;
		assert_int_equal(sem_timedwait(&rig->done, &deadline), 0);
		return;
	}
	for (int i = 0; i < RIG_PASSES; i++) {
		if (!sem_trywait(&rig->done))
			return;
		rig_pump(rig);
	}
	fail_msg("a call of the target did not end");
}

struct call {
	struct msg msg;
	struct rig *rig;
	void (*fn)(struct rig *rig);
};

static void call_run(struct msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);
	struct rig *rig = call->rig;

	call->fn(rig);
	assert_int_equal(sem_post(&rig->done), 0);
}

void rig_call(struct rig *rig, void (*fn)(struct rig *rig))
{
	struct call call = {.msg.run = call_run, .rig = rig, .fn = fn};

	reactor_post(rig->control, &call.msg);
	rig_wait(rig);
}

void rig_pump(struct rig *rig)
{
	struct pollfd pfd = {.fd = rig->wait_fd, .events = POLLIN};
	bool busy;

	if (rig->threads) { /* something may come for the client that waits */
		(void)poll(&pfd, 1, 5);
		return;
	}
	busy = reactor_pass(rig->control, 0);
	busy |= reactor_pass(rig->data, 0);
	if (!busy)
		(void)reactor_pass(rig->data, 100 * 1000);
}

static void make_disk(struct rig *rig)
{
	struct disk_ram_opts ram = {.name = "ram0",
				    .uuid = {{1}},
				    .size_bytes = (uint64_t)RIG_BLOCKS * RIG_BLOCK,
				    .block_size = RIG_BLOCK};
	struct disk_fault_opts fault = {.name = "fault0", .uuid = {{2}}, .seed = 1};
	struct err err;

	if (disk_ram_new(&ram, &rig->ram, &err))
		fail_msg("%s", err.text);
	ram.name = "ram1";
	ram.uuid.b[0] = 3;
	if (disk_ram_new(&ram, &rig->slow, &err))
		fail_msg("%s", err.text);
	fault.base = rig->slow;
	if (disk_fault_new(&fault, &rig->fault, &err))
		fail_msg("%s", err.text);
}

static void make_subsystem(struct rig *rig)
{
	struct nvme_subsystem_opts opts = {
		.nqn = RIG_SUBNQN, .max_namespaces = 4, .allow_any_host = true};
	struct err err;

	if (nvme_subsystem_new(rig->target, &opts, &rig->ss, &err))
		fail_msg("%s", err.text);
}

static void add_ns(struct rig *rig, uint32_t nsid, struct blk_dev *dev)
{
	struct nvme_ns_opts ns = {.nsid = nsid, .dev = dev};
	uint32_t got;
	struct err err;

	if (nvme_subsystem_add_ns(rig->ss, &ns, &got, rig_done, rig, &err))
		fail_msg("%s", err.text);
}

static void add_ram(struct rig *rig)
{
	add_ns(rig, 1, rig->ram);
}

static void add_fault(struct rig *rig)
{
	add_ns(rig, 2, rig->fault);
}

static void add_listener(struct rig *rig)
{
	struct err err;

	if (nvme_subsystem_add_listener(rig->ss, tcp_listener_port(rig->listener), rig_done, rig,
					&err))
		fail_msg("%s", err.text);
}

static void make_transport(struct rig *rig)
{
	struct sock_addr addr;
	uint64_t port;
	struct err err;

	if (tcp_transport_new(rig->target, rig->control, &rig->data, 1, &rig->opts.tcp,
			      &rig->transport, &err))
		fail_msg("%s", err.text);
	assert_int_equal(sock_addr_ip("127.0.0.1", rig->opts.port, &addr), 0);
	if (rig->opts.port)
		rig_take_listener(rig);
	if (tcp_listen(rig->transport, &addr, NULL, &rig->listener, &err))
		fail_msg("%s", err.text);
	assert_true(str_to_u64(nvme_port_addr(tcp_listener_port(rig->listener))->trsvcid, 1, 65535,
			       &port));
	rig->port = (uint16_t)port;
}

static void make_target(struct rig *rig)
{
	struct nvme_target_opts opts = nvme_target_opts_default();
	struct err err;

	opts.control = rig->control;
	opts.data = &rig->data;
	opts.n_data = 1;
	if (nvme_target_new(&opts, &rig->target, &err))
		fail_msg("%s", err.text);
	make_disk(rig);
	make_transport(rig);
	make_subsystem(rig);
}

static void run(struct rig *rig)
{
	struct err err;

	if (!rig->threads)
		rig_pump(rig);
	else if (reactor_start(rig->data, &err) || reactor_start(rig->control, &err))
		fail_msg("%s", err.text);
}

struct rig *rig_new(const struct rig_opts *opts)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct err err;

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	rig->opts = *opts;
	rig->threads = opts->threads;
	rig->wait_fd = -1;
	assert_int_equal(sem_init(&rig->done, 0, 0), 0);
	rig->data = make_reactor(0, "data0");
	rig->control = make_reactor(1, "control");
	if (iobuf_arena_new(&opts->bufs, 2, &rig->arena, &err))
		fail_msg("%s", err.text);
	reactor_set_iobufs(rig->data, iobuf_arena_pool(rig->arena, 0));
	reactor_set_iobufs(rig->control, iobuf_arena_pool(rig->arena, 1));
	run(rig);
	rig_call(rig, make_target);
	rig_call(rig, add_ram);
	rig_wait(rig);
	rig_call(rig, add_fault);
	rig_wait(rig);
	rig_call(rig, add_listener);
	rig_wait(rig);
	return rig;
}

uint32_t rig_bufs_in_use(struct rig *rig)
{
	uint32_t n = 0;

	for (int c = 0; c < IOBUF_CLASSES; c++)
		for (unsigned p = 0; p < 2; p++)
			n += iobuf_usage(iobuf_arena_pool(rig->arena, p), c).in_use;
	return n;
}

uint64_t rig_stat(struct rig *rig, const char *name)
{
	json_t *stats = tcp_transport_stats_json(rig->transport), *one;
	uint64_t sum = 0;
	size_t i;

	json_array_foreach (stats, i, one) {
		assert_non_null(json_object_get(one, name));
		sum += (uint64_t)json_integer_value(json_object_get(one, name));
	}
	json_decref(stats);
	return sum;
}

unsigned rig_conns(struct rig *rig)
{
	return (unsigned)(rig_stat(rig, "accepted") - rig_stat(rig, "closed"));
}

static void stop_target(struct rig *rig)
{
	nvme_target_stop(rig->target, rig_done, rig);
}

static void stop_transport(struct rig *rig)
{
	tcp_transport_stop(rig->transport, rig_done, rig);
}

static void delete_subsystem(struct rig *rig)
{
	nvme_subsystem_delete(rig->ss, rig_done, rig);
}

static void free_all(struct rig *rig)
{
	tcp_transport_free(rig->transport);
	nvme_target_free(rig->target);
	rig->fault->ops->destroy(rig->fault); /* its parts in the reactors go by message */
}

static void free_disks(struct rig *rig)
{
	rig->slow->ops->destroy(rig->slow);
	rig->ram->ops->destroy(rig->ram);
}

static void nothing(struct rig *rig)
{
}

/* Lets messages that travel between the reactors arrive. */
static void settle(struct rig *rig)
{
	struct call call = {.msg.run = call_run, .rig = rig, .fn = nothing};

	for (int i = 0; i < 10; i++) {
		reactor_post(rig->data, &call.msg);
		rig_wait(rig);
		rig_call(rig, nothing);
	}
}

void rig_free(struct rig *rig)
{
	rig_call(rig, stop_target);
	rig_wait(rig);
	rig_call(rig, stop_transport);
	rig_wait(rig);
	assert_int_equal(rig_bufs_in_use(rig), 0);
	rig_call(rig, delete_subsystem);
	rig_wait(rig);
	rig_call(rig, free_all);
	settle(rig);
	rig_call(rig, free_disks);
	if (rig->threads) {
		reactor_stop(rig->data);
		reactor_stop(rig->control);
		reactor_join(rig->data);
		reactor_join(rig->control);
	}
	reactor_free(rig->data);
	reactor_free(rig->control);
	iobuf_arena_free(rig->arena);
	(void)sem_destroy(&rig->done);
	free(rig);
}

/* --- client --- */

struct client *client_new(struct rig *rig)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(rig->port),
				  .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct client *c = calloc(1, sizeof(*c));
	int one = 1;

	assert_non_null(c);
	c->rig = rig;
	c->payload = malloc(PAYLOAD_MAX);
	assert_non_null(c->payload);
	wire_rx_init(&c->rx, WIRE_HOST, 0);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	(void)close(c->fd);
	free(c->payload);
	free(c);
}

void client_send(struct client *c, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (int i = 0; len && i < RIG_PASSES; i++) {
		ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return; /* closed by the target: the next receive tells */
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		if (len)
			rig_pump(c->rig);
	}
	assert_int_equal(len, 0);
}

/* Exactly the bytes that the machine wants, so that nothing is read ahead. False: nothing there now. */
static bool receive(struct client *c)
{
	uint8_t small[256];
	struct iovec iov = {.iov_base = small};
	bool want = wire_rx_want(&c->rx, &iov);
	struct wire_in in = {0};
	ssize_t n;

	if (!want)
		iov.iov_len = wire_rx_need(&c->rx);
	n = recv(c->fd, iov.iov_base, iov.iov_len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		c->eof = true;
		return false;
	}
	if (want)
		(void)wire_rx_received(&c->rx, (size_t)n);
	else
		in = (struct wire_in){.p = small, .end = small + n};
	switch (wire_rx_step(&c->rx, &in)) {
	case WIRE_EV_MORE:
		break;
	case WIRE_EV_HEADER:
		memcpy(c->header, c->rx.hdr, c->rx.hdr->hlen);
		c->payload_len = c->rx.data_len;
		assert_true(c->payload_len <= PAYLOAD_MAX);
		if (!c->payload_len)
			return true;
		wire_rx_dest(&c->rx, c->payload);
		break;
	case WIRE_EV_DATA:
		c->digest_ok = c->rx.digest_ok;
		return true;
	case WIRE_EV_ERROR:
	default:
		fail_msg("the target sent a bad PDU: fes=%u fei=%u", c->rx.error.fes,
			 c->rx.error.fei);
	}
	return receive(c);
}

void client_sent_all(struct client *c)
{
	int left = 1;
	for (int i = 0; i < RIG_PASSES && left; i += 1 + poll(NULL, 0, 1))
		assert_false(ioctl(c->fd, SIOCOUTQ, &left));
	assert_int_equal(left, 0);
}

int client_next(struct client *c)
{
	for (int i = 0; i < RIG_PASSES; i++) {
		if (receive(c))
			return c->header[0];
		if (c->eof)
			return -1;
		c->rig->wait_fd = c->fd;
		rig_pump(c->rig);
	}
	fail_msg("no PDU came");
	return -1;
}

void client_expect_quiet(struct client *c)
{
	for (int i = 0; i < 30; i++) {
		assert_false(receive(c));
		assert_false(c->eof);
		rig_pump(c->rig);
	}
}

void client_ic(struct client *c, uint8_t dgst, uint8_t hpda)
{
	uint8_t pdu[sizeof(struct pdu_icreq)];
	struct pdu_icresp resp;

	client_send(c, pdu, pdu_build_icreq(pdu, hpda, dgst, 0));
	assert_int_equal(client_next(c), PDU_ICRESP);
	memcpy(&resp, c->header, sizeof(resp));
	c->maxh2cdata = get_le32(&resp.maxh2cdata);
	assert_int_equal(resp.cpda, 0);
	c->fmt = (struct pdu_format){.hdgst = resp.dgst & PDU_DGST_HEADER,
				     .ddgst = resp.dgst & PDU_DGST_DATA};
	wire_rx_negotiated(&c->rx, c->fmt.hdgst, c->fmt.ddgst);
}

static void send_data(struct client *c, uint8_t pad, const void *data, uint32_t len)
{
	uint8_t zero[128] = {0}, digest[PDU_DIGEST_LEN];

	client_send(c, zero, pad);
	client_send(c, data, len);
	pdu_put_digest(digest, crc32c(data, len));
	if (c->fmt.ddgst)
		client_send(c, digest, sizeof(digest));
}

void client_command(struct client *c, const struct nvme_sqe *sqe, const void *data, uint32_t len)
{
	uint8_t pdu[sizeof(struct pdu_cmd) + PDU_DIGEST_LEN], pad;

	client_send(c, pdu, pdu_build_cmd(pdu, &c->fmt, sqe, len, &pad));
	if (len)
		send_data(c, pad, data, len);
}

void client_h2c(struct client *c, const struct pdu_data_fields *f, const void *data)
{
	uint8_t pdu[sizeof(struct pdu_data) + PDU_DIGEST_LEN], pad;

	client_send(c, pdu, pdu_build_h2c_data(pdu, &c->fmt, f, &pad));
	send_data(c, pad, data, f->datal);
}

struct nvme_sqe client_rw(bool write, uint16_t cid, uint64_t lba, uint32_t blocks, bool in_capsule)
{
	struct nvme_sqe sqe = {.opcode = write ? NVME_IO_WRITE : NVME_IO_READ,
			       .flags = NVME_SQE_PSDT_SGL_MPTR_CONTIG};

	put_le16(&sqe.cid, cid);
	put_le32(&sqe.nsid, 1);
	put_le32(&sqe.cdw10, (uint32_t)lba);
	put_le32(&sqe.cdw12, blocks - 1);
	put_le32(&sqe.sgl.length, blocks * RIG_BLOCK);
	sqe.sgl.type = in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT_DATA;
	return sqe;
}

uint16_t client_answer(struct client *c, uint16_t cid)
{
	struct pdu_resp resp;

	assert_int_equal(client_next(c), PDU_CAPSULE_RESP);
	memcpy(&resp, c->header, sizeof(resp));
	assert_int_equal(get_le16(&resp.cqe.cid), cid);
	c->cntlid = get_le16(&resp.cqe.dw0);
	return get_le16(&resp.cqe.status) >> 1;
}

void client_connect_begin(struct client *c, uint16_t qid, uint16_t sqsize, bool sqfc,
			  uint16_t cntlid)
{
	struct nvme_connect_data data = {.hostid = {9}};
	struct nvme_connect_cmd cmd = {.opcode = NVME_OPC_FABRICS, .fctype = NVME_FABRICS_CONNECT};
	struct nvme_sqe sqe;

	put_le16(&data.cntlid, cntlid);
	snprintf(data.subnqn, sizeof(data.subnqn), "%s", RIG_SUBNQN);
	snprintf(data.hostnqn, sizeof(data.hostnqn), "%s", RIG_HOSTNQN);
	put_le16(&cmd.qid, qid);
	put_le16(&cmd.sqsize, sqsize);
	cmd.cattr = sqfc ? 0 : NVME_CATTR_DISABLE_SQFC;
	cmd.sgl.type = NVME_SGL_DATA_OFFSET;
	put_le32(&cmd.sgl.length, sizeof(data));
	memcpy(&sqe, &cmd, sizeof(sqe));
	client_command(c, &sqe, &data, sizeof(data));
}

void client_connect(struct client *c, uint16_t qid, uint16_t sqsize, bool sqfc, uint16_t cntlid)
{
	client_connect_begin(c, qid, sqsize, sqfc, cntlid);
	assert_int_equal(client_answer(c, 0), 0);
}

void client_enable(struct client *c)
{
	struct nvme_property_cmd cmd = {.opcode = NVME_OPC_FABRICS,
					.fctype = NVME_FABRICS_PROPERTY_SET};
	struct nvme_sqe sqe;

	put_le16(&cmd.cid, 1);
	put_le32(&cmd.ofst, NVME_PROP_CC);
	put_le64(&cmd.value, 0x460001);
	memcpy(&sqe, &cmd, sizeof(sqe));
	sqe.sgl.type = NVME_SGL_TRANSPORT_DATA;
	client_command(c, &sqe, NULL, 0);
	assert_int_equal(client_answer(c, 1), 0);
}

void client_pair(struct rig *rig, uint8_t dgst, uint16_t sqsize, bool sqfc,
		 struct client **ret_admin, struct client **ret_io)
{
	struct client *admin = client_new(rig), *io = client_new(rig);
	uint16_t cntlid;

	client_ic(admin, dgst, 0);
	client_connect(admin, 0, 31, true, NVME_CNTLID_DYNAMIC);
	cntlid = admin->cntlid;
	client_enable(admin);
	client_ic(io, dgst, 0);
	client_connect(io, 1, sqsize, sqfc, cntlid);
	*ret_admin = admin;
	*ret_io = io;
}

void client_expect_eof(struct client *c)
{
	assert_int_equal(client_next(c), -1);
}

void client_expect_term(struct client *c, uint16_t fes, uint32_t fei)
{
	struct pdu_term term;

	assert_int_equal(client_next(c), PDU_C2H_TERM);
	memcpy(&term, c->header, sizeof(term));
	assert_int_equal(get_le16(&term.fes), fes);
	assert_int_equal(get_le32(term.fei), fei);
	client_expect_eof(c);
}
