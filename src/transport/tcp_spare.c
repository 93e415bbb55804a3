/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for connections that will come from another engine, taken and touched while that one still serves: what tcp_restore.c would else ask the kernel for, page after page, while
 * every host waits. A want of spares costs time and nothing else.
 */
#include "transport/tcp_priv.h"

#include <stdlib.h>

#include "base/check.h"

#define PAGE ((size_t)4096)
/* Slots of a queue that are touched: what a host with some commands under way uses. */
#define WARM_SLOTS 8u

/* Writes what is there to one byte of every page. */
static void touch(void *p, size_t len)
{
	volatile uint8_t *at = p;

	while (len) {
		const uint8_t byte = at[len - 1];

		at[len - 1] = byte;
		len -= MIN(len, PAGE);
	}
}

/* --- the old side --- */

void tcp_transport_queues(const struct tcp_transport *t,
			  void (*one)(void *ctx, uint32_t entries, uint32_t n), void *ctx)
{
	struct tcp_queues queues[TCP_SPARE_KINDS] = {0};
	unsigned kinds = 0;

	list_for_each (it, &t->conns) {
		const struct tcp_conn *c = list_entry(it, struct tcp_conn, link);
		/* Set once, on the control reactor, by Connect. */
		const uint32_t entries = c->qp.qsize ? c->qp.qsize : 1;
		unsigned i = 0;

		while (i < kinds && queues[i].entries != entries)
			i++;
		if (i == TCP_SPARE_KINDS)
			continue;
		kinds = MAX(kinds, i + 1);
		queues[i].entries = entries;
		queues[i].n++;
	}
	for (unsigned i = 0; i < kinds; i++)
		one(ctx, queues[i].entries, queues[i].n);
}

/* --- the new side --- */

static bool add_conn(struct tcp_spares *s)
{
	struct tcp_conn *c = calloc(1, sizeof(*c));

	if (c) {
		touch(c, offsetof(struct tcp_conn, block));
		touch(&c->ic_pdu, sizeof(*c) - offsetof(struct tcp_conn, ic_pdu));
		s->conns[s->n_conns++] = c;
	}
	return c;
}

static bool add_reqs(struct tcp_spare_reqs *line, uint32_t entries)
{
	struct tcp_reqs *reqs = &line->reqs[line->n];

	if (tcp_reqs_init(reqs, entries))
		return false;
	/* A slot is cleared when it is first taken: what is in it does not matter. */
	memset(reqs->slots, 0, MIN(entries, WARM_SLOTS) * sizeof(*reqs->slots));
	touch(reqs->free, entries * sizeof(*reqs->free));
	touch(reqs->hash, (size_t)(reqs->hash_mask + 1) * sizeof(*reqs->hash));
	line->n++;
	return true;
}

void tcp_transport_expect(struct tcp_transport *t, uint32_t entries, uint32_t n)
{
	struct tcp_spares *s = &t->spares;
	struct tcp_spare_reqs *line = &s->reqs[s->kinds];
	struct tcp_conn **conns;

	n = MIN(n, t->opts.conns_max - MIN(s->n_conns, t->opts.conns_max));
	if (s->kinds == TCP_SPARE_KINDS || !n || !entries ||
	    entries > nvme_target_queue_max(t->target, 0))
		return;
	conns = realloc(s->conns, (s->n_conns + n) * sizeof(struct tcp_conn *));
	if (!conns)
		return;
	s->conns = conns;
	line->reqs = calloc(n, sizeof(*line->reqs));
	if (!line->reqs)
		return;
	line->entries = entries;
	s->kinds++;
	for (uint32_t i = 0; i < n && add_conn(s); i++)
		if (!add_reqs(line, entries))
			break;
}

struct tcp_conn *tcp_spare_conn(struct tcp_transport *t)
{
	struct tcp_spares *s = &t->spares;

	return s->n_conns ? s->conns[--s->n_conns] : calloc(1, sizeof(struct tcp_conn));
}

int tcp_spare_reqs(struct tcp_transport *t, struct tcp_reqs *reqs, uint32_t entries)
{
	struct tcp_spares *s = &t->spares;

	for (unsigned i = 0; i < s->kinds; i++) {
		struct tcp_spare_reqs *line = &s->reqs[i];

		if (line->entries == entries && line->n) {
			*reqs = line->reqs[--line->n];
			return 0;
		}
	}
	return tcp_reqs_init(reqs, entries);
}

void tcp_spares_free(struct tcp_transport *t)
{
	struct tcp_spares *s = &t->spares;

	while (s->n_conns)
		free(s->conns[--s->n_conns]);
	free(s->conns);
	for (unsigned i = 0; i < s->kinds; i++) {
		while (s->reqs[i].n)
			tcp_reqs_fini(&s->reqs[i].reqs[--s->reqs[i].n]);
		free(s->reqs[i].reqs);
	}
	*s = (struct tcp_spares){0};
}
