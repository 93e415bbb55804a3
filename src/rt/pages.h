/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small text pages over HTTP/1.1 for people and Prometheus: metrics, health. GET only, one request a connection, one connection at a time with a
 * deadline of its own; so only at a unix socket or a loopback address. What serves more uses a real HTTP server.
 */
#ifndef LITEPOOL_RT_PAGES_H
#define LITEPOOL_RT_PAGES_H

#include <stdio.h>

#include "base/err.h"

struct pages;

/* Writes the page for path (without a query) to out and returns the HTTP status. On the pages' own thread; may not call pages_stop(). */
typedef int (*page_fn)(void *ctx, const char *path, FILE *out);

/* address: "unix:/path" or "127.0.0.1:9100", "[::1]:9100" (port 0: the kernel chooses). -EPERM: not loopback. */
int pages_start(const char *address, page_fn fn, void *ctx, struct pages **ret, struct err *err);
/* The TCP port; 0 for a unix socket. */
unsigned pages_port(const struct pages *pages);
/*
 * Asks who serves pages at address, for programs that have nothing else to do meanwhile, and writes what it says to out: the HTTP status, or a negative errno with err when there is no
 * answer in time.
 */
int pages_ask(const char *address, const char *path, int timeout_ms, FILE *out, struct err *err);
/* Waits for the request under way, 2 s at most. NULL is fine. */
void pages_stop(struct pages *pages);

#endif
