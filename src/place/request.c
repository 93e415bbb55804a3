/* SPDX-License-Identifier: Apache-2.0 */
/* Requests out of objects. An object need not have passed its schema: what is missing has the schema's default, what is wrong is named. */
#include "place/request.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "place/model.h"
#include "place/read.h"

static const char *const positions[] = {"Any",       "PreferLocal", "PreferRemote",
					"MustLocal", "MustRemote",  NULL};
static const char *const engines[] = {"native", "lvm", NULL};
static const char *const provisionings[] = {"Thin", "Thick", NULL};

const char *place_position_text(enum place_position position)
{
	return position <= PLACE_MUST_REMOTE ? positions[position] : "?";
}

const char *place_engine_text(enum place_engine engine)
{
	return engine < PLACE_ENGINES ? engines[engine] : "?";
}

static int name_of(const json_t *object, const char **ret, struct err *err)
{
	*ret = kube_name(object);
	return (*ret)[0] ? 0 : err_set(err, -EINVAL, "metadata.name: is missing");
}

/* Clones and restored snapshots share their source's data: they are on its pool. */
static int source_of(const struct place_inventory *inv, const json_t *object,
		     const char *snapshot_pool, struct place_request *ret, struct err *err)
{
	const char *volume = kube_str(object, "spec.source.volumeName");
	const char *snapshot = kube_str(object, "spec.source.snapshotName");

	if (snapshot[0]) {
		ret->only_pool = snapshot_pool ? snapshot_pool : "";
		if (!ret->only_pool[0])
			return err_set(err, -ENOENT,
				       "spec.source.snapshotName: snapshot %s is not on a pool yet",
				       snapshot);
	} else if (volume[0]) {
		ret->only_pool = place_inventory_volume_pool(inv, volume);
		if (!ret->only_pool[0])
			return err_set(err, -ENOENT,
				       "spec.source.volumeName: volume %s is not on a pool yet",
				       volume);
	}
	return 0;
}

int place_request_volume(const struct place_inventory *inv, const json_t *object,
			 const char *snapshot_pool, struct place_request *ret, struct err *err)
{
	struct place_request request = {.only_pool = "", .only_node = "", .not_pool = ""};
	int position = 0, engine = 0, thick = 0;

	if (name_of(object, &request.name, err) < 0 ||
	    place_read_size(object, "spec.size", true, &request.size, err) < 0 ||
	    place_read_choice(object, "spec.provisioning", provisionings, &thick, err) < 0 ||
	    place_read_choice(object, "spec.engine", engines, &engine, err) < 0 ||
	    place_read_choice(object, "spec.position", positions, &position, err) < 0 ||
	    place_read_labels(object, "spec.nodeSelector", &request.node_selector, err) < 0 ||
	    place_read_labels(object, "spec.poolSelector", &request.pool_selector, err) < 0)
		return -EINVAL;
	request.thick = thick;
	request.engine = (enum place_engine)engine;
	request.position = (enum place_position)position;
	request.node = place_read_user(object);
	request.group = kube_str(object, "spec.antiAffinityGroup");
	request.reservation = kube_str(object, "spec.reservationName");
	if (source_of(inv, object, snapshot_pool, &request, err) < 0)
		return -ENOENT;
	*ret = request;
	return 0;
}

int place_request_reservation(const json_t *object, struct place_request *ret, struct err *err)
{
	struct place_request request = {
		.for_reservation = true,
		.thick = true,
		.any_engine = true,
		.node = "",
		.group = "",
		.reservation = "",
		.not_pool = "",
		.only_pool = kube_str(object, "spec.poolName"),
		.only_node = kube_str(object, "spec.nodeName"),
	};

	if (name_of(object, &request.name, err) < 0 ||
	    place_read_size(object, "spec.size", true, &request.size, err) < 0 ||
	    place_read_labels(object, "spec.poolSelector", &request.pool_selector, err) < 0)
		return -EINVAL;
	*ret = request;
	return 0;
}
