/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods on subsystems, namespaces and hosts. Each ends when every reactor works with the new state (nvme/target.h) and the configuration is
 * durable. Identifiers of a namespace are decided here once and written out, so that a restart shows hosts the same device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/rpc_call.h"
#include "engine/rpc_nvmf.h"

struct nvmf_params {
	const char *nqn, *tgt_name;
	const char *serial, *model;
	uint32_t max_namespaces, min_cntlid, max_cntlid, nsid;
	uint64_t max_discard_size_kib, max_write_zeroes_size_kib;
	bool allow_any_host, ana_reporting, passthrough;
	const char *host;
	json_t *ns;
};
#define AT(member) offsetof(struct nvmf_params, member)
#define NQN_FIELD  {"nqn", JSON_KIND_STRING, AT(nqn), true}
#define TGT_FIELD  {"tgt_name", JSON_KIND_STRING, AT(tgt_name)}

struct nvme_subsystem *rpc_subsystem(struct engine *e, const char *nqn, struct err *err)
{
	struct nvme_subsystem *ss = nvme_subsystem_find(e->target, nqn);

	if (!ss)
		(void)err_set(err, -EINVAL,
			      "Unable to find subsystem with NQN %.223s; create it with "
			      "nvmf_create_subsystem",
			      nqn);
	return ss;
}

/* A change of a subsystem that exists, or NULL: answered. */
static struct change *begin_on(struct engine *e, struct rpc_call *call, const char *nqn,
			       struct nvme_subsystem **ret_ss)
{
	struct change *change = change_begin(e, call);
	struct err err = {0};

	if (!change)
		return NULL;
	*ret_ss = rpc_subsystem(e, nqn, &err);
	if (*ret_ss)
		return change;
	change_fail(change, &err);
	return NULL;
}

static const struct json_field create_fields[] = {
	NQN_FIELD,
	TGT_FIELD,
	{"serial_number", JSON_KIND_STRING, AT(serial)},
	{"model_number", JSON_KIND_STRING, AT(model)},
	{"max_namespaces", JSON_KIND_U32, AT(max_namespaces)},
	{"min_cntlid", JSON_KIND_U32, AT(min_cntlid), false, 0, NVME_CNTLID_MAX},
	{"max_cntlid", JSON_KIND_U32, AT(max_cntlid), false, 0, NVME_CNTLID_MAX},
	{"max_discard_size_kib", JSON_KIND_U64, AT(max_discard_size_kib)},
	{"max_write_zeroes_size_kib", JSON_KIND_U64, AT(max_write_zeroes_size_kib)},
	{"allow_any_host", JSON_KIND_BOOL, AT(allow_any_host)},
	{"ana_reporting", JSON_KIND_BOOL, AT(ana_reporting)},
	{"passthrough", JSON_KIND_BOOL, AT(passthrough)},
};

void rpc_nvmf_create_subsystem(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct nvmf_params p = {0};
	struct nvme_subsystem_opts opts = {0};
	struct nvme_subsystem *ss;
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, create_fields, &p))
		return;
	if (p.passthrough) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS, "passthrough is not supported");
		return;
	}
	change = change_begin(e, call);
	if (!change)
		return;
	opts.nqn = p.nqn;
	opts.serial = p.serial;
	opts.model = p.model;
	opts.max_namespaces = p.max_namespaces ? p.max_namespaces : 32;
	opts.min_cntlid = (uint16_t)p.min_cntlid;
	opts.max_cntlid = (uint16_t)p.max_cntlid;
	opts.allow_any_host = p.allow_any_host;
	opts.ana_reporting = p.ana_reporting;
	if (nvme_subsystem_new(e->target, &opts, &ss, &err) < 0) {
		change_fail(change, &err);
		return;
	}
	if (!change->from_replay)
		(void)config_problems_drop_ns(&e->problems, p.nqn, 0);
	change_commit(change, NULL);
}

static const struct json_field nqn_fields[] = {NQN_FIELD, TGT_FIELD};

struct deletion {
	struct change *change;
	char nqn[NVME_NQN_FIELD];
};

static void deleted(void *ctx, int res)
{
	struct deletion *deletion = ctx;
	struct engine *e = deletion->change->e;

	if (res == 0) {
		rpc_listeners_drop(e, deletion->nqn);
		resv_store_drop(&e->resv, deletion->nqn, 0);
		(void)config_problems_drop_ns(&e->problems, deletion->nqn, 0);
	}
	change_done(deletion->change, res);
	free(deletion);
}

void rpc_nvmf_delete_subsystem(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct deletion *deletion;
	struct change *change;

	if (!RPC_PARAMS(call, params, nqn_fields, &p))
		return;
	if (strcmp(p.nqn, NVME_DISCOVERY_NQN) == 0) {
		rpc_fail(call, RPC_ERR_INVALID_PARAMS, "the discovery subsystem cannot be deleted");
		return;
	}
	change = begin_on(e, call, p.nqn, &ss);
	if (!change)
		return;
	deletion = calloc(1, sizeof(*deletion));
	if (!deletion) {
		change_done(change, -ENOMEM);
		return;
	}
	deletion->change = change;
	snprintf(deletion->nqn, sizeof(deletion->nqn), "%s", nvme_subsystem_nqn(ss));
	nvme_subsystem_delete(ss, deleted, deletion);
}

static const struct json_field get_subsystems_fields[] = {
	{"nqn", JSON_KIND_STRING, AT(nqn)},
	TGT_FIELD,
};

void rpc_nvmf_get_subsystems(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct nvmf_params p = {0};

	if (!RPC_PARAMS(call, params, get_subsystems_fields, &p))
		return;
	if (p.nqn && !nvme_subsystem_find(e->target, p.nqn)) {
		rpc_fail(call, -ENODEV, "no subsystem is named %.223s", p.nqn);
		return;
	}
	rpc_reply_json(call, nvme_target_subsystems_json(e->target, p.nqn));
}

struct ns_params {
	const char *bdev_name, *nguid, *eui64, *uuid, *ptpl_file;
	uint32_t nsid, anagrpid;
	bool no_auto_visible;
};
#define NS_AT(member) offsetof(struct ns_params, member)

static const struct json_field add_ns_fields[] = {
	NQN_FIELD,
	TGT_FIELD,
	{"namespace", JSON_KIND_OBJECT, AT(ns), true},
};

static const struct json_field ns_fields[] = {
	{"bdev_name", JSON_KIND_STRING, NS_AT(bdev_name), true},
	{"nsid", JSON_KIND_U32, NS_AT(nsid), false, 0, NVME_NSID_ALL - 1},
	{"nguid", JSON_KIND_STRING, NS_AT(nguid)},
	{"eui64", JSON_KIND_STRING, NS_AT(eui64)},
	{"uuid", JSON_KIND_STRING, NS_AT(uuid)},
	{"ptpl_file", JSON_KIND_STRING, NS_AT(ptpl_file)},
	{"anagrpid", JSON_KIND_U32, NS_AT(anagrpid)},
	{"no_auto_visible", JSON_KIND_BOOL, NS_AT(no_auto_visible)},
};

static int ns_identity(const struct ns_params *p, struct nvme_ns_opts *opts, struct err *err)
{
	if (p->no_auto_visible)
		return err_set(err, -EINVAL, "no_auto_visible is not supported");
	if (p->nguid && !hex_parse(p->nguid, opts->nguid, sizeof(opts->nguid)))
		return err_set(err, -EINVAL, "nguid must be 32 hex digits");
	if (p->eui64 && !hex_parse(p->eui64, opts->eui64, sizeof(opts->eui64)))
		return err_set(err, -EINVAL, "eui64 must be 16 hex digits");
	if (p->uuid && !uuid_parse(p->uuid, &opts->uuid))
		return err_set(err, -EINVAL,
			       "uuid must be of the form 01234567-89ab-cdef-0123-456789abcdef");
	return 0;
}

/* The namespace as the target shows it, borrowed from subsystems; NULL. */
static const json_t *ns_find(const json_t *subsystems, uint32_t nsid)
{
	const json_t *spaces = json_object_get(json_array_get(subsystems, 0), "namespaces");

	for (size_t i = 0; i < json_array_size(spaces); i++) {
		const json_t *ns = json_array_get(spaces, i);

		if (json_integer_value(json_object_get(ns, "nsid")) == nsid)
			return ns;
	}
	return NULL;
}

/* The first number that neither a namespace has nor one that waits for its disk. */
static uint32_t nsid_free(struct engine *e, const char *nqn)
{
	json_t *subsystems = nvme_target_subsystems_json(e->target, nqn);
	uint32_t nsid = 1;

	while (ns_find(subsystems, nsid) || config_problems_has_ns(&e->problems, nqn, nsid))
		nsid++;
	json_decref(subsystems);
	return nsid;
}

static int ns_restore_resv(struct engine *e, struct nvme_subsystem *ss, const char *nqn,
			   const struct bdev *bdev, const struct nvme_ns_opts *opts,
			   struct err *err)
{
	const struct uuid *uuid = uuid_is_null(&opts->uuid) ? &opts->dev->uuid : &opts->uuid;
	char text[UUID_TEXT_SIZE];
	const json_t *resv =
		bdev->pool ? store_reservation(bdev, nqn, opts->nsid)
			   : resv_store_get(&e->resv, nqn, opts->nsid, uuid_format(uuid, text));

	return resv ? nvme_subsystem_restore_resv(ss, opts->nsid, resv, err) : 0;
}

/* A volume's namespace has the identity that the volume keeps, wherever its disk goes. */
static int ns_identity_of_volume(const struct bdev *bdev, struct nvme_ns_opts *opts,
				 struct err *err)
{
	static const uint8_t none[16];
	const char *nguid = json_string_value(json_object_get(bdev->props, "nguid"));
	const char *eui64 = json_string_value(json_object_get(bdev->props, "eui64"));

	if (!uuid_is_null(&opts->uuid) && !uuid_equal(&opts->uuid, &bdev->dev->uuid))
		return err_set(err, -EINVAL,
			       "uuid: a namespace on the volume %s has the volume's UUID, %s",
			       bdev->alias, bdev->uuid_text);
	if (nguid && memcmp(opts->nguid, none, sizeof(opts->nguid)) == 0)
		(void)hex_parse(nguid, opts->nguid, sizeof(opts->nguid));
	if (eui64 && memcmp(opts->eui64, none, sizeof(opts->eui64)) == 0)
		(void)hex_parse(eui64, opts->eui64, sizeof(opts->eui64));
	return 0;
}

static int ns_add(struct engine *e, struct nvme_subsystem *ss, const struct nvmf_params *p,
		  struct change *change, struct err *err)
{
	struct ns_params np = {0};
	struct nvme_ns_opts opts = {.ptpl_capable = true};
	struct bdev *bdev;
	uint32_t nsid;
	int res = json_decode(p->ns, ns_fields, sizeof(ns_fields) / sizeof(ns_fields[0]), &np, err);

	if (res < 0)
		return err_prefix(err, "namespace");
	res = ns_identity(&np, &opts, err);
	if (res < 0)
		return res;
	bdev = bdev_find(&e->bdevs, np.bdev_name);
	if (!bdev)
		return err_set(err, -EINVAL,
			       "bdev_name: no block device is named '%.128s'; bdev_get_bdevs lists "
			       "them",
			       np.bdev_name);
	if (bdev->dev->claims > 0)
		return err_set(err, -EBUSY,
			       "%s is in use already (%s); a device is exported by one namespace",
			       bdev->dev->name, bdev->dev->claimed_by);
	opts.nsid = np.nsid ? np.nsid : nsid_free(e, p->nqn);
	opts.dev = bdev->dev;
	opts.qos = bdev->qos;
	opts.anagrpid = np.anagrpid;
	if (bdev->pool)
		res = ns_identity_of_volume(bdev, &opts, err);
	if (res == 0)
		res = ns_restore_resv(e, ss, p->nqn, bdev, &opts, err);
	if (res < 0)
		return res;
	change->result = json_integer((json_int_t)opts.nsid);
	res = nvme_subsystem_add_ns(ss, &opts, &nsid, change_done, change, err);
	if (res == 0 && (!change->from_replay || e->replay.from_disks))
		(void)config_problems_drop_ns(&e->problems, p->nqn, nsid);
	return res;
}

void rpc_nvmf_subsystem_add_ns(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, add_ns_fields, &p))
		return;
	change = begin_on(e, call, p.nqn, &ss);
	if (change && ns_add(e, ss, &p, change, &err) < 0)
		change_fail(change, &err);
}

static const struct json_field remove_ns_fields[] = {
	NQN_FIELD,
	TGT_FIELD,
	{"nsid", JSON_KIND_U32, AT(nsid), true, 1, NVME_NSID_ALL - 1},
};

void rpc_nvmf_subsystem_remove_ns(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct engine *e = ctx;
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, remove_ns_fields, &p))
		return;
	change = begin_on(e, call, p.nqn, &ss);
	if (!change)
		return;
	if (config_problems_has_ns(&e->problems, p.nqn, p.nsid)) {
		/* It is only in the configuration: its disk is missing. */
		(void)config_problems_drop_ns(&e->problems, p.nqn, p.nsid);
		resv_store_drop(&e->resv, p.nqn, p.nsid);
		change_commit(change, NULL);
		return;
	}
	if (nvme_subsystem_remove_ns(ss, p.nsid, change_done, change, &err) < 0) {
		change_fail(change, &err);
		return;
	}
	resv_store_drop(&e->resv, p.nqn, p.nsid);
}

static const struct json_field host_fields[] = {
	NQN_FIELD,
	TGT_FIELD,
	{"host", JSON_KIND_STRING, AT(host), true},
};

void rpc_nvmf_subsystem_add_host(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, host_fields, &p))
		return;
	change = begin_on(ctx, call, p.nqn, &ss);
	if (!change)
		return;
	if (nvme_subsystem_add_host(ss, p.host, &err) < 0)
		change_fail(change, &err);
	else
		change_commit(change, NULL);
}

void rpc_nvmf_subsystem_remove_host(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct change *change;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, host_fields, &p))
		return;
	change = begin_on(ctx, call, p.nqn, &ss);
	if (change && nvme_subsystem_remove_host(ss, p.host, change_done, change, &err) < 0)
		change_fail(change, &err);
}

static const struct json_field any_host_fields[] = {
	NQN_FIELD,
	TGT_FIELD,
	{"allow_any_host", JSON_KIND_BOOL, AT(allow_any_host), true},
};

void rpc_nvmf_subsystem_allow_any_host(struct rpc_call *call, const json_t *params, void *ctx)
{
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct change *change;

	if (!RPC_PARAMS(call, params, any_host_fields, &p))
		return;
	change = begin_on(ctx, call, p.nqn, &ss);
	if (change)
		nvme_subsystem_allow_any_host(ss, p.allow_any_host, change_done, change);
}

static void reply_of_subsystem(struct rpc_call *call, const json_t *params, struct engine *e,
			       json_t *(*get)(struct nvme_subsystem *ss))
{
	struct nvmf_params p = {0};
	struct nvme_subsystem *ss;
	struct err err = {0};

	if (!RPC_PARAMS(call, params, nqn_fields, &p))
		return;
	ss = rpc_subsystem(e, p.nqn, &err);
	if (ss)
		rpc_reply_json(call, get(ss));
	else
		rpc_fail_err(call, &err);
}

void rpc_nvmf_subsystem_get_controllers(struct rpc_call *call, const json_t *params, void *ctx)
{
	reply_of_subsystem(call, params, ctx, nvme_subsystem_controllers_json);
}

void rpc_nvmf_subsystem_get_qpairs(struct rpc_call *call, const json_t *params, void *ctx)
{
	reply_of_subsystem(call, params, ctx, nvme_subsystem_qpairs_json);
}

void rpc_nvmf_subsystem_get_listeners(struct rpc_call *call, const json_t *params, void *ctx)
{
	reply_of_subsystem(call, params, ctx, nvme_subsystem_listeners_json);
}

static void resv_changed(void *ctx, const char *nqn, uint32_t nsid, const json_t *resv,
			 nvme_done_fn saved, void *saved_ctx)
{
	struct engine *e = ctx;
	json_t *subsystems = nvme_target_subsystems_json(e->target, nqn);
	const json_t *ns = ns_find(subsystems, nsid);
	const char *uuid = json_string_value(json_object_get(ns, "uuid"));
	const char *name = json_string_value(json_object_get(ns, "bdev_name"));
	struct bdev *bdev = name ? bdev_find(&e->bdevs, name) : NULL;

	if (bdev && bdev->pool) {
		store_save_reservation(bdev, nqn, nsid, resv, saved, saved_ctx);
		json_decref(subsystems);
		return;
	}
	resv_store_put(&e->resv, nqn, nsid, uuid ? uuid : "", resv, saved, saved_ctx);
	json_decref(subsystems);
}

void rpc_resv_attach(struct engine *e)
{
	nvme_target_set_resv_save(e->target, resv_changed, e);
}
