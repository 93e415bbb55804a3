/* SPDX-License-Identifier: Apache-2.0 */
/* csi-mem FOLDER OPTION...: litepool-csi's services over the tests' control plane; volumes are files in FOLDER. */
#include <stdio.h>
#include <stdlib.h>

#include "csi/serve.h"
#include "mem.h"
#include "rt/process.h"

int main(int argc, char **argv)
{
	static struct mem mem;
	struct csi_backend backend = mem_backend;
	struct csi_host host = mem_host;
	struct csi_node_config node = {.host = &host};
	struct csi_service service = {.backend = &backend};
	struct csi_pair pair = {.key = "topology.litepool.io/node"};
	struct csi_opts opts;
	struct err err = {0};
	int status;

	if (argc < 2 || csi_opts_parse(argc - 1, argv + 1, &opts, &err) < 0 ||
	    process_signals_take(&err) < 0 || lock_new(&mem.lock) < 0) {
		fprintf(stderr, "csi-mem: %s\n", err.text);
		return 2;
	}
	mem.folder = argv[1];
	mem.node_id = pair.value = node.node_id = opts.node_id;
	node.topology = (struct csi_map){&pair, 1};
	backend.ctx = host.ctx = &mem;
	if (csi_node_new(&node, &service.node, &err) < 0)
		return EXIT_FAILURE;
	status = csi_serve(&opts, &service);
	csi_node_free(service.node);
	lock_free(mem.lock);
	return status;
}
