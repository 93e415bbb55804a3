/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions in words; see explain.h. */
#include "place/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/str.h"

#define COLUMN_MIN 4

static int width_of(const struct place_decision *decision, bool of_nodes)
{
	size_t width = COLUMN_MIN;

	for (size_t i = 0; i < decision->n_candidates; i++) {
		const struct place_candidate *c = &decision->candidates[i];

		width = MAX(width, strlen(of_nodes ? c->node : c->pool));
	}
	return (int)width;
}

static size_t passed_count(const struct place_decision *decision)
{
	size_t n = 0;

	while (n < decision->n_candidates && decision->candidates[n].filter == PLACE_PASSED)
		n++;
	return n;
}

static void more(FILE *out, size_t left)
{
	if (left)
		fprintf(out, "  ... and %zu more\n", left);
}

static void scored(FILE *out, const struct place_decision *decision, size_t n, size_t shown,
		   int pool, int node)
{
	char title[64], size[32];

	fprintf(out, "\nSCORED (each 0..1000, times its weight)\n  %-*s  %-*s  %10s", pool, "POOL",
		node, "NODE", "FREE");
	for (uint32_t p = 0; p < decision->n_parts; p++) {
		if (!decision->part_weight[p])
			continue;
		(void)snprintf(title, sizeof(title), "%s x%" PRIu32, decision->part_name[p],
			       decision->part_weight[p]);
		fprintf(out, "  %18s", title);
	}
	fprintf(out, "  %8s\n", "SCORE");
	for (size_t i = 0; i < shown; i++) {
		const struct place_candidate *c = &decision->candidates[i];

		fprintf(out, "  %-*s  %-*s  %10s", pool, c->pool, node, c->node,
			str_size(c->free, size, sizeof(size)));
		for (uint32_t p = 0; p < decision->n_parts; p++)
			if (decision->part_weight[p])
				fprintf(out, "  %18u", c->part[p]);
		fprintf(out, "  %8" PRIu64 "\n", c->score);
	}
	more(out, n - shown);
}

static void refused(FILE *out, const struct place_candidate *c, size_t n, size_t shown, int pool,
		    int node)
{
	fprintf(out, "\nREFUSED\n  %-*s  %-*s  %-18s  WHY\n", pool, "POOL", node, "NODE", "FILTER");
	for (size_t i = 0; i < shown; i++)
		fprintf(out, "  %-*s  %-*s  %-18s  %s\n", pool, c[i].pool, node, c[i].node,
			place_filter_text(c[i].filter), c[i].why ? c[i].why : "");
	more(out, n - shown);
}

char *place_explain_text(const struct place_request *request, const struct place_decision *decision,
			 size_t rows_max)
{
	size_t passed = passed_count(decision), left = decision->n_candidates - passed, len;
	int pool = width_of(decision, false), node = width_of(decision, true);
	size_t most = rows_max ? rows_max : SIZE_MAX;
	char *text = NULL, size[32];
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "%s %s (%s, %s): %s\n", request->for_reservation ? "reservation" : "volume",
		request->name, str_size(request->size, size, sizeof(size)),
		request->thick ? "thick" : "thin", decision->summary);
	if (passed)
		scored(out, decision, passed, MIN(passed, most), pool, node);
	if (left)
		refused(out, decision->candidates + passed, left, MIN(left, most), pool, node);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static json_t *candidate_json(const struct place_decision *decision,
			      const struct place_candidate *c)
{
	json_t *one = json_pack("{s:s, s:s, s:I}", "pool", c->pool, "node", c->node, "free",
				(json_int_t)MIN(c->free, (uint64_t)INT64_MAX));
	json_t *parts;

	if (c->filter != PLACE_PASSED) {
		(void)json_object_set_new(one, "refusedBy",
					  json_string(place_filter_text(c->filter)));
		(void)json_object_set_new(one, "message", json_string(c->why ? c->why : ""));
		return one;
	}
	parts = json_object();
	for (uint32_t p = 0; p < decision->n_parts; p++)
		if (decision->part_weight[p])
			(void)json_object_set_new(parts, decision->part_name[p],
						  json_integer(c->part[p]));
	(void)json_object_set_new(one, "scores", parts);
	(void)json_object_set_new(one, "score", json_integer((json_int_t)c->score));
	return one;
}

json_t *place_explain_json(const struct place_request *request,
			   const struct place_decision *decision)
{
	json_t *pools = json_array(), *weights = json_object();

	for (size_t i = 0; i < decision->n_candidates; i++)
		(void)json_array_append_new(pools,
					    candidate_json(decision, &decision->candidates[i]));
	for (uint32_t p = 0; p < decision->n_parts; p++)
		(void)json_object_set_new(weights, decision->part_name[p],
					  json_integer(decision->part_weight[p]));
	return json_pack("{s:s, s:I, s:b, s:s?, s:s?, s:s, s:o, s:o}", "name", request->name,
			 "size", (json_int_t)request->size, "thick", request->thick, "pool",
			 decision->pool, "node", decision->node, "summary", decision->summary,
			 "weights", weights, "pools", pools);
}
