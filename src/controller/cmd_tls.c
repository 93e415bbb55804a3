/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cmd_tls.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/tls.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "rt/fs.h"
#include "rt/options.h"

#define DAYS_MAX 36500
#define CA_DAYS  3650

struct tls_opts {
	const char *dir, *names, *user, *role, *server;
	uint32_t days;
	bool help;
};

#define AT(member) offsetof(struct tls_opts, member)

static const struct option init_table[] = {
	{"dir", "DIR", OPT_TEXT, AT(dir), 0, 0,
	 "the folder of the CA and its certificates; made when it is not there"},
	{"names", "NAMES", OPT_TEXT, AT(names), 0, 0,
	 "addresses and host names that clients use for the server, comma-separated"},
	{"days", "N", OPT_U32, AT(days), 1, DAYS_MAX,
	 "how long the server's certificate counts [365]"},
	{"help", NULL, OPT_FLAG, AT(help), 0, 0, "print this and end"},
};

static const struct option issue_table[] = {
	{"dir", "DIR", OPT_TEXT, AT(dir), 0, 0, "the folder of the CA that init-tls made"},
	{"user", "NAME", OPT_TEXT, AT(user), 0, 0,
	 "whose it is; of an agent, the name of its StorageNode"},
	{"role", "ROLE", OPT_TEXT, AT(role), 0, 0, "admin, controller, csi, agent or reader"},
	{"server", "URL", OPT_TEXT, AT(server), 0, 0, "write NAME.kubeconfig for this server, too"},
	{"days", "N", OPT_U32, AT(days), 1, DAYS_MAX, "how long it counts [365]"},
	{"help", NULL, OPT_FLAG, AT(help), 0, 0, "print this and end"},
};

static int told(const struct err *err, const char *command)
{
	(void)fprintf(stderr, "litepool-controller %s: %s\n", command, err->text);
	return EXIT_FAILURE;
}

int cmd_init_tls(int argc, char **argv)
{
	struct tls_opts opts = {.days = 365};
	struct err err = {0};

	if (options_parse(init_table, ARRAY_LEN(init_table), "litepool-controller init-tls", argc,
			  argv, &opts, &err) < 0) {
		(void)told(&err, argv[0]);
		return 2;
	}
	if (opts.help) {
		(void)puts(
			"Usage: litepool-controller init-tls --dir DIR --names NAMES [--days N]\n"
			"Makes a CA (ca.crt, ca.key, ten years) and a certificate for the server "
			"(server.crt, server.key).\n"
			"Where the CA is there already, only the latter. Nothing is ever "
			"replaced.\n");
		options_help(init_table, ARRAY_LEN(init_table), stdout);
		return EXIT_SUCCESS;
	}
	if (!opts.dir || !opts.names) {
		(void)err_set(&err, -EINVAL, "--dir and --names are needed");
		(void)told(&err, argv[0]);
		return 2;
	}
	if (tls_make_ca(opts.dir, CA_DAYS, &err) < 0 && err.code != -EEXIST)
		return told(&err, argv[0]);
	if (tls_make_server(opts.dir, opts.names, opts.days, &err) < 0)
		return told(&err, argv[0]);
	(void)printf(
		"%s: ca.crt for clients, server.crt and server.key for --tls-cert and --tls-key;\n"
		"keep ca.key safe: who has it can be anybody\n",
		opts.dir);
	return EXIT_SUCCESS;
}

/* JSON is YAML; paths in a kubeconfig count from its own folder. */
static int write_kubeconfig(const struct tls_opts *opts, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], crt[NAME_MAX + 8], key[NAME_MAX + 8];

	(void)snprintf(crt, sizeof(crt), "%s.crt", opts->user);
	(void)snprintf(key, sizeof(key), "%s.key", opts->user);
	if (snprintf(path, sizeof(path), "%s/%s.kubeconfig", opts->dir, opts->user) >=
	    (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "the folder's name is too long");
	json = json_pack("{s:s, s:s, s:s, s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:{s:s, s:s}}], "
			 "s:[{s:s, s:{s:s, s:s}}]}",
			 "apiVersion", "v1", "kind", "Config", "current-context", "litepool",
			 "clusters", "name", "litepool", "cluster", "server", opts->server,
			 "certificate-authority", "ca.crt", "users", "name", opts->user, "user",
			 "client-certificate", crt, "client-key", key, "contexts", "name",
			 "litepool", "context", "cluster", "litepool", "user", opts->user);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	if (!text)
		return err_set(err, -EINVAL, "the URL of the server is no text");
	return fs_write_atomic(path, text, strlen(text), 0600, err);
}

int cmd_issue(int argc, char **argv)
{
	struct tls_opts opts = {.days = 365};
	struct api_user user;
	struct err err = {0};
	int rc = options_parse(issue_table, ARRAY_LEN(issue_table), "litepool-controller issue",
			       argc, argv, &opts, &err);

	if (!rc && opts.help) {
		(void)puts("Usage: litepool-controller issue --dir DIR --user NAME --role ROLE "
			   "[--server URL] "
			   "[--days N]\n"
			   "Makes a client's certificate (NAME.crt, NAME.key) with the CA of "
			   "init-tls.\n");
		options_help(issue_table, ARRAY_LEN(issue_table), stdout);
		return EXIT_SUCCESS;
	}
	if (!rc && (!opts.dir || !opts.user || !opts.role))
		rc = err_set(&err, -EINVAL, "--dir, --user and --role are needed");
	if (!rc && !api_user_set(&user, opts.user, opts.role))
		rc = err_set(&err, -EINVAL,
			     "the role must be admin, controller, csi, agent or reader, and the "
			     "name one "
			     "that an object could have");
	if (!rc && opts.server && strncmp(opts.server, "https://", 8) != 0)
		rc = err_set(&err, -EINVAL, "--server must begin with https://");
	if (rc) {
		(void)told(&err, argv[0]);
		return 2;
	}
	rc = tls_make_client(opts.dir, &user, opts.days, &err);
	if (!rc && opts.server)
		rc = write_kubeconfig(&opts, &err);
	return rc ? told(&err, argv[0]) : EXIT_SUCCESS;
}
