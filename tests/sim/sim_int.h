/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world's own types, shared by env_sim.c (clock, scheduler), sim_net.c and sim_file.c. */
#ifndef LITEPOOL_TESTS_SIM_SIM_INT_H
#define LITEPOOL_TESTS_SIM_SIM_INT_H

#include "base/list.h"
#include "sim/env_sim.h"

#define SIM_REACTORS_MAX 32
#define SIM_NEVER        UINT64_MAX

/* Happens at a time. Embedded first in what it is about; fn owns and frees that. */
struct sim_event {
	uint64_t at_ns, seq; /* seq: first come, first served at the same time */
	void (*fn)(struct sim_world *w, struct sim_event *ev);
};

struct sim_env {
	struct env env;
	struct sim_world *world;
	struct list ready_socks; /* struct sim_sock with pending events */
	struct list done_files;  /* struct sim_file_op that are complete */
	uint64_t sleep_until_ns; /* SIM_NEVER: until something comes; 0: it does not sleep */
	bool woken;
};

struct sim_world {
	struct sim_opts opts;
	struct rng rng;
	uint64_t now_ns, seq, hash;
	uint64_t limit_ns; /* the clock does not jump beyond */
	bool print;
	struct sim_event **heap; /* binary, earliest first */
	size_t n_events, events_cap;
	struct sim_env *env[SIM_REACTORS_MAX];
	unsigned n_envs;
	bool looked_again; /* nothing was left to happen, and all reactors got one more pass */
	unsigned quiet;    /* passes without work since anything happened */
	struct list listeners, conns;
	struct sim_sock *delivering; /* its event function is running; NULL once it is closed */
	uint16_t port_next;
	bool refuse;
	struct list files;
	struct list exports; /* struct sim_export */
	int export_next;
};

void *sim_alloc(size_t size); /* zeroed; never NULL */
/* fn runs at now + delay. */
void sim_event_at(struct sim_world *w, struct sim_event *ev, uint64_t delay_ns,
		  void (*fn)(struct sim_world *w, struct sim_event *ev));
uint64_t sim_between(struct sim_world *w, uint64_t min, uint64_t max);
static inline struct sim_env *sim_env_of(struct env *env)
{
	return container_of(env, struct sim_env, env);
}

/* sim_net.c */
extern const struct env_ops sim_env_ops;
unsigned sim_net_deliver(struct sim_env *env);
void sim_net_free(struct sim_world *w);
int sim_sock_listen(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		    struct sock **ret, struct err *err);
int sim_sock_connect(struct env *env, const struct sock_addr *addr, const struct sock_opts *opts,
		     struct sock **ret, struct err *err);
int sim_sock_accept(struct sock *listener, struct sock **ret, struct sock_addr *ret_peer);
int sim_sock_error(struct sock *s);
int sim_sock_attach(struct sock *s, struct env *env);
void sim_sock_detach(struct sock *s);
ssize_t sim_sock_recv(struct sock *s, const struct iovec *iov, int n);
ssize_t sim_sock_send(struct sock *s, const struct iovec *iov, int n);
void sim_sock_want_write(struct sock *s);
void sim_sock_want_read(struct sock *s);
void sim_sock_shutdown_write(struct sock *s);
void sim_sock_close(struct sock *s);
int sim_sock_addr(struct sock *s, bool peer, struct sock_addr *ret);
int sim_sock_fd(struct sock *s);
int sim_sock_export(struct sock *s);
int sim_sock_import(struct env *env, int fd, struct sock **ret, bool *ret_is_listener,
		    struct err *err);
void sim_sock_export_close(struct env *env, int fd);

/* sim_file.c */
unsigned sim_file_deliver(struct sim_env *env);
void sim_file_free(struct sim_world *w);
int sim_file_open(struct env *env, const char *path, enum file_mode mode, bool read_only,
		  struct file **ret, struct err *err);
void sim_file_close(struct file *f);
int sim_file_export(const struct file *f);
int sim_file_adopt(struct env *env, int fd, const char *path, enum file_mode mode, bool read_only,
		   struct file **ret, struct err *err);
int sim_file_rescan(struct file *f, uint64_t *ret_size_bytes);
void sim_file_submit(struct env *env, struct file *f, struct file_io *io);

#endif
