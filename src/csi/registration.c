/* SPDX-License-Identifier: Apache-2.0 */
#include "csi/registration.h"

#include "base/bytes.h"
#include "base/log.h"
#include "csi/convert.h"
#include "csi/pluginregistration.pb-c.h"

static enum grpc_code get_info(struct grpc_call *call, const void *request, void *ctx)
{
	const struct csi_registration *registration = ctx;
	Pluginregistration__PluginInfo info = PLUGINREGISTRATION__PLUGIN_INFO__INIT;
	char *versions[] = {csi_text("1.0.0")};

	info.type = csi_text("CSIPlugin");
	info.name = csi_text(registration->driver_name);
	info.endpoint = csi_text(registration->endpoint);
	info.supported_versions = versions;
	info.n_supported_versions = ARRAY_LEN(versions);
	if (grpc_reply(call, &info.base) < 0)
		return grpc_fail(call, GRPC_CANCELLED, "nobody waits for the answer");
	return GRPC_OK;
}

/* A refusal is the kubelet's last word until it restarts or the socket is made anew, so somebody must see it. */
static enum grpc_code notify(struct grpc_call *call, const void *request, void *ctx)
{
	const Pluginregistration__RegistrationStatus *status = request;
	Pluginregistration__RegistrationStatusResponse rsp =
		PLUGINREGISTRATION__REGISTRATION_STATUS_RESPONSE__INIT;
	char text[256];

	if (status->plugin_registered)
		log_info("csi.registered", "by=kubelet");
	else
		log_error("csi.registration_refused", "by=kubelet reason=%s",
			  log_quote(status->error, text, sizeof(text)));
	if (grpc_reply(call, &rsp.base) < 0)
		return grpc_fail(call, GRPC_CANCELLED, "nobody waits for the answer");
	return GRPC_OK;
}

static const struct grpc_method methods[] = {
	{.path = "/pluginregistration.Registration/GetInfo",
	 .request = &pluginregistration__info_request__descriptor,
	 .handler = get_info,
	 .inline_call = true},
	{.path = "/pluginregistration.Registration/NotifyRegistrationStatus",
	 .request = &pluginregistration__registration_status__descriptor,
	 .handler = notify,
	 .inline_call = true},
};

int csi_registration_start(const char *socket_path, const struct csi_registration *registration,
			   struct grpc_server **ret, struct err *err)
{
	struct grpc_server_config config = {.socket_path = socket_path,
					    .methods = methods,
					    .n_methods = ARRAY_LEN(methods),
					    .workers = 1};

	config.ctx = (void *)(uintptr_t)registration; /* handlers only read it */
	return grpc_server_start(&config, ret, err);
}
