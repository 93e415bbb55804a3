/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver/roles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/bytes.h"

#define V(verb) (1u << API_##verb)
#define READ    (V(GET) | V(LIST) | V(WATCH))
#define EDIT    (V(UPDATE) | V(PATCH))
#define ALL     (READ | V(CREATE) | EDIT | V(DELETE) | V(DELETE_ALL))

/* Which objects of the kind, and what of them. */
enum role_scope {
	SCOPE_ANY,
	SCOPE_SELF,       /* its name is the user's */
	SCOPE_PLACED,     /* it is on the user's node: all of its status but where it is */
	SCOPE_FINALIZERS, /* it is on the user's node: only its finalizers */
	SCOPE_EVENT,      /* it was told by the user's node */
	SCOPE_FORMAT,     /* the record of what it holds, nothing else of its status */
};

struct role_rule {
	enum api_role role;
	const char *group, *plural; /* NULL: all */
	const char *ns;             /* NULL: all */
	bool status;                /* the status of it */
	unsigned verbs;
	enum role_scope scope;
};

#define LP     KUBE_GROUP
#define LEASES "coordination.k8s.io", "leases"

/* The first row that fits counts. */
static const struct role_rule rules[] = {
	{API_ROLE_ADMIN, NULL, NULL, NULL, false, ALL},
	{API_ROLE_ADMIN, NULL, NULL, NULL, true, READ | EDIT},

	{API_ROLE_READER, NULL, NULL, NULL, false, READ},
	{API_ROLE_READER, NULL, NULL, NULL, true, READ},

	{API_ROLE_CONTROLLER, NULL, NULL, NULL, false, READ},
	{API_ROLE_CONTROLLER, NULL, NULL, NULL, true, READ},
	{API_ROLE_CONTROLLER, LP, "storagenodes", NULL, false, EDIT},
	{API_ROLE_CONTROLLER, LP, "storagepools", NULL, false, EDIT},
	{API_ROLE_CONTROLLER, LP, "storagevolumes", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CONTROLLER, LP, "storagesnapshots", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CONTROLLER, LP, "storagereservations", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CONTROLLER, LP, NULL, NULL, true, EDIT},
	{API_ROLE_CONTROLLER, LEASES, KUBE_NS_SYSTEM, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CONTROLLER, "", "events", NULL, false, V(CREATE) | EDIT},

	{API_ROLE_CSI, LP, NULL, NULL, false, READ},
	{API_ROLE_CSI, LP, NULL, NULL, true, READ},
	{API_ROLE_CSI, LP, "storagevolumes", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CSI, LP, "storagevolumes", NULL, true, EDIT, SCOPE_FORMAT},
	{API_ROLE_CSI, LP, "storagesnapshots", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CSI, LP, "storagesnapshots", NULL, true, EDIT, SCOPE_FORMAT},
	{API_ROLE_CSI, LP, "storagereservations", NULL, false, V(CREATE) | EDIT | V(DELETE)},
	{API_ROLE_CSI, "", "events", NULL, false, V(CREATE) | EDIT},

	{API_ROLE_AGENT, LP, NULL, NULL, false, READ},
	{API_ROLE_AGENT, LP, NULL, NULL, true, READ},
	{API_ROLE_AGENT, LP, "storagenodes", NULL, false, V(CREATE) | EDIT, SCOPE_SELF},
	{API_ROLE_AGENT, LP, "storagenodes", NULL, true, EDIT, SCOPE_SELF},
	{API_ROLE_AGENT, LP, "storagepools", NULL, false, EDIT, SCOPE_FINALIZERS},
	{API_ROLE_AGENT, LP, "storagepools", NULL, true, EDIT, SCOPE_PLACED},
	{API_ROLE_AGENT, LP, "storagevolumes", NULL, false, EDIT, SCOPE_FINALIZERS},
	{API_ROLE_AGENT, LP, "storagevolumes", NULL, true, EDIT, SCOPE_PLACED},
	{API_ROLE_AGENT, LP, "storagesnapshots", NULL, false, EDIT, SCOPE_FINALIZERS},
	{API_ROLE_AGENT, LP, "storagesnapshots", NULL, true, EDIT, SCOPE_PLACED},
	{API_ROLE_AGENT, LEASES, KUBE_NS_NODES, false, V(GET) | V(CREATE) | EDIT, SCOPE_SELF},
	{API_ROLE_AGENT, "", "events", NULL, false, V(CREATE) | EDIT, SCOPE_EVENT},
};

static const char *const verb_names[] = {
	[API_GET] = "get",       [API_LIST] = "list",
	[API_WATCH] = "watch",   [API_CREATE] = "create",
	[API_UPDATE] = "update", [API_PATCH] = "patch",
	[API_DELETE] = "delete", [API_DELETE_ALL] = "deletecollection",
};

/* In the words of Kubernetes, and why where there is more to say than that the role does not have it. */
static int deny(struct call *call, const char *name, const char *why)
{
	const struct kube_resource *res = call->res;
	char where[96];
	int rc;

	(void)snprintf(where, sizeof(where),
		       call->ns[0] ? "in the namespace \"%s\"" : "at the cluster scope", call->ns);
	rc = kube_fail_set(
		&call->fail, KUBE_FORBIDDEN,
		"%s%s%s%s%s%s is forbidden: User \"%s\" (%s) cannot %s resource \"%s%s\" in "
		"API group \"%s\" %s%s%s",
		res->plural, res->group[0] ? "." : "", res->group, name[0] ? " \"" : "", name,
		name[0] ? "\"" : "", call->req->user->name, api_role_name(call->req->user->role),
		verb_names[call->verb], res->plural, call->status ? "/status" : "", res->group,
		where, why[0] ? ": " : "", why);
	call->fail.details = json_pack("{s:s, s:s, s:s}", "name", name, "group", res->group, "kind",
				       res->plural);
	return rc;
}

static bool rule_fits(const struct role_rule *rule, const struct call *call)
{
	return rule->role == call->req->user->role && rule->status == call->status &&
	       (rule->verbs & 1u << call->verb) &&
	       (!rule->group || !strcmp(rule->group, call->res->group)) &&
	       (!rule->plural || !strcmp(rule->plural, call->res->plural)) &&
	       (!rule->ns || !strcmp(rule->ns, call->ns));
}

int role_check(struct call *call, enum api_verb verb)
{
	const struct role_rule *rule = rules;

	call->verb = verb;
	while (rule < rules + ARRAY_LEN(rules) && !rule_fits(rule, call))
		rule++;
	if (rule == rules + ARRAY_LEN(rules))
		return deny(call, call->name, "");
	call->rule = rule;
	/* A name that is not in the path is looked at when the object is known. */
	if (rule->scope == SCOPE_SELF && call->name[0] &&
	    strcmp(call->name, call->req->user->name) != 0)
		return deny(call, call->name, "an agent has only the one of its own name");
	return 0;
}

/* ---- what an agent and the CSI driver change ---- */

/* A deep copy without these members, to compare the rest. */
static json_t *without(const json_t *obj, const char *parent, const char *const *members)
{
	json_t *copy = json_deep_copy(obj), *inner = kube_at(copy, parent);

	for (; *members; members++)
		(void)json_object_del(inner, *members);
	if (inner && !json_object_size(inner))
		(void)json_object_del(copy, parent);
	return copy;
}

static bool same_without(const json_t *a, const json_t *b, const char *parent,
			 const char *const *members)
{
	_cleanup_json_ json_t *x = without(a, parent, members);
	_cleanup_json_ json_t *y = without(b, parent, members);

	return json_equal(x, y);
}

static bool same_at(const json_t *a, const json_t *b, const char *path)
{
	return !strcmp(kube_str(a, path), kube_str(b, path));
}

static bool lists(const json_t *obj, const char *path, const char *name)
{
	const json_t *list = kube_at(obj, path);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *item = json_string_value(json_array_get(list, i));

		if (item && !strcmp(item, name))
			return true;
	}
	return false;
}

/* The object of that kind without a namespace. New reference, or NULL. */
static json_t *look_up(struct call *call, const char *kind, const char *name)
{
	struct store_key key = {kube_resource_by_kind(kind), "", name};
	json_t *obj = NULL;

	if (name[0])
		(void)store_get(call->api->store, &key, &obj); /* what is not there is on no node */
	return obj;
}

static bool pool_is_on(struct call *call, const char *pool_name, const char *node)
{
	_cleanup_json_ json_t *pool = look_up(call, "StoragePool", pool_name);

	return pool && !strcmp(kube_str(pool, "spec.nodeName"), node);
}

/* Whether what is stored is on the node. */
static bool is_on(struct call *call, const json_t *old, const char *node)
{
	if (!strcmp(call->res->kind, "StoragePool"))
		return !strcmp(kube_str(old, "spec.nodeName"), node);
	if (!strcmp(call->res->kind, "StorageVolume"))
		return !strcmp(kube_str(old, "status.nodeName"), node) ||
		       pool_is_on(call, kube_str(old, "status.poolName"), node);
	if (!strcmp(call->res->kind, "StorageSnapshot")) {
		_cleanup_json_ json_t *volume =
			look_up(call, "StorageVolume", kube_str(old, "spec.volumeName"));

		return pool_is_on(call, kube_str(old, "status.poolName"), node) ||
		       (volume && !strcmp(kube_str(volume, "status.nodeName"), node));
	}
	return false;
}

/* The list without the name; NULL when nothing is left. */
static json_t *attached_without(const json_t *obj, const char *name)
{
	const json_t *list = kube_at(obj, "status.attachedNodes");
	json_t *left = json_array();

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *item = json_string_value(json_array_get(list, i));

		if (item && strcmp(item, name) != 0)
			(void)json_array_append(left, json_array_get(list, i));
	}
	return left;
}

/* A node that a volume is attached to, or shall be, tells whether it is: its own name in the list, nothing else. */
static bool only_own_attachment(const json_t *old, const json_t *obj, const char *node)
{
	static const char *const members[] = {"attachedNodes", NULL};
	_cleanup_json_ json_t *x = attached_without(old, node);
	_cleanup_json_ json_t *y = attached_without(obj, node);

	return (lists(old, "spec.attachedNodes", node) ||
		lists(old, "status.attachedNodes", node)) &&
	       json_equal(x, y) && same_without(old, obj, "status", members);
}

static int check_placed(struct call *call, const json_t *old, const json_t *obj)
{
	const char *node = call->req->user->name;

	if (is_on(call, old, node)) {
		bool moves = !same_at(old, obj, "status.poolName") ||
			     !same_at(old, obj, "status.nodeName");

		/* A snapshot without a place gets that of its volume, which is this node. */
		if (moves && kube_str(old, "status.poolName")[0] == 0 &&
		    pool_is_on(call, kube_str(obj, "status.poolName"), node))
			moves = false;
		return moves ? deny(call, call->name, "only the controller says where it is placed")
			     : 0;
	}
	if (!strcmp(call->res->kind, "StorageVolume") && only_own_attachment(old, obj, node))
		return 0;
	return deny(call, call->name,
		    "it is not on this agent's node; of a volume that is attached there, only that "
		    "may be told");
}

static int check_finalizers(struct call *call, const json_t *old, const json_t *obj)
{
	static const char *const members[] = {"finalizers", NULL};

	if (!is_on(call, old, call->req->user->name))
		return deny(call, call->name, "it is not on this agent's node");
	return same_without(old, obj, "metadata", members)
		       ? 0
		       : deny(call, call->name, "an agent may change its finalizers, nothing else");
}

static int check_format(struct call *call, const json_t *old, const json_t *obj)
{
	static const char *const members[] = {"format", NULL};

	return same_without(old, obj, "status", members)
		       ? 0
		       : deny(call, call->name,
			      "the CSI driver may change its status.format, nothing else");
}

static bool event_is_from(const json_t *event, const char *node)
{
	return !strcmp(kube_str(event, "source.host"), node) ||
	       !strcmp(kube_str(event, "reportingInstance"), node);
}

int role_check_change(struct call *call, const json_t *old, const json_t *obj)
{
	const char *user = call->req->user->name;

	switch (call->rule->scope) {
	case SCOPE_ANY:
		return 0;
	case SCOPE_SELF:
		return strcmp(kube_name(obj), user) == 0
			       ? 0
			       : deny(call, kube_name(obj),
				      "an agent has only the one of its own name");
	case SCOPE_PLACED:
		return check_placed(call, old, obj);
	case SCOPE_FINALIZERS:
		return check_finalizers(call, old, obj);
	case SCOPE_FORMAT:
		return check_format(call, old, obj);
	case SCOPE_EVENT:
		return event_is_from(obj, user) && (!old || event_is_from(old, user))
			       ? 0
			       : deny(call, kube_name(obj),
				      "source.host or reportingInstance must be the agent's node");
	}
	return deny(call, call->name, "");
}
