/* SPDX-License-Identifier: Apache-2.0 */
/* The API over HTTP, for functional tests: serve STORE SOCKET; prints the loopback port, ends with SIGTERM. */
#include <inttypes.h>
#include <stdio.h>

#include "apiserver/http.h"
#include "rt/process.h"

int main(int argc, char **argv)
{
	struct store_config store_config = {.wall_ns = process_wall_ns};
	struct http_config http_config = {.tcp_host = "127.0.0.1"};
	struct store *store = NULL;
	struct http *http = NULL;
	struct err err = {0};
	int rc;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: serve STORE SOCKET\n");
		return 2;
	}
	store_config.path = argv[1];
	http_config.unix_path = argv[2];
	rc = process_signals_take(&err);
	if (!rc)
		rc = store_open(&store_config, &store, &err);
	http_config.store = store;
	if (!rc)
		rc = http_start(&http_config, &http, &err);
	if (rc) {
		(void)fprintf(stderr, "serve: %s\n", err.text);
	} else {
		(void)printf("%" PRIu16 "\n", http_port(http));
		(void)fflush(stdout);
		(void)process_wait(-1);
	}
	http_stop(http);
	store_close(store);
	return rc ? 1 : 0;
}
