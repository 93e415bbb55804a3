/* SPDX-License-Identifier: Apache-2.0 */
/* Bags of descriptors and documents between two ends in this process; an end that does not keep to the protocol is told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the above. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover/peer.h"
#include "rt/fdpass.h"

static char path[128];
static int listener, a, b;

static int ends_open(void **state)
{
	struct err err = {0};
	pid_t pid;

	(void)snprintf(path, sizeof(path), "/tmp/lp-peer.%d", (int)getpid());
	if (fdpass_listen(path, &listener, &err) < 0 || fdpass_connect(path, &a, &pid, &err) < 0 ||
	    fdpass_accept(listener, &b, &pid) < 0)
		return -1;
	return 0;
}

static int ends_close(void **state)
{
	(void)close(a);
	(void)close(b);
	(void)close(listener);
	return unlink(path);
}

static void a_bag_of_a_thousand_comes_whole(void **state)
{
	struct handover_bag bags[HANDOVER_BAGS] = {0};
	struct handover_message *msg = calloc(1, sizeof(*msg));
	int fds[1000];
	unsigned at = 0;
	struct err err = {0};
	char *text;
	int res;

	assert_int_equal(handover_document_new("a plan", 6, &fds[0], &err), 0);
	for (unsigned i = 1; i < 1000; i++)
		fds[i] = fds[0];
	do {
		res = handover_send_bag(a, 1, fds, 1000, &at);
		assert_true(res == 0 || res == -EAGAIN);
		while (handover_recv(b, msg, bags, &err) == 1)
			assert_int_equal(msg->type, HANDOVER_FDS);
	} while (res);
	(void)close(fds[0]);
	assert_true(bags[1].complete);
	assert_int_equal(bags[1].n, 1000);
	for (unsigned i = 0; i < 1000; i += 333) {
		int fd = handover_bag_take(&bags[1], i);

		assert_int_equal(handover_document_read(fd, 6, &text, &err), 0);
		assert_string_equal(text, "a plan");
		free(text);
		assert_int_equal(handover_document_read(fd, 7, &text, &err), -EBADMSG);
		(void)close(fd);
		assert_int_equal(handover_bag_take(&bags[1], i), -1);
	}
	assert_int_equal(handover_bag_take(&bags[1], 1000), -1);
	handover_bag_fini(&bags[1]);
	free(msg);
}

static void descriptors_out_of_order_are_refused(void **state)
{
	struct handover_bag bags[HANDOVER_BAGS] = {0};
	struct handover_message *msg = calloc(1, sizeof(*msg));
	struct err err = {0};

	msg->type = HANDOVER_FDS;
	msg->bag_first = 5;
	msg->bag_total = 10;
	assert_int_equal(handover_send(a, msg, &listener, 1), 0);
	assert_int_equal(handover_recv(b, msg, bags, &err), -EBADMSG);
	msg->type = HANDOVER_FDS;
	msg->bag_first = 0;
	msg->bag_total = HANDOVER_FD_MAX + 1;
	assert_int_equal(handover_send(a, msg, &listener, 1), 0);
	assert_int_equal(handover_recv(b, msg, bags, &err), -EBADMSG);
	memset(msg, 0, sizeof(*msg));
	msg->type = HANDOVER_GO;
	assert_int_equal(handover_send(a, msg, &listener, 1), 0);
	assert_int_equal(handover_recv(b, msg, bags, &err), -EBADMSG);
	assert_int_equal(fdpass_send(a, "nonsense", 8, NULL, 0), 0);
	assert_int_equal(handover_recv(b, msg, bags, &err), -EBADMSG);
	assert_null(bags[0].fd);
	free(msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bag_of_a_thousand_comes_whole),
		cmocka_unit_test(descriptors_out_of_order_are_refused),
	};

	return cmocka_run_group_tests(tests, ends_open, ends_close);
}
