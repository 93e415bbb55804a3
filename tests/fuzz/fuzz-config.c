/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a configuration file's bytes into the engine: parsing, flattening, and keeping entries that fail. What was taken must come out again
 * entry by entry. The same bytes are tried as a file of reservations.
 */
#include <string.h>

#include "base/check.h"
#include "engine/configfile.h"
#include "engine/resv_store.h"

#include "fuzz.h"

static void keep_and_write(json_t *entries)
{
	struct config_problems problems;
	json_t *written = json_array();
	size_t n = json_array_size(entries), n_written;

	config_problems_init(&problems);
	for (size_t i = 0; i < n; i++)
		ASSERT(config_problems_add(&problems, json_array_get(entries, i), "why") == 0);
	for (size_t i = 0; i < n; i++) {
		const char *of =
			json_string_value(json_object_get(json_array_get(entries, i), "subsystem"));
		size_t before = json_array_size(written);

		ASSERT(config_problems_append(&problems, of, written) == 0);
		ASSERT(json_array_size(written) > before);
		json_array_clear(written);
	}
	n_written = problems.count;
	ASSERT(n_written == n);
	json_decref(config_problems_json(&problems));
	(void)config_problems_has_ns(&problems, "nqn.a", 1);
	(void)config_problems_drop_bdev(&problems, "d0");
	(void)config_problems_drop_ns(&problems, "nqn.a", 0);
	config_problems_fini(&problems);
	json_decref(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	json_t *entries;
	int res = config_parse((const char *)data, size, &entries, &err);

	ASSERT(res == 0 || (res < 0 && err.text[0]));
	if (res == 0) {
		keep_and_write(entries);
		json_decref(entries);
	}
	res = resv_store_parse((const char *)data, size, &entries, &err);
	if (res == 0)
		json_decref(entries);
	return 0;
}
