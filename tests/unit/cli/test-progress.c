/* SPDX-License-Identifier: Apache-2.0 */
/* The line of a progress bar: what it tells, and that it never is as wide as the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cli/progress.h"

#define MIB UINT64_C(1048576)

static const char *line_of(const struct progress_view *view, unsigned columns)
{
	static char line[PROGRESS_LINE_MAX];

	progress_line(view, columns, line, sizeof(line));
	return line;
}

static void a_bar_has_percent_amount_rate_and_what_is_left(void **state)
{
	const struct progress_view view = {.what = "inflate",
					   .done = 25 * MIB,
					   .total = 100 * MIB,
					   .elapsed_ms = 5000,
					   .bytes_per_s = 5 * MIB};

	assert_string_equal(line_of(&view, 100),
			    "inflate  [##########..............................]   25 %  25 MiB of "
			    "100 MiB  5 MiB/s  0:16 left");
	assert_string_equal(line_of(&view, 0),
			    "inflate:  25 %  25 MiB of 100 MiB  5 MiB/s  0:16 left");
}

static void what_is_not_known_yet_is_left_out(void **state)
{
	const struct progress_view view = {.what = "scrub p0", .done = 0, .total = 100 * MIB};

	assert_string_equal(line_of(&view, 0), "scrub p0:   0 %  0 B of 100 MiB");
}

static void the_end_says_how_long_it_took(void **state)
{
	const struct progress_view view = {.what = "data",
					   .done = 3 * MIB,
					   .total = 3 * MIB,
					   .elapsed_ms = 3725000,
					   .bytes_per_s = 1};

	assert_string_equal(line_of(&view, 0), "data: 100 %  3 MiB of 3 MiB  1 B/s  in 1:02:05");
}

static void work_of_unknown_size_shows_the_time_and_the_reason(void **state)
{
	struct progress_view view = {
		.what = "volume db-0 to be ready", .why = "no pool has space", .elapsed_ms = 65000};

	assert_string_equal(line_of(&view, 200),
			    "1:05  waiting for volume db-0 to be ready: no pool has space");
	view.why = "";
	assert_string_equal(line_of(&view, 200), "1:05  waiting for volume db-0 to be ready");
	assert_string_equal(line_of(&view, 20), "1:05  waiting for v");
}

/* More done than there is, more than fits into a product of 64 bits, a rate that never gets there. */
static void odd_numbers_do_no_harm(void **state)
{
	struct progress_view view = {.what = "x", .done = UINT64_MAX, .total = 1};

	assert_string_equal(line_of(&view, 0), "x: 100 %  1 B of 1 B  in 0:00");
	view = (struct progress_view){
		.what = "x", .done = UINT64_MAX / 2, .total = UINT64_MAX, .bytes_per_s = 1};
	assert_non_null(strstr(line_of(&view, 0), "x:  50 %"));
	assert_null(strstr(line_of(&view, 0), "left"));
}

static void no_width_makes_a_line_that_wraps(void **state)
{
	char name[400];
	struct progress_view view = {.what = name,
				     .why = "a reason that is long, too",
				     .done = 1023 * MIB,
				     .total = 1024ull * 1024 * MIB,
				     .bytes_per_s = 1234567};

	for (size_t len = 0; len < sizeof(name); len += 7) {
		memset(name, 'n', len);
		name[len] = '\0';
		for (unsigned columns = 1; columns < 300; columns++)
			assert_in_range(strlen(line_of(&view, columns)), 0, columns - 1);
	}
	/* At a usual width a long name leaves the numbers whole. */
	assert_non_null(strstr(line_of(&view, 120), "1023 MiB of 1 TiB"));
}

static void what_is_shown_is_no_command_to_the_terminal(void **state)
{
	struct progress_view view = {.what = "a\x1b[2Jb", .why = "c\nd\x7f"};

	assert_string_equal(line_of(&view, 0), "0:00  waiting for a?[2Jb: c?d?");
	view.total = 1;
	assert_null(strpbrk(line_of(&view, 80), "\x1b\n\x7f"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bar_has_percent_amount_rate_and_what_is_left),
		cmocka_unit_test(what_is_not_known_yet_is_left_out),
		cmocka_unit_test(the_end_says_how_long_it_took),
		cmocka_unit_test(work_of_unknown_size_shows_the_time_and_the_reason),
		cmocka_unit_test(odd_numbers_do_no_harm),
		cmocka_unit_test(no_width_makes_a_line_that_wraps),
		cmocka_unit_test(what_is_shown_is_no_command_to_the_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
