/* SPDX-License-Identifier: Apache-2.0 */
/* What a schema refuses, and the kinds of Kubernetes' own that we use: Leases and Events. */
#include "conformance.h"

#include "kube/events.h"
#include "kube/leader.h"

/* Sets "spec.a" to value (taken) and creates it. */
static int create_with(struct suite *s, const char *member, json_t *value)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, own_name(s, "x"));

	if (value)
		(void)json_object_set_new(json_object_get(obj, "spec"), member, value);
	else
		(void)json_object_del(json_object_get(obj, "spec"), member);
	return kube_create(s->client, &ref, obj, NULL, &s->error);
}

static int merge_with(struct suite *s, const char *name, const char *member, json_t *value)
{
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *patch = json_pack("{s:{s:o}}", "spec", member, value);

	return kube_merge(s->client, &ref, patch, NULL, &s->error);
}

/* The last refusal has a cause for this field; reason NULL: any. */
static bool because_of(const struct suite *s, const char *field, const char *reason)
{
	for (size_t i = 0; i < json_array_size(s->error.causes); i++) {
		const json_t *cause = json_array_get(s->error.causes, i);

		if (!strcmp(kube_str(cause, "field"), field) &&
		    (!reason || !strcmp(kube_str(cause, "reason"), reason)))
			return true;
	}
	return false;
}

static void a_bad_field_is_named(struct suite *s)
{
	EXPECT(refused(s, create_with(s, "size", NULL), KUBE_INVALID));
	EXPECT(s->error.http == 422 && because_of(s, "spec.size", "FieldValueRequired"));
	EXPECT(refused(s, create_with(s, "position", json_string("Near")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.position", "FieldValueNotSupported"));
	EXPECT(refused(s, create_with(s, "nodeName", json_integer(5)), KUBE_INVALID));
	EXPECT(because_of(s, "spec.nodeName", "FieldValueTypeInvalid"));
	EXPECT(refused(s, create_with(s, "nodeName", json_string("No_Name")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.nodeName", "FieldValueInvalid"));
}

static void sizes_are_quantities(struct suite *s)
{
	const char *name = own_name(s, "a");

	EXPECT(refused(s, create_with(s, "size", json_string("ten")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.size", NULL));
	EXPECT(refused(s, create_with(s, "size", json_string("1Ki")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.size", NULL));
	EXPECT(!make_volume(s, name, NULL));
	EXPECT(!merge_with(s, name, "size", json_string("2Gi")));
	EXPECT(!merge_with(s, name, "size", json_integer(2147483648)));
	EXPECT(refused(s, merge_with(s, name, "size", json_string("2147483647")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.size", NULL));
}

/* A wish for more that nothing was set aside for can be taken back; what was set aside cannot. */
static void a_size_is_taken_back_to_what_is_promised(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref status = volume_ref(name);
	_cleanup_json_ json_t *promised =
		json_pack("{s:{s:I}}", "status", "promised", (json_int_t)1 << 30);

	status.sub = "status";
	EXPECT(!make_volume(s, name, NULL));
	EXPECT(!merge_with(s, name, "size", json_string("2Gi")));
	EXPECT(!kube_merge(s->client, &status, promised, NULL, &s->error));
	EXPECT(!merge_with(s, name, "size", json_string("1536Mi")));
	EXPECT(!merge_with(s, name, "size", json_string("1Gi")));
	EXPECT(refused(s, merge_with(s, name, "size", json_string("1023Mi")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.size", NULL));
}

static void what_is_fixed_stays(struct suite *s)
{
	const char *name = own_name(s, "a");

	EXPECT(!make_volume(s, name, NULL));
	EXPECT(refused(s, merge_with(s, name, "provisioning", json_string("Thick")), KUBE_INVALID));
	EXPECT(because_of(s, "spec.provisioning", NULL));
	EXPECT(refused(s, merge_with(s, name, "source", json_pack("{s:s}", "volumeName", "v")),
		       KUBE_INVALID));
}

static void rules_over_fields_hold(struct suite *s)
{
	EXPECT(refused(s,
		       create_with(s, "source",
				   json_pack("{s:s, s:s}", "volumeName", "v", "snapshotName", "s")),
		       KUBE_INVALID));
	EXPECT(refused(s, create_with(s, "position", json_string("MustLocal")), KUBE_INVALID));
}

static void defaults_are_filled_and_unknown_is_dropped(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, own_name(s, "a")), *made = NULL;

	(void)json_object_set_new(json_object_get(obj, "spec"), "colour", json_string("blue"));
	EXPECT(!kube_create(s->client, &ref, obj, &made, &s->error));
	EXPECT(!strcmp(kube_str(made, "spec.provisioning"), "Thin"));
	EXPECT(!strcmp(kube_str(made, "spec.position"), "Any"));
	EXPECT(!kube_at(made, "spec.colour"));
}

static void names_and_labels_have_a_form(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *upper = volume(s, "Upper"), *label = volume(s, own_name(s, "a"));

	EXPECT(refused(s, kube_create(s->client, &ref, upper, NULL, &s->error), KUBE_INVALID));
	EXPECT(because_of(s, "metadata.name", "FieldValueInvalid"));
	(void)json_object_set_new(kube_at(label, "metadata.labels"), "x", json_string("a b"));
	EXPECT(refused(s, kube_create(s->client, &ref, label, NULL, &s->error), KUBE_INVALID));
}

static json_t *lease(struct suite *s, const char *name, int seconds)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:i, s:s, s:s, s:i}}", "apiVersion",
			 "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", name,
			 "labels", RUN_LABEL, s->run, "spec", "holderIdentity", "a",
			 "leaseDurationSeconds", seconds, "acquireTime",
			 "2026-01-02T03:04:05.000006Z", "renewTime", "2026-01-02T03:04:05.000006Z",
			 "leaseTransitions", 0);
}

static void a_lease_is_taken_by_one(struct suite *s)
{
	const char *name = own_name(s, "lease");
	const struct kube_ref all = lease_ref(NULL), ref = lease_ref(name);
	_cleanup_json_ json_t *obj = lease(s, name, 15), *made = NULL, *won = NULL;
	_cleanup_json_ json_t *bad = lease(s, own_name(s, "bad"), 0);

	EXPECT(!kube_create(s->client, &all, obj, &made, &s->error));
	EXPECT(!strcmp(kube_str(made, "spec.renewTime"), "2026-01-02T03:04:05.000006Z"));
	(void)json_object_set_new(json_object_get(made, "spec"), "holderIdentity",
				  json_string("b"));
	EXPECT(!kube_update(s->client, &ref, made, &won, &s->error));
	(void)json_object_set_new(json_object_get(made, "spec"), "holderIdentity",
				  json_string("c"));
	EXPECT(refused(s, kube_update(s->client, &ref, made, NULL, &s->error), KUBE_CONFLICT));
	EXPECT(refused(s, kube_create(s->client, &all, bad, NULL, &s->error), KUBE_INVALID));
}

static struct leader *candidate(struct suite *s, const char *name, const char *identity)
{
	const struct leader_config config = {
		.client = s->client, .ns = "default", .name = name, .identity = identity};
	struct leader *l = NULL;

	(void)leader_new(&config, &l, &s->error.err);
	return l;
}

static void leaders_follow_each_other(struct suite *s)
{
	const char *name = own_name(s, "leader");
	const struct kube_ref ref = lease_ref(name);
	struct leader *a = candidate(s, name, "a"), *b = candidate(s, name, "b");
	bool first, second, third;
	uint64_t epoch_a, epoch_b;

	(void)leader_step(a);
	(void)leader_step(b);
	first = leader_is(a) && !leader_is(b);
	epoch_a = leader_epoch(a);
	(void)leader_step(a);
	second = leader_is(a);
	leader_release(a);
	(void)leader_step(b);
	third = leader_is(b) && !leader_is(a);
	epoch_b = leader_epoch(b);
	leader_free(a);
	leader_free(b);
	(void)kube_delete(s->client, &ref, NULL, NULL, NULL);
	EXPECT(first);
	EXPECT(second);
	EXPECT(third);
	EXPECT(epoch_b > epoch_a);
}

static void events_are_counted(struct suite *s)
{
	const struct events_config config = {
		.client = s->client, .component = "conformance", .instance = "here"};
	const struct kube_ref ref = {.res = kube_resource_by_kind("Event"), .ns = "default"};
	const char *name = own_name(s, "a");
	struct kube_list_options options = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	_cleanup_json_ json_t *made = NULL;
	struct events *ev = NULL;
	char fields[160];

	EXPECT(!make_volume(s, name, &made));
	EXPECT(!events_new(&config, &ev, &s->error.err));
	for (int i = 0; i < 3; i++) {
		events_record(ev, made, "Warning", "NoSpace", "no pool has room");
		events_flush(ev);
	}
	events_free(ev);
	(void)snprintf(fields, sizeof(fields), "involvedObject.name=%s", name);
	options.fields = fields;
	EXPECT(!kube_list(s->client, &ref, &options, &list, &s->error));
	EXPECT(json_array_size(list.items) == 1);
	EXPECT(json_integer_value(kube_at(json_array_get(list.items, 0), "count")) == 3);
}

static void an_event_lives_where_its_object_does(struct suite *s)
{
	const struct kube_ref ref = {.res = kube_resource_by_kind("Event"), .ns = "default"};
	_cleanup_json_ json_t *obj =
		json_pack("{s:{s:s}, s:{s:s, s:s, s:s}, s:s}", "metadata", "name", own_name(s, "e"),
			  "involvedObject", "kind", "Pod", "namespace", "kube-system", "name", "x",
			  "reason", "Test");

	EXPECT(refused(s, kube_create(s->client, &ref, obj, NULL, &s->error), KUBE_INVALID));
	EXPECT(because_of(s, "involvedObject.namespace", NULL));
}

const struct check rule_checks[] = {
	{"a bad field is named", a_bad_field_is_named},
	{"sizes are quantities", sizes_are_quantities},
	{"a size is taken back to what is promised", a_size_is_taken_back_to_what_is_promised},
	{"what is fixed stays", what_is_fixed_stays},
	{"rules over fields hold", rules_over_fields_hold},
	{"defaults are filled and unknown is dropped", defaults_are_filled_and_unknown_is_dropped},
	{"names and labels have a form", names_and_labels_have_a_form},
	{"a lease is taken by one", a_lease_is_taken_by_one},
	{"leaders follow each other", leaders_follow_each_other},
	{"events are counted", events_are_counted},
	{"an event lives where its object does", an_event_lives_where_its_object_does},
	{NULL},
};
