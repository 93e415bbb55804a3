/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance [--server ADDRESS | --kubeconfig FILE] [--no-gc] [--only WORD]: runs all checks against a server and prints
 * "conformance ran=N passed=N failed=N" last. Status 0: all passed. The server has the kinds of litepool.io.
 */
#include "conformance.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "kube/client_http.h"
#include "rt/process.h"

#define RUN_MASK (((uint64_t)1 << 40) - 1)

void suite_failed(struct suite *s, const char *file, int line, const char *what)
{
	const char *slash = strrchr(file, '/');

	(void)printf("# %s:%d: %s does not hold", slash ? slash + 1 : file, line, what);
	if (s->error.err.code)
		(void)printf("; the last error was %d %s: %s", s->error.http,
			     kube_reason_text(s->error.reason), s->error.err.text);
	(void)printf("\n");
	s->bad = true;
}

const char *own_name(struct suite *s, const char *tail)
{
	static char names[64][64];
	static unsigned next;
	char *name = names[next++ % 64];

	(void)snprintf(name, sizeof(names[0]), "%s-%u-%s", s->run, s->number, tail);
	return name;
}

const char *own_label(struct suite *s)
{
	static char label[96];

	(void)snprintf(label, sizeof(label), "check=%s-%u", s->run, s->number);
	return label;
}

struct kube_ref volume_ref(const char *name)
{
	return (struct kube_ref){.res = kube_resource_by_kind("StorageVolume"), .name = name};
}

struct kube_ref lease_ref(const char *name)
{
	return (struct kube_ref){
		.res = kube_resource_by_kind("Lease"), .ns = "default", .name = name};
}

json_t *volume(struct suite *s, const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s}}, s:{s:s}}", "apiVersion",
			 KUBE_GROUP "/" KUBE_VERSION, "kind", "StorageVolume", "metadata", "name",
			 name, "labels", RUN_LABEL, s->run, "check", own_label(s) + 6, "spec",
			 "size", "1Gi");
}

int make_volume(struct suite *s, const char *name, json_t **ret)
{
	const struct kube_ref ref = volume_ref(NULL);
	_cleanup_json_ json_t *obj = volume(s, name);

	return kube_create(s->client, &ref, obj, ret, &s->error);
}

void pause_ms(int ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&ts, NULL);
}

bool refused(const struct suite *s, int rc, enum kube_reason reason)
{
	return rc < 0 && s->error.reason == reason;
}

static void run_checks(struct suite *s, const struct check *checks, const char *only)
{
	for (; checks->name; checks++) {
		if (only && !strstr(checks->name, only))
			continue;
		s->number++;
		s->bad = false;
		kube_error_fini(&s->error);
		checks->fn(s);
		s->ran++;
		s->passed += !s->bad;
		s->failed += s->bad;
		(void)printf("%s %u - %s\n", s->bad ? "not ok" : "ok", s->ran, checks->name);
		(void)fflush(stdout);
	}
}

/* What the run made goes, also what a finalizer holds. */
static void clean(struct suite *s, const struct kube_ref *all)
{
	_cleanup_json_ json_t *patch = json_pack("{s:{s:n}}", "metadata", "finalizers");
	_cleanup_kube_list_ struct kube_list list = {0};
	char label[96];
	const struct kube_list_options options = {.labels = label};

	(void)snprintf(label, sizeof(label), RUN_LABEL "=%s", s->run);
	if (kube_list(s->client, all, &options, &list, &s->error))
		return;
	for (size_t i = 0; i < json_array_size(list.items); i++) {
		const json_t *obj = json_array_get(list.items, i);
		struct kube_ref ref = *all;

		ref.name = kube_name(obj);
		if (kube_finalizer_count(obj))
			(void)kube_merge(s->client, &ref, patch, NULL, NULL);
		(void)kube_delete(s->client, &ref, NULL, NULL, NULL);
	}
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: conformance [--server ADDRESS | --kubeconfig FILE] "
			      "[--no-gc] [--only WORD]\n");
	return 2;
}

static int run_all(struct suite *s, const char *only)
{
	const struct kube_ref volumes = volume_ref(NULL), leases = lease_ref(NULL);

	(void)snprintf(s->run, sizeof(s->run), "c%" PRIx64, process_wall_ns() / 1000 & RUN_MASK);
	run_checks(s, object_checks, only);
	run_checks(s, list_checks, only);
	run_checks(s, watch_checks, only);
	run_checks(s, rule_checks, only);
	clean(s, &volumes);
	clean(s, &leases);
	(void)printf("1..%u\n", s->ran);
	/* For people, and for what counts runs. */
	(void)printf("conformance ran=%u passed=%u failed=%u\n", s->ran, s->passed, s->failed);
	return s->failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *server = NULL, *kubeconfig = NULL, *only = NULL;
	_cleanup_kube_config_ struct kube_config config = {0};
	struct suite s = {.gc = true};
	struct err err = {0};
	int rc;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-gc"))
			s.gc = false;
		else if (!strcmp(argv[i], "--server") && i + 1 < argc)
			server = argv[++i];
		else if (!strcmp(argv[i], "--kubeconfig") && i + 1 < argc)
			kubeconfig = argv[++i];
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only = argv[++i];
		else
			return usage();
	}
	rc = kube_config_find(server, kubeconfig, &config, &err);
	if (!rc)
		rc = kube_client_http_new(&config, NULL, &s.client, &err);
	if (rc) {
		(void)fprintf(stderr, "conformance: %s\n", err.text);
		return 2;
	}
	rc = run_all(&s, only);
	kube_error_fini(&s.error);
	kube_client_free(s.client);
	return rc;
}
