/* SPDX-License-Identifier: Apache-2.0 */
/* echo-serve SOCKET: serves the echo service until SIGTERM, then drains for at most a minute; status 0 when all calls had ended. */
#include <stdio.h>
#include <stdlib.h>

#include "echo.h"
#include "rt/process.h"

int main(int argc, char **argv)
{
	static struct echo echo;
	struct grpc_server_config config = {.socket_path = argc > 1 ? argv[1] : "",
					    .methods = echo_methods,
					    .n_methods = echo_n_methods,
					    .ctx = &echo,
					    .workers = 16};
	struct grpc_server *server;
	struct err err;
	int rc;

	if (process_signals_take(&err) < 0 || grpc_server_start(&config, &server, &err) < 0) {
		fprintf(stderr, "echo-serve: %s\n", err.text);
		return EXIT_FAILURE;
	}
	puts("ready");
	(void)fflush(stdout);
	(void)process_wait(-1);
	rc = grpc_server_drain(server, 60000);
	grpc_server_free(server);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
