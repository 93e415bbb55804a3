/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow [--server ADDRESS | --kubeconfig FILE]: an informer of StorageVolumes until SIGTERM. A line for each thing told: "+name", "*name", "-name", and
 * "synced" after the first list; at the end "lists=N watches=N". For scripts that stop and start servers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "kube/client_http.h"
#include "kube/informer.h"
#include "kube/meta.h"
#include "rt/process.h"

#define SYNC_MS 60000

static void on_change(void *ctx, const json_t *old, const json_t *obj)
{
	(void)printf("%c%s\n", !old ? '+' : obj ? '*' : '-', kube_name(obj ? obj : old));
	(void)fflush(stdout);
}

static int follow(struct kube_client *client, struct err *err)
{
	const struct informer_config config = {.client = client,
					       .res = kube_resource_by_kind("StorageVolume"),
					       .changed = on_change,
					       .delay_max_ms = 1000};
	struct informer_stats stats;
	struct informer *inf = NULL;
	int rc = informer_new(&config, &inf, err);

	if (!rc)
		rc = informer_start(inf, err);
	if (!rc && !informer_wait(inf, SYNC_MS))
		rc = err_set(err, -ETIMEDOUT, "no list within %d ms", SYNC_MS);
	if (!rc) {
		(void)printf("synced\n");
		(void)fflush(stdout);
		(void)process_wait(-1);
		informer_stats(inf, &stats);
		(void)printf("lists=%" PRIu64 " watches=%" PRIu64 "\n", stats.lists, stats.watches);
	}
	informer_free(inf);
	return rc;
}

int main(int argc, char **argv)
{
	bool server = argc == 3 && !strcmp(argv[1], "--server");
	bool file = argc == 3 && !strcmp(argv[1], "--kubeconfig");
	_cleanup_kube_config_ struct kube_config config = {0};
	struct kube_client *client = NULL;
	struct err err = {0};
	int rc;

	if (!server && !file) {
		(void)fprintf(stderr, "usage: follow --server ADDRESS | --kubeconfig FILE\n");
		return 2;
	}
	rc = process_signals_take(&err);
	if (!rc)
		rc = kube_config_find(server ? argv[2] : NULL, file ? argv[2] : NULL, &config,
				      &err);
	if (!rc)
		rc = kube_client_http_new(&config, NULL, &client, &err);
	if (!rc)
		rc = follow(client, &err);
	kube_client_free(client);
	if (rc)
		(void)fprintf(stderr, "follow: %s\n", err.text);
	return rc ? 1 : 0;
}
