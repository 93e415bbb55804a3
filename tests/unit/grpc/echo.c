/* SPDX-License-Identifier: Apache-2.0 */
#include "echo.h"

#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "echo.pb-c.h"

static enum grpc_code answer(struct grpc_call *call, const Echo__Request *request, unsigned index)
{
	Echo__Answer answer = ECHO__ANSWER__INIT;

	answer.text = request->text;
	answer.index = index;
	answer.padding.len = request->size;
	answer.padding.data = arena_zalloc(grpc_arena(call), request->size);
	if (!answer.padding.data)
		return grpc_fail(call, GRPC_RESOURCE_EXHAUSTED, "no memory for the answer");
	if (grpc_reply(call, &answer.base) < 0)
		return grpc_fail(call, GRPC_CANCELLED, "nobody listens");
	return GRPC_OK;
}

static enum grpc_code say(struct grpc_call *call, const void *request, void *ctx)
{
	return answer(call, request, 0);
}

static enum grpc_code stream(struct grpc_call *call, const void *request, void *ctx)
{
	const Echo__Request *r = request;

	for (unsigned i = 0; i < r->count; i++) {
		enum grpc_code code = answer(call, r, i);

		if (code != GRPC_OK)
			return code;
	}
	return r->code ? grpc_fail(call, r->code, "after %u", r->count) : GRPC_OK;
}

static enum grpc_code fail(struct grpc_call *call, const void *request, void *ctx)
{
	const Echo__Request *r = request;

	return r->code ? grpc_fail(call, r->code, "%s", r->text) : answer(call, r, 0);
}

static enum grpc_code silent(struct grpc_call *call, const void *request, void *ctx)
{
	return GRPC_OK;
}

static enum grpc_code hold(struct grpc_call *call, const void *request, void *ctx)
{
	struct echo *echo = ctx;

	(void)atomic_fetch_add(&echo->held, 1);
	while (!atomic_load(&echo->release) && !grpc_cancelled(call))
		(void)poll(NULL, 0, 2);
	if (grpc_cancelled(call))
		(void)atomic_fetch_add(&echo->cancelled, 1);
	return answer(call, request, 0);
}

/* count = calls that were cancelled, size = calls held: what the test waits for. */
static enum grpc_code state(struct grpc_call *call, const void *request, void *ctx)
{
	struct echo *echo = ctx;
	Echo__Request r = ECHO__REQUEST__INIT;

	if (((const Echo__Request *)request)->count)
		atomic_store(&echo->release, true);
	r.text = arena_printf(grpc_arena(call), "%u %u", atomic_load(&echo->held),
			      atomic_load(&echo->cancelled));
	return answer(call, &r, 0);
}

const struct grpc_method echo_methods[] = {
	{.path = "/echo.Echo/Say", .request = &echo__request__descriptor, .handler = say},
	{.path = "/echo.Echo/Quick",
	 .request = &echo__request__descriptor,
	 .handler = say,
	 .inline_call = true},
	{.path = "/echo.Echo/Stream",
	 .request = &echo__request__descriptor,
	 .handler = stream,
	 .streaming = true},
	{.path = "/echo.Echo/Fail", .request = &echo__request__descriptor, .handler = fail},
	{.path = "/echo.Echo/Silent", .request = &echo__request__descriptor, .handler = silent},
	{.path = "/echo.Echo/Hold", .request = &echo__request__descriptor, .handler = hold},
	{.path = "/echo.Echo/State",
	 .request = &echo__request__descriptor,
	 .handler = state,
	 .inline_call = true},
};
const size_t echo_n_methods = ARRAY_LEN(echo_methods);
