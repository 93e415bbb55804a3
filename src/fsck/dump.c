/* SPDX-License-Identifier: Apache-2.0 */
/* litepool pool dump: what pool_dump() says as JSON, or a line for each thing. */
#include "pool/dump.h"

#include <errno.h>

#include "fsck/fsck.h"
#include "fsck/session.h"

struct dumping {
	struct session session;
	unsigned what;
	json_t *into;
};

static void begin(struct session *session)
{
	struct dumping *d = container_of(session, struct dumping, session);

	pool_dump(&session->env, session->dev, d->what, d->into, session_done, session);
}

static void print_value(FILE *out, const json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else
		json_dumpf(value, out, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* What is false says nothing. */
static void print_line(FILE *out, json_t *value)
{
	const char *key;
	json_t *member;

	fputs("   ", out);
	if (!json_is_object(value)) {
		fputc(' ', out);
		print_value(out, value);
	}
	json_object_foreach (value, key, member) {
		if (json_is_false(member))
			continue;
		fprintf(out, " %s", key);
		if (!json_is_true(member)) {
			fputc('=', out);
			print_value(out, member);
		}
	}
	fputc('\n', out);
}

static void print_text(FILE *out, json_t *into)
{
	const char *key;
	json_t *section, *value;
	size_t i;

	json_object_foreach (into, key, section) {
		if (json_is_array(section) && !json_array_size(section))
			continue;
		fprintf(out, "%s\n", key);
		if (!json_is_array(section))
			print_line(out, section);
		json_array_foreach (section, i, value)
			print_line(out, value);
	}
}

int fsck_dump(FILE *out, const struct fsck_dump_opts *opts, struct err *err)
{
	struct dumping d = {.what = (opts->journal ? DUMP_JOURNAL : 0u) |
				    (opts->pages ? DUMP_PAGES : 0u) |
				    (opts->maps ? DUMP_MAPS : 0u)};
	int res = session_open(&d.session, opts->path, true, err);

	if (res)
		return res;
	d.into = json_object();
	res = session_run(&d.session, begin, err);
	session_close(&d.session);
	if (opts->json && !res) {
		json_dumpf(d.into, out, JSON_INDENT(2));
		fputc('\n', out);
	} else if (!res) {
		print_text(out, d.into);
	}
	json_decref(d.into);
	return res;
}
