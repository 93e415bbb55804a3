/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/lvm.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/text.h"
#include "rt/command.h"

#define ARGS_MAX 40
/* Beside what lvs shows by itself. Times as seconds since the epoch. */
static const char lv_fields[] = "lv_name,lv_size,lv_attr,lv_tags,lv_time,pool_lv,origin,origin_"
				"size,data_percent,metadata_percent,"
				"lv_metadata_size,lv_when_full";
#define PV_FIELDS                                                                                  \
	"pv_name,pv_size,dev_size,vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count"

/* ---- reading ---- */

int lvm_rows_parse(const char *text, const char *what, json_t **ret, struct err *err)
{
	struct kube_fail fail = {0};
	_cleanup_json_ json_t *json = NULL;
	json_t *rows, *row;
	size_t i;

	if (kube_json_parse_up_to(text, strlen(text), LVM_REPORT_MAX, &json, &fail)) {
		(void)err_set(err, -EPROTO, "lvm's report is no JSON: %.200s", fail.message);
		kube_fail_fini(&fail);
		return -EPROTO;
	}
	rows = json_object_get(json_array_get(json_object_get(json, "report"), 0), what);
	if (!json_is_array(rows))
		return err_set(err, -EPROTO, "lvm's report has no list of \"%s\"", what);
	json_array_foreach (rows, i, row)
		if (!json_is_object(row))
			return err_set(err, -EPROTO, "lvm's report: %s %zu is no object", what, i);
	*ret = json_incref(rows);
	return 0;
}

uint64_t lvm_number(const json_t *row, const char *field)
{
	uint64_t n = 0;

	return str_to_u64(kube_str(row, field), 0, INT64_MAX, &n) ? n : 0;
}

unsigned lvm_percent(const json_t *row, const char *field)
{
	const char *text = kube_str(row, field);
	unsigned n = 0, digits = 0;

	for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
		n = n * 10 + (unsigned)(*text - '0');
	n *= 100;
	if (*text == '.' && text[1] >= '0' && text[1] <= '9') {
		n += 10 * (unsigned)(text[1] - '0');
		if (text[2] >= '0' && text[2] <= '9')
			n += (unsigned)(text[2] - '0');
	}
	return MIN(n, 10000u);
}

const json_t *lvm_row(const json_t *rows, const char *lv)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		if (!strcmp(kube_str(row, "lv_name"), lv))
			return row;
	return NULL;
}

/* lvs(8), "lv_attr bits": 1 the kind, 5 the state, 6 whether it is open. */
static char attr(const json_t *row, size_t at)
{
	const char *text = kube_str(row, "lv_attr");

	if (strlen(text) > at)
		return text[at];
	return '-';
}

bool lvm_is_thin(const json_t *row)
{
	return attr(row, 0) == 'V';
}

bool lvm_is_active(const json_t *row)
{
	return attr(row, 4) == 'a';
}

bool lvm_is_open(const json_t *row)
{
	return attr(row, 5) == 'o';
}

uint64_t lvm_allocated(const json_t *row)
{
	uint64_t size = lvm_number(row, "lv_size");

	/* Only thin ones take less than their size; data_percent of a thick snapshot is how full it is. */
	if (!lvm_is_thin(row) && attr(row, 0) != 't')
		return size;
	return size / 10000 * lvm_percent(row, "data_percent");
}

static const char *tag_of(const json_t *row, const char *tag, char *buf, size_t size)
{
	const char *at = strstr(kube_str(row, "lv_tags"), tag);
	size_t len = at ? strcspn(at + strlen(tag), ",") : 0;

	buf[0] = '\0';
	if (len && len < size) {
		memcpy(buf, at + strlen(tag), len);
		buf[len] = '\0';
	}
	return buf;
}

const char *lvm_tag_name(const json_t *row, char *buf, size_t size)
{
	return tag_of(row, LVM_TAG_NAME, buf, size);
}

uint64_t lvm_size(const json_t *row)
{
	uint64_t size = attr(row, 0) == 's' ? lvm_number(row, "origin_size") : 0;

	return size ? size : lvm_number(row, "lv_size");
}

uint64_t lvm_declared(const json_t *row)
{
	uint64_t size = lvm_size(row), n = 0;
	char text[24];

	return str_to_u64(tag_of(row, LVM_TAG_SIZE, text, sizeof(text)), 1, size, &n) ? n : size;
}

/* ---- running ---- */

/* The command did not run, or not to its end. */
static int not_run(int rc, const char *what, struct err *err)
{
	if (rc == -ETIMEDOUT)
		return err_set(err, rc,
			       "lvm %s did not end within %d s and was killed: does the disk "
			       "answer? See dmesg",
			       what, LVM_LIMIT_MS / 1000);
	return err_set(err, rc, "lvm %s: %s", what, strerror(-rc));
}

static int tell(int rc, const struct command_result *result, const char *what, struct err *err)
{
	if (rc == -ENOENT)
		return err_set(err, rc,
			       "the program lvm is not installed on this node; pools with engine "
			       "lvm need the packages lvm2 and thin-provisioning-tools");
	if (rc)
		return rc;
	if (result->status)
		return err_set(err, -EIO, "lvm %s ended with status %d: %s", what, result->status,
			       result->output);
	return 0;
}

/* Whatever the locale of our service, lvm's numbers and words are the plain ones. */
static int begin(const struct lvm *l, const char *const args[], const char *argv[ARGS_MAX])
{
	static const char *const head[] = {"env", "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1", "lvm"};
	size_t n = 0;

	for (; n < ARRAY_LEN(head); n++)
		argv[n] = head[n];
	argv[n++] = args[0];
	argv[n++] = "--devices";
	argv[n++] = l->device;
	for (size_t i = 1; args[i]; i++) {
		if (n + 1 >= ARGS_MAX)
			return -E2BIG;
		argv[n++] = args[i];
	}
	argv[n] = NULL;
	return 0;
}

/* env ends with 127 when there is no lvm. */
static int missing(const struct command_result *result)
{
	return result->status == 127 ? -ENOENT : 0;
}

int lvm_do(const struct lvm *l, const char *const args[], struct err *err)
{
	const char *argv[ARGS_MAX];
	struct command_result result;
	int rc = begin(l, args, argv);

	if (!rc)
		rc = command_run(argv, LVM_LIMIT_MS, &result, err);
	if (rc)
		return not_run(rc, args[0], err);
	return tell(missing(&result), &result, args[0], err);
}

static int report(const struct lvm *l, const char *const args[], const char *what, json_t **ret,
		  struct err *err)
{
	const char *argv[ARGS_MAX];
	_cleanup_free_ char *text = NULL;
	struct command_result result;
	int rc = begin(l, args, argv);

	if (!rc)
		rc = command_read(argv, LVM_LIMIT_MS, LVM_REPORT_MAX, &text, &result, err);
	if (rc)
		return not_run(rc, args[0], err);
	rc = tell(missing(&result), &result, args[0], err);
	return rc ? rc : lvm_rows_parse(text, what, ret, err);
}

#define REPORT                                                                                     \
	"--reportformat", "json", "--units", "b", "--nosuffix", "--config",                        \
		"report{time_format=\"%s\"}"

int lvm_lvs(const struct lvm *l, json_t **ret_rows, struct err *err)
{
	const char *const args[] = {"lvs", REPORT, "-a", "-o", lv_fields, l->vg, NULL};

	return report(l, args, "lv", ret_rows, err);
}

int lvm_pv(const struct lvm *l, json_t **ret_row, struct err *err)
{
	const char *const args[] = {"pvs", REPORT, "-o", PV_FIELDS, NULL};
	_cleanup_json_ json_t *rows = NULL;
	int rc = report(l, args, "pv", &rows, err);

	if (!rc)
		*ret_row = json_incref(json_array_get(rows, 0));
	return rc;
}

int lvm_ranges(const struct lvm *l, const char *lv, json_t **ret_rows, struct err *err)
{
	char path[LVM_PATH_SIZE];
	const char *const args[] = {"lvs", REPORT, "-o", "seg_pe_ranges", path, NULL};

	(void)snprintf(path, sizeof(path), "%s/%s", l->vg, lv);
	return report(l, args, "lv", ret_rows, err);
}
