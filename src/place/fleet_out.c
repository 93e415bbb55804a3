/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's result as JSON and as a picture. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "place/fleet.h"

#define WIDTH  760
#define HEIGHT 360
#define LEFT   50
#define TOP    40
#define PLOT_W (WIDTH - LEFT - 20)
#define PLOT_H (HEIGHT - TOP - 70)

static double tenth(double v)
{
	return (double)(int64_t)(v * 10 + 0.5) / 10;
}

static json_t *series(const float *points)
{
	json_t *list = json_array();

	for (int i = 0; i < FLEET_POINTS; i++)
		(void)json_array_append_new(list, json_real(tenth((double)points[i])));
	return list;
}

json_t *fleet_json(const struct fleet_result *result)
{
	const struct fleet_options *o = &result->options;
	json_t *rows = json_array();

	for (int mode = 0; mode < FLEET_MODES; mode++) {
		const struct fleet_run *r = &result->run[mode];

		(void)json_array_append_new(
			rows,
			json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:o, s:o}",
				  "placement", fleet_mode_text(mode), "cpuUsed", tenth(r->cpu_used),
				  "diskUsed", tenth(r->disk_used), "cpuStranded",
				  tenth(r->cpu_stranded), "diskStranded", tenth(r->disk_stranded),
				  "refused", tenth(r->refused), "remote", tenth(r->remote),
				  "nodeLossMean", tenth(r->blast_mean), "nodeLossMax",
				  tenth(r->blast_max), "instances", (int)r->instances, "cpuSeries",
				  series(r->cpu), "diskSeries", series(r->disk)));
	}
	return json_pack("{s:I, s:i, s:f, s:[{s:i, s:i, s:I}, {s:i, s:i, s:I}], s:i, s:o}", "seed",
			 (json_int_t)o->seed, "loadPercent", (int)o->load_percent, "diskPerCoreGiB",
			 result->disk_per_core_gib, "shapes", "nodes", (int)o->shape[0].nodes,
			 "cores", (int)o->shape[0].cores, "disk", (json_int_t)o->shape[0].disk,
			 "nodes", (int)o->shape[1].nodes, "cores", (int)o->shape[1].cores, "disk",
			 (json_int_t)o->shape[1].disk, "stepMinutes", FLEET_STEP, "runs", rows);
}

static double x_of(int point)
{
	const int last = FLEET_POINTS - 1;

	return LEFT + (double)PLOT_W * point / last;
}

static double y_of(double percent)
{
	return TOP + PLOT_H * (1 - percent / 100);
}

static void grid(FILE *out)
{
	for (int p = 0; p <= 100; p += 20)
		fprintf(out,
			"<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/>"
			"<text x='%d' y='%.1f' text-anchor='end'>%d %%</text>\n",
			LEFT, y_of(p), LEFT + PLOT_W, y_of(p), LEFT - 6, y_of(p) + 4.0, p);
	for (int h = 0; h <= 24; h += 4)
		fprintf(out, "<text x='%.1f' y='%d' text-anchor='middle'>%02d:00</text>\n",
			LEFT + (double)PLOT_W * h / 24, TOP + PLOT_H + 18, h);
}

static void line(FILE *out, const float *points, const char *color, const char *dash,
		 const char *name, int key)
{
	int x = LEFT + key * 180;

	fprintf(out,
		"<polyline fill='none' stroke='%s' stroke-width='2' stroke-dasharray='%s' points='",
		color, dash);
	for (int i = 0; i < FLEET_POINTS; i++)
		fprintf(out, "%.1f,%.1f ", x_of(i), y_of((double)points[i]));
	fprintf(out,
		"'/>\n<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='%s' stroke-width='2' "
		"stroke-dasharray='%s'/><text x='%d' y='%d'>%s</text>\n",
		x, HEIGHT - 20, x + 26, HEIGHT - 20, color, dash, x + 32, HEIGHT - 16, name);
}

char *fleet_svg(const struct fleet_result *result)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
		"fill='white'/>\n<text x='%d' y='22' font-size='14'>A day of %u servers: in use, "
		"of "
		"all</text>\n",
		WIDTH, HEIGHT, LEFT,
		result->options.shape[0].nodes + result->options.shape[1].nodes);
	grid(out);
	line(out, result->run[FLEET_LOCAL].cpu, "#c0392b", "6 3", "CPU, local-only", 0);
	line(out, result->run[FLEET_LOCAL].disk, "#c0392b", "none", "disk, local-only", 1);
	line(out, result->run[FLEET_POOLED].cpu, "#2471a3", "6 3", "CPU, pooled", 2);
	line(out, result->run[FLEET_POOLED].disk, "#2471a3", "none", "disk, pooled", 3);
	fprintf(out, "</svg>\n");
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
