/* SPDX-License-Identifier: Apache-2.0 */
/* litepool pool check: what was found as lines for people, or as JSON. */
#include "pool/check.h"

#include <errno.h>
#include <inttypes.h>

#include "base/json.h"
#include "base/str.h"
#include "fsck/fsck.h"
#include "fsck/notes.h"
#include "fsck/session.h"

struct checking {
	struct session session;
	const struct fsck_check_opts *opts;
	struct check_result result;
	FILE *out;
	json_t *findings;
	unsigned round;
	struct fsck_notes notes;
};

static void progress(void *ctx, uint64_t clusters, uint64_t of)
{
	struct checking *c = ctx;

	if (c->opts->progress)
		c->opts->progress(c->opts->ctx, clusters * LAYOUT_CLUSTER, of * LAYOUT_CLUSTER);
}

static void print_finding(struct checking *c, unsigned round, const struct check_finding *f)
{
	progress(c, 0, 0);
	if (round != c->round)
		fprintf(c->out, "\nLooking again after mending:\n");
	c->round = round;
	fprintf(c->out, "%s %s: %s\n", check_severity_name[f->severity], f->kind, f->text);
	if (f->place != UINT64_MAX)
		fprintf(c->out, "    at byte %" PRIu64 " of the device\n", f->place * LAYOUT_PAGE);
	if (f->plan)
		fprintf(c->out, "    %s: %s\n", c->opts->repair ? "mending" : "--repair would",
			f->plan);
}

static void finding(void *ctx, unsigned round, const struct check_finding *f)
{
	struct checking *c = ctx;
	json_int_t offset = (json_int_t)f->place * LAYOUT_PAGE;
	json_t *json;

	if (!c->opts->json) {
		print_finding(c, round, f);
		return;
	}
	json = json_pack("{s:i, s:s, s:s, s:s, s:s?, s:s?}", "look", (int)round + 1, "severity",
			 check_severity_name[f->severity], "kind", f->kind, "text", f->text, "plan",
			 f->plan, "volumes", f->volumes);
	if (json && f->place != UINT64_MAX)
		json_object_set_new(json, "offset", json_integer(offset));
	json_array_append_new(c->findings, json);
}

static void begin(struct session *session)
{
	struct checking *c = container_of(session, struct checking, session);
	struct check_opts opts = {.repair = c->opts->repair,
				  .accept = c->opts->accept,
				  .n_accept = c->opts->n_accept,
				  .data = c->opts->data,
				  .finding = finding,
				  .progress = progress,
				  .ctx = c};

	if (fsck_notes_init(&c->notes, c->opts->socket))
		opts.memory = &c->notes.memory;
	pool_check(&session->env, session->dev, &opts, &c->result, session_done, session);
}

static const char *verdict(int status)
{
	switch (status) {
	case CHECK_EXIT_CLEAN:
		return "clean";
	case CHECK_EXIT_MENDED:
		return "mended";
	default:
		return "damaged";
	}
}

static void print_data(const struct checking *c)
{
	const struct check_numbers *n = &c->result.numbers;
	char read[16];

	fprintf(c->out,
		"%s of data read, %" PRIu64 " blocks held against their sums; %" PRIu64
		" clusters were open, and have none that count\n",
		str_size(n->blocks_read * LAYOUT_PAGE, read, sizeof(read)), n->blocks_compared,
		n->clusters_open);
}

static void print_summary(const struct checking *c, int status)
{
	const struct check_result *r = &c->result;
	const struct check_numbers *n = &r->numbers;
	char used[16], total[16];

	if (r->loaded) {
		fprintf(c->out,
			"pool %s: epoch %" PRIu64 ", %s, %" PRIu64 " journal blocks to replay\n",
			r->sb.name, r->sb.epoch,
			r->sb.state == SUPERBLOCK_CLEAN ? "closed cleanly" : "not closed",
			n->journal_blocks);
		fprintf(c->out,
			"%" PRIu64 " volumes, %" PRIu64 " snapshots, %" PRIu64
			" layers; %s of %s mapped\n",
			n->volumes, n->snapshots, n->layers,
			str_size(n->clusters_mapped * LAYOUT_CLUSTER, used, sizeof(used)),
			str_size(n->clusters * LAYOUT_CLUSTER, total, sizeof(total)));
		fprintf(c->out,
			"%" PRIu64 " metadata segments, %" PRIu64 " pairs in use; %" PRIu64
			" good pages, %" PRIu64 " left by what was deleted\n",
			n->segments, n->pairs_used, n->pages_good, n->pairs_left);
	}
	if (n->blocks_read)
		print_data(c);
	fprintf(c->out,
		"%s: %u mended; left: %u damage, %u loss, %u hopeless, %u wrong; %u notes\n",
		verdict(status), r->mended, r->found[CHECK_MENDABLE], r->found[CHECK_LOSS],
		r->found[CHECK_HOPELESS], r->found[CHECK_WRONG], r->found[CHECK_NOTE]);
}

static json_t *numbers_json(const struct check_numbers *n)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I}",
		"journal_blocks", (json_int_t)n->journal_blocks, "volumes", (json_int_t)n->volumes,
		"snapshots", (json_int_t)n->snapshots, "layers", (json_int_t)n->layers, "clusters",
		(json_int_t)n->clusters, "clusters_mapped", (json_int_t)n->clusters_mapped,
		"clusters_free", (json_int_t)n->clusters_free, "segments", (json_int_t)n->segments,
		"pairs_used", (json_int_t)n->pairs_used, "pages_good", (json_int_t)n->pages_good,
		"pairs_left", (json_int_t)n->pairs_left, "noted_clusters", (json_int_t)n->notes,
		"open_clusters", (json_int_t)n->clusters_open, "blocks_read",
		(json_int_t)n->blocks_read, "blocks_compared", (json_int_t)n->blocks_compared);
}

static void print_json(const struct checking *c, int status)
{
	const struct check_result *r = &c->result;
	json_t *json = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:O}", "verdict",
				 verdict(status), "exit", status, "mended", (int)r->mended,
				 "damage", (int)r->found[CHECK_MENDABLE], "loss",
				 (int)r->found[CHECK_LOSS], "hopeless",
				 (int)r->found[CHECK_HOPELESS], "wrong", (int)r->found[CHECK_WRONG],
				 "notes", (int)r->found[CHECK_NOTE], "findings", c->findings);

	if (json && r->loaded) {
		json_object_set_new(json, "pool", json_string(r->sb.name));
		json_object_set_new(json, "numbers", numbers_json(&r->numbers));
	}
	json_dumpf(json, c->out, JSON_INDENT(2));
	fputc('\n', c->out);
	json_decref(json);
}

int fsck_check(FILE *out, const struct fsck_check_opts *opts, struct err *err)
{
	struct checking c = {.opts = opts, .out = out};
	int res, status;

	res = session_open(&c.session, opts->path, !opts->repair, err);
	if (res)
		return CHECK_EXIT_FAILED;
	c.findings = json_array();
	res = session_run(&c.session, begin, err);
	session_close(&c.session);
	status = check_exit_code(res, &c.result);
	progress(&c, 0, 0);
	if (!res && opts->json)
		print_json(&c, status);
	else if (!res)
		print_summary(&c, status);
	json_decref(c.findings);
	return status;
}
