/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of litepool-engine. Invariants:
 *  1. Every option is one row of the table; help, parsing and the manual page's check read the same row.
 *  2. A bad option names itself, what came and what is accepted; nothing is ignored.
 */
#include "engine/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define CPU_MAX 4095

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_U32,
	OPTION_CPU,
	OPTION_POLL,
	OPTION_LEVEL,
};

struct option_row {
	const char *name, *meta;
	enum option_kind kind;
	size_t offset;
	uint32_t min, max;
	const char *help;
};

#define AT(member)      offsetof(struct engine_opts, member)
#define IOBUF_AT(cls)   (offsetof(struct engine_opts, iobuf) + (cls) * sizeof(uint32_t))
#define IOBUF_COUNT_MAX 65536

static const struct option_row table[] = {
	{"config", "FILE", OPTION_TEXT, AT(config_path), 0, 0,
	 "first configuration, in save_config's shape; used only while the state directory has "
	 "none"},
	{"state-dir", "DIR", OPTION_TEXT, AT(state_dir), 0, 0,
	 "where configuration and reservations are kept [" ENGINE_STATE_DIR "]"},
	{"rpc-socket", "PATH", OPTION_TEXT, AT(rpc_socket), 0, 0,
	 "unix socket of the JSON-RPC server [" ENGINE_RPC_SOCKET "]"},
	{"cores", "LIST", OPTION_TEXT, AT(cores), 0, 0,
	 "data reactors: a count (2), or the cpus to pin them to (0,2-4 or [3]) [1]"},
	{"control-cpu", "CPU", OPTION_CPU, AT(control_cpu), 0, CPU_MAX,
	 "cpu to pin the control reactor to [not pinned]"},
	{"poll-us", "N", OPTION_POLL, AT(poll_us), 0, 1000000,
	 "microseconds to spin after the last work; 0 never, -1 always [50]"},
	{"iobuf-capsule", "N", OPTION_U32, IOBUF_AT(IOBUF_CAPSULE), 1, IOBUF_COUNT_MAX,
	 "16 KiB buffers for in-capsule data, of the whole engine"},
	{"iobuf-small", "N", OPTION_U32, IOBUF_AT(IOBUF_SMALL), 1, IOBUF_COUNT_MAX,
	 "16 KiB data buffers"},
	{"iobuf-medium", "N", OPTION_U32, IOBUF_AT(IOBUF_MEDIUM), 1, IOBUF_COUNT_MAX,
	 "128 KiB data buffers"},
	{"iobuf-large", "N", OPTION_U32, IOBUF_AT(IOBUF_LARGE), 1, IOBUF_COUNT_MAX,
	 "1 MiB data buffers"},
	{"iobuf-scratch", "N", OPTION_U32, IOBUF_AT(IOBUF_SCRATCH), 1, IOBUF_COUNT_MAX,
	 "16 KiB second buffers for Compare"},
	{"iobuf-rx", "N", OPTION_U32, IOBUF_AT(IOBUF_RX), 1, IOBUF_COUNT_MAX,
	 "64 KiB receive buffers"},
	{"log-level", "LEVEL", OPTION_LEVEL, AT(log_level), 0, 0,
	 "error, warn, info or debug [info]"},
	{"wait-for-rpc", NULL, OPTION_FLAG, AT(wait_for_rpc), 0, 0,
	 "do not load the configuration before framework_start_init is called"},
	{"foreground", NULL, OPTION_FLAG, AT(foreground), 0, 0,
	 "stay in the foreground; this is always so, the option is accepted for clarity"},
	{"take-over", "PATH", OPTION_TEXT, AT(take_over), 0, 0,
	 "for litepool-supervisor: take over from the engine that listens there"},
	{"supervisor", "PATH", OPTION_TEXT, AT(supervisor), 0, 0,
	 "for litepool-supervisor: report to it there"},
	{"version", NULL, OPTION_FLAG, AT(version), 0, 0, "print the version and end"},
	{"help", NULL, OPTION_FLAG, AT(help), 0, 0, "print this and end"},
};
#define N_OPTIONS (sizeof(table) / sizeof(table[0]))

static int option_apply(const struct option_row *row, const char *value, struct engine_opts *opts,
			struct err *err);

static void opts_default(struct engine_opts *opts)
{
	struct iobuf_counts counts = iobuf_counts_default();

	memset(opts, 0, sizeof(*opts));
	opts->state_dir = ENGINE_STATE_DIR;
	opts->rpc_socket = ENGINE_RPC_SOCKET;
	opts->cores = "1";
	opts->control_cpu = -1;
	opts->poll_us = POLL_US_DEFAULT;
	opts->log_level = LOG_LEVEL_INFO;
	opts->foreground = true;
	for (unsigned i = 0; i < IOBUF_CLASSES; i++)
		opts->iobuf[i] = counts.n[i];
}

static const struct option_row *option_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

int engine_opts_parse(int argc, char **argv, struct engine_opts *ret_opts, struct err *err)
{
	struct engine_opts opts;

	opts_default(&opts);
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL, *equals;
		const struct option_row *row;
		int res;

		if (strcmp(arg, "-h") == 0)
			arg = "--help";
		if (strcmp(arg, "-V") == 0)
			arg = "--version";
		if (strncmp(arg, "--", 2) != 0)
			return err_set(err, -EINVAL,
				       "%s is not an option; see litepool-engine --help", arg);
		equals = strchr(arg, '=');
		row = option_find(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
		if (!row)
			return err_set(err, -EINVAL,
				       "unknown option %s; see litepool-engine --help", arg);
		if (row->kind == OPTION_FLAG && equals)
			return err_set(err, -EINVAL, "--%s takes no value", row->name);
		if (row->kind != OPTION_FLAG) {
			value = equals ? equals + 1 : (i + 1 < argc ? argv[++i] : NULL);
			if (!value || !value[0])
				return err_set(err, -EINVAL, "--%s needs a value: --%s %s",
					       row->name, row->name, row->meta);
		}
		res = option_apply(row, value, &opts, err);
		if (res < 0)
			return res;
		if (opts.help || opts.version)
			break;
	}
	if (!opts.help && !opts.version) {
		int res = engine_cores_parse(opts.cores, opts.data_cpu, &opts.n_data, err);

		if (res < 0)
			return res;
	}
	*ret_opts = opts;
	return 0;
}

static int option_apply(const struct option_row *row, const char *value, struct engine_opts *opts,
			struct err *err)
{
	char *field = (char *)opts + row->offset;
	uint64_t n;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_TEXT:
		memcpy(field, &value, sizeof(value));
		return 0;
	case OPTION_POLL:
		if (strcmp(value, "-1") == 0) {
			opts->poll_us = POLL_US_ALWAYS;
			return 0;
		}
		if (!str_to_u64(value, row->min, row->max, &n))
			return err_set(
				err, -EINVAL,
				"--poll-us %s: expected -1 (always), 0 (never) or at most %u",
				value, row->max);
		opts->poll_us = (int64_t)n;
		return 0;
	case OPTION_U32:
	case OPTION_CPU:
		if (!str_to_u64(value, row->min, row->max, &n))
			return err_set(err, -EINVAL, "--%s %s: expected a number from %u to %u",
				       row->name, value, row->min, row->max);
		*(uint32_t *)(void *)field = (uint32_t)n;
		return 0;
	case OPTION_LEVEL:
		if (!log_level_parse(value, &opts->log_level))
			return err_set(err, -EINVAL,
				       "--log-level %s: expected error, warn, info or debug",
				       value);
		return 0;
	default:
		return err_set(err, -EINVAL, "--%s has no kind", row->name);
	}
}

static int cores_add(const char *item, int *cpu, unsigned *count, struct err *err)
{
	char first_text[16];
	const char *dash = strchr(item, '-');
	size_t first_len = dash ? (size_t)(dash - item) : strlen(item);
	uint64_t first, last;

	if (first_len >= sizeof(first_text))
		return err_set(err, -EINVAL, "--cores: '%s' is not a cpu or a range such as 2-5",
			       item);
	memcpy(first_text, item, first_len);
	first_text[first_len] = '\0';
	if (!str_to_u64(first_text, 0, CPU_MAX, &first) ||
	    (dash && !str_to_u64(dash + 1, 0, CPU_MAX, &last)))
		return err_set(err, -EINVAL, "--cores: '%s' is not a cpu or a range such as 2-5",
			       item);
	if (!dash)
		last = first;
	if (last < first)
		return err_set(err, -EINVAL, "--cores: the range '%s' runs backwards", item);
	for (uint64_t i = first; i <= last; i++) {
		if (*count == ENGINE_DATA_MAX)
			return err_set(err, -EINVAL, "--cores: at most %u", ENGINE_DATA_MAX);
		for (unsigned k = 0; k < *count; k++)
			if (cpu[k] == (int)i)
				return err_set(err, -EINVAL, "--cores: cpu %d is there twice",
					       (int)i);
		cpu[(*count)++] = (int)i;
	}
	return 0;
}

int engine_cores_parse(const char *text, int *ret_cpu, unsigned *ret_count, struct err *err)
{
	size_t len = strlen(text);
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	_cleanup_free_ char *copy = NULL;
	uint64_t n;
	char *rest, *item;

	*ret_count = 0;
	if (!bracketed && !strpbrk(text, ",-")) {
		if (!str_to_u64(text, 1, ENGINE_DATA_MAX, &n))
			return err_set(err, -EINVAL,
				       "--cores %s: expected a count from 1 to %u, or cpus such as "
				       "0,2-4 or [3]",
				       text, ENGINE_DATA_MAX);
		for (unsigned i = 0; i < n; i++)
			ret_cpu[i] = -1;
		*ret_count = (unsigned)n;
		return 0;
	}
	copy = bracketed ? strndup(text + 1, len - 2) : strdup(text);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	rest = copy;
	while ((item = strsep(&rest, ","))) {
		int res = cores_add(item, ret_cpu, ret_count, err);

		if (res < 0)
			return res;
	}
	return 0;
}

void engine_opts_help(FILE *out)
{
	struct iobuf_counts counts = iobuf_counts_default();

	fputs("Usage: litepool-engine [OPTION]...\n"
	      "The LitePool storage engine: NVMe/TCP target and its JSON-RPC control socket.\n\n",
	      out);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_row *row = &table[i];
		char left[48];

		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->meta ? " " : "",
			 row->meta ? row->meta : "");
		fprintf(out, "  %-22s %s", left, row->help);
		for (unsigned cls = 0; cls < IOBUF_CLASSES; cls++)
			if (row->offset == IOBUF_AT(cls))
				fprintf(out, " [%u]", counts.n[cls]);
		fputc('\n', out);
	}
	fputs("\nExamples:\n"
	      "  litepool-engine\n"
	      "  litepool-engine --cores 2-3 --poll-us -1\n"
	      "  litepool-engine --state-dir ./state --rpc-socket ./engine.sock\n"
	      "\nSIGTERM or SIGINT end it in order. See litepool-engine(8).\n",
	      out);
}
