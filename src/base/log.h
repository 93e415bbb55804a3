/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging: one line an event, key=value. error = somebody must act; warn = degraded; info = life
 * events; debug = off by default, switched on by event prefix. Nothing is logged per I/O: counters
 * and probes serve there. Library folders return errors; processes log them, once. All functions
 * may be called from any thread; a line is written with a single write().
 */
#ifndef LITEPOOL_BASE_LOG_H
#define LITEPOOL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef uint64_t (*log_clock_fn)(void);                    /* wall clock, ns since the epoch */
typedef void (*log_sink_fn)(const char *line, size_t len); /* line ends with a newline */

/* Defaults: level info, sink = stderr, clock = none (no ts= field). Set at start, before threads.
 */
void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *ret_level); /* "error" ... "debug" */
const char *log_level_name(enum log_level level);
enum log_level log_level_get(void);
void log_set_clock(log_clock_fn clock_fn);
void log_set_sink(log_sink_fn sink);
/* At level debug only events that begin with one of these comma-separated prefixes; "" or NULL:
 * all. False: too long. */
bool log_set_debug_prefixes(const char *prefixes);

/*
 * event is a dotted name such as "nvme.ctrlr.connected"; fmt gives the key=value pairs. Values that
 * come from outside are to be printed with %s through log_quote() when they may hold blanks or
 * controls.
 */
__attribute__((format(printf, 3, 4))) void log_write(enum log_level level, const char *event,
						     const char *fmt, ...);

/* Quotes s if it needs to be; returns buf. Cuts, visibly with "...", what does not fit. */
const char *log_quote(const char *s, char *buf, size_t size);

#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_write(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_write(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                      \
	do {                                                                                       \
		if (log_level_get() >= LOG_LEVEL_DEBUG)                                            \
			log_write(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                            \
	} while (0)

/* One static of these per call site; at most burst lines per interval, then a line with
 * suppressed=N. */
struct log_limit {
	_Atomic uint64_t window;     /* start of the running window, ns of log clock */
	_Atomic uint32_t used;       /* lines in it */
	_Atomic uint32_t suppressed; /* lines not written since the last that was */
};
/* Whether a line may go out now; *ret_suppressed tells how many did not since the last. 10 lines
 * per 5 s; all, without a clock. */
bool log_limit_pass(struct log_limit *limit, uint32_t *ret_suppressed);

#define log_limited(level, event, fmt, ...)                                                        \
	do {                                                                                       \
		static struct log_limit log_limit_;                                                \
		uint32_t log_suppressed_;                                                          \
		if (log_limit_pass(&log_limit_, &log_suppressed_))                                 \
			log_write(level, event, fmt " suppressed=%u", ##__VA_ARGS__,               \
				  log_suppressed_);                                                \
	} while (0)

/* Writes the last lines (all levels up to info) to fd; async-signal-safe; for the crash report. */
void log_dump_recent(int fd);

#endif
