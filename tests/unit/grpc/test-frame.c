/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "grpc/frame.h"

static void a_message_in_pieces_is_put_together(void **state)
{
	static const uint8_t wire[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0};

	for (size_t piece = 1; piece <= sizeof(wire); piece++) {
		enum grpc_frame_result result = GRPC_FRAME_MORE;
		struct grpc_frame frame;
		size_t at = 0, taken;

		grpc_frame_init(&frame, 100);
		while (result == GRPC_FRAME_MORE) {
			taken = 0;
			result = grpc_frame_feed(&frame, wire + at, MIN(piece, sizeof(wire) - at),
						 &taken);
			at += taken;
		}
		assert_int_equal(result, GRPC_FRAME_MESSAGE);
		assert_int_equal(at, 8);
		assert_memory_equal(frame.data, "abc", 3);
		grpc_frame_fini(&frame);
	}
}

static enum grpc_frame_result feed(const char *head, size_t max)
{
	enum grpc_frame_result result;
	struct grpc_frame frame;
	size_t taken = 0;

	grpc_frame_init(&frame, max);
	result = grpc_frame_feed(&frame, (const uint8_t *)head, GRPC_FRAME_HEAD, &taken);
	grpc_frame_fini(&frame);
	return result;
}

static void bad_heads_are_told_apart(void **state)
{
	assert_int_equal(feed("\0\0\0\0\0", 0), GRPC_FRAME_MESSAGE);
	assert_int_equal(feed("\1\0\0\0\0", 10), GRPC_FRAME_COMPRESSED);
	assert_int_equal(feed("\2\0\0\0\0", 10), GRPC_FRAME_BAD_FLAG);
	assert_int_equal(feed("\0\0\0\0\x0b", 10), GRPC_FRAME_TOO_LONG);
	assert_int_equal(feed("\0\xff\xff\xff\xff", 10), GRPC_FRAME_TOO_LONG);
}

static void memory_follows_what_came_not_what_was_announced(void **state)
{
	static const uint8_t wire[] = {0, 0x10, 0, 0, 0, 'a'};
	struct grpc_frame frame;
	size_t taken = 0;

	grpc_frame_init(&frame, 1 << 30);
	assert_int_equal(grpc_frame_feed(&frame, wire, sizeof(wire), &taken), GRPC_FRAME_MORE);
	assert_true(frame.data_size <= 1024);
	grpc_frame_fini(&frame);
}

static void timeouts_in_all_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"1H", 3600000000000},
		    {"2M", 120000000000},
		    {"3S", 3000000000},
		    {"4m", 4000000},
		    {"5u", 5000},
		    {"6n", 6},
		    {"0S", 0},
		    {"99999999H", UINT64_MAX}};
	static const char *const bad[] = {"", "S", "1", "1s", "123456789S", "-1S", " 1S", "1 S"};
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(grpc_timeout_parse(good[i].text, strlen(good[i].text), &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(grpc_timeout_parse(bad[i], strlen(bad[i]), &ns));
}

static void a_formatted_timeout_is_read_back(void **state)
{
	static const uint64_t values[] = {0, 1, 99999999, 100000000, 5000000000, UINT64_MAX};
	char text[16];
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		grpc_timeout_format(values[i], text);
		assert_true(grpc_timeout_parse(text, strlen(text), &ns));
		assert_true(ns <= values[i]);
		assert_true(values[i] - ns <= values[i] / 1000);
	}
}

static void percent_coding(void **state)
{
	char coded[64], plain[64];

	assert_int_equal(grpc_percent_encode("50% \n\xc3\xa9~", coded, sizeof(coded)),
			 strlen("50%25 %0A%C3%A9~"));
	assert_string_equal(coded, "50%25 %0A%C3%A9~");
	grpc_percent_decode(coded, strlen(coded), plain, sizeof(plain));
	assert_string_equal(plain, "50% \n\xc3\xa9~");
	grpc_percent_decode("%4", 2, plain, sizeof(plain));
	assert_string_equal(plain, "%4");
	grpc_percent_decode("%zz%41", 6, plain, sizeof(plain));
	assert_string_equal(plain, "%zzA");
	/* Never half a code. */
	assert_int_equal(grpc_percent_encode("ab\n", coded, 5), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_in_pieces_is_put_together),
		cmocka_unit_test(bad_heads_are_told_apart),
		cmocka_unit_test(memory_follows_what_came_not_what_was_announced),
		cmocka_unit_test(timeouts_in_all_units),
		cmocka_unit_test(a_formatted_timeout_is_read_back),
		cmocka_unit_test(percent_coding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
