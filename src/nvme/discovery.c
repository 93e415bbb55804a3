/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The discovery log: the discovery subsystem itself at the port the host came in by, then each subsystem that the host may see, at each of
 * its listeners. GENCTR grows with every change, so a host that reads the log in pieces sees by it whether the pieces fit together.
 */
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/str.h"
#include "nvme/control.h"
#include "nvme/spec_log.h"

static uint8_t trtype_of(const char *name)
{
	static const struct {
		const char *name;
		uint8_t value;
	} types[] = {
		{"TCP", NVME_TRTYPE_TCP},
		{"RDMA", NVME_TRTYPE_RDMA},
		{"FC", NVME_TRTYPE_FC},
	};

	for (unsigned i = 0; i < ARRAY_LEN(types); i++)
		if (!strcasecmp(types[i].name, name))
			return types[i].value;
	return NVME_TRTYPE_INTRA_HOST;
}

static uint8_t adrfam_of(const char *name)
{
	if (!strcasecmp(name, "IPv4"))
		return NVME_ADRFAM_IPV4;
	return strcasecmp(name, "IPv6") ? 0 : NVME_ADRFAM_IPV6;
}

/*
 * A listener on every address (0.0.0.0, ::) is told by the address at which this host has found us: the wildcard would lead it to itself.
 */
static const char *traddr_for(const struct nvme_ctrlr *c, const struct nvme_port *port)
{
	const char *local = c->admin ? c->admin->local : "";
	const char *traddr = port->addr.traddr;
	bool wild4 = !strcmp(traddr, "0.0.0.0"), wild6 = !strcmp(traddr, "::");

	if (!*local || (!wild4 && !wild6))
		return traddr;
	return wild6 == (strchr(local, ':') != NULL) ? local : traddr;
}

static void entry_put(struct nvme_log_window *win, const struct nvme_ctrlr *c,
		      const struct nvme_subsystem *ss, const struct nvme_port *port)
{
	struct nvme_log_discovery_entry e = {
		.trtype = trtype_of(port->addr.trtype),
		.adrfam = adrfam_of(port->addr.adrfam),
		.subtype = ss->is_discovery ? NVME_SUBTYPE_DISCOVERY_CURRENT : NVME_SUBTYPE_NVM,
		/* Nothing is said of a secure channel: nvme-cli 2.3 asks the kernel for TLS wherever something is. */
		.treq = NVME_TREQ_SQFC_DISABLE,
		.portid = htole16((uint16_t)(port->index + 1)),
		.cntlid = htole16(NVME_CNTLID_DYNAMIC),
		.asqsz = htole16(NVME_QUEUE_ADMIN),
		.eflags = htole16(ss->is_discovery ? NVME_EFLAGS_PERSISTENT : 0),
	};

	/* ASCII fields: blanks to the very end. libnvme cuts blanks from the last byte on and stops at anything else. */
	str_pad(e.trsvcid, sizeof(e.trsvcid), port->addr.trsvcid);
	str_pad(e.traddr, sizeof(e.traddr), traddr_for(c, port));
	(void)str_copy(e.subnqn, sizeof(e.subnqn), ss->nqn);
	nvme_log_put(win, &e, sizeof(e));
}

static bool visible(const struct nvme_subsystem *ss, const struct nvme_ctrlr *c)
{
	return !ss->deleting && nvme_host_allowed(ss, c->hostnqn);
}

static uint64_t count_records(const struct nvme_ctrlr *c)
{
	uint64_t n = 1;

	list_for_each (it, &c->ss->target->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		if (!visible(ss, c))
			continue;
		list_for_each (l, &ss->listeners)
			n++;
	}
	return n;
}

void nvme_discovery_log(struct nvme_ctrlr *c, struct nvme_log_window *win)
{
	struct nvme_target *t = c->ss->target;
	struct nvme_log_discovery head = {
		.genctr = htole64(t->discovery_gen),
		.numrec = htole64(count_records(c)),
	};

	nvme_log_put(win, &head, sizeof(head));
	entry_put(win, c, t->discovery, c->port);
	list_for_each (it, &t->subsystems) {
		const struct nvme_subsystem *ss = list_entry(it, struct nvme_subsystem, link);

		if (!visible(ss, c))
			continue;
		list_for_each (l, &ss->listeners)
			entry_put(win, c, ss, list_entry(l, struct nvme_listener, link)->port);
	}
}
