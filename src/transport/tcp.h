/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe/TCP: binds the sans-I/O connection of wire/ and the controller model of nvme/ to the runtime. A connection is accepted on the
 * control reactor, which keeps admin queues; an I/O queue moves to the data reactor that Connect chose. Control thread unless said.
 */
#ifndef LITEPOOL_TRANSPORT_TCP_H
#define LITEPOOL_TRANSPORT_TCP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "nvme/target.h"
#include "rt/reactor.h"
#include "rt/sock.h"

struct tcp_transport;
struct tcp_listener;

struct tcp_transport_opts {
	uint32_t max_h2c_data;     /* MAXH2CDATA, bytes; default 128 KiB */
	uint32_t conns_max;        /* connections of the whole transport; default 4096 */
	uint32_t icreq_timeout_ms; /* ICReq and Connect must come within; default 10 s */
	/*
	 * A host that neither sends announced data nor reads its answers; default 30 s. One that does so in drops has ten times as long for each command. A third of both while
	 * others wait for buffers.
	 */
	uint32_t stall_timeout_ms;
	/* TCP's own keep-alive, for hosts with KATO 0 too; see sock.h; default 60 */
	uint32_t dead_peer_s;
	/* unsent answers of a connection before it stops reading; default 4 MiB */
	uint32_t send_limit_bytes;
	/* fairness: commands a connection may start in one turn; default 64 */
	uint32_t batch_commands;
	uint32_t batch_bytes; /* ... and bytes it may receive; default 256 KiB */
	/*
	 * Of listeners that do not choose their own. Default SOCK_CONGESTION_DEFAULT, where the host has it; "" = the host's default.
	 */
	char congestion[16];
	bool header_digest, data_digest; /* allowed when the host asks; default true */
};
struct tcp_transport_opts tcp_transport_opts_default(void);

int tcp_transport_new(struct nvme_target *target, struct reactor *control, struct reactor **data,
		      unsigned n_data, const struct tcp_transport_opts *opts,
		      struct tcp_transport **ret, struct err *err);
const struct tcp_transport_opts *tcp_transport_opts(const struct tcp_transport *t);
/* Every listener is closed and every connection is gone (nvme_target_stop() comes first). done on the control reactor. */
void tcp_transport_stop(struct tcp_transport *t, nvme_done_fn done, void *ctx);
void tcp_transport_free(struct tcp_transport *t);

/*
 * For a hot upgrade. freeze: every reactor stops to accept, receive and begin commands; those that execute end, and what the sockets take of the answers is sent. done
 * (ctx, 0) when nothing moves any more; how long to wait for that is the caller's business. thaw: at any time after it, also before done (which then does not come): all goes on
 * as if nothing had been asked. While it lasts nothing may change in the target, and it must not be stopped.
 */
void tcp_transport_freeze(struct tcp_transport *t, nvme_done_fn done, void *ctx);
/*
 * Before a freeze, so that it is short: while it is on, a pass of a reactor receives from a few sockets only, and the others' turn comes in the passes that follow. It takes hold of the
 * pass that begins next. Any thread.
 */
void tcp_transport_calm(struct tcp_transport *t, bool on);
void tcp_transport_thaw(struct tcp_transport *t);

/* Connections there are, whatever their state. Control thread. */
uint32_t tcp_transport_conns(const struct tcp_transport *t);
/* The lengths of their queues: one() for each (at most a few), with how many connections have it. Control thread. */
void tcp_transport_queues(const struct tcp_transport *t,
			  void (*one)(void *ctx, uint32_t entries, uint32_t n), void *ctx);
/* Enough for any one part as things stand: bytes (to be prefaulted) and descriptors. */
void tcp_transport_save_size(struct tcp_transport *t, size_t *ret_bytes, unsigned *ret_fds);
/* How many parts the state has: one per reactor. */
unsigned tcp_transport_parts(struct tcp_transport *t);
/*
 * Frozen. Each reactor writes its connections into its part (carry_out_init() came before), the control reactor the target, too, and ends it: parts[i].w.len bytes are to be sent.
 * Nothing is changed: a thaw may follow. res: -ENOSPC: a part is too small.
 */
struct carry_out;
void tcp_transport_save(struct tcp_transport *t, struct carry_out *parts, nvme_done_fn done,
			void *ctx);
/* The mandatory types that save writes and restore knows, for tlv_missing(). */
const uint16_t *tcp_transport_carry_types(size_t *ret_n);

/*
 * The new engine. hold: listeners that are made from now on accept nothing before serve. import: the next tcp_listen() of the address that fd is bound to takes this socket; takes
 * fd, also on errors.
 */
void tcp_transport_hold(struct tcp_transport *t);
int tcp_listen_import(struct tcp_transport *t, int fd, struct err *err);
/* The old one: the listeners' sockets, borrowed, by sock_export(). */
void tcp_listeners_export(struct tcp_transport *t, void (*one)(void *ctx, int fd), void *ctx);
/* n connections with queues of that length are to be expected: memory for them is got ready, until serve or discard. Only restore is faster by it. */
void tcp_transport_expect(struct tcp_transport *t, uint32_t entries, uint32_t n);
/*
 * Subsystems, namespaces, hosts and listeners are there. Builds everything and serves nothing. parts are read until done; done comes later, on the control reactor. After an error
 * tcp_transport_restore_error() has the reason, and only discard may follow.
 */
struct carry_in;
void tcp_transport_restore(struct tcp_transport *t, struct carry_in *parts, unsigned n_parts,
			   nvme_done_fn done, void *ctx);
const struct err *tcp_transport_restore_error(const struct tcp_transport *t);
/* Until serve or discard: how long restore took, in ns: controllers, then connections, on the control reactor; then the commands of connections, on all reactors. */
struct tcp_restore_times {
	uint64_t controllers_ns, connections_ns, commands_ns;
};
struct tcp_restore_times tcp_transport_restore_times(const struct tcp_transport *t);
/*
 * All goes on here. done comes when every reactor serves; they are busy then, so it may come late. served_ns, in done: when the last of them had begun to.
 */
void tcp_transport_serve(struct tcp_transport *t, nvme_done_fn done, void *ctx);
uint64_t tcp_transport_served_ns(const struct tcp_transport *t);
/* Every reactor comes round once more: done has behind it what the first look at all sockets brought. */
void tcp_transport_pass(struct tcp_transport *t, nvme_done_fn done, void *ctx);
/* All that was restored is forgotten; the other engine's connections do not notice. Listeners stay held. */
void tcp_transport_discard(struct tcp_transport *t, nvme_done_fn done, void *ctx);

/*
 * Frozen, and another engine serves: connections and listeners are closed without a word to anybody, so that this engine can be stopped like any other (nvme_target_stop(),
 * tcp_transport_stop()). A process that ends anyway need not.
 */
void tcp_transport_abandon(struct tcp_transport *t, nvme_done_fn done, void *ctx);

/* One listening socket per address for all subsystems; listeners count their users. */
int tcp_listen(struct tcp_transport *t, const struct sock_addr *addr, const char *congestion,
	       struct tcp_listener **ret, struct err *err);
void tcp_unlisten(struct tcp_listener *l); /* the last user closes the socket */
struct nvme_port *tcp_listener_port(struct tcp_listener *l);

/* Counters for nvmf_get_stats, per reactor: a new JSON array. */
json_t *tcp_transport_stats_json(struct tcp_transport *t);

#endif
