/* SPDX-License-Identifier: Apache-2.0 */
/* kubeconfig files: YAML, then what is made of it. What is read as YAML is written as YAML and read again, the same. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/config.h"
#include "kube/yaml_json.h"
#include "kube/yaml_text.h"

#include "fuzz.h"

static void there_and_back(const json_t *json)
{
	_cleanup_free_ char *text = kube_yaml_text(json);
	_cleanup_json_ json_t *again = NULL;
	struct err err = {0};

	ASSERT(text);
	ASSERT(!kube_yaml_parse(text, strlen(text), &again, &err));
	ASSERT(json_equal(json, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kube_config config = {0};
	struct err err = {0};
	json_t *json = NULL;

	if (!kube_yaml_parse((const char *)data, size, &json, &err)) {
		there_and_back(json);
		json_decref(json);
	} else {
		ASSERT(err.text[0]);
	}
	if (!kube_config_parse((const char *)data, size, "/nowhere", NULL, &config, &err)) {
		ASSERT(config.server);
		kube_config_fini(&config);
	}
	return 0;
}
