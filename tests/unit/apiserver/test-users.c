/* SPDX-License-Identifier: Apache-2.0 */
/* The users file, and what roles allow beyond what tests/func/controller-tls.sh shows over TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/user.h"
#include "base/bytes.h"
#include "fixture.h"
#include "kube/meta.h"
#include "kube/text.h"

#define NODES     "/apis/litepool.io/v1alpha1/storagenodes"
#define SNAPSHOTS "/apis/litepool.io/v1alpha1/storagesnapshots"

static void patching(struct fixture *f, bool on)
{
	(void)snprintf(f->content_type, sizeof(f->content_type), "%s",
		       on ? "application/merge-patch+json" : "");
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_open(f, 0, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static void users_are_found_by_token_hash_and_uid(void **state)
{
	/* The second is the SHA-256 of "abcdefghijklmnop". */
	static const char text[] =
		"# people\r\n\ntoken:0123456789abcdef,ro,reader\n"
		"sha256:f39dac6cbaba535e2c207cd0cd8f154974223c848f727f98b3564cea569b41cf,c,csi\n"
		"uid:1000,node-2,agent";
	struct users *users = NULL;
	struct api_user user;
	struct err err = {0};

	assert_int_equal(users_parse(text, strlen(text), &users, &err), 0);
	assert_int_equal(users_count(users), 3);
	assert_true(users_by_token(users, "0123456789abcdef", 16, &user));
	assert_string_equal(user.name, "ro");
	assert_int_equal(user.role, API_ROLE_READER);
	assert_true(users_by_token(users, "abcdefghijklmnop", 16, &user));
	assert_string_equal(user.name, "c");
	assert_true(users_by_uid(users, 1000, &user));
	assert_string_equal(user.name, "node-2");
	assert_false(users_by_uid(users, 0, &user));
	assert_false(users_by_token(users, "0123456789abcdeg", 16, &user));
	assert_false(users_by_token(users, "0123456789abcde", 15, &user));
	assert_false(users_by_token(users, "", 0, &user));
	/* Neither a key as it is written nor a hash is a token. */
	assert_false(users_by_token(users, "uid:1000", 8, &user));
	assert_false(users_by_token(NULL, "0123456789abcdef", 16, &user));
	users_free(users);
}

static void a_bad_users_file_is_refused_with_line_and_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"token:0123456789abcdef,ro", "expected KEY,NAME,ROLE"},
		{"token:0123456789abcdef,ro,reader,more", "expected KEY,NAME,ROLE"},
		{"token:0123456789abcdef,ro,king", "the role must be"},
		{"token:0123456789abcdef,Ro!,reader", "the name must be"},
		{"token:0123456789abcde,ro,reader", "16 to 512"},
		{"token:0123456789 abcdef,ro,reader", "without blanks"},
		{"0123456789abcdef,ro,reader", "must begin with"},
		{"sha256:00,ro,reader", "64 hex digits"},
		{"uid:-1,ro,reader", "needs a number"},
		{"uid:4294967295,ro,reader", "needs a number"},
		{"uid:1,a,reader\nuid:1,b,admin", "line 2: the same key"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct users *users = NULL;
		struct err err = {0};

		assert_int_equal(users_parse(cases[i].text, strlen(cases[i].text), &users, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, "line "));
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

static void nobody_gets_health_alone(void **state)
{
	struct fixture *f = *state;

	fixture_user(f, NULL, NULL);
	assert_int_equal(call(f, "GET", "/readyz", NULL, NULL), 200);
	assert_int_equal(call(f, "GET", "/version", NULL, NULL), 401);
	assert_int_equal(call(f, "GET", "/openapi/v3", NULL, NULL), 401);
	assert_int_equal(call(f, "GET", VOLUMES, NULL, NULL), 401);
	assert_int_equal(call(f, "DELETE", VOLUMES, NULL, NULL), 401);
	assert_int_equal(call(f, "POST", "/healthz", NULL, "{}"), 401);
}

/* What each role gets for the same requests; the objects are there. */
static void each_role_gets_what_the_table_says(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *method, *target, *body;
		int admin, controller, csi, reader;
	} cases[] = {
		{"GET", VOLUMES, NULL, 200, 200, 200, 200},
		{"GET", LEASES, NULL, 200, 200, 403, 200},
		{"GET", EVENTS, NULL, 200, 200, 403, 200},
		{"GET", VOLUMES "/v/status", NULL, 200, 200, 200, 200},
		{"PATCH", VOLUMES "/v", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200, 200, 200,
		 403},
		{"PATCH", VOLUMES "/v/status", "{\"status\":{\"phase\":\"Bound\"}}", 200, 200, 200,
		 403}, /* the driver's changes nothing any more */
		{"PATCH", POOLS "/p", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200, 200, 403,
		 403},
		{"DELETE", POOLS "/p?dryRun=All", NULL, 200, 403, 403, 403},
		{"DELETE", NODES "/n?dryRun=All", NULL, 200, 403, 403, 403},
		{"DELETE", VOLUMES "/v?dryRun=All", NULL, 200, 200, 200, 403},
		{"DELETE", VOLUMES "?dryRun=All", NULL, 200, 403, 403, 403},
		{"PATCH", LEASES "/l", "{\"spec\":{\"holderIdentity\":\"x\"}}", 200, 403, 403, 403},
	};
	static const char *const roles[] = {"admin", "controller", "csi", "reader"};

	assert_int_equal(create_volume(f, "v", ""), 201);
	patching(f, false);
	assert_int_equal(
		call(f, "POST", POOLS, NULL,
		     "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n\",\"device\":{"
		     "\"id\":\"wwn-1\"}}}"),
		201);
	assert_int_equal(call(f, "POST", NODES, NULL,
			      "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"hostNQN\":"
			      "\"nqn.2014-08.org.nvmexpress:n\"}}"),
			 201);
	assert_int_equal(
		call(f, "POST", LEASES, NULL, "{\"metadata\":{\"name\":\"l\"},\"spec\":{}}"), 201);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const int expected[] = {cases[i].admin, cases[i].controller, cases[i].csi,
					cases[i].reader};

		for (size_t k = 0; k < ARRAY_LEN(roles); k++) {
			int code;

			fixture_user(f, "somebody", roles[k]);
			patching(f, cases[i].body != NULL);
			code = call(f, cases[i].method, cases[i].target, NULL,
				    cases[i].body ? "%s" : NULL, cases[i].body);
			if (code != expected[k])
				fail_msg("%s %s %s: %d", roles[k], cases[i].method, cases[i].target,
					 code);
		}
	}
}

static void the_driver_writes_the_record_of_what_a_volume_holds_and_no_other_status(void **state)
{
	struct fixture *f = *state;
	static const char record[] =
		"{\"status\":{\"format\":{\"state\":\"Begun\",\"fs\":\"xfs\"}}}";
	static const char more[] =
		"{\"status\":{\"phase\":\"Ready\",\"format\":{\"state\":\"Done\",\"fs\":\"xfs\"}}}";

	assert_int_equal(create_volume(f, "v", ""), 201);
	fixture_user(f, "somebody", "csi");
	patching(f, true);
	assert_int_equal(call(f, "PATCH", VOLUMES "/v/status", NULL, "%s", record), 200);
	assert_int_equal(call(f, "PATCH", VOLUMES "/v/status", NULL, "%s", more), 403);
	assert_int_equal(
		call(f, "PATCH", VOLUMES "/v/status", NULL, "{\"status\":{\"phase\":\"Ready\"}}"),
		403);
}

static void the_leaders_lease_is_the_controllers(void **state)
{
	struct fixture *f = *state;
	static const char leases[] =
		"/apis/coordination.k8s.io/v1/namespaces/" KUBE_NS_SYSTEM "/leases";
	static const char nodes[] =
		"/apis/coordination.k8s.io/v1/namespaces/" KUBE_NS_NODES "/leases";
	static const char lease[] = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{}}";

	patching(f, false);
	fixture_user(f, "c", "controller");
	assert_int_equal(call(f, "POST", leases, NULL, lease, "leader"), 201);
	assert_int_equal(call(f, "POST", nodes, NULL, lease, "n"), 403);
	/* An agent whose node has the name of the leader's Lease. */
	fixture_user(f, "leader", "agent");
	assert_int_equal(call(f, "POST", nodes, NULL, lease, "leader"), 201);
	assert_int_equal(call(f, "DELETE", leases, NULL, NULL), 403);
	patching(f, true);
	assert_int_equal(call(f, "PATCH",
			      "/apis/coordination.k8s.io/v1/namespaces/" KUBE_NS_SYSTEM
			      "/leases/leader",
			      NULL, "{\"spec\":{\"holderIdentity\":\"leader\"}}"),
			 403);
}

static void an_agent_serves_the_snapshots_of_its_volumes(void **state)
{
	struct fixture *f = *state;
	static const char ready[] = "{\"status\":{\"readyToUse\":true}}";

	assert_int_equal(create_volume(f, "v", ""), 201);
	patching(f, true);
	assert_int_equal(call(f, "PATCH", VOLUMES "/v/status", NULL,
			      "{\"status\":{\"nodeName\":\"n1\",\"phase\":\"Ready\"}}"),
			 200);
	patching(f, false);
	assert_int_equal(call(f, "POST", SNAPSHOTS, NULL,
			      "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"volumeName\":\"v\"}}"),
			 201);
	patching(f, true);
	fixture_user(f, "n2", "agent");
	assert_int_equal(call(f, "PATCH", SNAPSHOTS "/s/status", NULL, ready), 403);
	fixture_user(f, "n1", "agent");
	assert_int_equal(call(f, "PATCH", SNAPSHOTS "/s/status", NULL, ready), 200);
	assert_int_equal(call(f, "PATCH", SNAPSHOTS "/s/status", NULL,
			      "{\"status\":{\"poolName\":\"elsewhere\"}}"),
			 403);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_found_by_token_hash_and_uid),
		cmocka_unit_test(a_bad_users_file_is_refused_with_line_and_reason),
		cmocka_unit_test_setup_teardown(nobody_gets_health_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_role_gets_what_the_table_says, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			the_driver_writes_the_record_of_what_a_volume_holds_and_no_other_status,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_leaders_lease_is_the_controllers, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_agent_serves_the_snapshots_of_its_volumes,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
