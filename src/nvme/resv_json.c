/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations as JSON, for what persists through power loss. Keys are hexadecimal text: JSON's integers are signed.
 *   {"type": 1, "holder": "<32 hex digits>" or null, "generation": 7, "ptpl": true, "registrants": [{"hostid": ..., "key": "0x1f"}]}
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "nvme/resv.h"

static json_t *registrant_to_json(const struct resv_registrant *reg)
{
	char hostid[33], key[19];

	(void)snprintf(key, sizeof(key), "0x%" PRIx64, reg->key);
	return json_pack("{s:s, s:s}", "hostid", hex_format(reg->hostid, 16, hostid), "key", key);
}

json_t *nvme_resv_to_json(const struct resv *resv)
{
	char holder[33] = "";
	const bool single = resv->type != NVME_RESV_NONE && resv->holder >= 0;
	json_t *regs = json_array();

	if (single)
		hex_format(resv->reg[resv->holder].hostid, 16, holder);
	for (unsigned i = 0; i < resv->n; i++)
		(void)json_array_append_new(regs, registrant_to_json(&resv->reg[i]));
	return json_pack("{s:i, s:s?, s:I, s:b, s:o}", "type", (int)resv->type, "holder",
			 single ? holder : NULL, "generation", (json_int_t)resv->generation, "ptpl",
			 (int)resv->ptpl, "registrants", regs);
}

static bool parse_key(const char *text, uint64_t *ret)
{
	unsigned long long value;
	char end;

	if (strlen(text) > 18 || strncmp(text, "0x", 2) != 0 || strchr(text, ' ') ||
	    sscanf(text + 2, "%llx%c", &value, &end) != 1)
		return false;
	*ret = value;
	return true;
}

static int registrant_from_json(const json_t *json, struct resv *r, struct err *err)
{
	struct {
		const char *hostid, *key;
	} in = {};
	static const struct json_field fields[] = {
		{"hostid", JSON_KIND_STRING, 0, true, 0, 0},
		{"key", JSON_KIND_STRING, sizeof(char *), true, 0, 0},
	};
	struct resv_registrant reg;
	int res = json_decode(json, fields, ARRAY_LEN(fields), &in, err);

	if (res)
		return err_prefix(err, "registrants");
	if (!hex_parse(in.hostid, reg.hostid, 16) || !parse_key(in.key, &reg.key))
		return err_set(
			err, -EINVAL,
			"registrants: hostid must be 32 hex digits and key 0x and up to 16 hex "
			"digits; remove the file to begin without reservations");
	if (r->n == RESV_HOSTS_MAX || resv_find(r, reg.hostid) >= 0)
		return err_set(err, -EINVAL, "registrants: more than %d, or host %s twice",
			       RESV_HOSTS_MAX, in.hostid);
	r->reg[r->n++] = reg;
	return 0;
}

/* Whether holder fits type and registrants (resv_rules.c, invariant 1). */
static int set_holder(struct resv *r, const json_t *holder, struct err *err)
{
	uint8_t hostid[16];
	const bool single = r->type >= NVME_RESV_WRITE_EXCL && r->type <= NVME_RESV_EXCL_ACCESS_REG;

	r->holder = -1;
	if (single && json_is_string(holder) && hex_parse(json_string_value(holder), hostid, 16))
		r->holder = resv_find(r, hostid);
	if (single ? r->holder < 0 : json_is_string(holder))
		return err_set(err, -EINVAL, "holder: type %d needs %s", (int)r->type,
			       single ? "the hostid of a registrant" : "null");
	if (r->type > NVME_RESV_EXCL_ACCESS_REG && r->n == 0)
		return err_set(err, -EINVAL, "registrants: type %d needs at least one",
			       (int)r->type);
	return 0;
}

int nvme_resv_from_json(const json_t *json, struct resv *resv, struct err *err)
{
	struct {
		uint32_t type, generation;
		bool ptpl;
		json_t *holder, *registrants;
	} in = {};
	const struct json_field fields[] = {
		{"type", JSON_KIND_U32, offsetof(__typeof__(in), type), true, 0, 6},
		{"generation", JSON_KIND_U32, offsetof(__typeof__(in), generation), false, 0, 0},
		{"ptpl", JSON_KIND_BOOL, offsetof(__typeof__(in), ptpl), true, 0, 0},
		{"holder", JSON_KIND_ANY, offsetof(__typeof__(in), holder), false, 0, 0},
		{"registrants", JSON_KIND_ARRAY, offsetof(__typeof__(in), registrants), true, 0, 0},
	};
	struct resv r = {.holder = -1};
	int res = json_decode(json, fields, ARRAY_LEN(fields), &in, err);
	size_t i;
	json_t *reg;

	json_array_foreach (in.registrants, i, reg) {
		if (!res)
			res = registrant_from_json(reg, &r, err);
	}
	if (res)
		return res;
	r.type = (enum nvme_resv_type)in.type;
	r.generation = in.generation;
	r.ptpl = in.ptpl;
	res = set_holder(&r, in.holder, err);
	if (!res)
		*resv = r.ptpl ? r : (struct resv){.holder = -1};
	return res;
}
