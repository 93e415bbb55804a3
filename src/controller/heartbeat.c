/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kube/text.h"

void heartbeats_fini(struct heartbeats *hb)
{
	struct strmap_iter it = {0};

	while (strmap_next(&hb->by_node, &it))
		free(it.value);
	strmap_fini(&hb->by_node);
	strmap_init(&hb->by_node);
}

struct heartbeat *heartbeat_of(struct heartbeats *hb, const char *node, uint64_t now_ms)
{
	struct heartbeat *beat = strmap_get(&hb->by_node, node);

	if (beat)
		return beat;
	beat = calloc(1, sizeof(*beat));
	if (!beat || strmap_set(&hb->by_node, node, beat, NULL)) {
		free(beat);
		return NULL;
	}
	beat->seen_ms = now_ms;
	beat->holds_ms = HEARTBEAT_MS;
	return beat;
}

bool heartbeat_see(struct heartbeat *beat, const json_t *lease, uint64_t now_ms)
{
	const char *version = kube_str(lease, "metadata.resourceVersion");
	json_int_t seconds = json_integer_value(kube_at(lease, "spec.leaseDurationSeconds"));

	if (!version[0] || !strcmp(version, beat->version))
		return false;
	(void)str_copy(beat->version, sizeof(beat->version), version);
	beat->seen_ms = now_ms;
	beat->holds_ms = seconds > 0 && seconds <= HEARTBEAT_MAX_MS / 1000
				 ? (uint32_t)seconds * 1000
				 : HEARTBEAT_MS;
	beat->lost = false;
	return true;
}

uint64_t heartbeat_left_ms(const struct heartbeat *beat, uint64_t now_ms)
{
	uint64_t end_ms = beat->seen_ms + beat->holds_ms;

	return now_ms < end_ms ? end_ms - now_ms : 0;
}

void heartbeat_drop(struct heartbeats *hb, const char *node)
{
	free(strmap_remove(&hb->by_node, node));
}
