/* SPDX-License-Identifier: Apache-2.0 */
/* The old side's documents. Descriptors are borrowed but for the documents themselves. */
#include "engine/handover_doc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/engine.h"
#include "engine/handover_net.h"
#include "engine/store_handover.h"

#define TEXT_MAX ((size_t)64 << 20)

size_t handover_state_types(uint16_t *ret, size_t max)
{
	static const uint16_t own[] = {STATE_TLV_ENGINE, STATE_TLV_PART, STATE_TLV_OFFSET,
				       STATE_TLV_LENGTH, STATE_TLV_FD,   STATE_TLV_FDS,
				       RPC_TLV_CLIENT,   RPC_TLV_FD,     RPC_TLV_IN,
				       RPC_TLV_OUT,      RPC_TLV_ENDED};
	size_t n = sizeof(own) / sizeof(own[0]);

	memcpy(ret, own, sizeof(own));
	return n + handover_net_types(ret + n, max - n);
}

static int bag_room(struct handover_old *o, unsigned n, struct err *err)
{
	o->fds = calloc(n, sizeof(*o->fds));
	o->n_fds = o->sent_fds = o->own_fds = 0;
	return o->fds ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* Puts document and its memory file at the head of the bag. */
static int bag_document(struct handover_old *o, const void *data, size_t len, struct err *err)
{
	int res = handover_document_new(data, len, &o->fds[0], err);

	if (res < 0)
		return res;
	o->own_fds = 1;
	o->document_bytes = len;
	return 0;
}

static json_t *plan_json(struct engine *e, json_t *listeners, json_t *disks, unsigned disks_at,
			 unsigned n_disks)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:O*, s:o, s:o, s:i, s:i}", "format",
			 PLAN_FORMAT, "version", LITEPOOL_VERSION, "state_dir", e->opts->state_dir,
			 "rpc_socket", e->opts->rpc_socket, "config", engine_config_json(e),
			 "pools", e->old.plan, "listeners", listeners, "disks", disks, "disks_at",
			 (int)disks_at, "n_disks", (int)n_disks);
}

int handover_doc_plan(struct engine *e, struct err *err)
{
	struct handover_old *o = &e->old;
	unsigned max = PLAN_FD_MORE + e->bdevs.count + handover_net_listeners_max(e), n_disks = 0;
	json_t *plan, *disks = NULL, *listeners;
	unsigned at = PLAN_FD_MORE;
	_cleanup_free_ char *text = NULL;
	int res = bag_room(o, max, err);

	if (res < 0)
		return res;
	o->fds[PLAN_FD_RPC] = rpc_server_listen_fd(e->rpc);
	o->fds[PLAN_FD_LOCK] = e->lock_fd;
	o->fds[PLAN_FD_HANDOVER] = o->listen_fd;
	listeners = handover_net_listeners(e, o->fds, &at);
	res = store_disks(e, o->fds + at, max - at, &n_disks, &disks, err);
	if (res < 0) {
		json_decref(listeners);
		return res;
	}
	plan = plan_json(e, listeners, disks, at, n_disks);
	text = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
	json_decref(plan);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory for the plan");
	res = bag_document(o, text, strlen(text), err);
	o->n_fds = at + n_disks;
	return res;
}

static void put_part(struct tlv_writer *w, const struct handover_part *part, unsigned first_fd)
{
	tlv_begin(w, STATE_TLV_PART, TLV_MANDATORY);
	tlv_put_u64(w, STATE_TLV_OFFSET, TLV_MANDATORY, part->offset);
	tlv_put_u64(w, STATE_TLV_LENGTH, TLV_MANDATORY, part->len);
	tlv_put_u64(w, STATE_TLV_FD, TLV_MANDATORY, first_fd);
	tlv_put_u64(w, STATE_TLV_FDS, TLV_MANDATORY, part->out.n_fds);
	tlv_end(w);
}

static int put_engine(struct engine *e, struct tlv_writer *w)
{
	json_t *json = json_pack("{s:O*, s:O*, s:I}", "pools", e->old.pool_state, "report",
				 e->upgrade.json, "notify_next", (json_int_t)e->notify.next);
	_cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	tlv_put_str(w, STATE_TLV_ENGINE, TLV_MANDATORY, text);
	return 0;
}

int handover_doc_state(struct engine *e, struct err *err)
{
	struct handover_old *o = &e->old;
	struct handover_net *net = &e->net;
	unsigned max = STATE_FD_MORE + 256, n = STATE_FD_MORE;
	struct tlv_writer w;
	int res;

	for (unsigned i = 0; i < net->n_parts; i++)
		max += net->part[i].out.n_fds;
	res = bag_room(o, max, err);
	if (res < 0)
		return res;
	o->fds[STATE_FD_PARTS] = net->fd;
	tlv_writer_init(&w);
	tlv_blob_begin(&w, LITEPOOL_VERSION);
	res = put_engine(e, &w);
	if (res == 0)
		res = rpc_server_save(e->rpc, &w, o->fds, STATE_FD_MORE + 256, &n);
	for (unsigned i = 0; res == 0 && i < net->n_parts; i++) {
		const struct carry_out *out = &net->part[i].out;

		put_part(&w, &net->part[i], n);
		memcpy(o->fds + n, out->fds, out->n_fds * sizeof(int));
		n += out->n_fds;
	}
	if (res == 0)
		res = tlv_blob_end(&w);
	if (res == 0)
		res = bag_document(o, w.buf, w.len, err);
	else
		(void)err_set(err, res, "the state could not be written: %s", strerror(-res));
	o->n_fds = n;
	tlv_writer_fini(&w);
	return res;
}
