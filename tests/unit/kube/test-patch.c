/* SPDX-License-Identifier: Apache-2.0 */
/* Merge patch and JSON patch: examples of the RFCs and of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/patch.h"
#include "kube/text.h"

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(json);
	return json;
}

struct example {
	const char *before, *patch, *after; /* after NULL: refused */
};

typedef int (*patch_fn)(const json_t *, const json_t *, json_t **, struct kube_fail *);

static void run(const struct example *ex, patch_fn fn)
{
	_cleanup_json_ json_t *before = parse(ex->before);
	_cleanup_json_ json_t *kept = parse(ex->before);
	_cleanup_json_ json_t *patch = parse(ex->patch);
	_cleanup_json_ json_t *got = NULL;
	_cleanup_fail_ struct kube_fail fail = {0};
	int rc = fn(before, patch, &got, &fail);

	assert_true(json_equal(before, kept));
	if (ex->after) {
		_cleanup_json_ json_t *after = parse(ex->after);

		if (rc)
			fail_msg("%s: %s", ex->patch, fail.message);
		assert_true(json_equal(got, after));
	} else {
		assert_true(rc < 0);
		assert_true(fail.message[0]);
	}
}

static void merge_patch_follows_its_rfc(void **state)
{
	static const struct example examples[] = {
		{"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
		{"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		 "{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
		{"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
		{"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
		{"{\"a\":\"foo\"}", "[\"c\"]", NULL},
		{"{\"a\":\"foo\"}", "null", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(examples); i++)
		run(&examples[i], kube_merge_patch);
}

static void json_patch_follows_its_rfc(void **state)
{
	static const struct example examples[] = {
		{"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"q\"}]",
		 "{\"foo\":\"bar\",\"baz\":\"q\"}"},
		{"{\"foo\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":9}]",
		 "{\"foo\":[1,9,2]}"},
		{"{\"foo\":[1]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[2]}]",
		 "{\"foo\":[1,[2]]}"},
		{"{\"a\":1,\"b\":2}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", "{\"b\":2}"},
		{"{\"a\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/a/1\"}]", "{\"a\":[1,3]}"},
		{"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":null}]",
		 "{\"a\":null}"},
		{"{\"a\":{\"b\":1},\"c\":{}}",
		 "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c/d\"}]",
		 "{\"a\":{},\"c\":{\"d\":1}}"},
		{"{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"}]",
		 "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"},
		{"{\"a/b\":1,\"m~n\":2}",
		 "[{\"op\":\"test\",\"path\":\"/a~1b\",\"value\":1},{\"op\":\"remove\",\"path\":\"/"
		 "m~0n\"}]",
		 "{\"a/b\":1}"},
		{"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":1}}]",
		 "{\"b\":1}"},
		{"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b/c\",\"value\":1}]", NULL},
		{"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", NULL},
		{"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":1}]", NULL},
		{"{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a~2\",\"value\":1}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"grow\",\"path\":\"/a\",\"value\":1}]", NULL},
		{"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[1]}]", NULL},
		{"{\"a\":1}", "{\"op\":\"add\"}", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(examples); i++)
		run(&examples[i], kube_json_patch);
}

static void copies_that_double_are_bounded(void **state)
{
	_cleanup_json_ json_t *obj = parse("{\"a\":{\"x\":[0,0,0,0,0,0,0,0]}}");
	_cleanup_json_ json_t *patch = json_array();
	_cleanup_fail_ struct kube_fail fail = {0};
	json_t *got = NULL;

	for (int i = 0; i < 900; i++)
		json_array_append_new(patch,
				      json_pack("{s:s, s:s, s:o}", "op", "copy", "from", "/a",
						"path", json_sprintf("/a/x/%d", i % 8)));
	assert_true(kube_json_patch(obj, patch, &got, &fail) < 0);
	assert_int_equal(fail.reason, KUBE_INVALID);
}

static void depth_stays_bounded(void **state)
{
	_cleanup_json_ json_t *obj = parse("{\"a\":{}}");
	_cleanup_json_ json_t *patch = json_array();
	_cleanup_fail_ struct kube_fail fail = {0};
	json_t *got = NULL;

	for (int i = 0; i < 200; i++)
		json_array_append_new(
			patch, json_pack("{s:s, s:s, s:s}", "op", i % 2 ? "move" : "copy", "from",
					 i % 2 ? "/b" : "/a", "path", i % 2 ? "/a/b" : "/b"));
	assert_true(kube_json_patch(obj, patch, &got, &fail) < 0);
	assert_non_null(fail.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_patch_follows_its_rfc),
		cmocka_unit_test(json_patch_follows_its_rfc),
		cmocka_unit_test(copies_that_double_are_bounded),
		cmocka_unit_test(depth_stays_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
