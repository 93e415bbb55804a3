/* SPDX-License-Identifier: Apache-2.0 */
/* gen-crds DIR: writes our kinds as CustomResourceDefinitions, one file each, into DIR (deploy/crds). tools/gen-crds builds and runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/crd.h"
#include "kube/yaml_text.h"
#include "rt/fs.h"

static int write_one(const char *dir, const struct kube_resource *res, struct err *err)
{
	static const char head[] =
		"# Made by tools/gen-crds out of src/kube/kinds.c: change it there.\n";
	_cleanup_json_ json_t *crd = kube_crd(res);
	_cleanup_free_ char *yaml = kube_yaml_text(crd), *text = NULL;
	char path[512];
	int len = yaml ? asprintf(&text, "%s%s", head, yaml) : -1;

	if (len < 0) {
		text = NULL;
		return err_set(err, -ENOMEM, "no memory");
	}
	(void)snprintf(path, sizeof(path), "%s/%s.yaml", dir, res->plural);
	return fs_write_atomic(path, text, (size_t)len, 0644, err);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int rc = 0;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: gen-crds DIR\n");
		return 2;
	}
	for (size_t i = 0; !rc && kube_resource_at(i); i++)
		if (kube_resource_at(i)->custom)
			rc = write_one(argv[1], kube_resource_at(i), &err);
	if (rc)
		(void)fprintf(stderr, "gen-crds: %s\n", err.text);
	return rc ? 1 : 0;
}
