/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/metrics.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/bytes.h"

struct metric {
	const char *name, *help;
	size_t offset;
	bool gauge, by_kind; /* by_kind: one for each of OBJECT_KINDS */
};

#define AT(member) offsetof(struct control_stats, member)

static const struct metric metrics[] = {
	{"litepool_controller_reconciles_total", "passes over an object", AT(reconciles), false,
	 true},
	{"litepool_controller_reconcile_failures_total", "passes that failed and are tried again",
	 AT(failures), false, true},
	{"litepool_controller_writes_total", "writes to the API", AT(writes)},
	{"litepool_controller_write_conflicts_total", "writes decided on an old version",
	 AT(conflicts)},
	{"litepool_controller_write_unknown_total", "writes without an answer", AT(unknown)},
	{"litepool_controller_write_refused_total", "writes that the API did not take",
	 AT(refused)},
	{"litepool_controller_placed_total", "volumes that got a pool", AT(placed)},
	{"litepool_controller_not_placed_total", "new reasons why a volume has none", AT(unplaced)},
	{"litepool_controller_takeovers_total", "how often this process became the leader",
	 AT(takeovers)},
	{"litepool_controller_touched_total", "objects touched so that older writes miss",
	 AT(touched)},
	{"litepool_controller_config_reloads_total", "placement configurations loaded",
	 AT(reloads)},
	{"litepool_controller_config_reload_failures_total", "placement configurations refused",
	 AT(reload_failures)},
	{"litepool_controller_extender_calls_total", "calls of extenders", AT(extender_calls)},
	{"litepool_controller_extender_failures_total", "of them, those that failed",
	 AT(extender_failures)},
	{"litepool_controller_objects", "objects known", AT(objects), true, true},
	{"litepool_controller_waiting", "objects that wait for space or for others", AT(waiting),
	 true},
	{"litepool_controller_queue_ready", "objects to be looked at now", AT(queued), true},
	{"litepool_controller_queue_delayed", "objects to be looked at later", AT(delayed), true},
};

static const char *const kind_labels[OBJECT_KINDS] = {
	[OBJECT_NODE] = "StorageNode",
	[OBJECT_POOL] = "StoragePool",
	[OBJECT_VOLUME] = "StorageVolume",
	[OBJECT_SNAPSHOT] = "StorageSnapshot",
	[OBJECT_RESERVATION] = "StorageReservation",
};

static void one(const struct metric *m, const struct control_stats *stats, FILE *out)
{
	const _Atomic uint64_t *value =
		(const void *)((const char *)stats + m->offset); /* of that type by the table */

	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
		      m->gauge ? "gauge" : "counter");
	if (!m->by_kind) {
		(void)fprintf(out, "%s %" PRIu64 "\n", m->name, *value);
		return;
	}
	for (int kind = 0; kind < OBJECT_KINDS; kind++)
		(void)fprintf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", m->name, kind_labels[kind],
			      value[kind]);
}

void metrics_write(const struct control_stats *stats, FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
		one(&metrics[i], stats, out);
	(void)fprintf(out,
		      "# HELP litepool_controller_leader whether this process acts\n"
		      "# TYPE litepool_controller_leader gauge\nlitepool_controller_leader %d\n",
		      stats->state == CONTROL_ACTING);
}
