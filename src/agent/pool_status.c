/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pool.h"
#include "base/bytes.h"
#include "base/json.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

static uint64_t number(const json_t *obj, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(obj, member));

	return n > 0 ? (uint64_t)n : 0;
}

/* Of an engine's state. */
static const char *health_of(const json_t *lvstore, const char **ret_reason)
{
	const char *state = kube_str(lvstore, "state");

	*ret_reason = kube_str(lvstore, "reason");
	if ((*ret_reason)[0])
		return "Failed"; /* LVM's own words */
	if (!strcmp(state, "failed")) {
		*ret_reason = "a write of metadata or a flush failed; the pool only reads until it "
			      "is opened again. Look at the device, then restart the engine";
		return "Failed";
	}
	if (!strcmp(state, "read-only") || !strcmp(state, "read_only")) {
		*ret_reason = "it was opened for reading only";
		return "Degraded";
	}
	*ret_reason = "";
	return "Healthy";
}

static json_t *counters(const json_t *lvstore)
{
	static const char *const names[] = {
		"volumes",        "snapshots",           "epoch", "freeing_bytes", "metadata_bytes",
		"reserved_bytes", "thick_reserved_bytes"};
	json_t *map = json_object();
	char text[24];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, number(lvstore, names[i]));
		(void)json_object_set_new(map, names[i], json_string(text));
	}
	return map;
}

/* Numbers that move all the time are not worth a write each; a percent of the pool is: placement and the watermarks look at it. */
static bool close_enough(const json_t *pool, const json_t *lvstore)
{
	uint64_t capacity = number(lvstore, "size_bytes"), old = 0;
	uint64_t now = number(lvstore, "used_bytes");
	const char *why;

	if (!capacity || !kube_size_parse(kube_at(pool, "status.allocated"), &old, &why))
		return false;
	return old && now && old * 100 / capacity == now * 100 / capacity;
}

int pool_status_open(struct agent *a, const json_t *pool, const json_t *lvstore)
{
	_cleanup_status_ struct status s = {0};
	uint64_t capacity = number(lvstore, "size_bytes"), used = number(lvstore, "used_bytes");
	const char *reason, *health = health_of(lvstore, &reason);
	bool good = !strcmp(health, "Healthy");

	if (status_begin(a, "StoragePool", pool, &s))
		return -ENOMEM;
	status_set_text(&s, "uuid", kube_str(lvstore, "uuid"));
	status_set_bytes(&s, "capacity", capacity);
	if (!close_enough(pool, lvstore)) {
		status_set_bytes(&s, "allocated", used);
		status_set_bytes(&s, "free", number(lvstore, "free_bytes"));
		status_set(&s, "counters", counters(lvstore));
	}
	status_set_bytes(&s, "committed", number(lvstore, "volume_bytes"));
	status_set_text(&s, "health", health);
	status_set_text(&s, "reason", reason);
	if (good)
		status_condition(&s, "Ready", true, "Open", "the pool is open on node %s", a->node);
	else
		status_condition(&s, "Ready", false, "PoolFailed", "%s", reason);
	return status_commit(&s);
}

int pool_status_failed(struct agent *a, const json_t *pool, const char *health, const char *reason,
		       const char *fmt, ...)
{
	_cleanup_status_ struct status s = {0};
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (status_begin(a, "StoragePool", pool, &s))
		return -ENOMEM;
	status_set_text(&s, "health", health);
	status_set_text(&s, "reason", text);
	status_condition(&s, "Ready", false, reason, "%s", text);
	return status_commit(&s);
}
