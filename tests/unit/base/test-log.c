/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines, quoting, levels, limits and the ring of the last lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static char captured[4096];
static unsigned captured_lines;
static uint64_t fake_now;

static void capture(const char *line, size_t len)
{
	assert_true(len < sizeof(captured));
	memcpy(captured, line, len);
	captured[len] = '\0';
	captured_lines++;
}

static uint64_t fake_clock(void)
{
	return fake_now;
}

static int setup(void **state)
{
	log_set_sink(capture);
	log_set_level(LOG_LEVEL_INFO);
	log_set_clock(NULL);
	log_set_debug_prefixes("");
	captured[0] = '\0';
	captured_lines = 0;
	return 0;
}

static void line_has_level_event_and_pairs(void **state)
{
	log_warn("pool.journal.torn", "pool=%s seq=%d", "p0", 9);
	assert_string_equal(captured, "level=warn event=pool.journal.torn pool=p0 seq=9\n");
}

static void empty_pairs_leave_no_blank(void **state)
{
	log_write(LOG_LEVEL_INFO, "engine.ready", "%s", "");
	assert_string_equal(captured, "level=info event=engine.ready \n");
}

static void timestamps_are_utc_and_know_leap_years(void **state)
{
	static const struct {
		uint64_t sec;
		const char *text;
	} cases[] = {
		{1, "ts=1970-01-01T00:00:01.000123Z "},
		{951782400, "ts=2000-02-29T00:00:00.000123Z "},
		{1709251199, "ts=2024-02-29T23:59:59.000123Z "},
		{1798761599, "ts=2026-12-31T23:59:59.000123Z "},
		{4107542400, "ts=2100-03-01T00:00:00.000123Z "},
	};

	log_set_clock(fake_clock);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_now = cases[i].sec * 1000000000 + 123456;
		log_info("x", "a=1");
		assert_memory_equal(captured, cases[i].text, strlen(cases[i].text));
	}
}

static void level_hides_what_is_below(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("x", "a=1");
	log_debug("x", "a=1");
	assert_int_equal(captured_lines, 0);
	log_error("x", "a=1");
	assert_int_equal(captured_lines, 1);
}

static void debug_is_chosen_by_prefix(void **state)
{
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_set_debug_prefixes("nvme.ctrlr,wire."));
	log_debug("rt.ring", "a=1");
	log_debug("nvme.qpair", "a=1");
	assert_int_equal(captured_lines, 0);
	log_debug("nvme.ctrlr.connected", "a=1");
	log_debug("wire.pdu", "a=1");
	assert_int_equal(captured_lines, 2);
	assert_true(log_set_debug_prefixes(NULL));
	log_debug("rt.ring", "a=1");
	assert_int_equal(captured_lines, 3);
}

static void levels_have_names(void **state)
{
	enum log_level level;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		assert_true(log_level_parse(log_level_name((enum log_level)i), &level));
		assert_int_equal(level, i);
	}
	assert_false(log_level_parse("loud", &level));
}

static void newlines_cannot_forge_a_line(void **state)
{
	log_info("x", "name=%s", "a\nlevel=error event=forged");
	assert_ptr_equal(strchr(captured, '\n'), captured + strlen(captured) - 1);
}

static void long_line_is_cut_visibly(void **state)
{
	char big[5000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("x", "v=%s", big);
	assert_true(strlen(captured) < 2048);
	assert_string_equal(captured + strlen(captured) - 4, "...\n");
}

static void plain_values_are_not_quoted(void **state)
{
	char buf[64];

	assert_string_equal(log_quote("nqn.2016-06.io:vol:1", buf, sizeof(buf)),
			    "nqn.2016-06.io:vol:1");
	assert_string_equal(log_quote(NULL, buf, sizeof(buf)), "-");
}

static void odd_values_are_quoted(void **state)
{
	char buf[64];

	assert_string_equal(log_quote("", buf, sizeof(buf)), "\"\"");
	assert_string_equal(log_quote("a b", buf, sizeof(buf)), "\"a b\"");
	assert_string_equal(log_quote("a\"\\\n\xff", buf, sizeof(buf)), "\"a\\\"\\\\\\x0a\\xff\"");
}

static void quoting_fits_every_buffer(void **state)
{
	char buf[40];

	for (size_t size = 0; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		log_quote("some words\nthat need quotes", buf, size);
		assert_int_equal(buf[size], '#');
		if (size)
			assert_true(strlen(buf) < size);
		if (size >= 6)
			assert_string_equal(buf + strlen(buf) - (size < 31 ? 4 : 1),
					    size < 31 ? "...\"" : "\"");
		log_quote("plain-but-longer-than-the-buffer-is-now", buf, size);
		assert_int_equal(buf[size], '#');
	}
}

static void limited_lines_are_counted(void **state)
{
	log_set_clock(fake_clock);
	fake_now = 1000000000;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 25; i++)
			log_limited(LOG_LEVEL_WARN, "x", "i=%d", i);
		assert_int_equal(captured_lines, 10 * (round + 1));
		fake_now += 5000000000;
	}
	/* A static per site: this is another one. */
	log_limited(LOG_LEVEL_WARN, "x", "n=1");
	assert_string_equal(captured, "ts=1970-01-01T00:00:11.000000Z level=warn event=x n=1 "
				      "suppressed=0\n");
}

static void next_window_tells_what_was_suppressed(void **state)
{
	static struct log_limit limit;
	uint32_t suppressed;

	log_set_clock(fake_clock);
	fake_now = 1000000000;
	for (int i = 0; i < 25; i++)
		assert_int_equal(log_limit_pass(&limit, &suppressed), i < 10);
	fake_now += 5000000000;
	assert_true(log_limit_pass(&limit, &suppressed));
	assert_int_equal(suppressed, 15);
	assert_true(log_limit_pass(&limit, &suppressed));
	assert_int_equal(suppressed, 0);
}

static void last_lines_are_dumped_in_order(void **state)
{
	static char text[65536];
	FILE *f = tmpfile();
	const char *at = text;
	char want[32];
	size_t len;

	assert_non_null(f);
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < 200; i++)
		log_info("ring", "i=%d", i);
	log_dump_recent(fileno(f));
	rewind(f);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	(void)fclose(f);
	assert_int_equal(captured_lines, 0);
	assert_null(strstr(text, " i=135\n"));
	for (int i = 136; i < 200; i++) {
		(void)snprintf(want, sizeof(want), " i=%d\n", i);
		at = strstr(at, want);
		assert_non_null(at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(line_has_level_event_and_pairs, setup),
		cmocka_unit_test_setup(empty_pairs_leave_no_blank, setup),
		cmocka_unit_test_setup(timestamps_are_utc_and_know_leap_years, setup),
		cmocka_unit_test_setup(level_hides_what_is_below, setup),
		cmocka_unit_test_setup(debug_is_chosen_by_prefix, setup),
		cmocka_unit_test_setup(levels_have_names, setup),
		cmocka_unit_test_setup(newlines_cannot_forge_a_line, setup),
		cmocka_unit_test_setup(long_line_is_cut_visibly, setup),
		cmocka_unit_test_setup(plain_values_are_not_quoted, setup),
		cmocka_unit_test_setup(odd_values_are_quoted, setup),
		cmocka_unit_test_setup(quoting_fits_every_buffer, setup),
		cmocka_unit_test_setup(limited_lines_are_counted, setup),
		cmocka_unit_test_setup(next_window_tells_what_was_suppressed, setup),
		cmocka_unit_test_setup(last_lines_are_dumped_in_order, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
