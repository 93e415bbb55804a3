/* SPDX-License-Identifier: Apache-2.0 */
#include "host/fabrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "host/sys.h"
#include "rt/blocking.h"
#include "rt/uevent.h"
#include "wire/pdu.h"

#define RECORD_SIZE 8192 /* of /dev/kmsg: a read gives one record, and fails when it does not fit */

struct options {
	char *text;
	size_t len;
	bool cut;
};

__attribute__((format(printf, 2, 3))) static void add(struct options *o, const char *fmt, ...)
{
	size_t room = FABRICS_OPTIONS_SIZE - o->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->text + o->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		o->cut = true;
	else
		o->len += (size_t)n;
}

static void add_number(struct options *o, const char *name, int value)
{
	if (value != 0)
		add(o, ",%s=%d", name, value);
}

int fabrics_options(const struct host_attach_req *req, const struct host_path *path, char *text,
		    struct err *err)
{
	struct options o = {.text = text};

	if (strpbrk(path->iface, ", \n"))
		return err_set(err, -EINVAL, "'%s' is no network interface", path->iface);
	add(&o, "nqn=%s,transport=tcp,traddr=%s,trsvcid=%s,hostnqn=%s,hostid=%s", req->nqn,
	    path->traddr, path->trsvcid, req->hostnqn, req->hostid);
	if (path->iface[0])
		add(&o, ",host_iface=%s", path->iface);
	add_number(&o, "ctrl_loss_tmo", req->opts.ctrl_loss_tmo);
	add_number(&o, "reconnect_delay", req->opts.reconnect_delay);
	add_number(&o, "fast_io_fail_tmo", req->opts.fast_io_fail_tmo);
	add_number(&o, "nr_io_queues", req->opts.nr_io_queues);
	add_number(&o, "keep_alive_tmo", req->opts.keep_alive_tmo);
	if (req->opts.hdr_digest)
		add(&o, ",hdr_digest");
	if (req->opts.data_digest)
		add(&o, ",data_digest");
	return o.cut ? err_set(err, -EINVAL,
			       "the names of host and subsystem are too long together")
		     : 0;
}

/* The kernel's last words since fd was opened: about this NQN, or else about any NVMe controller's connecting. */
static void kernel_words(int fd, const char *nqn, struct err *ret)
{
	char record[RECORD_SIZE];
	bool by_name = false;

	for (;;) {
		ssize_t n = read(fd, record, sizeof(record) - 1);
		char *text;

		if (n < 0 &&
		    errno == EPIPE) /* overwritten meanwhile: the next read goes on behind it */
			continue;
		if (n <= 0)
			return;
		record[n] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		text++;
		text[strcspn(text, "\n")] = '\0';
		if (strstr(text, nqn) || (!by_name && strncmp(text, "nvme nvme", 9) == 0) ||
		    (!by_name && strncmp(text, "nvme_fabrics:", 13) == 0)) {
			by_name = by_name || strstr(text, nqn);
			(void)err_set(ret, -EIO, "%s", text);
		}
	}
}

static int open_door(const struct host_env *env)
{
	char path[SYS_PATH];
	int fd = open(sys_path(env, path, "/dev/nvme-fabrics"), O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int connect_real(const struct host_env *env, const char *options, const char *nqn,
			struct err *ret_log)
{
	char path[SYS_PATH], answer[128] = "";
	_cleanup_close_ int log = open(sys_path(env, path, "/dev/kmsg"),
				       O_RDONLY | O_NONBLOCK | O_CLOEXEC),
			    fd = -1;
	int instance, res = 0;

	if (log >= 0)
		(void)lseek(log, 0, SEEK_END);
	fd = open_door(env);
	if (fd < 0) {
		res = fd;
		fd = -1;
		return res == -ENOENT || res == -ENODEV || res == -ENXIO ? -EOPNOTSUPP : res;
	}
	if (write(fd, options, strlen(options)) < 0)
		res = -errno;
	if (res < 0 && log >= 0)
		kernel_words(log, nqn, ret_log);
	if (res < 0)
		return res;
	if (read(fd, answer, sizeof(answer) - 1) < 0 ||
	    sscanf(answer, "instance=%d", &instance) != 1)
		return -EPROTO;
	return instance;
}

int fabrics_connect(const struct host_env *env, const char *options, const char *nqn,
		    struct err *ret_log)
{
	if (env->kernel && env->kernel->connect)
		return env->kernel->connect(env->kernel->ctx, options, ret_log);
	return connect_real(env, options, nqn, ret_log);
}

int fabrics_disconnect(const struct host_env *env, const char *ctrl)
{
	int res;

	if (env->kernel && env->kernel->disconnect)
		return env->kernel->disconnect(env->kernel->ctx, ctrl);
	res = sys_write(env, "1", "/sys/class/nvme/%s/delete_controller", ctrl);
	/* Somebody else's delete, or the kernel's own, was first. */
	return res == -ENOENT || res == -ENODEV ? 0 : res;
}

/* A target's first words (NVMe/TCP transport specification, 3.6.2.2 and 3.6.2.3). */
static int greet(const struct host_env *env, int fd, int64_t deadline)
{
	uint8_t request[sizeof(struct pdu_icreq)];
	struct pdu_icresp response;
	size_t got = 0;
	int res = blocking_send(fd, request, pdu_build_icreq(request, 0, 0, 0), deadline);

	while (res == 0 && got < sizeof(response)) {
		ssize_t n;

		res = blocking_wait_readable(fd, env->cancel_fd, deadline);
		if (res < 0)
			break;
		n = blocking_recv(fd, (uint8_t *)&response + got, sizeof(response) - got, deadline);
		if (n <= 0)
			return n < 0 ? (int)n : -EPROTO;
		got += (size_t)n;
	}
	if (res < 0)
		return res == -ETIMEDOUT ? -EAGAIN : res;
	return response.ch.pdu_type == PDU_ICRESP ? 0 : -EPROTO;
}

int fabrics_probe(const struct host_env *env, const struct host_path *path, int64_t deadline)
{
	const char *iface = path->iface[0] ? path->iface : NULL;
	_cleanup_close_ int fd = -1;
	uint64_t port;

	if (!str_to_u64(path->trsvcid, 1, UINT16_MAX, &port))
		return -EINVAL;
	if (env->kernel && env->kernel->probe)
		return env->kernel->probe(env->kernel->ctx, path->traddr, (uint16_t)port, iface,
					  deadline);
	fd = blocking_connect_tcp(path->traddr, (uint16_t)port, iface, env->cancel_fd, deadline);
	return fd < 0 ? fd : greet(env, fd, deadline);
}

int fabrics_uevents(const struct host_env *env, struct err *err)
{
	if (env->kernel && env->kernel->uevents)
		return env->kernel->uevents(env->kernel->ctx, err);
	return uevent_open(err);
}

/* Of EIO and EINVAL, with which the kernel answers for most that the target or itself refused. */
static int refused_words(const struct host_env *env, const struct host_attach_req *req,
			 const char *where, int code, const char *log, struct err *err)
{
	if (strstr(log, "not allowed") || strstr(log, "Connect Invalid Host"))
		return err_set(err, -EACCES,
			       "%s does not let this host (%s) use %s: allow it with: litepool "
			       "engine host add %s %s",
			       where, req->hostnqn, req->nqn, req->nqn, req->hostnqn);
	if (strstr(log, "Invalid Data Parameter, subsysnqn") ||
	    strstr(log, "subsystem does not exist"))
		return err_set(err, -ENOENT,
			       "%s has no subsystem %s, or not at this address; see: litepool "
			       "engine subsystem list",
			       where, req->nqn);
	if (strstr(log, "found same host"))
		return err_set(err, -EINVAL,
			       "this host is connected elsewhere under the same host NQN with "
			       "another host ID, or the reverse; "
			       "use the pair in /etc/nvme (kernel: %s)",
			       log);
	if (code == -EINVAL && !sys_exists(env, "/sys/module/nvme_tcp"))
		return err_set(
			err, -EOPNOTSUPP,
			"the kernel's module nvme-tcp is not there; load it: modprobe nvme-tcp");
	return err_set(err, code, "%s refused the connection for %s: %s%s%s%s", where, req->nqn,
		       strerror(-code), log[0] ? " (kernel: " : "", log,
		       log[0] ? ")" : "; the kernel's log (dmesg) tells more");
}

int fabrics_words(const struct host_env *env, const struct host_attach_req *req,
		  const struct host_path *path, int code, const char *log, struct err *err)
{
	char where[HOST_ADDR_SIZE + 16];

	(void)snprintf(where, sizeof(where), strchr(path->traddr, ':') ? "[%s]:%s" : "%s:%s",
		       path->traddr, path->trsvcid);
	switch (-code) {
	case ECONNREFUSED:
		return err_set(err, code,
			       "nobody listens at %s: is the engine running there, and does it "
			       "listen at this address (litepool "
			       "engine listener list %s)?",
			       where, req->nqn);
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return err_set(err, code,
			       "%s cannot be reached (%s): look at the address, the route and the "
			       "firewalls between, which must let "
			       "TCP port %s pass",
			       where, strerror(-code), path->trsvcid);
	case EAGAIN:
		return err_set(err, code,
			       "%s accepts connections, but says nothing: the engine there hangs, "
			       "is stopped, or is being replaced; try "
			       "again, and see its log",
			       where);
	case EPROTO:
		return err_set(err, code,
			       "what listens at %s does not speak NVMe/TCP: is the port right?",
			       where);
	case EOPNOTSUPP:
		return err_set(err, code,
			       "this kernel has no /dev/nvme-fabrics; load the module: modprobe "
			       "nvme-tcp (in a container, mount the "
			       "host's /dev)");
	case EACCES:
	case EPERM:
		return err_set(
			err, code,
			"/dev/nvme-fabrics may only be used by root (in a container: privileged)");
	case EIO:
	case EINVAL:
	case ECONNRESET:
	case EPIPE:
		return refused_words(env, req, where, code, log, err);
	default:
		return err_set(err, code, "cannot connect to %s for %s: %s%s%s%s", where, req->nqn,
			       strerror(-code), log[0] ? " (kernel: " : "", log, log[0] ? ")" : "");
	}
}
