/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of a volume as JSON and back: what RPC shows, what exports.c compares, and what it makes durable. Pure; any thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/store.h"

enum { TRTYPE_TCP = 3, ADRFAM_IPV4 = 1, ADRFAM_IPV6 = 2 };

static const char *const ana_names[] = {NULL, "optimized", "non_optimized", "inaccessible",
					"persistent_loss"};

/* ---- to JSON ---- */

static json_t *registrants_json(const struct props_reservation *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n; i++) {
		char hostid[33], key[19];

		(void)snprintf(key, sizeof(key), "0x%" PRIx64, r->reg[i].key);
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "hostid",
					hex_format(r->reg[i].hostid, 16, hostid), "key", key));
	}
	return list;
}

/* The shape of nvme/resv_json.c. */
static json_t *reservation_json(const struct props_reservation *r)
{
	char holder[33];
	bool held = r->holder != PROPS_NO_HOLDER;

	if (held)
		hex_format(r->reg[r->holder].hostid, 16, holder);
	return json_pack("{s:i, s:s?, s:I, s:b, s:o}", "type", (int)r->type, "holder",
			 held ? holder : NULL, "generation", (json_int_t)r->generation, "ptpl",
			 true, "registrants", registrants_json(r));
}

static json_t *hosts_json(const struct props *p, unsigned no)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->n_hosts; i++)
		if (p->host[i].export_no == no)
			(void)json_array_append_new(list, json_string(p->host[i].nqn));
	return list;
}

static json_t *listeners_json(const struct props *p, unsigned no)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->n_listeners; i++) {
		const struct props_listener *l = &p->listener[i];

		if (l->export_no == no)
			(void)json_array_append_new(
				list,
				json_pack("{s:s, s:s, s:s, s:s, s:s}", "trtype", "TCP", "adrfam",
					  l->adrfam == ADRFAM_IPV6 ? "IPv6" : "IPv4", "traddr",
					  l->traddr, "trsvcid", l->trsvcid, "ana_state",
					  ana_names[l->ana]));
	}
	return list;
}

static json_t *exports_json(const struct props *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->n_exports; i++) {
		const struct props_export *x = &p->export[i];
		json_t *one =
			json_pack("{s:s, s:I, s:I, s:b, s:o, s:o}", "nqn", x->nqn, "nsid",
				  (json_int_t)x->nsid, "anagrpid", (json_int_t)x->anagrpid,
				  "any_host", (x->flags & PROPS_EXPORT_ANY_HOST) != 0, "hosts",
				  hosts_json(p, i), "listeners", listeners_json(p, i));

		if (one && x->has_reservation)
			(void)json_object_set_new(one, "reservation",
						  reservation_json(&x->reservation));
		(void)json_array_append_new(list, one);
	}
	return list;
}

static json_t *labels_json(const struct props *p)
{
	json_t *labels = json_object();

	for (unsigned i = 0; i < p->n_labels; i++)
		(void)json_object_set_new(labels, p->label[i].key, json_string(p->label[i].value));
	return labels;
}

static json_t *qos_json(const struct props_qos *q)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rw_ios_per_sec", (json_int_t)q->rw_ios,
			 "r_ios_per_sec", (json_int_t)q->r_ios, "w_ios_per_sec",
			 (json_int_t)q->w_ios, "rw_bytes_per_sec", (json_int_t)q->rw_bytes,
			 "r_bytes_per_sec", (json_int_t)q->r_bytes, "w_bytes_per_sec",
			 (json_int_t)q->w_bytes);
}

json_t *store_props_json(const struct props *p)
{
	static const uint8_t zero[16];
	char nguid[33] = "", eui64[17] = "", of[UUID_TEXT_SIZE];

	if (memcmp(p->nguid, zero, 16) != 0)
		hex_format(p->nguid, 16, nguid);
	if (memcmp(p->eui64, zero, 8) != 0)
		hex_format(p->eui64, 8, eui64);
	return json_pack(
		"{s:s, s:s, s:s, s:b, s:b, s:b, s:I, s:I, s:o, s:o, s:o, s:s*}", "nguid", nguid,
		"eui64", eui64, "serial", p->serial, "thick", (p->flags & PROPS_F_THICK) != 0,
		"read_only", (p->flags & PROPS_F_READ_ONLY) != 0, "formatted",
		(p->flags & PROPS_F_FORMATTED) != 0, "block_size", (json_int_t)p->block_size,
		"created_s", (json_int_t)p->created_s, "qos", qos_json(&p->qos), "labels",
		labels_json(p), "exports", exports_json(p), "snapshot_of",
		uuid_is_null(&p->snapshot_of) ? NULL : uuid_format(&p->snapshot_of, of));
}

/* ---- from JSON ---- */

static uint64_t u64_at(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static const char *text_at(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static int listener_put(struct props *p, unsigned no, const json_t *json, struct err *err)
{
	struct props_listener *l = &p->listener[p->n_listeners];
	const char *state = text_at(json, "ana_state");

	if (p->n_listeners == PROPS_LISTENERS_MAX)
		return err_set(err, -E2BIG, "a volume keeps at most %u listeners",
			       PROPS_LISTENERS_MAX);
	*l = (struct props_listener){.export_no = (uint8_t)no, .trtype = TRTYPE_TCP, .ana = 1};
	l->adrfam = strcasecmp(text_at(json, "adrfam"), "IPv6") == 0 ? ADRFAM_IPV6 : ADRFAM_IPV4;
	for (size_t i = 1; i < sizeof(ana_names) / sizeof(ana_names[0]); i++)
		if (strcmp(ana_names[i], state) == 0)
			l->ana = (uint8_t)i;
	if (!str_copy(l->traddr, sizeof(l->traddr), text_at(json, "traddr")) ||
	    !str_copy(l->trsvcid, sizeof(l->trsvcid), text_at(json, "trsvcid")))
		return err_set(err, -EINVAL, "the address %.80s is too long to be kept",
			       text_at(json, "traddr"));
	p->n_listeners++;
	return 0;
}

static int host_put(struct props *p, unsigned no, const char *nqn, struct err *err)
{
	struct props_host *h = &p->host[p->n_hosts];

	if (p->n_hosts == PROPS_HOSTS_MAX)
		return err_set(err, -E2BIG, "a volume keeps at most %u allowed hosts",
			       PROPS_HOSTS_MAX);
	h->export_no = (uint8_t)no;
	if (!str_copy(h->nqn, sizeof(h->nqn), nqn))
		return err_set(err, -EINVAL, "the host's NQN %.80s... is too long", nqn);
	p->n_hosts++;
	return 0;
}

static int export_put(struct props *p, const json_t *json, struct err *err)
{
	const json_t *hosts = json_object_get(json, "hosts");
	const json_t *listeners = json_object_get(json, "listeners");
	unsigned no = p->n_exports;
	struct props_export *x = &p->export[no];
	int res = 0;

	if (no == PROPS_EXPORTS_MAX)
		return err_set(err, -E2BIG, "a volume keeps at most %u exports", PROPS_EXPORTS_MAX);
	memset(x, 0, sizeof(*x));
	if (!str_copy(x->nqn, sizeof(x->nqn), text_at(json, "nqn")))
		return err_set(err, -EINVAL, "the NQN of an export is too long");
	x->nsid = (uint32_t)u64_at(json, "nsid");
	x->anagrpid = (uint32_t)u64_at(json, "anagrpid");
	x->flags = json_is_true(json_object_get(json, "any_host")) ? PROPS_EXPORT_ANY_HOST : 0;
	p->n_exports++;
	for (size_t i = 0; res == 0 && i < json_array_size(hosts); i++)
		res = host_put(p, no, json_string_value(json_array_get(hosts, i)), err);
	for (size_t i = 0; res == 0 && i < json_array_size(listeners); i++)
		res = listener_put(p, no, json_array_get(listeners, i), err);
	return res;
}

static struct props_export *export_find(struct props_export *exports, unsigned n, const char *nqn,
					uint32_t nsid)
{
	for (unsigned i = 0; i < n; i++)
		if (exports[i].nsid == nsid && strcmp(exports[i].nqn, nqn) == 0)
			return &exports[i];
	return NULL;
}

int store_props_set_exports(struct props *p, const json_t *exports, struct err *err)
{
	struct props_export *old = malloc(sizeof(p->export));
	unsigned n_old = p->n_exports;
	int res = 0;

	if (!old)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(old, p->export, sizeof(p->export));
	p->n_exports = p->n_hosts = p->n_listeners = 0;
	for (size_t i = 0; res == 0 && i < json_array_size(exports); i++)
		res = export_put(p, json_array_get(exports, i), err);
	for (unsigned i = 0; i < p->n_exports; i++) {
		struct props_export *x = &p->export[i];
		const struct props_export *was = export_find(old, n_old, x->nqn, x->nsid);

		if (was) {
			x->has_reservation = was->has_reservation;
			x->reservation = was->reservation;
		}
	}
	free(old);
	return res;
}

static bool registrant_parse(const json_t *json, struct props_registrant *reg)
{
	unsigned long long key;

	if (!hex_parse(text_at(json, "hostid"), reg->hostid, 16) ||
	    sscanf(text_at(json, "key"), "0x%llx", &key) != 1)
		return false;
	reg->key = key;
	return true;
}

int store_props_set_reservation(struct props *p, const char *nqn, uint32_t nsid, const json_t *resv,
				struct err *err)
{
	struct props_export *x = export_find(p->export, p->n_exports, nqn, nsid);
	const json_t *regs = json_object_get(resv, "registrants");
	struct props_reservation *r;
	uint8_t holder[16];
	bool held;

	if (!x)
		return err_set(err, -ENOENT, "%s is not exported as namespace %u of %s", p->name,
			       nsid, nqn);
	r = &x->reservation;
	memset(r, 0, sizeof(*r));
	r->holder = PROPS_NO_HOLDER;
	x->has_reservation = json_array_size(regs) > 0;
	if (!x->has_reservation)
		return 0;
	if (json_array_size(regs) > PROPS_REGISTRANTS_MAX)
		return err_set(err, -E2BIG, "more than %u registrants", PROPS_REGISTRANTS_MAX);
	r->type = (uint8_t)u64_at(resv, "type");
	r->generation = (uint32_t)u64_at(resv, "generation");
	held = hex_parse(text_at(resv, "holder"), holder, 16);
	for (unsigned i = 0; i < json_array_size(regs); i++) {
		if (!registrant_parse(json_array_get(regs, i), &r->reg[i]))
			return err_set(err, -EINVAL, "registrant %u is not well formed", i);
		if (held && memcmp(r->reg[i].hostid, holder, 16) == 0)
			r->holder = i;
		r->n++;
	}
	return 0;
}
