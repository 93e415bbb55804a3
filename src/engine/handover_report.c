/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the last upgrade, in the log and by litepool_upgrade_status; it goes along to the new engine. And the fail points of tests. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/handover.h"
#include "engine/handover_net.h"
#include "rt/proc.h"

static void put_text(json_t *json, const char *name, const char *text)
{
	(void)json_object_set_new(json, name, json_string(text ? text : ""));
}

void handover_report_begin(struct engine *e, const char *binary, bool dry_run)
{
	struct handover_report *report = &e->upgrade;

	json_decref(report->json);
	report->json = json_pack("{s:s, s:s, s:s, s:b, s:I, s:{}, s:{}, s:{}, s:{}}", "state",
				 "running", "from", LITEPOOL_VERSION, "binary", binary, "dry_run",
				 dry_run, "from_pid", (json_int_t)getpid(), "steps", "stop_us",
				 "stop_cpu_us", "stop_priority");
	report->step_ns = reactor_now_exact(e->control);
	log_info("handover.begin", "binary=%s dry_run=%d", binary[0] ? binary : "same", dry_run);
}

void handover_report_part(struct engine *e, const char *part, uint64_t ns)
{
	(void)json_object_set_new(json_object_get(e->upgrade.json, "stop_us"), part,
				  json_integer((json_int_t)((ns + 500) / 1000)));
}

void handover_report_cpu(struct engine *e, const char *side, uint64_t ns)
{
	(void)json_object_set_new(json_object_get(e->upgrade.json, "stop_cpu_us"), side,
				  json_integer((json_int_t)((ns + 500) / 1000)));
}

void handover_report_priority(struct engine *e, const char *side, enum hurry_means means)
{
	(void)json_object_set_new(json_object_get(e->upgrade.json, "stop_priority"), side,
				  json_string(hurry_means_name[means]));
}

uint64_t handover_report_parts(struct engine *e)
{
	json_t *parts = json_object_get(e->upgrade.json, "stop_us");
	uint64_t us = 0;

	for (void *it = json_object_iter(parts); it; it = json_object_iter_next(parts, it))
		us += (uint64_t)json_integer_value(json_object_iter_value(it));
	return us * 1000;
}

void handover_report_step(struct engine *e, const char *step, bool in_stop)
{
	struct handover_report *report = &e->upgrade;
	uint64_t now = reactor_now_exact(e->control);
	double ms = (double)(now - report->step_ns) / 1e6;
	char event[40];

	/* In the stop nothing is written: the new engine tells its parts when it is over. */
	(void)snprintf(event, sizeof(event), "handover.%s", step);
	if (!in_stop)
		log_info(event, "ms=%.3f", ms);
	(void)json_object_set_new(json_object_get(report->json, "steps"), step, json_real(ms));
	if (in_stop)
		handover_report_part(e, step, now - report->step_ns);
	report->step_ns = now;
}

void handover_report_counts(struct engine *e, const struct handover_message *warmed)
{
	json_t *json = e->upgrade.json;

	(void)json_object_set_new(json, "warm_ms", json_real((double)warmed->warm_ns / 1e6));
	(void)json_object_set_new(json, "bdevs", json_integer(warmed->bdevs));
	(void)json_object_set_new(json, "pools", json_integer(warmed->pools));
}

/* A stop is the slowest command under way, plus this: medians of docs/benchmarks.md (64 and 1000 connections, two virtual cores), rounded up. */
#define STOP_BASE_MS 1.5
#define STOP_CONN_MS 0.004
#define STOP_POOL_MS 1.0

static unsigned pools_of(struct engine *e)
{
	unsigned pools = 0;

	list_for_each (it, &e->store.pools)
		pools++;
	return pools;
}

double handover_estimate_ms(struct engine *e)
{
	return STOP_BASE_MS + STOP_CONN_MS * handover_net_conns(e) + STOP_POOL_MS * pools_of(e);
}

/* Hosts that wait notice nothing for a second and more: an upgrade that is given up because there are many of them helps nobody. */
uint32_t handover_deadline_ms(struct engine *e)
{
	const double ms = HANDOVER_DEADLINE_TIMES * handover_estimate_ms(e);

	return (uint32_t)MIN(MAX(ms, (double)HANDOVER_DEADLINE_MS),
			     (double)HANDOVER_DEADLINE_MS_MAX);
}

void handover_estimate(struct engine *e, char *text, size_t size)
{
	unsigned conns = handover_net_conns(e), pools = pools_of(e);
	double ms = handover_estimate_ms(e);

	(void)json_object_set_new(e->upgrade.json, "connections", json_integer(conns));
	(void)json_object_set_new(e->upgrade.json, "estimate_ms", json_real(ms));
	(void)snprintf(
		text, size,
		"dry run: %u connections, %u block devices, %u pools would be carried; the stop "
		"is likely to take %.1f ms and the time of the slowest command",
		conns, e->bdevs.count, pools, ms);
}

/* " freeze_us=90 save_us=110 ...": the parts of the stop, if there was one. */
static const char *parts_text(struct engine *e, char *text, size_t size)
{
	json_t *parts = json_object_get(e->upgrade.json, "stop_us");
	size_t len = 0;

	text[0] = '\0';
	for (void *it = json_object_iter(parts); it && len < size;
	     it = json_object_iter_next(parts, it))
		len += (size_t)snprintf(text + len, size - len, " %s_us=%lld",
					json_object_iter_key(it),
					(long long)json_integer_value(json_object_iter_value(it)));
	return text;
}

void handover_report_end(struct engine *e, const char *state, const char *step, const char *error)
{
	char quoted[640], parts[400];

	put_text(e->upgrade.json, "state", state);
	put_text(e->upgrade.json, "step", step);
	put_text(e->upgrade.json, "error", error);
	if (strcmp(state, "aborted") == 0)
		log_error("handover.aborted", "step=%s reason=%s", step,
			  log_quote(error, quoted, sizeof(quoted)));
	else
		log_info("handover.ended", "state=%s%s", state,
			 parts_text(e, parts, sizeof(parts)));
}

/* ---- fail points ---- */

static const char *const kinds[] = {"kill", "hang", "exit", "refuse", "kill-supervisor", "stop"};

int handover_fail_set(struct engine *e, const char *text, struct err *err)
{
	const char *allowed = getenv("LITEPOOL_FAILPOINTS"), *kind = strrchr(text, ':');

	if (!allowed || strcmp(allowed, "1") != 0)
		return err_set(err, -EPERM,
			       "fail_at is for tests: it needs LITEPOOL_FAILPOINTS=1 in the "
			       "engine's environment");
	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind + 1, kinds[i]) == 0 && strlen(text) < sizeof(e->fail_at)) {
			(void)snprintf(e->fail_at, sizeof(e->fail_at), "%s", text);
			return 0;
		}
	return err_set(err, -EINVAL,
		       "fail_at '%.40s': expected SIDE:STEP:KIND; sides are "
		       "old, new; kinds are kill, hang, exit, refuse, kill-supervisor, stop",
		       text);
}

bool handover_fail_pass(struct engine *e, const char *side, const char *step)
{
	size_t side_len = strlen(side), step_len = strlen(step);
	const char *at = e->fail_at, *kind;

	if (!at[0] || strncmp(at, side, side_len) != 0 || at[side_len] != ':' ||
	    strncmp(at + side_len + 1, step, step_len) != 0 || at[side_len + 1 + step_len] != ':')
		return true;
	kind = at + side_len + 1 + step_len + 1;
	log_warn("handover.fail_point", "at=%s", at);
	if (strcmp(kind, "kill") == 0)
		(void)raise(SIGKILL);
	if (strcmp(kind, "exit") == 0)
		_exit(EXIT_FAILURE);
	while (strcmp(kind, "hang") == 0)
		proc_pause_ms(1000);
	if (strcmp(kind, "kill-supervisor") == 0 && e->link.wire.pid > 1)
		(void)kill(e->link.wire.pid, SIGKILL);
	if (strcmp(kind, "stop") == 0) /* until a test has done what it wants at this moment */
		(void)raise(SIGSTOP);
	return strcmp(kind, "refuse") != 0;
}
