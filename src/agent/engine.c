/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/link.h"
#include "base/json.h"
#include "kube/meta.h"

int engine_call(struct agent *a, const char *method, json_t *params, json_t **ret, struct err *err)
{
	return link_call(a->link, method, params, 0, ret, err);
}

int engine_do(struct agent *a, const char *method, json_t *params, struct err *err)
{
	return link_call(a->link, method, params, 0, NULL, err);
}

/* The only element of the list that method answers with. id: the member without which it is none of those. */
static int first_of(struct agent *a, const char *method, json_t *params, const char *id,
		    json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *list = NULL;
	json_t *first;
	int rc = engine_call(a, method, params, &list, err);

	if (rc)
		return rc == -ENOENT ? -ENODEV : rc;
	first = json_array_get(list, 0);
	if (json_is_array(list) && !first)
		return err_set(err, -ENODEV, "it is not there");
	if (!kube_str(first, id)[0])
		return err_set(err, -EPROTO,
			       "the engine answered %s with something else than a list of objects "
			       "that have a %s; is it litepool-engine, and of a version that goes "
			       "with this agent?",
			       method, id);
	*ret = json_incref(first);
	return 0;
}

int engine_pool(struct agent *a, const char *uuid, json_t **ret, struct err *err)
{
	return first_of(a, "bdev_lvol_get_lvstores", json_pack("{s:s}", "uuid", uuid), "uuid", ret,
			err);
}

int engine_lvol(struct agent *a, const char *name, json_t **ret, struct err *err)
{
	return first_of(a, "bdev_lvol_get_lvols", json_pack("{s:s}", "name", name), "uuid", ret,
			err);
}

int engine_bdev(struct agent *a, const char *name, json_t **ret, struct err *err)
{
	return first_of(a, "bdev_get_bdevs", json_pack("{s:s}", "name", name), "name", ret, err);
}

int engine_subsystem(struct agent *a, const char *nqn, json_t **ret, struct err *err)
{
	return first_of(a, "nvmf_get_subsystems", json_pack("{s:s}", "nqn", nqn), "nqn", ret, err);
}

static int gone_is_good(int rc)
{
	return rc == -ENODEV || rc == -ENOENT ? 0 : rc;
}

int engine_lvol_delete(struct agent *a, const char *uuid, struct err *err)
{
	return gone_is_good(
		engine_do(a, "bdev_lvol_delete", json_pack("{s:s}", "name", uuid), err));
}

int engine_subsystem_delete(struct agent *a, const char *nqn, struct err *err)
{
	_cleanup_json_ json_t *there = NULL;
	int rc = engine_subsystem(a, nqn, &there, err);

	if (rc)
		return gone_is_good(rc);
	return gone_is_good(
		engine_do(a, "nvmf_delete_subsystem", json_pack("{s:s}", "nqn", nqn), err));
}

void engine_name(const json_t *obj, char name[ENGINE_NAME_SIZE])
{
	if (!str_copy(name, ENGINE_NAME_SIZE, kube_name(obj)))
		(void)str_copy(name, ENGINE_NAME_SIZE, kube_uid(obj));
}

void engine_nqn(const char *uid, char nqn[224])
{
	(void)snprintf(nqn, 224, "%s%s", AGENT_NQN_PREFIX, uid);
}
