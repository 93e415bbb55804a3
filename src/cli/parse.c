/* SPDX-License-Identifier: Apache-2.0 */
/* From words to values: every word is used or refused. */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PATH_PART_MAX 64

bool cli_arg_is_option(const struct cli_arg *arg)
{
	return !isupper((unsigned char)arg->name[0]);
}

const struct cli_cmd *cli_nth(size_t i)
{
	static const struct cli_cmd *const tables[] = {cli_api_commands, cli_commands,
						       cli_store_commands};

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct cli_cmd *cmd = tables[t]; cmd->words; cmd++)
			if (i-- == 0)
				return cmd;
	return NULL;
}

static int words_matched(const char *words, int argc, char *const *argv)
{
	int used = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (used == argc || strlen(argv[used]) != len ||
		    memcmp(words, argv[used], len) != 0)
			return 0;
		used++;
		words += len;
		words += strspn(words, " ");
	}
	return used;
}

const struct cli_cmd *cli_find(int argc, char *const *argv, int *ret_used)
{
	const struct cli_cmd *best = NULL, *cmd;

	*ret_used = 0;
	for (size_t i = 0; (cmd = cli_nth(i)); i++) {
		int used = words_matched(cmd->words, argc, argv);

		if (used > *ret_used) {
			best = cmd;
			*ret_used = used;
		}
	}
	return best;
}

const char *cli_text(const struct cli *cli, const char *name)
{
	return json_string_value(json_object_get(cli->values, name));
}

bool cli_given(const struct cli *cli, const char *name)
{
	return json_object_get(cli->values, name) != NULL;
}

json_t *cli_get(const json_t *object, const char *path)
{
	const json_t *at = object;
	char part[PATH_PART_MAX];

	while (at && *path) {
		size_t len = strcspn(path, ".");

		if (len >= sizeof(part))
			return NULL;
		memcpy(part, path, len);
		part[len] = '\0';
		at = json_object_get(at, part);
		path += len;
		path += *path == '.';
	}
	return (json_t *)(uintptr_t)at;
}

int cli_put(json_t *object, const char *path, json_t *value)
{
	const char *dot;
	char part[PATH_PART_MAX];

	for (; (dot = strchr(path, '.')); path = dot + 1) {
		json_t *child;

		snprintf(part, sizeof(part), "%.*s", (int)(dot - path), path);
		child = json_object_get(object, part);
		if (!child) {
			child = json_object();
			if (json_object_set_new(object, part, child) < 0) {
				json_decref(value);
				return -ENOMEM;
			}
		}
		object = child;
	}
	return json_object_set_new(object, path, value) < 0 ? -ENOMEM : 0;
}

static json_t *value_address(const char *text, struct err *err)
{
	char host[128];
	const char *colon = strrchr(text, ':'), *port = "4420";
	size_t len;
	bool v6 = text[0] == '[';
	uint64_t number;

	if (v6) {
		const char *end = strchr(text, ']');

		if (!end || (end[1] != '\0' && end[1] != ':')) {
			(void)err_set(err, -EINVAL, "'%s' must be of the form [2001:db8::1]:4420",
				      text);
			return NULL;
		}
		len = (size_t)(end - text - 1);
		port = end[1] ? end + 2 : port;
		text++;
	} else {
		len = colon ? (size_t)(colon - text) : strlen(text);
		port = colon ? colon + 1 : port;
	}
	if (len == 0 || len >= sizeof(host) || !str_to_u64(port, 0, UINT16_MAX, &number) ||
	    (!v6 && memchr(text, ':', len))) {
		(void)err_set(err, -EINVAL,
			      "'%s' must be an address and a port: 192.0.2.1:4420 or "
			      "[2001:db8::1]:4420",
			      text);
		return NULL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	return json_pack("{s:s, s:s, s:s, s:s}", "trtype", "TCP", "adrfam", v6 ? "IPv6" : "IPv4",
			 "traddr", host, "trsvcid", port);
}

static json_t *value_list(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t len = strcspn(text, ",");

		(void)json_array_append_new(list, json_stringn(text, len));
		text += len;
		text += *text == ',';
	}
	return list;
}

/* An engine may run in another folder: names of files are sent whole. */
static json_t *value_file(const char *text)
{
	char cwd[PATH_MAX];

	if (text[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		return json_string(text);
	return json_sprintf("%s/%s", cwd, text);
}

static json_t *value_json(const char *text, struct err *err)
{
	json_error_t where;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &where);

	if (json_is_object(json))
		return json;
	json_decref(json);
	(void)err_set(err, -EINVAL, "expected a JSON object such as '{\"name\": \"disk0\"}'%s%s",
		      where.text[0] ? ": " : "", where.text);
	return NULL;
}

/* A new reference, or NULL with err. */
static json_t *value_parse(enum cli_kind kind, const char *text, struct err *err)
{
	uint64_t number;
	char *end;
	double real;

	switch (kind) {
	case CLI_TEXT:
		return json_string(text);
	case CLI_FILE:
		return value_file(text);
	case CLI_U64:
		if (str_to_u64(text, 0, INT64_MAX, &number))
			return json_integer((json_int_t)number);
		(void)err_set(err, -EINVAL, "'%s' is not a number", text);
		return NULL;
	case CLI_SIZE:
		if (str_to_size(text, &number) && number <= INT64_MAX)
			return json_integer((json_int_t)number);
		(void)err_set(err, -EINVAL, "'%s' is not a size such as 4096, 512M, 10G or 1T",
			      text);
		return NULL;
	case CLI_DOUBLE:
		errno = 0;
		real = strtod(text, &end);
		if (text[0] && !*end && errno == 0)
			return json_real(real);
		(void)err_set(err, -EINVAL, "'%s' is not a number such as 0.01", text);
		return NULL;
	case CLI_ON_OFF:
		if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0)
			return json_boolean(strcmp(text, "on") == 0);
		(void)err_set(err, -EINVAL, "'%s': expected on or off", text);
		return NULL;
	case CLI_ADDRESS:
		return value_address(text, err);
	case CLI_JSON:
		return value_json(text, err);
	case CLI_LIST:
		return value_list(text);
	case CLI_FLAG:
	default:
		return json_true();
	}
}

static int value_take(struct cli *cli, const struct cli_arg *arg, const char *text, json_t *params,
		      struct err *err)
{
	json_t *value;
	int res;

	if (cli_given(cli, arg->name))
		return err_set(err, -EINVAL, "%s%s is given twice",
			       cli_arg_is_option(arg) ? "--" : "", arg->name);
	value = value_parse(arg->kind, text, err);
	if (!value) {
		if (!err->code)
			return err_set(err, -ENOMEM, "out of memory");
		return err_prefix(err, "%s%s", cli_arg_is_option(arg) ? "--" : "", arg->name);
	}
	res = json_object_set(cli->values, arg->name, value);
	if (res == 0 && arg->param)
		return cli_put(params, arg->param, value);
	json_decref(value);
	return res < 0 ? -ENOMEM : 0;
}

static const struct cli_arg *option_find(const struct cli_cmd *cmd, const char *name, size_t len)
{
	for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++)
		if (cli_arg_is_option(arg) && strlen(arg->name) == len &&
		    memcmp(arg->name, name, len) == 0)
			return arg;
	return NULL;
}

static const struct cli_arg *positional_nth(const struct cli_cmd *cmd, int n)
{
	for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++)
		if (!cli_arg_is_option(arg) && n-- == 0)
			return arg;
	return NULL;
}

/* How many words it used, or -EINVAL. */
static int option_take(struct cli *cli, const struct cli_cmd *cmd, int argc, char *const *argv,
		       json_t *params, struct err *err)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct cli_arg *arg = option_find(cmd, name, len);
	const char *text;
	int res, used = 1;

	if (!arg)
		return err_set(err, -EINVAL, "unknown option %s; see litepool %s --help", argv[0],
			       cmd->words);
	if (arg->kind == CLI_FLAG) {
		if (equals)
			return err_set(err, -EINVAL, "--%s takes no value", arg->name);
		text = "";
	} else if (equals) {
		text = equals + 1;
	} else if (argc > 1) {
		text = argv[1];
		used = 2;
	} else {
		return err_set(err, -EINVAL, "--%s needs a value: %s", arg->name, arg->help);
	}
	res = value_take(cli, arg, text, params, err);
	return res < 0 ? res : used;
}

static int output_take(struct cli *cli, const char *name, const char *value, struct err *err)
{
	static const char *const names[] = {[CLI_OUT_TABLE] = "table",
					    [CLI_OUT_WIDE] = "wide",
					    [CLI_OUT_JSON] = "json",
					    [CLI_OUT_YAML] = "yaml",
					    [CLI_OUT_NAME] = "name"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0) {
			cli->output = (enum cli_output)i;
			cli->json = i == CLI_OUT_JSON;
			return 2;
		}
	return err_set(err, -EINVAL, "%s %s: expected table, wide, json, yaml or name", name,
		       value);
}

static bool word_is(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int cli_parse_global(struct cli *cli, int argc, char *const *argv, bool *ret_help, struct err *err)
{
	const char *name = argv[0], *value = argc > 1 ? argv[1] : NULL;
	uint64_t number;

	if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0) {
		*ret_help = true;
		return 1;
	}
	if (!word_is(name, "-s", "--socket") && !word_is(name, "-o", "--output") &&
	    !word_is(name, "--server", "--kubeconfig") && strcmp(name, "--timeout") != 0)
		return 0;
	if (!value)
		return err_set(err, -EINVAL, "%s needs a value", name);
	if (word_is(name, "-o", "--output"))
		return output_take(cli, name, value, err);
	if (word_is(name, "-s", "--socket")) {
		cli->socket = value;
	} else if (strcmp(name, "--server") == 0) {
		cli->server = value;
	} else if (strcmp(name, "--kubeconfig") == 0) {
		cli->kubeconfig = value;
	} else if (str_to_u64(value, 1, 86400, &number)) {
		cli->timeout_ms = (int)number * 1000;
	} else {
		return err_set(err, -EINVAL, "--timeout %s: expected seconds", value);
	}
	return 2;
}

static int words_take(struct cli *cli, const struct cli_cmd *cmd, int argc, char *const *argv,
		      json_t *params, struct err *err)
{
	bool only_words = false, help = false;
	int n_positional = 0;

	for (int i = 0; i < argc;) {
		const struct cli_arg *arg;
		int used = only_words ? 0 : cli_parse_global(cli, argc - i, argv + i, &help, err);

		if (used < 0)
			return used;
		if (help)
			return 1;
		if (used == 0 && !only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			used = 1;
		} else if (used == 0 && !only_words && strncmp(argv[i], "--", 2) == 0) {
			used = option_take(cli, cmd, argc - i, argv + i, params, err);
		} else if (used == 0) {
			arg = positional_nth(cmd, n_positional++);
			if (!arg)
				return err_set(
					err, -EINVAL,
					"'%s' is one argument too many; see litepool %s --help",
					argv[i], cmd->words);
			used = value_take(cli, arg, argv[i], params, err);
			used = used < 0 ? used : 1;
		}
		if (used < 0)
			return used;
		i += used;
	}
	return 0;
}

/* What the user has left out. */
static int words_check(const struct cli *cli, const struct cli_cmd *cmd, struct err *err)
{
	char options[256] = "";
	bool given = false;

	for (const struct cli_arg *arg = cmd->args; arg && arg->name; arg++) {
		size_t len = strlen(options);

		if (cli_arg_is_option(arg)) {
			given |= cli_given(cli, arg->name);
			snprintf(options + len, sizeof(options) - len, "%s--%s", len ? ", " : "",
				 arg->name);
		} else if (!arg->optional && !cli_given(cli, arg->name)) {
			return err_set(err, -EINVAL, "%s is missing (%s); see litepool %s --help",
				       arg->name, arg->help, cmd->words);
		}
	}
	if (cmd->changes && !given)
		return err_set(err, -EINVAL,
			       "nothing to change is given: at least one of %s; see litepool %s "
			       "--help",
			       options, cmd->words);
	return 0;
}

int cli_parse(struct cli *cli, const struct cli_cmd *cmd, int argc, char *const *argv,
	      json_t **ret_params, struct err *err)
{
	json_t *params = json_object();
	int res = params ? words_take(cli, cmd, argc, argv, params, err) : -ENOMEM;

	if (res == 0)
		res = words_check(cli, cmd, err);
	if (res != 0) {
		json_decref(params);
		return res;
	}
	*ret_params = params;
	return 0;
}
