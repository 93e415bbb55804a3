/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/controller.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "controller/control.h"
#include "controller/metrics.h"
#include "controller/placement.h"
#include "kube/client_http.h"
#include "rt/pages.h"
#include "rt/process.h"

#define STUCK_MS 60000 /* a loop that has not come around for so long is not healthy */

struct controller {
	char identity[128];
	struct kube_client *client;
	struct control *control;
	struct pages *pages;
};

int controller_check(const struct controller_config *config, struct err *err)
{
	return placement_check(config->placement_path, err);
}

static int make_client(const struct controller_config *config, struct controller *ctl,
		       struct err *err)
{
	struct kube_http_options options = {.user_agent = "litepool-controller"};
	_cleanup_kube_config_ struct kube_config kube = {0};
	char server[PATH_MAX + 8], path[PATH_MAX];
	int rc;

	if (config->api_socket) {
		/* The server has made it by now; an address needs the whole path. */
		if (!realpath(config->api_socket, path))
			return err_set(err, -errno, "%s: %s", config->api_socket, strerror(errno));
		(void)snprintf(server, sizeof(server), "unix:%s", path);
		rc = kube_config_server(server, &kube, err);
	} else {
		rc = kube_config_find(NULL, config->kubeconfig, &kube, err);
	}
	return rc ? rc : kube_client_http_new(&kube, &options, &ctl->client, err);
}

/*
 * Unique also among restarts of one host: a former self is another controller. But for the embedded one: what served it was the same process, so that
 * nothing of a former self is on its way any more, and its Lease is taken over without waiting for its end.
 */
static void make_identity(const struct controller_config *config, struct controller *ctl)
{
	char host[64] = "host";

	(void)gethostname(host, sizeof(host) - 1); /* else "host" */
	if (config->api_socket)
		(void)snprintf(ctl->identity, sizeof(ctl->identity), "%s_embedded", host);
	else
		(void)snprintf(ctl->identity, sizeof(ctl->identity), "%s_%d_%" PRIx64, host,
			       (int)getpid(), process_wall_ns());
}

/* ---- pages ---- */

static bool page_alive(const struct controller *ctl, FILE *out)
{
	uint64_t turned_ms = control_stats(ctl->control)->turned_ms, now_ms = process_boot_ms();
	bool good = !turned_ms || now_ms < turned_ms + STUCK_MS;

	(void)fputs(good ? "ok\n" : "the loop has not come around for a minute\n", out);
	return good;
}

static bool page_ready(const struct controller *ctl, FILE *out)
{
	bool good = control_synced(ctl->control);

	(void)fputs(good ? "ok\n" : "not all kinds have been listed yet: is the API there?\n", out);
	return good;
}

/* On the pages' thread. */
static int page(void *ctx, const char *path, FILE *out)
{
	const struct controller *ctl = ctx;

	if (!strcmp(path, "/metrics")) {
		metrics_write(control_stats(ctl->control), out);
		return 200;
	}
	if (!strcmp(path, "/healthz") || !strcmp(path, "/livez"))
		return page_alive(ctl, out) ? 200 : 503;
	if (!strcmp(path, "/readyz"))
		return page_ready(ctl, out) ? 200 : 503;
	(void)fputs("there are /metrics, /healthz and /readyz\n", out);
	return 404;
}

/* ---- life ---- */

static int start(const struct controller_config *config, struct controller *ctl, struct err *err)
{
	struct control_config control = {.placement_path = config->placement_path,
					 .identity = ctl->identity};
	int rc = make_client(config, ctl, err);

	if (rc)
		return rc;
	control.client = ctl->client;
	rc = control_new(&control, &ctl->control, err);
	if (!rc && config->pages)
		rc = pages_start(config->pages, page, ctl, &ctl->pages, err);
	return rc ? rc : control_start(ctl->control, err);
}

int controller_start(const struct controller_config *config, struct controller **ret,
		     struct err *err)
{
	struct controller *ctl = calloc(1, sizeof(*ctl));
	int rc;

	if (!ctl)
		return err_set(err, -ENOMEM, "no memory for the controller");
	make_identity(config, ctl);
	rc = start(config, ctl, err);
	if (rc) {
		controller_stop(ctl);
		return rc;
	}
	*ret = ctl;
	return 0;
}

void controller_reload(struct controller *controller)
{
	if (controller)
		control_reload(controller->control);
}

void controller_stop(struct controller *controller)
{
	if (!controller)
		return;
	pages_stop(controller->pages);
	if (controller->control)
		control_release(controller->control);
	control_free(controller->control);
	kube_client_free(controller->client);
	free(controller);
}
