/* SPDX-License-Identifier: Apache-2.0 */
/* kubeconfig files, a pod's files, and the YAML below them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/config.h"
#include "kube/text.h"
#include "kube/yaml_json.h"
#include "rt/fs.h"

#define CLUSTERS "clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:6443\n"
#define CONTEXTS                                                                                   \
	"current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u, namespace: "   \
	"n}\n"

static int parse(const char *text, struct kube_config *ret, struct err *err)
{
	return kube_config_parse(text, strlen(text), "/nowhere", NULL, ret, err);
}

static void a_usual_file_is_read(void **state)
{
	_cleanup_kube_config_ struct kube_config config = {0};
	struct err err = {0};

	assert_int_equal(
		parse("apiVersion: v1\nkind: Config\n" CLUSTERS
		      "    certificate-authority-data: Q0E=\n    tls-server-name: name\n" CONTEXTS
		      "users:\n- name: u\n  user:\n    client-certificate-data: Q0VSVA==\n"
		      "    client-key-data: S0VZ\n    token: abc\n",
		      &config, &err),
		0);
	assert_string_equal(config.server, "https://127.0.0.1:6443");
	assert_string_equal(config.ca, "CA");
	assert_string_equal(config.cert, "CERT");
	assert_string_equal(config.key, "KEY");
	assert_string_equal(config.token, "abc");
	assert_string_equal(config.ns, "n");
	assert_string_equal(config.tls_server_name, "name");
	assert_false(config.insecure);
}

static void what_is_not_supported_is_said(void **state)
{
	static const char *const texts[][2] = {
		{CLUSTERS CONTEXTS "users:\n- name: u\n  user: {exec: {command: aws}}\n", "exec"},
		{CLUSTERS CONTEXTS "users:\n- name: u\n  user: {username: a, password: b}\n",
		 "username"},
		{CLUSTERS "    proxy-url: http://p\n" CONTEXTS "users:\n- name: u\n  user: {}\n",
		 "proxy-url"},
		{CLUSTERS CONTEXTS "users: []\n", "no user 'u'"},
		{CLUSTERS, "no context ''"},
		{CLUSTERS CONTEXTS "users:\n- name: u\n  user: {client-key-data: S0VZ}\n",
		 "needs its key"},
		{CLUSTERS CONTEXTS "users:\n- name: u\n  user: {client-key: missing}\n",
		 "/nowhere/missing: there is no such file"},
		{"clusters: &a []\ncontexts: *a\n", "aliases"},
		{"a: [", "line"},
		{"", "no context"},
		{"current-context: x\ncontexts: [{name: x, context: {cluster: d}}]\n",
		 "no cluster 'd'"},
		{"current-context: x\ncontexts: [{name: x, context: {cluster: d}}]\n"
		 "clusters: [{name: d, cluster: {server: ftp://x}}]",
		 "ftp://x"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct kube_config config = {0};
		struct err err = {0};

		assert_true(parse(texts[i][0], &config, &err) < 0);
		if (!strstr(err.text, texts[i][1]))
			fail_msg("'%s' does not say '%s'", err.text, texts[i][1]);
	}
}

static void a_pod_finds_its_files(void **state)
{
	char dir[] = "/tmp/litepool-pod.XXXXXX", path[128];
	static const char *const names[] = {"token", "ca.crt", "namespace"};
	_cleanup_kube_config_ struct kube_config config = {0};
	struct err err = {0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(kube_config_in_cluster(NULL, NULL, dir, &config, &err), -ENOENT);
	assert_int_equal(kube_config_in_cluster("10.0.0.1", "443", dir, &config, &err), -ENOENT);
	assert_non_null(strstr(err.text, "ca.crt"));
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(fs_write_atomic(path, "text\n", 5, 0600, &err), 0);
	}
	assert_int_equal(kube_config_in_cluster("fd00::1", "443", dir, &config, &err), 0);
	assert_string_equal(config.server, "https://[fd00::1]:443");
	assert_string_equal(config.ns, "text");
	assert_null(config.token);
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void scalars_are_what_json_says(void **state)
{
	static const char text[] = "a: 1\nb: '1'\nc: true\nd: yes\ne: ~\nf: 1.5\ng: 0x1f\nh: -3\n"
				   "i: |\n  two\n  lines\nj: [x, {k: }]\n";
	_cleanup_json_ json_t *json = NULL, *want = NULL;
	struct err err = {0};

	assert_int_equal(kube_yaml_parse(text, strlen(text), &json, &err), 0);
	want = json_pack("{s:i, s:s, s:b, s:s, s:n, s:f, s:s, s:i, s:s, s:[s, {s:n}]}", "a", 1, "b",
			 "1", "c", 1, "d", "yes", "e", "f", 1.5, "g", "0x1f", "h", -3, "i",
			 "two\nlines\n", "j", "x", "k");
	assert_true(json_equal(json, want));
}

static void depth_and_doubles_are_refused(void **state)
{
	_cleanup_free_ char *deep = malloc(400);
	struct err err = {0};
	json_t *json;

	memset(deep, '[', 200);
	memset(deep + 200, ']', 200);
	assert_int_equal(kube_yaml_parse(deep, 400, &json, &err), -EINVAL);
	assert_int_equal(kube_yaml_parse("a: 1\na: 2\n", 10, &json, &err), -EINVAL);
	assert_int_equal(kube_yaml_parse("{[a]: 1}", 8, &json, &err), -EINVAL);
	assert_int_equal(kube_yaml_parse("!!x a", 5, &json, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_usual_file_is_read),
		cmocka_unit_test(what_is_not_supported_is_said),
		cmocka_unit_test(a_pod_finds_its_files),
		cmocka_unit_test(scalars_are_what_json_says),
		cmocka_unit_test(depth_and_doubles_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
