/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of the model; the rules are those of src/nvme and src/engine/rpc_nvmf.c, rpc_listener.c. */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"

struct nvmf {
	const char *nqn, *trtype, *serial, *model, *host;
	bool allow_any, ana;
	json_t *ns, *address;
};
#define AT(member) offsetof(struct nvmf, member)
#define NQN        {"nqn", JSON_KIND_STRING, AT(nqn), true}
#define DECODE(fields)                                                                             \
	struct nvmf p = {0};                                                                       \
	if (json_decode(params, fields, ARRAY_LEN(fields), &p, err) < 0)                           \
	return -EINVAL

static const struct json_field nqn_fields[] = {NQN};

static json_t *subsystem_of(struct model *m, const char *nqn, struct err *err)
{
	json_t *subsystem = json_object_get(m->subsystems, nqn);

	if (!subsystem)
		(void)err_set(err, -EINVAL, "no subsystem %s", nqn);
	return subsystem;
}

static int get_transports(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	*ret = json_array();
	if (m->transport)
		(void)json_array_append_new(*ret, json_pack("{s:s}", "trtype", "TCP"));
	return 0;
}

static int create_transport(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {{"trtype", JSON_KIND_STRING, AT(trtype), true}};
	DECODE(fields);
	if (strcmp(p.trtype, "TCP") != 0)
		return err_set(err, -EINVAL, "only TCP");
	if (m->transport)
		return err_set(err, -EEXIST, "the transport is there");
	m->transport = true;
	return 0;
}

static int get_subsystems(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {{"nqn", JSON_KIND_STRING, AT(nqn)}};
	json_t *subsystem;
	const char *nqn;
	DECODE(fields);
	if (p.nqn && !json_object_get(m->subsystems, p.nqn))
		return err_set(err, -ENODEV, "no subsystem is named %s", p.nqn);
	*ret = json_array();
	json_object_foreach (m->subsystems, nqn, subsystem)
		if (!p.nqn || !strcmp(p.nqn, nqn))
			(void)json_array_append_new(*ret, json_deep_copy(subsystem));
	return 0;
}

static int create_subsystem(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		NQN,
		{"serial_number", JSON_KIND_STRING, AT(serial)},
		{"model_number", JSON_KIND_STRING, AT(model)},
		{"allow_any_host", JSON_KIND_BOOL, AT(allow_any)},
		{"ana_reporting", JSON_KIND_BOOL, AT(ana)},
	};
	DECODE(fields);
	if (json_object_get(m->subsystems, p.nqn))
		return err_set(err, -EEXIST, "subsystem %s exists already", p.nqn);
	if ((p.serial && strlen(p.serial) > 20) || (p.model && strlen(p.model) > 40))
		return err_set(err, -EINVAL, "serial or model is too long");
	(void)json_object_set_new(m->subsystems, p.nqn,
				  json_pack("{s:s, s:[], s:b, s:[], s:[]}", "nqn", p.nqn,
					    "listen_addresses", "allow_any_host", p.allow_any,
					    "hosts", "namespaces"));
	return 0;
}

static int delete_subsystem(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	const char *file;
	json_t *disk;
	DECODE(nqn_fields);
	if (!subsystem_of(m, p.nqn, err))
		return err->code;
	model_tell(m, "unexport", p.nqn, NULL);
	(void)json_object_del(m->subsystems, p.nqn);
	json_object_foreach (m->disks, file, disk)
		(void)json_object_del(json_object_get(disk, "exports"), p.nqn);
	return 0;
}

struct ns {
	const char *bdev, *uuid, *nguid;
	uint32_t nsid;
};
#define NS_AT(member) offsetof(struct ns, member)

static int add_ns(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {NQN,
						   {"namespace", JSON_KIND_OBJECT, AT(ns), true}};
	static const struct json_field ns_fields[] = {
		{"bdev_name", JSON_KIND_STRING, NS_AT(bdev), true},
		{"nsid", JSON_KIND_U32, NS_AT(nsid)},
		{"uuid", JSON_KIND_STRING, NS_AT(uuid)},
		{"nguid", JSON_KIND_STRING, NS_AT(nguid)},
	};
	json_t *subsystem, *pool = NULL, *list;
	struct ns ns = {0};
	DECODE(fields);
	subsystem = subsystem_of(m, p.nqn, err);
	if (!subsystem)
		return err->code;
	if (json_decode(p.ns, ns_fields, ARRAY_LEN(ns_fields), &ns, err) < 0)
		return -EINVAL;
	if (!model_lvol(m, ns.bdev, &pool))
		return err_set(err, -EINVAL, "no block device is named %s", ns.bdev);
	if (model_claimed(m, ns.bdev))
		return err_set(err, -EBUSY, "%s is in use already", ns.bdev);
	if (strcmp(ns.uuid, ns.bdev) != 0 || strlen(ns.nguid) != 32)
		return err_set(err, -EINVAL, "uuid or nguid");
	list = json_object_get(subsystem, "namespaces");
	if (json_array_size(list))
		return err_set(err, -EEXIST, "nsid %u is in use", ns.nsid);
	(void)json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s}", "nsid", (int)ns.nsid,
						    "bdev_name", ns.bdev, "uuid", ns.uuid, "nguid",
						    ns.nguid));
	/* From now on the volume knows its export. */
	(void)json_object_set(json_object_get(pool, "exports"), p.nqn, subsystem);
	return 0;
}

static int allow_any(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	static const struct json_field fields[] = {
		NQN, {"allow_any_host", JSON_KIND_BOOL, AT(allow_any), true}};
	json_t *subsystem;
	DECODE(fields);
	subsystem = subsystem_of(m, p.nqn, err);
	if (!subsystem)
		return err->code;
	(void)json_object_set_new(subsystem, "allow_any_host", json_boolean(p.allow_any));
	return 0;
}

/* ---- lists: listeners and hosts ---- */

/* Where the item with that member is; the array's size when there is none. */
static size_t index_of(const json_t *array, const char *member, const char *text)
{
	size_t i = 0;

	while (i < json_array_size(array) &&
	       strcmp(json_string_value(json_object_get(json_array_get(array, i), member)), text) !=
		       0)
		i++;
	return i;
}

static const struct json_field listener_fields[] = {
	NQN, {"listen_address", JSON_KIND_OBJECT, AT(address), true}};

static int listener(struct model *m, const json_t *params, bool add, struct err *err)
{
	json_t *subsystem, *list;
	const char *traddr;
	size_t at;
	DECODE(listener_fields);
	subsystem = subsystem_of(m, p.nqn, err);
	if (!subsystem)
		return err->code;
	list = json_object_get(subsystem, "listen_addresses");
	traddr = json_string_value(json_object_get(p.address, "traddr"));
	if (!traddr || !json_string_value(json_object_get(p.address, "trsvcid")))
		return err_set(err, -EINVAL, "listen_address: traddr and trsvcid");
	if (add && !m->transport)
		return err_set(err, -EINVAL, "there is no transport");
	at = index_of(list, "traddr", traddr);
	if (add && at < json_array_size(list))
		return err_set(err, -EEXIST, "it listens there already");
	if (!add && at == json_array_size(list))
		return err_set(err, -EINVAL, "it has no listener there");
	(void)(add ? json_array_append_new(list, json_deep_copy(p.address))
		   : json_array_remove(list, at));
	return 0;
}

static int add_listener(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	return listener(m, params, true, err);
}

static int remove_listener(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	return listener(m, params, false, err);
}

static const struct json_field host_fields[] = {NQN, {"host", JSON_KIND_STRING, AT(host), true}};

static int add_host(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	json_t *subsystem, *list;
	DECODE(host_fields);
	subsystem = subsystem_of(m, p.nqn, err);
	if (!subsystem)
		return err->code;
	list = json_object_get(subsystem, "hosts");
	if (index_of(list, "nqn", p.host) < json_array_size(list))
		return 0;
	(void)json_array_append_new(list, json_pack("{s:s}", "nqn", p.host));
	model_tell(m, "allow", p.nqn, p.host);
	return 0;
}

static int remove_host(struct model *m, const json_t *params, json_t **ret, struct err *err)
{
	json_t *subsystem, *list;
	size_t at;
	DECODE(host_fields);
	subsystem = subsystem_of(m, p.nqn, err);
	if (!subsystem)
		return err->code;
	list = json_object_get(subsystem, "hosts");
	at = index_of(list, "nqn", p.host);
	if (at == json_array_size(list))
		return err_set(err, -ENOENT, "host %s is not on the list", p.host);
	(void)json_array_remove(list, at);
	return 0;
}

const struct model_method model_nvmf_methods[] = {
	{"nvmf_get_transports", get_transports, false},
	{"nvmf_create_transport", create_transport, true},
	{"nvmf_get_subsystems", get_subsystems, false},
	{"nvmf_create_subsystem", create_subsystem, true},
	{"nvmf_delete_subsystem", delete_subsystem, true},
	{"nvmf_subsystem_add_ns", add_ns, true},
	{"nvmf_subsystem_allow_any_host", allow_any, true},
	{"nvmf_subsystem_add_listener", add_listener, true},
	{"nvmf_subsystem_remove_listener", remove_listener, true},
	{"nvmf_subsystem_add_host", add_host, true},
	{"nvmf_subsystem_remove_host", remove_host, true},
	{NULL, NULL, false},
};
