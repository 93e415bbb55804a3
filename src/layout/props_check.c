/* SPDX-License-Identifier: Apache-2.0 */
/* What properties can be: one set of rules for what users ask for and for what is read from disk. */
#include "layout/props.h"

#include <errno.h>

#define RESV_TYPE_MAX       6
#define RESV_TYPE_FIRST_ALL 5 /* from here on every registrant holds */

/* Printable, no blank, whole string of at least min bytes. */
static bool word_valid(const char *s, size_t size, size_t min)
{
	size_t len = strnlen(s, size);

	if (len < min || len == size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	}
	return true;
}

static const char *reservation_fault(const struct props_reservation *r)
{
	if (r->n > PROPS_REGISTRANTS_MAX || r->type > RESV_TYPE_MAX)
		return "the reservation has an impossible type or too many registrants";
	if (r->type == 0 || r->type >= RESV_TYPE_FIRST_ALL) {
		if (r->holder != PROPS_NO_HOLDER || (r->type && r->n == 0))
			return "the reservation's holder does not go with its type";
	} else if (r->holder >= r->n) {
		return "the reservation's holder is not a registrant";
	}
	for (unsigned i = 0; i < r->n; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (memcmp(r->reg[i].hostid, r->reg[k].hostid, 16) == 0)
				return "a host is registered twice";
		}
	}
	return NULL;
}

static const char *exports_fault(const struct props *p)
{
	const char *fault = NULL;

	if (p->n_exports > PROPS_EXPORTS_MAX)
		return "there are too many exports";
	for (unsigned i = 0; i < p->n_exports && !fault; i++) {
		const struct props_export *e = &p->export[i];

		if (!word_valid(e->nqn, sizeof(e->nqn), 1))
			return "the NQN of an export is empty or not printable";
		if (e->nsid == 0 || e->nsid == UINT32_MAX || e->anagrpid == 0)
			return "the namespace or ANA group id of an export is not possible";
		if (e->flags & ~(uint32_t)PROPS_EXPORT_ANY_HOST)
			return "an export has unknown flags";
		for (unsigned k = 0; k < i; k++) {
			if (p->export[k].nsid == e->nsid && strcmp(p->export[k].nqn, e->nqn) == 0)
				return "two exports are the same";
		}
		fault = e->has_reservation ? reservation_fault(&e->reservation) : NULL;
	}
	return fault;
}

static const char *hosts_fault(const struct props *p)
{
	if (p->n_hosts > PROPS_HOSTS_MAX)
		return "there are too many hosts";
	for (unsigned i = 0; i < p->n_hosts; i++) {
		if (p->host[i].export_no >= p->n_exports)
			return "a host belongs to no export";
		if (!word_valid(p->host[i].nqn, sizeof(p->host[i].nqn), 1))
			return "a host's NQN is empty or not printable";
	}
	return NULL;
}

static const char *listeners_fault(const struct props *p)
{
	if (p->n_listeners > PROPS_LISTENERS_MAX)
		return "there are too many listeners";
	for (unsigned i = 0; i < p->n_listeners; i++) {
		const struct props_listener *l = &p->listener[i];

		if (l->export_no >= p->n_exports)
			return "a listener belongs to no export";
		if (l->ana < 1 || l->ana > 4)
			return "a listener's ANA state is not possible";
		if (!word_valid(l->traddr, sizeof(l->traddr), 1) ||
		    !word_valid(l->trsvcid, sizeof(l->trsvcid), 0))
			return "a listener's address is empty or not printable";
	}
	return NULL;
}

static const char *labels_fault(const struct props *p)
{
	if (p->n_labels > PROPS_LABELS_MAX)
		return "there are too many labels";
	for (unsigned i = 0; i < p->n_labels; i++) {
		const struct props_label *l = &p->label[i];
		size_t len = strnlen(l->key, sizeof(l->key));

		if (len == 0 || len == sizeof(l->key) ||
		    strnlen(l->value, sizeof(l->value)) == sizeof(l->value))
			return "a label's key is empty, or key or value is too long";
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(p->label[k].key, l->key) == 0)
				return "two labels have the same key";
		}
	}
	return NULL;
}

static const char *own_fault(const struct props *p)
{
	if (!layout_name_valid(p->name, sizeof(p->name), LAYOUT_NAME_MAX))
		return "the name is not 1 to 63 printable ASCII characters without blank and slash";
	if (uuid_is_null(&p->uuid))
		return "there is no UUID";
	if (p->block_size != 512 && p->block_size != 4096)
		return "the block size is neither 512 nor 4096";
	if (p->flags & ~PROPS_F_ALL)
		return "there are unknown flags";
	if (!word_valid(p->serial, sizeof(p->serial), 0))
		return "the serial number is too long or not printable";
	if (p->unknown_len > PROPS_UNKNOWN_MAX)
		return "there are too many unknown properties";
	return NULL;
}

int props_check(const struct props *p, struct err *err)
{
	static const char *(*const rules[])(const struct props *p) = {
		own_fault, exports_fault, hosts_fault, listeners_fault, labels_fault,
	};

	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		const char *fault = rules[i](p);

		if (fault)
			return err_set(err, -EINVAL, "properties are refused: %s", fault);
	}
	return 0;
}

bool props_cut(const uint8_t *blob, uint32_t len, uint64_t revision, uint32_t index,
	       struct props_chunk *ret)
{
	uint32_t part = props_chunk_len(len, index);

	if (part == 0)
		return false;
	*ret = (struct props_chunk){
		.revision = revision,
		.blob_size = len,
		.index = (uint16_t)index,
		.len = (uint16_t)part,
		.data = blob + (size_t)index * PROPS_CHUNK,
	};
	return true;
}
