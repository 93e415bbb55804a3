/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real server on a real reactor, driven pass by pass by the test itself, and raw clients on plain descriptors. Every wait is
 * for a state and has a bound.
 */
#ifndef LITEPOOL_TESTS_RPC_SERVER_FIXTURE_H
#define LITEPOOL_TESTS_RPC_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/rpc.h"

#define HELD_MAX 4096

struct fixture {
	struct reactor *r;
	struct rpc_server *server;
	struct rpc_server_opts opts;
	char dir[64], path[80];
	unsigned counted;                /* calls of "count" */
	struct rpc_call *held[HELD_MAX]; /* calls of "hold", unanswered */
	unsigned n_held;
};
extern struct fixture fix;

extern const struct rpc_method fixture_methods[];

/* The reactor and the options; driven: its passes are made by this thread, else it has one of its own. */
void fixture_new(bool driven);
void fixture_free(void);
/* For cmocka, driven; fixture_start() makes the server, after the test has changed fix.opts if it likes. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_start(void);

/* Passes of the reactor until done(ctx), or the test fails. */
void pump_until(bool (*done)(void *ctx), void *ctx);
void pump_some(void);
void release_held(void);

struct raw {
	int fd;
	char in[65536];
	size_t len;
	bool ended; /* end of stream or reset seen */
};
void raw_open(struct raw *c);
void raw_close(struct raw *c);
/* Sends all, with passes in between when the socket is full. */
void raw_send(struct raw *c, const char *text, size_t len);
void raw_say(struct raw *c, const char *text);
/* Next line without its newline, into text. */
void raw_line(struct raw *c, char *text, size_t size);
void raw_expect(struct raw *c, const char *line);
void raw_expect_end(struct raw *c);
/* Whether the line has the error code, and id (as JSON text). */
void raw_expect_error(struct raw *c, int code, const char *id);

#endif
