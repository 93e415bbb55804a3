/* SPDX-License-Identifier: Apache-2.0 */
/* What main() needs of the host around its reactors: signals, the service manager, the wall clock. */
#ifndef LITEPOOL_RT_PROCESS_H
#define LITEPOOL_RT_PROCESS_H

#include <stdint.h>

#include "base/err.h"

/*
 * A standard stream that is closed becomes one that fails: else the file that is opened next, a disk perhaps, would be it, and log lines go there. First thing in
 * main(), before anything is opened.
 */
void process_streams_keep(void);
/*
 * SIGTERM and SIGINT are from now on seen by process_wait() alone, SIGHUP, SIGPIPE and SIGXFSZ are ignored. Main thread, before any other is made.
 */
int process_signals_take(struct err *err);
/* SIGHUP too is seen by process_wait(); without this it is ignored. Main thread, right after process_signals_take(). */
int process_signals_take_hup(struct err *err);
/*
 * Waits for a signal or for process_end(), at most timeout_ms (< 0: for ever). 0: process_end() was called, also earlier; > 0: that signal came;
 * -ETIMEDOUT. Main thread.
 */
int process_wait(int timeout_ms);
/* Any thread, after process_signals_take(). */
void process_end(void);

/*
 * Tells the service manager, if one listens at $NOTIFY_SOCKET (a plain datagram, as sd_notify(3) describes): "READY=1", "STOPPING=1". 0: sent, or
 * nobody listens; else a negative errno. Any thread.
 */
int process_notify(const char *text);

/* Raises the soft limit of open files to the hard one: a connection is a descriptor, and 1024, a usual soft limit, are few. The limit now in force. */
uint64_t process_raise_nofile(void);

/* How wide the terminal at fd is, 80 if it does not say; 0: fd is no terminal. Any thread. */
unsigned process_terminal_columns(int fd);

/* Wall clock, ns since the epoch: for log lines. Any thread. */
uint64_t process_wall_ns(void);
/* Never goes back and counts while the host is suspended (CLOCK_BOOTTIME), ms: for leases, which run out then, too. Any thread. */
uint64_t process_boot_ms(void);
/* For threads that may block. Any thread. */
void process_sleep_ms(uint32_t ms);

#endif
