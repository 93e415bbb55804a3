/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine says names methods of its RPC, for it does not know who asks. A person who has typed a command is told commands. */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

static bool in_word(char c)
{
	return islower((unsigned char)c) || isdigit((unsigned char)c) || c == '_';
}

/* The first command that is that one call; NULL: none. */
static const char *command_of(const char *method, size_t len)
{
	const struct cli_cmd *cmd;

	for (size_t i = 0; (cmd = cli_nth(i)); i++)
		if (cmd->method && !cmd->api && strlen(cmd->method) == len &&
		    strncmp(cmd->method, method, len) == 0)
			return cmd->words;
	return NULL;
}

void cli_say_commands(const char *text, FILE *out)
{
	char before = ' ';

	while (*text) {
		size_t len = 0;
		const char *words;

		while (in_word(text[len]))
			len++;
		words = command_of(text, len);
		if (words && before != '\'' && before != '/') /* no name, no path */
			fprintf(out, "'litepool %s'", words);
		else
			fprintf(out, "%.*s", (int)(len ? len : 1), text);
		text += len ? len : 1;
		before = text[-1];
	}
}
