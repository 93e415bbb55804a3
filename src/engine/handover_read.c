/* SPDX-License-Identifier: Apache-2.0 */
/* The new side's reading of plan and state. Everything that comes from the other process is checked before it is used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/handover_doc.h"
#include "engine/handover_net.h"
#include "engine/store_handover.h"

#define PART_MAX ((size_t)1 << 30)

static int plan_rpc(struct engine *e, struct handover_bag *bag, struct err *err)
{
	struct rpc_server_opts opts = rpc_server_opts_default();
	int res;

	opts.path = e->opts->rpc_socket;
	opts.methods = engine_methods;
	opts.ctx = e;
	opts.listen_fd = handover_bag_take(bag, PLAN_FD_RPC);
	if (opts.listen_fd < 0)
		return err_set(err, -EBADMSG, "the RPC socket did not come along");
	res = rpc_server_new(e->control, &opts, &e->rpc, err);
	if (res == 0)
		rpc_server_set_state(e->rpc, RPC_STARTUP);
	return res;
}

static int plan_descriptors(struct engine *e, struct handover_bag *bag, struct err *err)
{
	const json_t *plan = e->successor.plan;
	json_int_t at = json_integer_value(json_object_get(plan, "n_listeners"));
	json_int_t n = json_integer_value(json_object_get(plan, "n_disks"));
	_cleanup_free_ int *fds = NULL;
	int res;

	if (at < 0 || n < 0 || at > HANDOVER_FD_MAX || n > HANDOVER_FD_MAX ||
	    PLAN_FD_MORE + at + n != (json_int_t)bag->total)
		return err_set(err, -EBADMSG,
			       "the listeners and disks of the plan are not in its bag");
	res = handover_net_adopt(e, bag, PLAN_FD_MORE, (unsigned)at, err);
	if (res < 0)
		return res;
	at += PLAN_FD_MORE;
	fds = calloc((size_t)n + 1, sizeof(*fds));
	if (!fds)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < (unsigned)n; i++) {
		fds[i] = handover_bag_take(bag, (unsigned)at + i);
		if (fds[i] < 0)
			return err_set(err, -EBADMSG, "a disk of the plan is there twice");
	}
	return store_disks_adopt(e, json_object_get(plan, "disks"), fds, (unsigned)n, err);
}

int handover_doc_plan_read(struct engine *e, struct handover_bag *bag, uint64_t bytes,
			   struct err *err)
{
	struct handover_new *n = &e->successor;
	_cleanup_close_ int fd = handover_bag_take(bag, PLAN_FD_DOCUMENT);
	_cleanup_free_ char *text = NULL;
	const char *rpc_socket;
	int res = bag->complete ? handover_document_read(fd, bytes, &text, err)
				: err_set(err, -EBADMSG, "the plan came without its descriptors");

	if (res < 0)
		return res;
	n->plan = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	if (json_integer_value(json_object_get(n->plan, "format")) != PLAN_FORMAT)
		return err_set(err, -EOPNOTSUPP,
			       "the old engine's plan has another format than this version reads");
	rpc_socket = json_string_value(json_object_get(n->plan, "rpc_socket"));
	if (!rpc_socket || strcmp(rpc_socket, e->opts->rpc_socket) != 0)
		return err_set(err, -EINVAL, "the old engine's RPC socket is %s, not %s",
			       rpc_socket ? rpc_socket : "unknown", e->opts->rpc_socket);
	n->lock_fd = handover_bag_take(bag, PLAN_FD_LOCK);
	e->old.listen_fd = handover_bag_take(bag, PLAN_FD_HANDOVER);
	if (n->lock_fd < 0 || e->old.listen_fd < 0)
		return err_set(err, -EBADMSG,
			       "the lock or the hand-over socket did not come along");
	res = plan_rpc(e, bag, err);
	if (res == 0)
		res = store_successor(e, json_object_get(n->plan, "pools"), err);
	return res == 0 ? plan_descriptors(e, bag, err) : res;
}

/* ---- the state ---- */

static int take_fd(void *ctx, unsigned k)
{
	return handover_bag_take(ctx, k);
}

struct part {
	uint64_t offset, length, fd, fds;
};

static int part_read(const struct tlv *rec, struct part *ret, struct err *err)
{
	struct tlv_reader r;
	struct tlv one;
	int res;

	*ret = (struct part){0};
	tlv_enter(rec, &r);
	while ((res = tlv_next(&r, &one)) > 0) {
		if (one.type == STATE_TLV_OFFSET)
			res = tlv_get_uint(&one, PART_MAX, &ret->offset, err);
		else if (one.type == STATE_TLV_LENGTH)
			res = tlv_get_uint(&one, PART_MAX, &ret->length, err);
		else if (one.type == STATE_TLV_FD)
			res = tlv_get_uint(&one, HANDOVER_FD_MAX, &ret->fd, err);
		else if (one.type == STATE_TLV_FDS)
			res = tlv_get_uint(&one, HANDOVER_FD_MAX, &ret->fds, err);
		else
			res = tlv_unknown(&one, err);
		if (res < 0)
			return res;
	}
	return res < 0 ? err_set(err, res, "the record of a part is torn") : 0;
}

static int part_restore(struct engine *e, const struct tlv *rec, struct handover_bag *bag,
			unsigned i, struct err *err)
{
	struct handover_net *net = &e->net;
	struct part part;
	int *fds;
	int res = part_read(rec, &part, err);

	if (res < 0)
		return res;
	if (part.offset > net->map_size || part.length > net->map_size - part.offset)
		return err_set(err, -EBADMSG, "part %u of the state is not in its memory", i);
	fds = calloc(part.fds + 1, sizeof(*fds));
	if (!fds)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned k = 0; k < part.fds; k++)
		fds[k] = handover_bag_take(bag, (unsigned)(part.fd + k));
	return handover_net_part(e, i, net->map + part.offset, part.length, fds, (unsigned)part.fds,
				 err);
}

static int state_engine(struct engine *e, const struct tlv *rec, struct err *err)
{
	json_t *json = json_loadb((const char *)rec->value, rec->len, JSON_REJECT_DUPLICATES, NULL);
	json_t *report = json_object_get(json, "report");

	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, -EBADMSG, "the engine's record is not JSON");
	}
	e->successor.pool_state = json_incref(json_object_get(json, "pools"));
	e->upgrade.json = json_incref(report);
	e->notify.next = (uint64_t)json_integer_value(json_object_get(json, "notify_next"));
	json_decref(json);
	return 0;
}

static int state_map(struct engine *e, struct handover_bag *bag, struct err *err)
{
	struct handover_net *net = &e->net;
	struct stat st;

	net->fd = handover_bag_take(bag, STATE_FD_PARTS);
	if (net->fd < 0 || fstat(net->fd, &st) < 0 || st.st_size <= 0 ||
	    (uint64_t)st.st_size > PART_MAX)
		return err_set(err, -EBADMSG, "the memory of the state did not come along");
	/* Not populated: there is room for every buffer of the old engine, and little of it is used. */
	net->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, net->fd, 0);
	if (net->map == MAP_FAILED) {
		net->map = NULL;
		return err_set(err, -errno, "no memory for the state: %s", strerror(errno));
	}
	net->map_size = (size_t)st.st_size;
	return 0;
}

static int state_records(struct engine *e, struct handover_bag *bag, struct tlv_reader *r,
			 struct err *err)
{
	unsigned parts = 0;
	struct tlv rec;
	int res;

	while ((res = tlv_next(r, &rec)) > 0) {
		if (rec.type == STATE_TLV_ENGINE)
			res = state_engine(e, &rec, err);
		else if (rec.type == STATE_TLV_PART)
			res = part_restore(e, &rec, bag, parts++, err);
		else if (rec.type == STORE_TLV_POOL)
			res = store_restore(e, &rec, err);
		else if (rec.type == RPC_TLV_CLIENT)
			res = rpc_server_restore(e->rpc, &rec, take_fd, bag, err);
		else
			res = tlv_unknown(&rec, err);
		if (res < 0)
			return res;
	}
	return res < 0 ? err_set(err, res, "the state is torn") : 0;
}

int handover_doc_state_read(struct engine *e, struct handover_bag *bag, uint64_t bytes,
			    struct err *err)
{
	_cleanup_close_ int fd = handover_bag_take(bag, STATE_FD_DOCUMENT);
	_cleanup_free_ char *blob = NULL;
	struct tlv_reader r;
	struct tlv_blob head;
	int res = bag->complete ? handover_document_read(fd, bytes, &blob, err)
				: err_set(err, -EBADMSG, "the state came without its descriptors");

	if (res == 0)
		res = tlv_blob_open(blob, bytes, &head, &r, err);
	if (res == 0)
		res = state_map(e, bag, err);
	return res == 0 ? state_records(e, bag, &r, err) : res;
}
