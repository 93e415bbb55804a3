/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports: the places where hosts come in. A port is named by its address, so that the subsystems that listen there and the connections that
 * came in there share it; it lives until the last of them lets go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "nvme/control.h"

static bool port_matches(const struct nvme_port *port, const struct nvme_port_addr *addr)
{
	return !strcasecmp(port->addr.trtype, addr->trtype) &&
	       !strcasecmp(port->addr.adrfam, addr->adrfam) &&
	       !strcmp(port->addr.traddr, addr->traddr) &&
	       !strcmp(port->addr.trsvcid, addr->trsvcid);
}

void nvme_port_ref(struct nvme_port *port)
{
	ASSERT(port->refs > 0);
	port->refs++;
}

struct nvme_port *nvme_port_get(struct nvme_target *t, const struct nvme_port_addr *addr)
{
	uint32_t free_index = NVME_PORTS_MAX;
	struct nvme_port *port;

	for (uint32_t i = 0; i < NVME_PORTS_MAX; i++) {
		port = t->ports[i];
		if (port && port_matches(port, addr)) {
			port->refs++;
			return port;
		}
		if (!port && free_index == NVME_PORTS_MAX)
			free_index = i;
	}
	if (free_index == NVME_PORTS_MAX)
		return NULL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return NULL;
	*port = (struct nvme_port){.target = t, .index = free_index, .refs = 1, .addr = *addr};
	t->ports[free_index] = port;
	return port;
}

void nvme_port_put(struct nvme_port *port)
{
	if (!port)
		return;
	ASSERT(port->refs > 0);
	if (--port->refs)
		return;
	ASSERT(port->target->ports[port->index] == port);
	port->target->ports[port->index] = NULL;
	free(port);
}

const struct nvme_port_addr *nvme_port_addr(const struct nvme_port *port)
{
	return &port->addr;
}
