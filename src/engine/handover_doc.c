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
#include "nvme/carry.h"

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

void handover_doc_drop(struct handover_old *o)
{
	for (unsigned i = 0; i < o->own_fds; i++)
		(void)close(o->fds[i]);
	free(o->fds);
	o->fds = NULL;
	o->n_fds = o->sent_fds = o->own_fds = 0;
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

/* Descriptors of the plan behind the fixed ones: listeners from PLAN_FD_MORE on, disks behind them. */
struct plan_fds {
	unsigned n_listeners, n_disks;
	json_t *disks;
};

static json_t *plan_json(struct engine *e, const struct plan_fds *p)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:O*, s:O, s:i, s:i, s:o*, s:I}", "format",
			 PLAN_FORMAT, "version", LITEPOOL_VERSION, "state_dir", e->opts->state_dir,
			 "rpc_socket", e->opts->rpc_socket, "config", engine_config_json(e),
			 "pools", e->old.plan, "disks", p->disks, "n_listeners",
			 (int)p->n_listeners, "n_disks", (int)p->n_disks, "queues",
			 handover_net_queues(e), "ctrlr_bytes",
			 (json_int_t)nvme_target_heap_size(e->target));
}

static int plan_descriptors(struct engine *e, struct plan_fds *p, struct err *err)
{
	struct handover_old *o = &e->old;
	unsigned n_listeners = 0, max;
	int res;

	list_for_each (it, &e->listeners)
		n_listeners++;
	max = PLAN_FD_MORE + n_listeners + e->bdevs.count;
	res = bag_room(o, max, err);
	if (res < 0)
		return res;
	o->fds[PLAN_FD_RPC] = rpc_server_listen_fd(e->rpc);
	o->fds[PLAN_FD_LOCK] = e->lock_fd;
	o->fds[PLAN_FD_HANDOVER] = o->listen_fd;
	p->n_listeners = handover_net_listeners(e, o->fds + PLAN_FD_MORE, n_listeners);
	o->n_fds = PLAN_FD_MORE + p->n_listeners;
	res = store_disks(e, o->fds + o->n_fds, max - o->n_fds, &p->n_disks, &p->disks, err);
	if (res == 0)
		o->n_fds += p->n_disks;
	return res;
}

int handover_doc_plan(struct engine *e, struct err *err)
{
	struct plan_fds p = {0};
	_cleanup_free_ char *text = NULL;
	json_t *plan;
	int res = plan_descriptors(e, &p, err);

	if (res < 0)
		return res;
	plan = plan_json(e, &p);
	json_decref(p.disks);
	text = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
	json_decref(plan);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory for the plan");
	return bag_document(&e->old, text, strlen(text), err);
}

static void put_part(struct tlv_writer *w, const struct handover_net *net, unsigned i,
		     unsigned first_fd)
{
	tlv_begin(w, STATE_TLV_PART, TLV_MANDATORY);
	tlv_put_u64(w, STATE_TLV_OFFSET, TLV_MANDATORY, i * net->slice);
	tlv_put_u64(w, STATE_TLV_LENGTH, TLV_MANDATORY, net->out[i].w.len);
	tlv_put_u64(w, STATE_TLV_FD, TLV_MANDATORY, first_fd);
	tlv_put_u64(w, STATE_TLV_FDS, TLV_MANDATORY, net->out[i].n_fds);
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
		max += net->out[i].n_fds;
	res = bag_room(o, max, err);
	if (res < 0)
		return res;
	o->fds[STATE_FD_PARTS] = net->fd;
	tlv_writer_init(&w);
	tlv_blob_begin(&w, LITEPOOL_VERSION);
	res = put_engine(e, &w);
	if (res == 0)
		store_save(e, &w);
	if (res == 0)
		res = rpc_server_save(e->rpc, &w, o->fds, STATE_FD_MORE + 256, &n);
	for (unsigned i = 0; res == 0 && i < net->n_parts; i++) {
		const struct carry_out *out = &net->out[i];

		put_part(&w, net, i, n);
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

int handover_doc_send(struct engine *e, unsigned bag, enum handover_type type)
{
	struct handover_old *o = &e->old;
	const int fd = handover_wire_fd(&o->wire);
	int res = handover_send_bag(fd, bag, o->fds, o->n_fds, &o->sent_fds);
	struct handover_message *msg = res == 0 ? calloc(1, sizeof(*msg)) : NULL;

	if (res == 0 && !msg)
		res = -ENOMEM;
	if (res == 0) {
		msg->type = type;
		msg->bytes = o->document_bytes;
		msg->stop_at_ns = o->stop_ns;
		msg->saved_at_ns = o->saved_ns;
		msg->stop_cpu_ns = bag == HANDOVER_BAG_STATE
					   ? proc_cpu_ns(&e->upgrade.cpu) - o->stop_cpu_ns
					   : 0;
		msg->sent_at_ns = reactor_now_exact(e->control);
		res = handover_send(fd, msg, NULL, 0);
	}
	free(msg);
	if (res == 0)
		handover_doc_drop(o);
	return res;
}
