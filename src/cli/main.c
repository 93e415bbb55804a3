/* SPDX-License-Identifier: Apache-2.0 */
/* litepool: the command line for people. */
#include <signal.h>
#include <stdio.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_DFL); /* "litepool ... | head" ends quietly */
	return cli_main(argc, argv, stdout, stderr);
}
