/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines and the ring of the last of them.
 *
 * 1. A line is put together on the stack and handed to the sink whole; no lock is taken.
 * 2. Lines up to level info enter the ring whether or not the level lets them out, so that a crash
 *    report has them.
 * 3. A slot of the ring carries the ticket of the line in it, written last. Two writers meet in a
 *    slot only when one of them was overtaken by RECENT_LINES lines; a reader may then print a
 *    mixed line, never outside of the slot.
 */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#define LINE_SIZE        2048 /* with the newline and a NUL */
#define RECENT_LINES     64   /* a power of two */
#define RECENT_LINE_SIZE 512  /* longer lines are cut */
#define PREFIXES_SIZE    256
#define LIMIT_WINDOW_NS  (5 * NSEC_PER_SEC)
#define LIMIT_BURST      10

struct recent_line {
	_Atomic uint64_t ticket; /* 0: being written */
	uint32_t len;
	char text[RECENT_LINE_SIZE];
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static void stderr_sink(const char *line, size_t len)
{
	ssize_t n = write(STDERR_FILENO, line, len);

	(void)n; /* A log that cannot be written must not stop the process. */
}

static _Atomic int log_level = LOG_LEVEL_INFO;
static log_clock_fn log_clock;
static log_sink_fn log_sink = stderr_sink;
static char debug_prefixes[PREFIXES_SIZE];
static struct recent_line recent[RECENT_LINES];
static _Atomic uint64_t recent_ticket; /* of the last line */

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

enum log_level log_level_get(void)
{
	return (enum log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < ARRAY_LEN(level_names) ? level_names[level] : "unknown";
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_clock(log_clock_fn clock_fn)
{
	log_clock = clock_fn;
}

void log_set_sink(log_sink_fn sink)
{
	log_sink = sink ? sink : stderr_sink;
}

bool log_set_debug_prefixes(const char *prefixes)
{
	size_t len = prefixes ? strlen(prefixes) : 0;

	if (len >= sizeof(debug_prefixes))
		return false;
	if (len)
		memcpy(debug_prefixes, prefixes, len);
	debug_prefixes[len] = '\0';
	return true;
}

static bool debug_wanted(const char *event)
{
	const char *p = debug_prefixes;

	if (!*p)
		return true;
	while (*p) {
		size_t n = strcspn(p, ",");

		if (n && strncmp(event, p, n) == 0)
			return true;
		p += n;
		p += *p == ',';
	}
	return false;
}

/* Proleptic Gregorian date of a day counted from 1970-01-01, by eras of 400 years that begin in
 * March. */
static void civil_date(uint64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	uint64_t z = days + 719468;
	uint64_t era = z / 146097;
	unsigned doe = (unsigned)(z % 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*ret_day = doy - (153 * mp + 2) / 5 + 1;
	*ret_month = mp < 10 ? mp + 3 : mp - 9;
	*ret_year = (unsigned)(era * 400) + yoe + (*ret_month <= 2);
}

static size_t put_timestamp(char *buf, size_t size)
{
	uint64_t ns, sec;
	unsigned year, month, day, of_day;

	if (!log_clock)
		return 0;
	ns = log_clock();
	sec = ns / NSEC_PER_SEC;
	of_day = (unsigned)(sec % 86400);
	civil_date(sec / 86400, &year, &month, &day);
	return (size_t)snprintf(buf, size, "ts=%04u-%02u-%02uT%02u:%02u:%02u.%06uZ ", year, month,
				day, of_day / 3600, of_day / 60 % 60, of_day % 60,
				(unsigned)(ns % NSEC_PER_SEC / NSEC_PER_USEC));
}

static void recent_add(const char *line, size_t len)
{
	uint64_t ticket = atomic_fetch_add(&recent_ticket, 1) + 1;
	struct recent_line *slot = &recent[ticket % RECENT_LINES];

	/* Acquire: what is written below cannot be seen before the slot is marked. */
	(void)atomic_exchange_explicit(&slot->ticket, 0, memory_order_acquire);
	slot->len = (uint32_t)MIN(len, sizeof(slot->text));
	memcpy(slot->text, line, slot->len);
	slot->text[slot->len - 1] = '\n';
	atomic_store_explicit(&slot->ticket, ticket, memory_order_release);
}

/* Makes one line of whatever fmt gave; the length with the newline. */
static size_t line_end(char *line, size_t len)
{
	if (len > LINE_SIZE - 2) {
		len = LINE_SIZE - 2;
		memcpy(line + len - 3, "...", 3);
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[len] = '\n';
	line[len + 1] = '\0';
	return len + 1;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_SIZE];
	bool out = level <= log_level_get() && (level < LOG_LEVEL_DEBUG || debug_wanted(event));
	size_t len;
	int n;
	va_list ap;

	if (!out && level > LOG_LEVEL_INFO)
		return;
	len = put_timestamp(line, sizeof(line));
	n = snprintf(line + len, sizeof(line) - len, "level=%s event=%.128s%s",
		     log_level_name(level), event, *fmt ? " " : "");
	len += (size_t)MAX(n, 0);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	len = line_end(line, len + (size_t)MAX(n, 0));
	if (level <= LOG_LEVEL_INFO)
		recent_add(line, len);
	if (out)
		log_sink(line, len);
}

static bool needs_quotes(const char *s)
{
	if (!*s)
		return true;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '\\' || *s == '=')
			return true;
	return false;
}

/* One character as it stands inside quotes, into at least 5 bytes; its length. */
static size_t quote_char(unsigned char c, char *out)
{
	static const char digits[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c >= ' ' && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[c >> 4];
	out[3] = digits[c & 15];
	return 4;
}

const char *log_quote(const char *s, char *buf, size_t size)
{
	static const size_t tail = sizeof("...\"") - 1;
	size_t len = 0, fits = 1;
	char one[4];

	if (!s)
		s = "-";
	if (!needs_quotes(s) && strlen(s) < size)
		return memcpy(buf, s, strlen(s) + 1);
	if (size < tail + 2) {
		if (size)
			buf[0] = '\0';
		return buf;
	}
	buf[len++] = '"';
	for (; *s; s++) {
		size_t n = quote_char((unsigned char)*s, one);

		if (len + n + 2 > size) {
			memcpy(buf + fits, "...\"", tail + 1);
			return buf;
		}
		memcpy(buf + len, one, n);
		len += n;
		if (len + tail + 1 <= size)
			fits = len;
	}
	buf[len++] = '"';
	buf[len] = '\0';
	return buf;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *ret_suppressed)
{
	uint64_t now, start = atomic_load(&limit->window);

	*ret_suppressed = 0;
	/* Without a clock there are no windows to count in. */
	if (!log_clock)
		return true;
	now = log_clock();
	/* A clock that was set back looks like a very long time here and opens a window as well. */
	if ((start == 0 || now - start >= LIMIT_WINDOW_NS) &&
	    atomic_compare_exchange_strong(&limit->window, &start, now))
		atomic_store(&limit->used, 0);
	if (atomic_fetch_add(&limit->used, 1) < LIMIT_BURST) {
		*ret_suppressed = atomic_exchange(&limit->suppressed, 0);
		return true;
	}
	atomic_fetch_add(&limit->suppressed, 1);
	return false;
}

void log_dump_recent(int fd)
{
	uint64_t last = atomic_load(&recent_ticket);
	uint64_t first = last > RECENT_LINES ? last - RECENT_LINES + 1 : 1;

	for (uint64_t t = first; t <= last; t++) {
		const struct recent_line *slot = &recent[t % RECENT_LINES];
		ssize_t n;

		if (atomic_load_explicit(&slot->ticket, memory_order_acquire) != t)
			continue;
		n = write(fd, slot->text, MIN(slot->len, (uint32_t)sizeof(slot->text)));
		(void)n; /* The report goes on with the lines that can be written. */
	}
}
