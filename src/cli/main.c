/* SPDX-License-Identifier: Apache-2.0 */
/* litepool: the command line for people. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "rt/process.h"

/* What was asked for and did not arrive, on a full disk for example, is an error: a script would take half of it for all. */
static int out_end(int status)
{
	const bool lost = ferror(stdout);

	errno = 0;
	if (fclose(stdout) == 0 && !lost)
		return status;
	(void)fprintf(stderr, "litepool: the output could not be written whole%s%s\n",
		      errno ? ": " : "", errno ? strerror(errno) : "");
	return status ? status : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	process_streams_keep();
	signal(SIGPIPE, SIG_DFL); /* "litepool ... | head" ends quietly */
	return out_end(cli_main(argc, argv, stdout, stderr));
}
