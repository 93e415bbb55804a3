/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/plane_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "kube/text.h"

bool plane_id_parse(const char *text, struct plane_id *ret)
{
	const char *colon = strrchr(text, ':');
	struct plane_id id = {.name = ""};
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!len || len >= sizeof(id.name) || !uuid_parse(colon + 1, &id.uid))
		return false;
	memcpy(id.name, text, len);
	if (!kube_label_valid(id.name))
		return false;
	*ret = id;
	return true;
}

const char *plane_volume_nqn(const struct uuid *uid, char nqn[PLANE_NQN_SIZE])
{
	char text[UUID_TEXT_SIZE];

	(void)snprintf(nqn, PLANE_NQN_SIZE, PLANE_NQN_PREFIX "%s", uuid_format(uid, text));
	return nqn;
}

/* FNV-1a. Two names that meet are found by the annotation with the whole name, and refused. */
static uint64_t hash(const char *text, uint64_t start)
{
	uint64_t h = start;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3u;
	return h;
}

void plane_object_name(const char *chosen, char name[PLANE_NAME_SIZE])
{
	if (kube_label_valid(chosen) && strncmp(chosen, "csi-", 4) != 0) {
		(void)str_copy(name, PLANE_NAME_SIZE, chosen);
		return;
	}
	(void)snprintf(name, PLANE_NAME_SIZE, "csi-%016" PRIx64 "%016" PRIx64,
		       hash(chosen, 0xcbf29ce484222325u), hash(chosen, 0x9ae16a3b2f90404fu));
}
