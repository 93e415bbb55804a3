/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a hand-over: every member comes back, golden packets of version 1 keep their bytes and their meaning, and what another version adds is skipped or refused as it says.
 * The golden packets are the corpus of the fuzz target; `test-handover-message --write DIR` makes them (only ever for a new message).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the above. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tlv.h"
#include "handover/message.h"

static struct handover_message in, out;
static uint8_t packet[HANDOVER_MESSAGE_MAX];

/* One of each type with all that it may hold. */
static void sample(enum handover_type type)
{
	memset(&in, 0, sizeof(in));
	in.type = type;
	switch (type) {
	case HANDOVER_HELLO:
	case HANDOVER_OFFER:
	case HANDOVER_LINK:
		(void)snprintf(in.version, sizeof(in.version), "1.2.3");
		in.pid = 4711;
		in.format = HANDOVER_FORMAT;
		in.serving = type == HANDOVER_LINK;
		in.dry_run = type == HANDOVER_OFFER;
		if (type == HANDOVER_OFFER)
			(void)snprintf(in.state_dir, sizeof(in.state_dir),
				       "/var/lib/litepool/engine");
		if (type == HANDOVER_HELLO)
			for (in.n_types = 0; in.n_types < 3; in.n_types++)
				in.types[in.n_types] = (uint16_t)(0x100 + in.n_types);
		break;
	case HANDOVER_FDS:
		in.bag = 1;
		in.bag_first = 253;
		in.bag_total = 1003;
		break;
	case HANDOVER_BEAT:
		in.n_beats = 2;
		in.beats[0] = (struct handover_beat){"lp-data-0", 12, 3};
		in.beats[1] = (struct handover_beat){"lp-control", 13, 123456};
		break;
	case HANDOVER_START:
		(void)snprintf(in.path, sizeof(in.path), "/usr/sbin/litepool-engine");
		break;
	case HANDOVER_REFUSE:
	case HANDOVER_STARTED:
	case HANDOVER_ENDED:
	case HANDOVER_WELCOME:
		(void)snprintf(in.text, sizeof(in.text), "why, and what to do");
		(void)snprintf(in.step, sizeof(in.step), "warm");
		in.code = -ENOEXEC;
		in.pid = 9;
		in.restarts = 2;
		break;
	case HANDOVER_PREPARE:
	case HANDOVER_STATE:
	case HANDOVER_STATS:
	case HANDOVER_WARMED:
	case HANDOVER_READY:
	case HANDOVER_DONE:
		in.bytes = 123456789012;
		in.warm_ns = 1;
		in.restore_ns = UINT64_MAX;
		in.stop_at_ns = 3;
		in.conns = 64;
		in.ctrlrs = 8;
		in.bdevs = 3;
		in.pools = 1;
		break;
	case HANDOVER_GO:
	case HANDOVER_STOP:
	case HANDOVER_TYPE_END:
	default:
		break;
	}
}

static void what_is_sent_is_what_comes(void **state)
{
	for (int type = 1; type < HANDOVER_TYPE_END; type++) {
		struct err err = {0};
		int len;

		sample((enum handover_type)type);
		if (type == HANDOVER_STATE) { /* younger than the golden packets */
			in.saved_at_ns = 4;
			in.sent_at_ns = UINT64_MAX - 1;
			in.stop_cpu_ns = 1234567;
		}
		in.wants_stats = type == HANDOVER_DONE;
		len = handover_encode(&in, packet, sizeof(packet));
		assert_true(len > 0);
		if (handover_decode(packet, (size_t)len, &out, &err) < 0)
			fail_msg("%s: %s", handover_type_name[type], err.text);
		assert_memory_equal(&in, &out, sizeof(in));
		for (int cut = 0; cut < len; cut++)
			(void)handover_decode(packet, (size_t)cut, &out, &err);
	}
}

static size_t golden_read(int type, uint8_t *buf, size_t size)
{
	char path[512];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.v1", getenv("LITEPOOL_GOLDEN"),
		       handover_type_name[type]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	n = read(fd, buf, size);
	(void)close(fd);
	assert_true(n > 0);
	return (size_t)n;
}

static void golden_packets_keep_their_bytes(void **state)
{
	uint8_t golden[HANDOVER_MESSAGE_MAX];

	for (int type = 1; type < HANDOVER_TYPE_END; type++) {
		size_t golden_len = golden_read(type, golden, sizeof(golden));
		struct err err = {0};
		int len;

		sample((enum handover_type)type);
		len = handover_encode(&in, packet, sizeof(packet));
		assert_int_equal(len, golden_len);
		assert_memory_equal(packet, golden, golden_len);
		assert_int_equal(handover_decode(golden, golden_len, &out, &err), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

/* A GO with one more record. */
static int go_with(uint16_t type, uint16_t flags, struct err *err)
{
	struct tlv_writer w;
	int len;

	sample(HANDOVER_GO);
	len = handover_encode(&in, packet, sizeof(packet));
	tlv_writer_fixed(&w, packet, sizeof(packet));
	w.len = (size_t)len;
	tlv_put_u64(&w, type, flags, 7);
	assert_int_equal(w.error, 0);
	return handover_decode(packet, w.len, &out, err);
}

static void what_the_next_version_adds_is_skipped_or_refused(void **state)
{
	struct err err = {0};

	assert_int_equal(go_with(999, 0, &err), 0);
	assert_int_equal(go_with(999, TLV_MANDATORY, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "999"));
	assert_int_equal(go_with(20, 0, &err), 0);
	assert_int_equal(out.conns, 7);
}

static void what_is_missing_or_there_twice_is_refused(void **state)
{
	struct tlv_writer w;
	struct err err = {0};

	tlv_writer_fixed(&w, packet, sizeof(packet));
	tlv_put_u64(&w, 1, TLV_MANDATORY, HANDOVER_PREPARE);
	assert_int_equal(handover_decode(packet, w.len, &out, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "lacks record 15"));
	tlv_put_u64(&w, 15, 0, 1);
	assert_int_equal(handover_decode(packet, w.len, &out, &err), 0);
	tlv_put_u64(&w, 15, 0, 1);
	assert_int_equal(handover_decode(packet, w.len, &out, &err), -EBADMSG);
	tlv_writer_fixed(&w, packet, sizeof(packet));
	tlv_put_u64(&w, 1, TLV_MANDATORY, 4000);
	assert_int_equal(handover_decode(packet, w.len, &out, &err), -EOPNOTSUPP);
	assert_int_equal(handover_decode(packet, 0, &out, &err), -EBADMSG);
}

static int golden_write(const char *dir)
{
	for (int type = 1; type < HANDOVER_TYPE_END; type++) {
		char path[512];
		FILE *f;
		int len;

		sample((enum handover_type)type);
		len = handover_encode(&in, packet, sizeof(packet));
		(void)snprintf(path, sizeof(path), "%s/%s.v1", dir, handover_type_name[type]);
		f = fopen(path, "wxe");
		if (f) {
			(void)fwrite(packet, 1, (size_t)len, f);
			(void)fclose(f);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_is_what_comes),
		cmocka_unit_test(golden_packets_keep_their_bytes),
		cmocka_unit_test(what_the_next_version_adds_is_skipped_or_refused),
		cmocka_unit_test(what_is_missing_or_there_twice_is_refused),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return golden_write(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
