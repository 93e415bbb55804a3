/* SPDX-License-Identifier: Apache-2.0 */
/* The target as JSON in the shapes that SPDK's nvmf_* methods use, for RPC clients, save_config and metrics. */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "nvme/control.h"

static json_t *address_json(const struct nvme_port *port)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "trtype", port->addr.trtype, "adrfam",
			 port->addr.adrfam, "traddr", port->addr.traddr, "trsvcid",
			 port->addr.trsvcid);
}

static const char *ana_name(enum nvme_ana_state state)
{
	switch (state) {
	case NVME_ANA_OPTIMIZED:
		return "optimized";
	case NVME_ANA_NON_OPTIMIZED:
		return "non_optimized";
	case NVME_ANA_INACCESSIBLE:
		return "inaccessible";
	case NVME_ANA_PERSISTENT_LOSS:
		return "persistent_loss";
	case NVME_ANA_CHANGE:
		return "change";
	}
	return "unknown";
}

static json_t *ns_json(const struct nvme_ns *ns)
{
	char nguid[33], eui64[17], uuid[UUID_TEXT_SIZE];

	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I}", "nsid", (json_int_t)ns->nsid,
			 "bdev_name", ns->dev->name, "name", ns->dev->name, "nguid",
			 hex_format(ns->nguid, 16, nguid), "eui64", hex_format(ns->eui64, 8, eui64),
			 "uuid", uuid_format(&ns->uuid, uuid), "anagrpid",
			 (json_int_t)ns->anagrpid);
}

static json_t *listen_addresses_json(const struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	list_for_each (it, &ss->listeners)
		json_array_append_new(
			list, address_json(list_entry(it, struct nvme_listener, link)->port));
	return list;
}

static json_t *hosts_json(const struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	list_for_each (it, &ss->hosts)
		json_array_append_new(list,
				      json_pack("{s:s}", "nqn",
						list_entry(it, struct nvme_host_entry, link)->nqn));
	return list;
}

static json_t *namespaces_json(const struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	for (uint32_t nsid = 1; nsid <= ss->nn; nsid++) {
		const struct nvme_ns *ns = nvme_ns_find(ss, nsid);

		if (ns)
			json_array_append_new(list, ns_json(ns));
	}
	return list;
}

static json_t *subsystem_json(const struct nvme_subsystem *ss)
{
	json_t *json = json_pack("{s:s, s:s, s:o, s:b, s:o}", "nqn", ss->nqn, "subtype",
				 ss->is_discovery ? "Discovery" : "NVMe", "listen_addresses",
				 listen_addresses_json(ss), "allow_any_host", ss->allow_any_host,
				 "hosts", hosts_json(ss));

	if (ss->is_discovery)
		return json;
	json_object_set_new(json, "serial_number", json_string(ss->serial));
	json_object_set_new(json, "model_number", json_string(ss->model));
	json_object_set_new(json, "max_namespaces", json_integer(ss->nn));
	json_object_set_new(json, "min_cntlid", json_integer(ss->min_cntlid));
	json_object_set_new(json, "max_cntlid", json_integer(ss->max_cntlid));
	json_object_set_new(json, "namespaces", namespaces_json(ss));
	return json;
}

json_t *nvme_target_subsystems_json(struct nvme_target *t, const char *nqn_or_null)
{
	json_t *list = json_array();

	if (nqn_or_null) {
		const struct nvme_subsystem *ss = nvme_subsystem_find(t, nqn_or_null);

		if (ss)
			json_array_append_new(list, subsystem_json(ss));
		return list;
	}
	json_array_append_new(list, subsystem_json(t->discovery));
	list_for_each (it, &t->subsystems)
		json_array_append_new(list,
				      subsystem_json(list_entry(it, struct nvme_subsystem, link)));
	return list;
}

json_t *nvme_subsystem_controllers_json(struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	list_for_each (it, &ss->ctrlrs) {
		const struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);
		struct uuid hostid;
		char text[UUID_TEXT_SIZE];

		memcpy(hostid.b, c->hostid, sizeof(hostid.b));
		json_array_append_new(
			list,
			json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:b, s:o}", "cntlid",
				  (json_int_t)c->cntlid, "state",
				  c->state == NVME_CTRLR_LIVE ? "live" : "closing", "hostnqn",
				  c->hostnqn, "hostid", uuid_format(&hostid, text), "num_io_qpairs",
				  (json_int_t)(c->n_qpairs - (c->admin ? 1 : 0)), "kato_ms",
				  (json_int_t)c->kato_ms, "enabled", nvme_ctrlr_enabled(c),
				  "listen_address", address_json(c->port)));
	}
	return list;
}

static json_t *qpair_json(const struct nvme_ctrlr *c, const struct nvme_qpair *qp)
{
	const struct nvme_qpair_stats *s = &qp->stats;

	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "cntlid", (json_int_t)c->cntlid, "qid", (json_int_t)qp->qid, "state",
			 qp->close_posted || qp->gone_arrived ? "disconnecting" : "active",
			 "thread", reactor_name(qp->reactor), "hostnqn", c->hostnqn, "peer_address",
			 qp->peer, "queue_depth", (json_int_t)qp->qsize, "listen_address",
			 address_json(qp->port), "reads", (json_int_t)counter_get(&s->reads),
			 "writes", (json_int_t)counter_get(&s->writes), "others",
			 (json_int_t)counter_get(&s->others), "read_bytes",
			 (json_int_t)counter_get(&s->read_bytes), "write_bytes",
			 (json_int_t)counter_get(&s->write_bytes), "errors",
			 (json_int_t)counter_get(&s->errors));
}

json_t *nvme_subsystem_qpairs_json(struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	list_for_each (it, &ss->ctrlrs) {
		const struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		list_for_each (q, &c->qpairs)
			json_array_append_new(
				list, qpair_json(c, list_entry(q, struct nvme_qpair, link)));
	}
	return list;
}

json_t *nvme_subsystem_listeners_json(struct nvme_subsystem *ss)
{
	json_t *list = json_array();

	list_for_each (it, &ss->listeners) {
		const struct nvme_listener *l = list_entry(it, struct nvme_listener, link);
		json_t *states = json_array();

		for (uint32_t g = 1; g <= ss->nn; g++)
			json_array_append_new(states,
					      json_pack("{s:I, s:s}", "ana_group", (json_int_t)g,
							"ana_state",
							ana_name((enum nvme_ana_state)l->ana[g])));
		json_array_append_new(list, json_pack("{s:o, s:o}", "address",
						      address_json(l->port), "ana_states", states));
	}
	return list;
}

/* --- configuration --- */

static void call_put(json_t *calls, const char *method, json_t *params)
{
	json_array_append_new(calls, json_pack("{s:s, s:o}", "method", method, "params", params));
}

static uint8_t config_first_state(const struct nvme_subsystem *ss, const struct nvme_listener *l)
{
	for (uint32_t g = 2; g <= ss->nn; g++)
		if (l->ana[g] != l->ana[1])
			return NVME_ANA_INACCESSIBLE;
	return l->ana[1];
}

/*
 * A host that comes back while a configuration is carried out must not find a path open that was closed: the listener begins with all
 * groups inaccessible, unless they all have one state.
 */
static void config_listener(json_t *calls, const struct nvme_subsystem *ss,
			    const struct nvme_listener *l)
{
	const uint8_t first = config_first_state(ss, l);
	json_t *params =
		json_pack("{s:s, s:o}", "nqn", ss->nqn, "listen_address", address_json(l->port));

	if (first != NVME_ANA_OPTIMIZED)
		(void)json_object_set_new(params, "ana_state",
					  json_string(ana_name((enum nvme_ana_state)first)));
	call_put(calls, "nvmf_subsystem_add_listener", params);
	for (uint32_t g = 1; g <= ss->nn; g++) {
		if (l->ana[g] == first)
			continue;
		call_put(calls, "nvmf_subsystem_listener_set_ana_state",
			 json_pack("{s:s, s:o, s:s, s:I}", "nqn", ss->nqn, "listen_address",
				   address_json(l->port), "ana_state",
				   ana_name((enum nvme_ana_state)l->ana[g]), "anagrpid",
				   (json_int_t)g));
	}
}

static void config_ns(json_t *calls, const struct nvme_subsystem *ss, const struct nvme_ns *ns)
{
	json_t *json = ns_json(ns);

	json_object_del(json, "name"); /* SPDK's answer has it, its parameters do not */
	call_put(calls, "nvmf_subsystem_add_ns",
		 json_pack("{s:s, s:o}", "nqn", ss->nqn, "namespace", json));
}

/* Namespaces before listeners: a host that comes in finds everything there. */
static void config_subsystem(json_t *calls, const struct nvme_subsystem *ss)
{
	call_put(calls, "nvmf_create_subsystem",
		 json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:b}", "nqn", ss->nqn,
			   "allow_any_host", ss->allow_any_host, "serial_number", ss->serial,
			   "model_number", ss->model, "max_namespaces", (json_int_t)ss->nn,
			   "min_cntlid", (json_int_t)ss->min_cntlid, "max_cntlid",
			   (json_int_t)ss->max_cntlid, "ana_reporting", ss->ana_reporting));
	list_for_each (it, &ss->hosts)
		call_put(calls, "nvmf_subsystem_add_host",
			 json_pack("{s:s, s:s}", "nqn", ss->nqn, "host",
				   list_entry(it, struct nvme_host_entry, link)->nqn));
	for (uint32_t nsid = 1; nsid <= ss->nn; nsid++)
		if (nvme_ns_find(ss, nsid))
			config_ns(calls, ss, nvme_ns_find(ss, nsid));
	list_for_each (it, &ss->listeners)
		config_listener(calls, ss, list_entry(it, struct nvme_listener, link));
}

json_t *nvme_target_config_json(struct nvme_target *t)
{
	json_t *calls = json_array();

	list_for_each (it, &t->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		if (!ss->deleting)
			config_subsystem(calls, ss);
	}
	list_for_each (it, &t->discovery->listeners)
		config_listener(calls, t->discovery, list_entry(it, struct nvme_listener, link));
	return calls;
}

/* --- counters --- */

/* Only buckets that are not empty: [[floor_ns, count], ...]. */
static json_t *hist_json(const struct hist *h)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t n = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);

		if (n)
			json_array_append_new(list,
					      json_pack("[I, I]", (json_int_t)hist_bucket_floor(i),
							(json_int_t)n));
	}
	return list;
}

static void ns_stats_sum(const struct nvme_ns *ns, struct ns_stats *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(ns->stats); i++) {
		const struct ns_stats *s = ns->stats[i];

		if (!s)
			continue;
		counter_add(&out->reads, counter_get(&s->reads));
		counter_add(&out->writes, counter_get(&s->writes));
		counter_add(&out->others, counter_get(&s->others));
		counter_add(&out->read_bytes, counter_get(&s->read_bytes));
		counter_add(&out->write_bytes, counter_get(&s->write_bytes));
		counter_add(&out->errors, counter_get(&s->errors));
		counter_add(&out->compares_failed, counter_get(&s->compares_failed));
		hist_merge(&out->read_latency, &s->read_latency);
		hist_merge(&out->write_latency, &s->write_latency);
	}
}

static json_t *ns_stats_json(const struct nvme_ns *ns)
{
	struct ns_stats sum = {0};

	ns_stats_sum(ns, &sum);
	return json_pack(
		"{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "nqn", ns->ss->nqn,
		"nsid", (json_int_t)ns->nsid, "bdev_name", ns->dev->name, "reads",
		(json_int_t)counter_get(&sum.reads), "writes", (json_int_t)counter_get(&sum.writes),
		"others", (json_int_t)counter_get(&sum.others), "read_bytes",
		(json_int_t)counter_get(&sum.read_bytes), "write_bytes",
		(json_int_t)counter_get(&sum.write_bytes), "errors",
		(json_int_t)counter_get(&sum.errors), "compares_failed",
		(json_int_t)counter_get(&sum.compares_failed), "read_latency_ns",
		hist_json(&sum.read_latency), "write_latency_ns", hist_json(&sum.write_latency));
}

json_t *nvme_target_stats_json(struct nvme_target *t)
{
	json_t *list = json_array();

	list_for_each (it, &t->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		for (uint32_t nsid = 1; nsid <= ss->nn; nsid++)
			if (nvme_ns_find(ss, nsid))
				json_array_append_new(list, ns_stats_json(nvme_ns_find(ss, nsid)));
	}
	return list;
}
