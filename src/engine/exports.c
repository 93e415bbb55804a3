/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is exported, kept with the volumes. For namespaces on volumes the disks are the truth: before a call that changes them is answered, the volumes' properties say so durably, and an
 * engine that starts on the disks alone makes it all again. config.json names them too, as what is expected: so a disk that is missing is noticed and its subsystem does not listen.
 *
 *   a change is carried out in the target -> store_sync_exports(): each volume whose properties differ from the target's state is edited -> config.json -> answered
 *   a replay of config.json: what the disks know better is left out (store_owns_entry) -> a second pass carries out what they say (store_export_entries)
 *
 * Properties are never taken from a volume because something could not be carried out: what is in the list of problems stays on the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/store.h"

static const char *text_at(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static bool kept(const struct bdev *bdev)
{
	return bdev->pool && bdev->pool->state == STORE_OPEN && bdev->pool->writable && bdev->props;
}

static bool same_address(const json_t *a, const json_t *b)
{
	return strcmp(text_at(a, "traddr"), text_at(b, "traddr")) == 0 &&
	       strcmp(text_at(a, "trsvcid"), text_at(b, "trsvcid")) == 0;
}

static bool listed(const json_t *listeners, const json_t *address)
{
	for (size_t i = 0; i < json_array_size(listeners); i++)
		if (same_address(json_array_get(listeners, i), address))
			return true;
	return false;
}

/* ---- what the target exports now ---- */

static const char *ana_of(const json_t *listener, json_int_t group)
{
	const json_t *states = json_object_get(listener, "ana_states");

	for (size_t i = 0; i < json_array_size(states); i++) {
		const json_t *one = json_array_get(states, i);

		if (json_integer_value(json_object_get(one, "ana_group")) == group)
			return text_at(one, "ana_state");
	}
	return "optimized";
}

static json_t *actual_listeners(const json_t *listeners, json_int_t group)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(listeners); i++) {
		const json_t *one = json_array_get(listeners, i);
		json_t *copy = json_deep_copy(json_object_get(one, "address"));

		(void)json_object_set_new(copy, "ana_state", json_string(ana_of(one, group)));
		(void)json_array_append_new(list, copy);
	}
	return list;
}

static json_t *host_names(const json_t *hosts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(hosts); i++)
		(void)json_array_append(list, json_object_get(json_array_get(hosts, i), "nqn"));
	return list;
}

/* What a volume should keep: {exports: [...], nguid, eui64, serial}. */
static json_t *wanted_of(const json_t *ss, const json_t *listeners, const json_t *ns)
{
	json_int_t group = json_integer_value(json_object_get(ns, "anagrpid"));
	json_t *one = json_pack("{s:O, s:O, s:O, s:O, s:o, s:o}", "nqn", json_object_get(ss, "nqn"),
				"nsid", json_object_get(ns, "nsid"), "anagrpid",
				json_object_get(ns, "anagrpid"), "any_host",
				json_object_get(ss, "allow_any_host"), "hosts",
				host_names(json_object_get(ss, "hosts")), "listeners",
				actual_listeners(listeners, group));

	return json_pack("{s:[o], s:O, s:O, s:O}", "exports", one, "nguid",
			 json_object_get(ns, "nguid"), "eui64", json_object_get(ns, "eui64"),
			 "serial", json_object_get(ss, "serial_number"));
}

/* By the name of the block device. */
static json_t *wanted_all(struct engine *e)
{
	json_t *subsystems = nvme_target_subsystems_json(e->target, NULL), *all = json_object();

	for (size_t i = 0; i < json_array_size(subsystems); i++) {
		const json_t *ss = json_array_get(subsystems, i);
		const json_t *spaces = json_object_get(ss, "namespaces");
		struct nvme_subsystem *nvme = nvme_subsystem_find(e->target, text_at(ss, "nqn"));
		json_t *listeners = NULL;

		for (size_t k = 0; nvme && k < json_array_size(spaces); k++) {
			const json_t *ns = json_array_get(spaces, k);
			const struct bdev *bdev = bdev_find(&e->bdevs, text_at(ns, "bdev_name"));

			if (!bdev || !bdev->pool)
				continue;
			if (!listeners)
				listeners = nvme_subsystem_listeners_json(nvme);
			(void)json_object_set_new(all, bdev->dev->name,
						  wanted_of(ss, listeners, ns));
		}
		json_decref(listeners);
	}
	json_decref(subsystems);
	return all;
}

/* ---- what waits in the list of problems ---- */

static bool listener_waits(struct engine *e, const char *nqn, const json_t *address)
{
	list_for_each (it, &e->problems.list) {
		const json_t *entry = list_entry(it, struct config_problem, link)->entry;
		const json_t *params = json_object_get(entry, "params");

		if (strcmp(text_at(entry, "method"), "nvmf_subsystem_add_listener") == 0 &&
		    strcmp(text_at(params, "nqn"), nqn) == 0 &&
		    same_address(json_object_get(params, "listen_address"), address))
			return true;
	}
	return false;
}

static json_t *export_in(const json_t *exports, const json_t *like)
{
	for (size_t i = 0; i < json_array_size(exports); i++) {
		json_t *one = json_array_get(exports, i);

		if (json_equal(json_object_get(one, "nqn"), json_object_get(like, "nqn")) &&
		    json_equal(json_object_get(one, "nsid"), json_object_get(like, "nsid")))
			return one;
	}
	return NULL;
}

/* Adds to exports what the disk has and what only waits to be carried out. */
static void keep_waiting(struct engine *e, const struct bdev *bdev, json_t *exports)
{
	const json_t *stored = json_object_get(bdev->props, "exports");

	for (size_t i = 0; i < json_array_size(stored); i++) {
		const json_t *was = json_array_get(stored, i);
		const json_t *listeners = json_object_get(was, "listeners");
		const char *nqn = text_at(was, "nqn");
		json_t *now = export_in(exports, was);

		if (!now && config_problems_has_ns(
				    &e->problems, nqn,
				    (unsigned)json_integer_value(json_object_get(was, "nsid"))))
			(void)json_array_append_new(exports, json_deep_copy(was));
		for (size_t k = 0; now && k < json_array_size(listeners); k++) {
			json_t *l = json_array_get(listeners, k);

			if (!listed(json_object_get(now, "listeners"), l) &&
			    listener_waits(e, nqn, l))
				(void)json_array_append(json_object_get(now, "listeners"), l);
		}
	}
}

/* ---- making it durable ---- */

static json_t *qos_now(const struct bdev *bdev)
{
	const struct nvme_qos_limits *q = &bdev->limits;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I}", "rw_ios_per_sec", (json_int_t)q->rw_ios_per_sec,
		"r_ios_per_sec", (json_int_t)q->r_ios_per_sec, "w_ios_per_sec",
		(json_int_t)q->w_ios_per_sec, "rw_bytes_per_sec", (json_int_t)q->rw_bytes_per_sec,
		"r_bytes_per_sec", (json_int_t)q->r_bytes_per_sec, "w_bytes_per_sec",
		(json_int_t)q->w_bytes_per_sec);
}

/* What is to be kept, when it is not what is kept; NULL: it is. */
static json_t *change_of(struct engine *e, const struct bdev *bdev, const json_t *all)
{
	json_t *wanted = json_deep_copy(json_object_get(all, bdev->dev->name));
	json_t *stored = json_deep_copy(json_object_get(bdev->props, "exports")), *exports;
	bool same;

	if (!wanted)
		wanted = json_pack("{s:[]}", "exports");
	exports = json_object_get(wanted, "exports");
	keep_waiting(e, bdev, exports);
	(void)json_object_set_new(wanted, "qos", qos_now(bdev));
	for (size_t i = 0; i < json_array_size(stored); i++)
		(void)json_object_del(json_array_get(stored, i), "reservation");
	for (size_t i = 0; i < json_array_size(exports); i++)
		(void)json_object_del(json_array_get(exports, i), "reservation");
	same = json_equal(stored, exports) &&
	       json_equal(json_object_get(bdev->props, "qos"), json_object_get(wanted, "qos"));
	json_decref(stored);
	if (!same)
		return wanted;
	json_decref(wanted);
	return NULL;
}

struct export_job {
	struct store_job job;
	json_t *wanted; /* owned */
	char uuid[UUID_TEXT_SIZE];
};

static int edit(void *ctx, struct props *p, struct err *err)
{
	struct export_job *x = ctx;
	const json_t *qos = json_object_get(x->wanted, "qos");
	const char *serial = text_at(x->wanted, "serial");
	int res = store_props_set_exports(p, json_object_get(x->wanted, "exports"), err);

	if (res < 0)
		return res;
	p->qos.rw_ios = (uint64_t)json_integer_value(json_object_get(qos, "rw_ios_per_sec"));
	p->qos.r_ios = (uint64_t)json_integer_value(json_object_get(qos, "r_ios_per_sec"));
	p->qos.w_ios = (uint64_t)json_integer_value(json_object_get(qos, "w_ios_per_sec"));
	p->qos.rw_bytes = (uint64_t)json_integer_value(json_object_get(qos, "rw_bytes_per_sec"));
	p->qos.r_bytes = (uint64_t)json_integer_value(json_object_get(qos, "r_bytes_per_sec"));
	p->qos.w_bytes = (uint64_t)json_integer_value(json_object_get(qos, "w_bytes_per_sec"));
	(void)hex_parse(text_at(x->wanted, "nguid"), p->nguid, sizeof(p->nguid));
	(void)hex_parse(text_at(x->wanted, "eui64"), p->eui64, sizeof(p->eui64));
	if (serial[0] && strlen(serial) <= PROPS_SERIAL_MAX && !strchr(serial, ' '))
		memcpy(p->serial, serial, strlen(serial) + 1);
	return 0;
}

static int find_prepare(struct store_job *job)
{
	struct export_job *x = (struct export_job *)job;
	struct bdev *bdev = bdev_find(&job->e->bdevs, x->uuid);

	if (!bdev || bdev->pool != job->sp)
		return err_set(&job->err, -ENODEV, "the volume is gone");
	job->volume = bdev->volume;
	return 0;
}

static void edit_run(struct store_job *job)
{
	volume_edit(job->volume, edit, job, store_volume_done, job);
}

static void round_end(struct engine *e)
{
	struct err err = e->store.sync_err;
	struct list *link;

	while ((link = list_pop_front(&e->store.syncing))) {
		struct store_sync *sync = list_entry(link, struct store_sync, link);

		sync->done(sync, err.code ? &err : NULL);
	}
	store_sync_go_on(e);
}

static void edit_finish(struct store_job *job)
{
	struct export_job *x = (struct export_job *)job;
	struct engine *e = job->e;

	/* A volume that is gone has no exports to keep. */
	if (job->err.code && job->err.code != -ENODEV) {
		log_error("engine.exports.not_kept", "volume=%s reason=\"%s\"", x->uuid,
			  job->err.text);
		e->store.sync_err = job->err;
	}
	json_decref(x->wanted);
	if (--e->store.sync_jobs == 0)
		round_end(e);
}

/* Takes wanted. */
static void edit_start(struct bdev *bdev, json_t *wanted)
{
	struct engine *e = bdev->pool->e;
	struct export_job *x = store_job_new(e, sizeof(*x), bdev->pool, NULL, NULL);

	if (!x) {
		json_decref(wanted);
		(void)err_set(&e->store.sync_err, -ENOMEM, "out of memory");
		return;
	}
	x->wanted = wanted;
	memcpy(x->uuid, bdev->uuid_text, sizeof(x->uuid));
	x->job.prepare = find_prepare;
	x->job.run = edit_run;
	x->job.finish = edit_finish;
	e->store.sync_jobs++;
	store_job_start(&x->job);
}

static void round_begin(struct engine *e)
{
	struct list *link;
	json_t *all = NULL;

	while ((link = list_pop_front(&e->store.syncs)))
		list_push_back(&e->store.syncing, link);
	e->store.sync_err = (struct err){0};
	e->store.sync_jobs++; /* ours, so that the round does not end under the loop */
	list_for_each (it, &e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);
		json_t *change;

		if (!kept(bdev) || !bdev->exports_live)
			continue;
		if (!all)
			all = wanted_all(e);
		change = change_of(e, bdev, all);
		if (change)
			edit_start(bdev, change);
	}
	json_decref(all);
	if (--e->store.sync_jobs == 0)
		round_end(e);
}

void store_sync_go_on(struct engine *e)
{
	bool restoring = e->replay.entries && e->replay.from_disks;

	if (list_empty(&e->store.syncs) || e->store.sync_jobs > 0 || (restoring && !e->stopping))
		return;
	round_begin(e);
}

void store_sync_exports(struct engine *e, struct store_sync *sync)
{
	list_push_back(&e->store.syncs, &sync->link);
	store_sync_go_on(e);
}

/* ---- carrying out what the disks say ---- */

bool store_owns_entry(struct engine *e, const char *method, const json_t *params)
{
	static const char *const left[] = {"nvmf_subsystem_add_host", "nvmf_subsystem_add_listener",
					   "nvmf_subsystem_listener_set_ana_state",
					   "nvmf_subsystem_allow_any_host"};
	bool about = false;

	if (strcmp(method, "nvmf_subsystem_add_ns") == 0) {
		const char *name = text_at(json_object_get(params, "namespace"), "bdev_name");
		const struct bdev *bdev = bdev_find(&e->bdevs, name);
		bool owned = bdev && kept(bdev) && !bdev->exports_live;

		if (owned && json_array_size(json_object_get(bdev->props, "exports")) == 0)
			log_warn("engine.exports.left_out",
				 "nqn=%s volume=%s reason=\"the configuration exports it, its disk "
				 "says "
				 "it is not exported, and the disk is right\"",
				 text_at(params, "nqn"), bdev->alias);
		return owned;
	}
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		about = about || strcmp(method, left[i]) == 0;
	if (!about)
		return false;
	list_for_each (it, &e->bdevs.list) {
		const struct bdev *bdev = list_entry(it, struct bdev, link);
		const json_t *exports = json_object_get(bdev->props, "exports");

		for (size_t i = 0;
		     kept(bdev) && !bdev->exports_live && i < json_array_size(exports); i++)
			if (strcmp(text_at(json_array_get(exports, i), "nqn"),
				   text_at(params, "nqn")) == 0)
				return true;
	}
	return false;
}

struct entries {
	struct engine *e;
	json_t *array,
		*subsystems; /* subsystems: made or looked at, {nqn: {any_host, hosts: {}, listeners: []}} */
};

static void entry_add(struct entries *x, const char *method, json_t *params)
{
	(void)json_array_append_new(x->array, json_pack("{s:s, s:s, s:o}", "subsystem", "nvmf",
							"method", method, "params", params));
}

/* What is known of the subsystem as it will be; made when it is not there. */
static json_t *subsystem_of(struct entries *x, const json_t *export, const struct bdev *bdev)
{
	const char *nqn = text_at(export, "nqn"), *serial = text_at(bdev->props, "serial");
	json_t *known = json_object_get(x->subsystems, nqn), *now, *params;
	json_int_t nsid = json_integer_value(json_object_get(export, "nsid"));
	bool any = json_is_true(json_object_get(export, "any_host"));
	bool has_any;

	if (known)
		return known;
	now = nvme_target_subsystems_json(x->e->target, nqn);
	known = json_pack("{s:{}, s:[]}", "hosts", "listeners");
	(void)json_object_set_new(x->subsystems, nqn, known);
	if (json_array_size(now) == 0) {
		params = json_pack("{s:s, s:b, s:i, s:b}", "nqn", nqn, "allow_any_host", any,
				   "max_namespaces", nsid > 32 ? 1024 : 32, "ana_reporting", true);
		if (serial[0])
			(void)json_object_set_new(params, "serial_number", json_string(serial));
		entry_add(x, "nvmf_create_subsystem", params);
		json_decref(now);
		return known;
	}
	has_any = json_is_true(json_object_get(json_array_get(now, 0), "allow_any_host"));
	if (any != has_any)
		entry_add(x, "nvmf_subsystem_allow_any_host",
			  json_pack("{s:s, s:b}", "nqn", nqn, "allow_any_host", any));
	(void)json_object_set(known, "listeners",
			      json_object_get(json_array_get(now, 0), "listen_addresses"));
	json_decref(now);
	return known;
}

static void ns_entry(struct entries *x, const json_t *export, const struct bdev *bdev)
{
	json_t *ns = json_pack("{s:s, s:O, s:O}", "bdev_name", bdev->dev->name, "nsid",
			       json_object_get(export, "nsid"), "anagrpid",
			       json_object_get(export, "anagrpid"));

	(void)subsystem_of(x, export, bdev);
	entry_add(x, "nvmf_subsystem_add_ns",
		  json_pack("{s:O, s:o}", "nqn", json_object_get(export, "nqn"), "namespace", ns));
}

static void host_entries(struct entries *x, const json_t *export, const struct bdev *bdev)
{
	json_t *known = json_object_get(subsystem_of(x, export, bdev), "hosts");
	const json_t *hosts = json_object_get(export, "hosts");

	for (size_t i = 0; i < json_array_size(hosts); i++) {
		const char *host = json_string_value(json_array_get(hosts, i));

		if (json_object_get(known, host))
			continue;
		(void)json_object_set_new(known, host, json_true());
		entry_add(x, "nvmf_subsystem_add_host",
			  json_pack("{s:O, s:s}", "nqn", json_object_get(export, "nqn"), "host",
				    host));
	}
}

static json_t *address_of(const json_t *listener)
{
	return json_pack("{s:O, s:O, s:O, s:O}", "trtype", json_object_get(listener, "trtype"),
			 "adrfam", json_object_get(listener, "adrfam"), "traddr",
			 json_object_get(listener, "traddr"), "trsvcid",
			 json_object_get(listener, "trsvcid"));
}

/* Closed for all groups first when there is another state than optimized, so that no host sees a path open that was closed. */
static void listener_entries(struct entries *x, const json_t *export, const struct bdev *bdev)
{
	json_t *known = json_object_get(subsystem_of(x, export, bdev), "listeners");
	const json_t *listeners = json_object_get(export, "listeners");

	for (size_t i = 0; i < json_array_size(listeners); i++) {
		json_t *l = json_array_get(listeners, i);
		const char *state = text_at(l, "ana_state");

		if (!listed(known, l)) {
			(void)json_array_append(known, l);
			entry_add(x, "nvmf_subsystem_add_listener",
				  json_pack("{s:O, s:o, s:s}", "nqn",
					    json_object_get(export, "nqn"), "listen_address",
					    address_of(l), "ana_state",
					    strcmp(state, "optimized") == 0 ? "optimized"
									    : "inaccessible"));
			if (strcmp(state, "non_optimized") != 0)
				continue;
		}
		entry_add(x, "nvmf_subsystem_listener_set_ana_state",
			  json_pack("{s:O, s:o, s:s, s:O}", "nqn", json_object_get(export, "nqn"),
				    "listen_address", address_of(l), "ana_state", state, "anagrpid",
				    json_object_get(export, "anagrpid")));
	}
}

static void each_export(struct entries *x, void (*fn)(struct entries *x, const json_t *export,
						      const struct bdev *bdev))
{
	list_for_each (it, &x->e->bdevs.list) {
		const struct bdev *bdev = list_entry(it, struct bdev, link);
		const json_t *exports = json_object_get(bdev->props, "exports");

		for (size_t i = 0;
		     kept(bdev) && !bdev->exports_live && i < json_array_size(exports); i++)
			fn(x, json_array_get(exports, i), bdev);
	}
}

json_t *store_export_entries(struct engine *e)
{
	struct entries x = {.e = e, .array = json_array(), .subsystems = json_object()};

	each_export(&x, ns_entry); /* everything is there before the first host comes in */
	each_export(&x, host_entries);
	if (json_array_size(x.array) > 0 && !e->tcp)
		(void)json_array_insert_new(x.array, 0,
					    json_pack("{s:s, s:s, s:{s:s}}", "subsystem", "nvmf",
						      "method", "nvmf_create_transport", "params",
						      "trtype", "TCP"));
	each_export(&x, listener_entries);
	list_for_each (it, &e->bdevs.list) {
		struct bdev *bdev = list_entry(it, struct bdev, link);

		if (kept(bdev))
			bdev->exports_live = true;
	}
	json_decref(x.subsystems);
	return x.array;
}

static void restored(struct engine *e, int res)
{
	void (*done)(struct engine *e, void *ctx) = e->store.restored;

	e->store.restored = NULL;
	done(e, e->store.restored_ctx);
}

void store_restore_exports(struct engine *e, void (*done)(struct engine *e, void *ctx), void *ctx)
{
	/* A replay that is under way carries out what has come meanwhile at its end. */
	if (e->replay.entries || e->replay.call || e->in_replay || e->stopping) {
		done(e, ctx);
		return;
	}
	e->store.restored = done;
	e->store.restored_ctx = ctx;
	engine_replay(e, json_array(), false, restored);
}

void store_waiting_drop(struct engine *e, const json_t *params)
{
	list_for_each_safe (it, &e->problems.list) {
		struct config_problem *p = list_entry(it, struct config_problem, link);
		const json_t *waits = json_object_get(p->entry, "params");

		if (strcmp(text_at(p->entry, "method"), "nvmf_subsystem_add_listener") == 0 &&
		    strcmp(text_at(waits, "nqn"), text_at(params, "nqn")) == 0 &&
		    same_address(json_object_get(waits, "listen_address"),
				 json_object_get(params, "listen_address")))
			(void)config_problems_remove(&e->problems, p->id);
	}
}
