/* SPDX-License-Identifier: Apache-2.0 */
/* One object: create, read, change, delete. */
#include "conformance.h"

static void create_gives_identity(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *made = NULL, *got = NULL;

	EXPECT(!make_volume(s, name, &made));
	EXPECT(kube_uid(made)[0] && version_of(made)[0]);
	EXPECT(kube_str(made, "metadata.creationTimestamp")[0]);
	EXPECT(generation_of(made) == 1);
	EXPECT(!kube_get(s->client, &ref, &got, &s->error));
	/* managedFields and the like aside, it is the same. */
	EXPECT(!strcmp(kube_uid(got), kube_uid(made)) &&
	       !strcmp(version_of(got), version_of(made)));
	EXPECT(json_equal(kube_at(got, "spec"), kube_at(made, "spec")));
	EXPECT(!strcmp(kube_str(got, "kind"), "StorageVolume"));
}

static void a_name_is_given_once(struct suite *s)
{
	const char *name = own_name(s, "a");
	int rc;

	EXPECT(!make_volume(s, name, NULL));
	rc = make_volume(s, name, NULL);
	EXPECT(refused(s, rc, KUBE_ALREADY_EXISTS) && s->error.http == 409);
}

static void names_are_generated(struct suite *s)
{
	const char *prefix = own_name(s, "g-");
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, "x"), *one = NULL, *two = NULL;

	(void)json_object_del(json_object_get(obj, "metadata"), "name");
	(void)json_object_set_new(json_object_get(obj, "metadata"), "generateName",
				  json_string(prefix));
	EXPECT(!kube_create(s->client, &ref, obj, &one, &s->error));
	EXPECT(!kube_create(s->client, &ref, obj, &two, &s->error));
	EXPECT(!strncmp(kube_name(one), prefix, strlen(prefix)));
	EXPECT(strcmp(kube_name(one), kube_name(two)) != 0);
}

static void status_is_not_taken_at_create(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, own_name(s, "a")), *made = NULL;

	(void)json_object_set_new(obj, "status", json_pack("{s:s}", "phase", "Ready"));
	EXPECT(!kube_create(s->client, &ref, obj, &made, &s->error));
	EXPECT(!kube_at(made, "status.phase"));
}

static void what_is_not_there_is_not_found(struct suite *s)
{
	struct kube_ref ref = volume_ref(own_name(s, "none"));
	_cleanup_json_ json_t *got = NULL, *patch = json_object();

	EXPECT(refused(s, kube_get(s->client, &ref, &got, &s->error), KUBE_NOT_FOUND));
	EXPECT(refused(s, kube_delete(s->client, &ref, NULL, NULL, &s->error), KUBE_NOT_FOUND));
	EXPECT(refused(s, kube_merge(s->client, &ref, patch, NULL, &s->error), KUBE_NOT_FOUND));
}

static void set_size(json_t *obj, const char *size)
{
	(void)json_object_set_new(json_object_get(obj, "spec"), "size", json_string(size));
}

static void update_needs_the_latest_version(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *obj = NULL, *newer = NULL;

	EXPECT(!make_volume(s, name, &obj));
	set_size(obj, "2Gi");
	EXPECT(!kube_update(s->client, &ref, obj, &newer, &s->error));
	EXPECT(strcmp(version_of(newer), version_of(obj)) != 0);
	EXPECT(generation_of(newer) == 2);
	set_size(obj, "3Gi");
	EXPECT(refused(s, kube_update(s->client, &ref, obj, NULL, &s->error), KUBE_CONFLICT));
	EXPECT(s->error.retry == KUBE_RETRY_REREAD);
	(void)json_object_del(json_object_get(obj, "metadata"), "resourceVersion");
	EXPECT(refused(s, kube_update(s->client, &ref, obj, NULL, &s->error), KUBE_INVALID));
}

static void generation_counts_changes_of_the_spec(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *patch =
		json_pack("{s:{s:{s:s}}}", "metadata", "annotations", "a", "b");
	_cleanup_json_ json_t *made = NULL, *noted = NULL, *same = NULL;

	EXPECT(!make_volume(s, name, &made));
	EXPECT(!kube_merge(s->client, &ref, patch, &noted, &s->error));
	EXPECT(generation_of(noted) == 1);
	EXPECT(strcmp(version_of(noted), version_of(made)) != 0);
	/* What changes nothing is no change. */
	EXPECT(!kube_merge(s->client, &ref, patch, &same, &s->error));
	EXPECT(!strcmp(version_of(same), version_of(noted)));
}

static void merge_patch_sets_and_removes(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *set =
		json_pack("{s:{s:{s:s, s:s}}, s:{s:s}}", "metadata", "annotations", "a", "1", "b",
			  "2", "spec", "size", "2Gi");
	_cleanup_json_ json_t *unset = json_pack("{s:{s:{s:n}}}", "metadata", "annotations", "a");
	_cleanup_json_ json_t *one = NULL, *two = NULL, *stale = NULL;

	EXPECT(!make_volume(s, name, NULL));
	EXPECT(!kube_merge(s->client, &ref, set, &one, &s->error));
	EXPECT(generation_of(one) == 2);
	EXPECT(!strcmp(kube_str(one, "metadata.annotations.a"), "1"));
	EXPECT(!kube_merge(s->client, &ref, unset, &two, &s->error));
	EXPECT(!kube_at(two, "metadata.annotations.a"));
	EXPECT(!strcmp(kube_str(two, "metadata.annotations.b"), "2"));
	stale = json_pack("{s:{s:s}}", "metadata", "resourceVersion", version_of(one));
	EXPECT(refused(s, kube_merge(s->client, &ref, stale, NULL, &s->error), KUBE_CONFLICT));
}

static void json_patch_tests_and_replaces(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *good = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "op", "test",
						"path", "/metadata/name", "value", name, "op",
						"replace", "path", "/spec/size", "value", "2Gi");
	_cleanup_json_ json_t *bad = json_pack("[{s:s, s:s, s:s}]", "op", "test", "path",
					       "/metadata/name", "value", "another");
	_cleanup_json_ json_t *none = json_pack("{s:s}", "op", "test");
	_cleanup_json_ json_t *got = NULL;

	EXPECT(!make_volume(s, name, NULL));
	EXPECT(!kube_patch_json(s->client, &ref, good, &got, &s->error));
	EXPECT(generation_of(got) == 2);
	EXPECT(refused(s, kube_patch_json(s->client, &ref, bad, NULL, &s->error), KUBE_INVALID));
	EXPECT(refused(s, kube_patch_json(s->client, &ref, none, NULL, &s->error),
		       KUBE_BAD_REQUEST));
}

static void apply_works_or_is_refused_as_unsupported(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *obj = volume(s, name), *made = NULL;
	int rc = kube_apply(s->client, &ref, obj, "conformance", false, &made, &s->error);

	if (rc)
		EXPECT(refused(s, rc, KUBE_UNSUPPORTED_MEDIA) && s->error.http == 415);
	else
		EXPECT(generation_of(made) == 1);
}

static void status_has_a_path_of_its_own(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name), status = ref;
	_cleanup_json_ json_t *made = NULL, *ready = NULL, *after = NULL, *patch = NULL;

	status.sub = "status";
	EXPECT(!make_volume(s, name, &made));
	set_size(made, "5Gi");
	(void)json_object_set_new(made, "status", json_pack("{s:s}", "phase", "Pending"));
	EXPECT(!kube_update(s->client, &status, made, &ready, &s->error));
	EXPECT(!strcmp(kube_str(ready, "status.phase"), "Pending"));
	EXPECT(generation_of(ready) == 1);
	EXPECT(strcmp(kube_str(ready, "spec.size"), "5Gi") != 0);
	(void)json_object_set_new(ready, "status", json_pack("{s:s}", "phase", "Failed"));
	set_size(ready, "2Gi");
	EXPECT(!kube_update(s->client, &ref, ready, &after, &s->error));
	EXPECT(!strcmp(kube_str(after, "status.phase"), "Pending"));
	EXPECT(generation_of(after) == 2);
	patch = json_pack("{s:{s:s}}", "status", "phase", "Bound");
	json_decref(after);
	after = NULL;
	EXPECT(!kube_merge(s->client, &status, patch, &after, &s->error));
	EXPECT(!strcmp(kube_str(after, "status.phase"), "Bound"));
	EXPECT(generation_of(after) == 2);
}

static void delete_has_preconditions(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	struct kube_delete_options options = {.uid = "00000000-0000-0000-0000-000000000000"};
	_cleanup_json_ json_t *made = NULL, *got = NULL;

	EXPECT(!make_volume(s, name, &made));
	EXPECT(refused(s, kube_delete(s->client, &ref, &options, NULL, &s->error), KUBE_CONFLICT));
	options = (struct kube_delete_options){.version = "1"};
	EXPECT(refused(s, kube_delete(s->client, &ref, &options, NULL, &s->error), KUBE_CONFLICT));
	options = (struct kube_delete_options){.uid = kube_uid(made), .version = version_of(made)};
	EXPECT(!kube_delete(s->client, &ref, &options, NULL, &s->error));
	EXPECT(refused(s, kube_get(s->client, &ref, &got, &s->error), KUBE_NOT_FOUND));
}

static void a_finalizer_holds_the_object(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	const struct kube_ref all = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, name), *marked = NULL, *again = NULL, *gone = NULL;
	_cleanup_json_ json_t *more = json_pack("{s:{s:[s,s]}}", "metadata", "finalizers",
						"litepool.io/test", "litepool.io/more");
	_cleanup_json_ json_t *none = json_pack("{s:{s:n}}", "metadata", "finalizers");

	kube_finalizer_add(obj, "litepool.io/test");
	EXPECT(!kube_create(s->client, &all, obj, NULL, &s->error));
	EXPECT(!kube_delete(s->client, &ref, NULL, &marked, &s->error));
	EXPECT(!kube_get(s->client, &ref, &again, &s->error));
	EXPECT(kube_deleting(again) && kube_finalizer_has(again, "litepool.io/test"));
	/* Once it is going, it can be held by nothing new. */
	EXPECT(refused(s, kube_merge(s->client, &ref, more, NULL, &s->error), KUBE_INVALID));
	EXPECT(!kube_delete(s->client, &ref, NULL, NULL, &s->error));
	EXPECT(!kube_merge(s->client, &ref, none, NULL, &s->error));
	EXPECT(refused(s, kube_get(s->client, &ref, &gone, &s->error), KUBE_NOT_FOUND));
}

static void identity_cannot_be_changed(struct suite *s)
{
	const char *name = own_name(s, "a");
	struct kube_ref ref = volume_ref(name);
	_cleanup_json_ json_t *made = NULL, *wrong = NULL, *back = NULL;

	EXPECT(!make_volume(s, name, &made));
	wrong = json_deep_copy(made);
	(void)json_object_set_new(json_object_get(wrong, "metadata"), "name", json_string("other"));
	EXPECT(refused(s, kube_update(s->client, &ref, wrong, NULL, &s->error), KUBE_BAD_REQUEST));
	json_decref(wrong);
	wrong = json_deep_copy(made);
	(void)json_object_set_new(json_object_get(wrong, "metadata"), "uid",
				  json_string("00000000-0000-0000-0000-000000000000"));
	EXPECT(refused(s, kube_update(s->client, &ref, wrong, NULL, &s->error), KUBE_CONFLICT));
	EXPECT(!kube_get(s->client, &ref, &back, &s->error));
	EXPECT(!strcmp(version_of(back), version_of(made)));
}

/* The garbage collector runs when it likes: waits for the state, within a bound. */
static bool comes_to(struct suite *s, const struct kube_ref *ref, int want)
{
	for (int i = 0; i < 300; i++) {
		_cleanup_json_ json_t *obj = NULL;

		if (kube_get(s->client, ref, &obj, &s->error) == want)
			return true;
		(void)pause_ms(100);
	}
	return false;
}

static void dependents_go_with_their_owner(struct suite *s)
{
	const char *owner = own_name(s, "owner"), *child = own_name(s, "child");
	struct kube_ref owner_ref = volume_ref(owner), child_ref = volume_ref(child);
	const struct kube_ref all = volume_ref(NULL);
	const struct kube_delete_options background = {.policy = "Background"};
	_cleanup_json_ json_t *made = NULL, *obj = volume(s, child);

	if (!s->gc)
		return;
	EXPECT(!make_volume(s, owner, &made));
	(void)json_object_set_new(json_object_get(obj, "metadata"), "ownerReferences",
				  json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion",
					    KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageVolume",
					    "name", owner, "uid", kube_uid(made)));
	EXPECT(!kube_create(s->client, &all, obj, NULL, &s->error));
	EXPECT(!kube_delete(s->client, &owner_ref, &background, NULL, &s->error));
	EXPECT(comes_to(s, &child_ref, -ENOENT));
}

static void orphans_stay(struct suite *s)
{
	const char *owner = own_name(s, "owner"), *child = own_name(s, "child");
	struct kube_ref owner_ref = volume_ref(owner), child_ref = volume_ref(child);
	const struct kube_ref all = volume_ref(NULL);
	const struct kube_delete_options orphan = {.policy = "Orphan"};
	_cleanup_json_ json_t *made = NULL, *obj = volume(s, child), *got = NULL;

	if (!s->gc)
		return;
	EXPECT(!make_volume(s, owner, &made));
	(void)json_object_set_new(json_object_get(obj, "metadata"), "ownerReferences",
				  json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion",
					    KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageVolume",
					    "name", owner, "uid", kube_uid(made)));
	EXPECT(!kube_create(s->client, &all, obj, NULL, &s->error));
	EXPECT(!kube_delete(s->client, &owner_ref, &orphan, NULL, &s->error));
	EXPECT(comes_to(s, &owner_ref, -ENOENT));
	EXPECT(!kube_get(s->client, &child_ref, &got, &s->error));
	EXPECT(!json_array_size(kube_at(got, "metadata.ownerReferences")));
}

const struct check object_checks[] = {
	{"create gives identity", create_gives_identity},
	{"a name is given once", a_name_is_given_once},
	{"names are generated", names_are_generated},
	{"status is not taken at create", status_is_not_taken_at_create},
	{"what is not there is not found", what_is_not_there_is_not_found},
	{"update needs the latest version", update_needs_the_latest_version},
	{"generation counts changes of the spec", generation_counts_changes_of_the_spec},
	{"merge patch sets and removes", merge_patch_sets_and_removes},
	{"json patch tests and replaces", json_patch_tests_and_replaces},
	{"apply works or is refused as unsupported", apply_works_or_is_refused_as_unsupported},
	{"status has a path of its own", status_has_a_path_of_its_own},
	{"delete has preconditions", delete_has_preconditions},
	{"a finalizer holds the object", a_finalizer_holds_the_object},
	{"identity cannot be changed", identity_cannot_be_changed},
	{"dependents go with their owner", dependents_go_with_their_owner},
	{"orphans stay", orphans_stay},
	{NULL},
};
