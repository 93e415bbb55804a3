/* SPDX-License-Identifier: Apache-2.0 */
/* The line is made by a pure function; when it is shown depends on the clock, so that work that tells of each step costs no more than work that seldom does. */
#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "rt/process.h"

#define DRAW_MS   100  /* between two drawings of a bar */
#define LINE_MS   5000 /* between two plain lines, and before the first */
#define RATE_MS   1000 /* a rate over less is none */
#define BAR_MAX   40u
#define BAR_MIN   8u              /* below, the numbers are worth more */
#define LEFT_MAX  (100ull * 3600) /* s: what takes longer is not foretold */
#define PART_SIZE 160

static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* 0:07, 12:40, 3:05:00 */
static const char *clock_text(uint64_t seconds, char *buf, size_t size)
{
	uint64_t hours = seconds / 3600, minutes = seconds / 60 % 60;

	if (hours)
		(void)snprintf(buf, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours, minutes,
			       seconds % 60);
	else
		(void)snprintf(buf, size, "%" PRIu64 ":%02" PRIu64, minutes, seconds % 60);
	return buf;
}

static uint64_t done_of(const struct progress_view *view)
{
	return view->done < view->total ? view->done : view->total;
}

/* done of total that n parts are; no product of theirs can be too large. */
static unsigned parts_of(const struct progress_view *view, unsigned n)
{
	return (unsigned)((double)done_of(view) / (double)view->total * n);
}

/* " 43 %  4.3 GiB of 10 GiB  512 MiB/s  0:12 left" */
static void numbers_text(const struct progress_view *view, char *text, size_t size)
{
	char done[32], total[32], rate[32], left[32], speed[80] = "", time[80] = "";
	uint64_t rest = view->total - done_of(view);

	if (view->bytes_per_s)
		(void)snprintf(speed, sizeof(speed), "  %s/s",
			       str_size(view->bytes_per_s, rate, sizeof(rate)));
	if (rest == 0)
		(void)snprintf(time, sizeof(time), "  in %s",
			       clock_text(view->elapsed_ms / 1000, left, sizeof(left)));
	else if (view->bytes_per_s && rest / view->bytes_per_s < LEFT_MAX)
		(void)snprintf(time, sizeof(time), "  %s left",
			       clock_text(rest / view->bytes_per_s + 1, left, sizeof(left)));
	(void)snprintf(text, size, "%3u %%  %s of %s%s%s", parts_of(view, 100),
		       str_size(done_of(view), done, sizeof(done)),
		       str_size(view->total, total, sizeof(total)), speed, time);
}

/* "[#####.....]  " as wide as room allows; "": not at all. */
static void bar_text(const struct progress_view *view, size_t room, char *text, size_t size)
{
	unsigned cells = room < BAR_MAX + 4 ? (unsigned)room - 4 : BAR_MAX;

	text[0] = '\0';
	if (room < BAR_MIN + 4 || cells + 5 > size)
		return;
	text[0] = '[';
	memset(text + 1, '.', cells);
	memset(text + 1, '#', parts_of(view, cells));
	memcpy(text + 1 + cells, "]  ", 4);
}

static void known_line(const struct progress_view *view, unsigned columns, char *line, size_t size)
{
	char numbers[3 * PART_SIZE], bar[BAR_MAX + 8] = "";
	size_t width = columns ? columns - 1 : size - 1, what = strlen(view->what), used;

	numbers_text(view, numbers, sizeof(numbers));
	/* A long name gives way to the numbers, but not wholly. */
	if (columns && what > width / 3)
		what = width / 3;
	used = what + 2 + strlen(numbers);
	if (columns && used < width)
		bar_text(view, width - used, bar, sizeof(bar));
	(void)snprintf(line, size, "%.*s%s%s%s%s%s", (int)what, view->what, columns ? "  " : ": ",
		       bar, numbers, view->why && view->why[0] ? "  " : "",
		       view->why ? view->why : "");
}

static void unknown_line(const struct progress_view *view, char *line, size_t size)
{
	char time[32];

	(void)snprintf(line, size, "%s  waiting for %s%s%s",
		       clock_text(view->elapsed_ms / 1000, time, sizeof(time)), view->what,
		       view->why && view->why[0] ? ": " : "", view->why ? view->why : "");
}

void progress_line(const struct progress_view *view, unsigned columns, char *line, size_t size)
{
	if (view->total)
		known_line(view, columns, line, size);
	else
		unknown_line(view, line, size);
	if (columns && columns <= size)
		line[columns - 1] = '\0'; /* a line that wraps is not taken back by "\r" */
	printable(line);
}

void progress_begin(struct progress *p, const struct cli *cli)
{
	bool people = cli->output == CLI_OUT_TABLE || cli->output == CLI_OUT_WIDE;

	*p = (struct progress){.out = stderr, .begin_ms = process_boot_ms()};
	p->told_ms = p->begin_ms;
	if (people)
		p->mode = process_terminal_columns(fileno(p->out)) ? PROGRESS_BAR : PROGRESS_LINES;
}

/* Averaged over all that was seen: what is left is told from it, and shall not jump. */
static uint64_t rate_of(struct progress *p, uint64_t now, uint64_t done)
{
	if (!p->first_ms || done < p->first_bytes) {
		p->first_ms = now;
		p->first_bytes = done;
	}
	return now - p->first_ms < RATE_MS ? 0
					   : (uint64_t)((double)(done - p->first_bytes) * 1000 /
							(double)(now - p->first_ms));
}

void progress_show(struct progress *p, const char *what, const char *why, uint64_t done,
		   uint64_t total)
{
	uint64_t now = process_boot_ms();
	struct progress_view view = {.what = what,
				     .why = why,
				     .done = done,
				     .total = total,
				     .elapsed_ms = now - p->begin_ms};
	char line[PROGRESS_LINE_MAX];

	if (p->mode == PROGRESS_NONE)
		return;
	view.bytes_per_s = total ? rate_of(p, now, done) : 0;
	if (p->mode == PROGRESS_BAR) {
		if (p->drawn && now - p->told_ms < DRAW_MS && (!total || done < total))
			return;
		progress_line(&view, process_terminal_columns(fileno(p->out)), line, sizeof(line));
		fprintf(p->out, "\r%s\033[K", line);
		fflush(p->out);
		p->drawn = true;
		p->told_ms = now;
		return;
	}
	progress_line(&view, 0, line, sizeof(line));
	(void)snprintf(p->last, sizeof(p->last), "%s", total ? line : "");
	if (now - p->told_ms < LINE_MS)
		return;
	fprintf(p->out, "%s\n", line);
	p->last[0] = '\0';
	p->told_ms = now;
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", p->out);
	fflush(p->out);
	p->drawn = false;
}

void progress_end(struct progress *p)
{
	if (p->mode == PROGRESS_NONE)
		return;
	progress_clear(p);
	if (p->last[0])
		fprintf(p->out, "%s\n", p->last);
	p->last[0] = '\0';
}
