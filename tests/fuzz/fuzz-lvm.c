/* SPDX-License-Identifier: Apache-2.0 */
/* Text that lvm is said to have written: rows and their fields are read without harm, whatever they hold. */
#include <stdlib.h>
#include <string.h>

#include "agent/lvm.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	_cleanup_json_ json_t *rows = NULL;
	struct err err = {0};
	const json_t *row;
	char name[64];
	size_t i;

	ASSERT(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (lvm_rows_parse(text, "lv", &rows, &err)) {
		ASSERT(err.text[0]);
		return 0;
	}
	json_array_foreach (rows, i, row) {
		ASSERT(lvm_percent(row, "data_percent") <= 10000);
		ASSERT(lvm_number(row, "lv_size") <= INT64_MAX);
		ASSERT(lvm_allocated(row) <= lvm_number(row, "lv_size"));
		ASSERT(strlen(lvm_tag_name(row, name, sizeof(name))) < sizeof(name));
		(void)lvm_is_open(row);
	}
	ASSERT(!lvm_row(rows, "") || json_array_size(rows));
	return 0;
}
