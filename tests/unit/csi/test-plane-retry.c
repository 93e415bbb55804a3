/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend on an API server in trouble: the API in this process, behind a client that fails as the test wants. Requests that fail for a while, or whose answers are lost, are made again within the call;
 * what cannot pass is told at once, in words.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "csi/nvme_host.h"
#include "csi/plane_priv.h"
#include "csi/tries.h"
#include "kube/client_ops.h"
#include "kube/meta.h"
#include "kube/text.h"

#include "client_local.h"
#include "fixture.h"

enum trouble {
	BUSY,   /* 429, without Retry-After */
	BROKEN, /* 503 */
	AWAY,   /* no connection */
	LOST,   /* it is done, and the answer is lost */
	FORBIDDEN,
	UNTRUSTED, /* its certificate is another's */
};

/* Stands in front of the API; makes the first TIMES requests of METHOD whose target has PATH fail. */
struct faulty {
	struct kube_client client;
	struct kube_client *inner;
	struct lock *lock; /* protects all; the plane's informers call, too */
	const char *method, *path;
	enum trouble trouble;
	unsigned times, asked;
	void (*before)(struct faulty *faulty); /* once, before the next that it is about */
};

static struct fixture fx;
static struct faulty faulty;
static struct csi_plane *plane;
static struct arena arena;
static struct csi_op op;

static int answer(struct kube_answer *ret, int http)
{
	*ret = (struct kube_answer){.http = http, .body = strdup("{}"), .body_len = 2};
	return 0;
}

static int go_wrong(struct faulty *f, const struct kube_call *call, struct kube_answer *ret,
		    struct err *err)
{
	switch (f->trouble) {
	case BUSY:
		return answer(ret, 429);
	case BROKEN:
		return answer(ret, 503);
	case FORBIDDEN:
		return answer(ret, 403);
	case AWAY:
		return err_set(err, -ECONNREFUSED, "API server: connection refused");
	case UNTRUSTED:
		return err_set(err, -EACCES, "API server: its certificate is another's");
	case LOST:
		break;
	}
	(void)f->inner->ops->call(f->inner, call, ret, err);
	free(ret->body);
	*ret = (struct kube_answer){0};
	return err_set(err, -ETIMEDOUT, "API server: no answer");
}

static int faulty_call(struct kube_client *client, const struct kube_call *call,
		       struct kube_answer *ret, struct err *err)
{
	struct faulty *f = (struct faulty *)client;
	bool concerned;
	int rc;

	lock_take(f->lock);
	concerned =
		f->path && strcmp(call->method, f->method) == 0 && strstr(call->target, f->path);
	if (concerned && f->before) {
		f->before(f);
		f->before = NULL;
	}
	if (concerned && f->asked++ < f->times)
		rc = go_wrong(f, call, ret, err);
	else
		rc = f->inner->ops->call(f->inner, call, ret, err);
	lock_drop(f->lock);
	return rc;
}

/* Without watches the plane looks each second. */
static int faulty_watch(struct kube_client *client, const char *target, uint32_t timeout_s,
			const struct kube_sink *sink, struct kube_watch **ret, struct err *err)
{
	return err_set(err, -ECONNREFUSED, "no watches here");
}

static void faulty_unwatch(struct kube_client *client, struct kube_watch *watch)
{
}

static void faulty_free(struct kube_client *client)
{
}

static const struct kube_client_ops faulty_ops = {faulty_call, faulty_watch, faulty_unwatch,
						  faulty_free};

static void expect(const char *method, const char *path, enum trouble trouble, unsigned times)
{
	lock_take(faulty.lock);
	faulty.method = method;
	faulty.path = path;
	faulty.trouble = trouble;
	faulty.times = times;
	faulty.asked = 0;
	lock_drop(faulty.lock);
}

/* What others do to an object, past the faults. */
static void others(const char *kind, const char *name, const char *sub, const char *patch)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	_cleanup_json_ json_t *json = json_loads(patch, 0, NULL);
	struct kube_ref ref = {.res = kube_resource_by_kind(kind), .name = name, .sub = sub};

	assert_non_null(json);
	if (kube_merge(faulty.inner, &ref, json, NULL, &error) < 0)
		fail_msg("%s", error.err.text);
}

static void make(const char *kind, const char *name, const char *spec)
{
	_cleanup_kube_error_ struct kube_error error = {.causes = NULL};
	struct kube_ref ref = {.res = kube_resource_by_kind(kind)};
	_cleanup_json_ json_t *json = json_pack(
		"{s:s, s:s, s:{s:s}, s:o}", "apiVersion", KUBE_GROUP "/" KUBE_VERSION, "kind", kind,
		"metadata", "name", name, "spec", json_loads(spec, 0, NULL));

	assert_non_null(json);
	if (kube_create(faulty.inner, &ref, json, NULL, &error) < 0)
		fail_msg("%s", error.err.text);
}

static json_t *there(const char *kind, const char *name)
{
	struct kube_ref ref = {.res = kube_resource_by_kind(kind), .name = name};
	json_t *object = NULL;

	return kube_get(faulty.inner, &ref, &object, NULL) == 0 ? object : NULL;
}

static int begin(void **state)
{
	struct csi_plane_config config = {.client = &faulty.client, .wait_ms = 20000};

	fixture_open(&fx, 1000, 0);
	faulty = (struct faulty){.client.ops = &faulty_ops};
	assert_int_equal(client_local_new(fx.api, &faulty.inner), 0);
	assert_int_equal(lock_new(&faulty.lock), 0);
	assert_int_equal(csi_plane_new(&config, &plane, NULL), 0);
	arena_init(&arena, (size_t)1 << 20);
	op = (struct csi_op){.arena = &arena};
	return 0;
}

static int end(void **state)
{
	csi_plane_free(plane);
	kube_client_free(faulty.inner);
	lock_free(faulty.lock);
	arena_fini(&arena);
	fixture_close(&fx);
	return 0;
}

#define SERVED "{\"status\": {\"phase\": \"Ready\", \"size\": 67108864}}"

static void agent_serves(struct faulty *f)
{
	others("StorageVolume", "pvc-a", "status", SERVED);
}

static enum grpc_code create(struct csi_volume *ret)
{
	struct csi_create_volume request = {.name = "pvc-a", .range.required = 64 << 20};

	return plane_create_volume(plane, &op, &request, ret);
}

static void a_read_that_fails_for_a_while_is_made_again(void **state)
{
	static const enum trouble troubles[] = {BUSY, BROKEN, AWAY};

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	for (size_t i = 0; i < ARRAY_LEN(troubles); i++) {
		_cleanup_json_ json_t *object = NULL;

		expect("GET", "storagevolumes/pvc-a", troubles[i], 2);
		assert_int_equal(plane_get(plane, &op, plane->volume, "pvc-a", &object), GRPC_OK);
		assert_int_equal(faulty.asked, 3);
		assert_string_equal(kube_name(object), "pvc-a");
	}
}

static void what_cannot_pass_is_told_at_once(void **state)
{
	json_t *object = NULL;

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	expect("GET", "storagevolumes/pvc-a", FORBIDDEN, 100);
	assert_int_equal(plane_get(plane, &op, plane->volume, "pvc-a", &object), GRPC_UNAVAILABLE);
	assert_non_null(strstr(op.why, "service account"));
	assert_int_equal(faulty.asked, 1);
	expect("GET", "storagevolumes/pvc-a", UNTRUSTED, 100);
	assert_int_equal(plane_get(plane, &op, plane->volume, "pvc-a", &object), GRPC_UNAVAILABLE);
	assert_non_null(strstr(op.why, "certificate"));
	assert_int_equal(faulty.asked, 1);
	expect("GET", "storagevolumes/none", AWAY, 0);
	assert_int_equal(plane_get(plane, &op, plane->volume, "none", &object), GRPC_NOT_FOUND);
	assert_int_equal(faulty.asked, 1);
}

static void what_does_not_pass_in_the_calls_time_is_told_with_the_cause(void **state)
{
	json_t *object = NULL;

	plane->wait_ms = 500;
	expect("GET", "storagevolumes/pvc-a", AWAY, 1000000);
	assert_int_equal(plane_get(plane, &op, plane->volume, "pvc-a", &object), GRPC_UNAVAILABLE);
	assert_non_null(strstr(op.why, "cannot read storagevolume pvc-a"));
	assert_non_null(strstr(op.why, "connection refused"));
	assert_in_range(faulty.asked, 2, 10);
}

static void a_volume_whose_creation_was_not_answered_is_found(void **state)
{
	_cleanup_json_ json_t *object = NULL;
	struct csi_volume volume;

	expect("POST", "storagevolumes", LOST, 1);
	faulty.before = NULL;
	plane->wait_ms = 300; /* nobody serves it yet */
	assert_int_equal(create(&volume), GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(faulty.asked, 2);
	plane->wait_ms = 20000;
	object = there("StorageVolume", "pvc-a");
	assert_non_null(object);
	expect("GET", "storagevolumes/pvc-a", BUSY, 1);
	faulty.before = agent_serves;
	assert_int_equal(create(&volume), GRPC_OK);
	assert_int_equal(volume.capacity, 64 << 20);
	assert_string_equal(volume.id, plane_id_of(&op, object));
}

static void another_object_of_the_name_is_no_success(void **state)
{
	struct csi_volume volume;

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	expect("GET", "storagevolumes/pvc-a", BROKEN, 1);
	assert_int_equal(create(&volume), GRPC_ALREADY_EXISTS);
	assert_non_null(strstr(op.why, "was not made by this driver"));
}

static void a_deletion_that_was_not_answered_is_a_deletion(void **state)
{
	_cleanup_json_ json_t *object = NULL;

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	object = there("StorageVolume", "pvc-a");
	expect("DELETE", "storagevolumes/pvc-a", LOST, 1);
	assert_int_equal(plane_delete_volume(plane, &op, plane_id_of(&op, object)), GRPC_OK);
	assert_int_equal(faulty.asked, 2);
	assert_null(there("StorageVolume", "pvc-a"));
}

static void a_node_whose_admission_was_not_answered_is_let_in_once(void **state)
{
	static const char targets[] =
		"{\"status\": {\"attachedNodes\": [\"node1\"], \"targets\": [{\"address\": "
		"\"192.0.2.1\", \"port\": 4420, \"nqn\": \"nqn.2026-11.io.litepool:volume:x\", "
		"\"nguid\": \"0123456789abcdef0123456789abcdef\", \"nsid\": 1}]}}";
	_cleanup_json_ json_t *before = NULL, *after = NULL;
	struct csi_publish request = {.node_id = "node1",
				      .capability.mode = CSI_SINGLE_NODE_WRITER};
	struct csi_map context = {0};

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	make("StorageNode", "node1",
	     "{\"hostNQN\": "
	     "\"nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555\"}");
	others("StorageVolume", "pvc-a", "status", targets);
	before = there("StorageVolume", "pvc-a");
	request.volume_id = plane_id_of(&op, before);
	expect("PATCH", "storagevolumes/pvc-a", LOST, 1);
	assert_int_equal(plane_publish(plane, &op, &request, &context), GRPC_OK);
	assert_string_equal(csi_map_get(&context, PLANE_CONTEXT_TARGETS), "192.0.2.1:4420");
	after = there("StorageVolume", "pvc-a");
	assert_int_equal(json_array_size(kube_at(after, "spec.attachedNodes")), 1);
}

static void node_formats(struct faulty *f)
{
	others("StorageVolume", "pvc-a", "status",
	       "{\"status\": {\"format\": {\"state\": \"Done\", \"fs\": \"xfs\", \"clone\": "
	       "true}}}");
}

/* pvc-a, out of source. */
static void make_copy(json_t **ret_copy, json_t **ret_source)
{
	make("StorageVolume", "source", "{\"size\": 67108864}");
	make("StorageVolume", "pvc-a",
	     "{\"size\": 67108864, \"source\": {\"volumeName\": \"source\"}}");
	*ret_copy = there("StorageVolume", "pvc-a");
	*ret_source = there("StorageVolume", "source");
}

/* The source was never formatted, the copy has been since it was read: that is not forgotten. */
static void a_record_that_came_meanwhile_stays(void **state)
{
	_cleanup_json_ json_t *copy = NULL, *source = NULL, *after = NULL;

	make_copy(&copy, &source);
	expect("PATCH", "storagevolumes/pvc-a/status", BROKEN, 1);
	faulty.before = node_formats;
	assert_int_equal(plane_format_inherit(plane, &op, copy, source), GRPC_OK);
	after = there("StorageVolume", "pvc-a");
	assert_string_equal(kube_str(after, "status.format.state"), "Done");
	assert_string_equal(kube_str(after, "status.format.fs"), "xfs");
}

static void a_record_is_written_once(void **state)
{
	_cleanup_json_ json_t *copy = NULL, *source = NULL, *after = NULL;

	make_copy(&copy, &source);
	expect("PATCH", "storagevolumes/pvc-a/status", LOST, 1);
	assert_int_equal(plane_format_inherit(plane, &op, copy, source), GRPC_OK);
	after = there("StorageVolume", "pvc-a");
	assert_string_equal(kube_str(after, "status.format.state"), "Never");
	assert_true(json_is_true(kube_at(after, "status.format.clone")));
}

/* The node's driver reads and writes records by itself (record.c). */
static void the_nodes_record_gets_through(void **state)
{
	const struct csi_format format = {.state = CSI_FORMAT_DONE, .fs = "xfs"};
	_cleanup_json_ json_t *volume = NULL;
	struct csi_format read = {.state = CSI_FORMAT_NEVER};
	const char *id;

	make("StorageVolume", "pvc-a", "{\"size\": 67108864}");
	volume = there("StorageVolume", "pvc-a");
	id = plane_id_of(&op, volume);
	expect("PATCH", "storagevolumes/pvc-a/status", LOST, 1);
	assert_int_equal(record_set(&faulty.client, &op, id, &format), GRPC_OK);
	expect("GET", "storagevolumes/pvc-a", AWAY, 2);
	assert_int_equal(record_get(&faulty.client, &op, id, &read), GRPC_OK);
	assert_int_equal(read.state, CSI_FORMAT_DONE);
	assert_string_equal(read.fs, "xfs");
	expect("PATCH", "storagevolumes/pvc-a/status", FORBIDDEN, 100);
	assert_int_equal(record_set(&faulty.client, &op, id, &format), GRPC_UNAVAILABLE);
	assert_int_equal(faulty.asked, 1);
}

static void a_call_ends_a_little_before_its_deadline(void **state)
{
	assert_int_equal(csi_time_ms(-1, 60000), 60000);
	assert_int_equal(csi_time_ms(60000, 60000), 59000);
	assert_int_equal(csi_time_ms(120000, 60000), 60000);
	assert_int_equal(csi_time_ms(5000, 60000), 4500);
	assert_int_equal(csi_time_ms(3, 60000), 3);
	assert_int_equal(csi_time_ms(0, 60000), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_that_fails_for_a_while_is_made_again),
		TEST(what_cannot_pass_is_told_at_once),
		TEST(what_does_not_pass_in_the_calls_time_is_told_with_the_cause),
		TEST(a_volume_whose_creation_was_not_answered_is_found),
		TEST(another_object_of_the_name_is_no_success),
		TEST(a_deletion_that_was_not_answered_is_a_deletion),
		TEST(a_node_whose_admission_was_not_answered_is_let_in_once),
		TEST(a_record_that_came_meanwhile_stays),
		TEST(a_record_is_written_once),
		TEST(the_nodes_record_gets_through),
		TEST(a_call_ends_a_little_before_its_deadline),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
