/* SPDX-License-Identifier: Apache-2.0 */
/* Many objects: selectors, pages, deletion of a selection. */
#include "conformance.h"

#define MANY 9

/* a0..a8; those with an even number have parity=even, the others odd; every third has third=. */
static bool make_many(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	char tail[8];

	for (int i = 0; i < MANY; i++) {
		_cleanup_json_ json_t *obj = NULL;
		json_t *labels;

		(void)snprintf(tail, sizeof(tail), "a%d", i);
		obj = volume(s, own_name(s, tail));
		labels = kube_at(obj, "metadata.labels");
		(void)json_object_set_new(labels, "parity", json_string(i % 2 ? "odd" : "even"));
		if (i % 3 == 0)
			(void)json_object_set_new(labels, "third", json_string(""));
		if (kube_create(s->client, &ref, obj, NULL, &s->error))
			return false;
	}
	return true;
}

/* How many of this check's the selector has; -1: refused. */
static int selected(struct suite *s, const char *more)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_kube_list_ struct kube_list list = {0};
	char labels[256];
	const struct kube_list_options options = {.labels = labels, .limit = 4};

	(void)snprintf(labels, sizeof(labels), "%s%s%s", own_label(s), more[0] ? "," : "", more);
	if (kube_list(s->client, &ref, &options, &list, &s->error))
		return -1;
	return (int)json_array_size(list.items);
}

static void labels_select(struct suite *s)
{
	EXPECT(make_many(s));
	EXPECT(selected(s, "") == 9);
	EXPECT(selected(s, "parity=odd") == 4);
	EXPECT(selected(s, "parity==odd") == 4);
	EXPECT(selected(s, "parity!=odd") == 5);
	EXPECT(selected(s, "third") == 3);
	EXPECT(selected(s, "!third") == 6);
	EXPECT(selected(s, "parity in (odd,even)") == 9);
	EXPECT(selected(s, "parity notin (even),third") == 1);
	EXPECT(selected(s, "absent!=x") == 9);
	EXPECT(selected(s, "parity in (odd") == -1 && s->error.reason == KUBE_BAD_REQUEST);
}

static void fields_select(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	struct kube_list_options options = {0};
	_cleanup_kube_list_ struct kube_list one = {0}, none = {0};
	char fields[128];

	EXPECT(!make_volume(s, own_name(s, "a"), NULL) && !make_volume(s, own_name(s, "b"), NULL));
	(void)snprintf(fields, sizeof(fields), "metadata.name=%s", own_name(s, "b"));
	options.fields = fields;
	EXPECT(!kube_list(s->client, &ref, &options, &one, &s->error));
	EXPECT(json_array_size(one.items) == 1);
	EXPECT(!strcmp(kube_name(json_array_get(one.items, 0)), own_name(s, "b")));
	options.fields = "spec.nosuchfield=x";
	EXPECT(refused(s, kube_list(s->client, &ref, &options, &none, &s->error),
		       KUBE_BAD_REQUEST));
}

static void pages_are_of_one_state_and_in_order(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	struct kube_list_options options = {.labels = own_label(s), .limit = 4};
	_cleanup_kube_list_ struct kube_list one = {0}, two = {0}, three = {0};
	struct kube_ref last = volume_ref(own_name(s, "a8"));

	EXPECT(make_many(s));
	EXPECT(!kube_list_page(s->client, &ref, &options, &one, &s->error));
	EXPECT(json_array_size(one.items) == 4 && one.token);
	EXPECT(!kube_delete(s->client, &last, NULL, NULL, &s->error));
	options.token = one.token;
	EXPECT(!kube_list_page(s->client, &ref, &options, &two, &s->error));
	EXPECT(json_array_size(two.items) == 4 && two.token);
	options.token = two.token;
	EXPECT(!kube_list_page(s->client, &ref, &options, &three, &s->error));
	EXPECT(json_array_size(three.items) == 1 && !three.token);
	EXPECT(!strcmp(kube_name(json_array_get(three.items, 0)), last.name));
	EXPECT(!strcmp(one.version, three.version));
	for (size_t i = 1; i < 4; i++)
		EXPECT(strcmp(kube_name(json_array_get(one.items, i - 1)),
			      kube_name(json_array_get(one.items, i))) < 0);
}

static void a_bad_token_is_refused(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	const struct kube_list_options options = {.limit = 2, .token = "nonsense"};
	_cleanup_kube_list_ struct kube_list list = {0};

	EXPECT(refused(s, kube_list_page(s->client, &ref, &options, &list, &s->error),
		       KUBE_BAD_REQUEST));
}

static void an_empty_list_has_a_version(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	const struct kube_list_options options = {.labels = "none=such"};
	_cleanup_kube_list_ struct kube_list list = {0};

	EXPECT(!kube_list(s->client, &ref, &options, &list, &s->error));
	EXPECT(json_array_size(list.items) == 0 && list.version[0]);
}

static void a_version_of_the_future_is_refused(struct suite *s)
{
	const struct kube_ref ref = volume_ref(NULL);
	const struct kube_list_options options = {.version = "9000000000000000"};
	_cleanup_kube_list_ struct kube_list list = {0};

	EXPECT(kube_list(s->client, &ref, &options, &list, &s->error) < 0);
	EXPECT(s->error.http == 504);
	EXPECT(s->error.retry == KUBE_RETRY_RELIST);
}

const struct check list_checks[] = {
	{"labels select", labels_select},
	{"fields select", fields_select},
	{"pages are of one state and in order", pages_are_of_one_state_and_in_order},
	{"a bad token is refused", a_bad_token_is_refused},
	{"an empty list has a version", an_empty_list_has_a_version},
	{"a version of the future is refused", a_version_of_the_future_is_refused},
	{NULL},
};
