/* SPDX-License-Identifier: Apache-2.0 */
/* What a volume keeps of its exports: JSON and back, what stays when exports change, and what does not fit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/store.h"

#define NQN "nqn.2025-01.io.litepool:db"

static struct props *props_new(void)
{
	struct props *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->name, sizeof(p->name), "db");
	p->uuid.b[0] = 1;
	p->block_size = 4096;
	return p;
}

static json_t *exports_new(const char *ana)
{
	json_t *exports =
		json_pack("[{s:s, s:i, s:i, s:b, s:[s, s], s:[{s:s, s:s, s:s, s:s, s:s}]}]", "nqn",
			  NQN, "nsid", 3, "anagrpid", 2, "any_host", 1, "hosts", "nqn.a", "nqn.b",
			  "listeners", "trtype", "TCP", "adrfam", "IPv6", "traddr", "2001:db8::1",
			  "trsvcid", "4420", "ana_state", ana);

	assert_non_null(exports);
	return exports;
}

static json_t *resv_new(void)
{
	return json_pack("{s:i, s:s, s:i, s:b, s:[{s:s, s:s}, {s:s, s:s}]}", "type", 1, "holder",
			 "000102030405060708090A0B0C0D0E0F", "generation", 7, "ptpl", 1,
			 "registrants", "hostid", "FF0102030405060708090A0B0C0D0E0F", "key",
			 "0xffffffffffffffff", "hostid", "000102030405060708090A0B0C0D0E0F", "key",
			 "0x1f");
}

/* Through the bytes on the disk, too. */
static void exports_are_the_same_after_the_disk(void **state)
{
	struct props *p = props_new(), *back = props_new();
	uint8_t *blob = malloc(PROPS_BLOB_MAX);
	json_t *exports = exports_new("non_optimized"), *json;
	struct err err;

	assert_int_equal(store_props_set_exports(p, exports, &err), 0);
	assert_int_equal(props_check(p, &err), 0);
	assert_int_equal(props_decode(blob, props_encode(p, blob), back, &err), 0);
	json = store_props_json(back);
	assert_true(json_equal(json_object_get(json, "exports"), exports));
	json_decref(json);
	json_decref(exports);
	free(blob);
	free(back);
	free(p);
}

static void a_reservation_stays_with_its_export(void **state)
{
	struct props *p = props_new();
	json_t *exports = exports_new("optimized"), *other = exports_new("inaccessible");
	json_t *resv = resv_new(), *json;
	struct err err;

	assert_int_equal(store_props_set_reservation(p, NQN, 3, resv, &err), -ENOENT);
	assert_int_equal(store_props_set_exports(p, exports, &err), 0);
	assert_int_equal(store_props_set_reservation(p, NQN, 3, resv, &err), 0);
	assert_int_equal(props_check(p, &err), 0);
	assert_int_equal(store_props_set_exports(p, other, &err), 0);
	json = store_props_json(p);
	assert_true(json_equal(
		json_object_get(json_array_get(json_object_get(json, "exports"), 0), "reservation"),
		resv));
	json_decref(json);
	json_array_clear(exports);
	assert_int_equal(store_props_set_exports(p, exports, &err), 0);
	assert_int_equal(store_props_set_exports(p, other, &err), 0);
	assert_false(p->export[0].has_reservation);
	json_decref(resv);
	json_decref(other);
	json_decref(exports);
	free(p);
}

static void a_reservation_without_registrants_is_none(void **state)
{
	struct props *p = props_new();
	json_t *exports = exports_new("optimized"), *resv = resv_new();
	json_t *none = json_pack("{s:i, s:n, s:i, s:b, s:[]}", "type", 0, "holder", "generation", 8,
				 "ptpl", 0, "registrants");
	struct err err;

	assert_int_equal(store_props_set_exports(p, exports, &err), 0);
	assert_int_equal(store_props_set_reservation(p, NQN, 3, resv, &err), 0);
	assert_int_equal(store_props_set_reservation(p, NQN, 3, none, &err), 0);
	assert_false(p->export[0].has_reservation);
	assert_int_equal(props_check(p, &err), 0);
	json_decref(none);
	json_decref(resv);
	json_decref(exports);
	free(p);
}

static void what_does_not_fit_is_refused_with_the_limit(void **state)
{
	struct props *p = props_new();
	json_t *exports = exports_new("optimized");
	json_t *hosts = json_object_get(json_array_get(exports, 0), "hosts");
	struct err err;

	for (unsigned i = 2; i < PROPS_HOSTS_MAX; i++)
		json_array_append_new(hosts, json_sprintf("nqn.host%u", i));
	assert_int_equal(store_props_set_exports(p, exports, &err), 0);
	json_array_append_new(hosts, json_string("nqn.one-too-many"));
	assert_int_equal(store_props_set_exports(p, exports, &err), -E2BIG);
	assert_non_null(strstr(err.text, "64"));
	json_decref(exports);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exports_are_the_same_after_the_disk),
		cmocka_unit_test(a_reservation_stays_with_its_export),
		cmocka_unit_test(a_reservation_without_registrants_is_none),
		cmocka_unit_test(what_does_not_fit_is_refused_with_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
