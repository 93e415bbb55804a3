/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lp-csi SOCKET METHOD [JSON [PATH]]: one call of a CSI service, written by hand; prints the answer (of a stream all of them, one a line), or the part of it that PATH names
 * ("volume.volume_id"). Ends with the call's gRPC code; what went wrong is told on stderr as "NAME: message".
 * lp-csi SOCKET -: a call a line on stdin, "METHOD JSON", all at once on one connection. A line for each in the same order: NAME MILLISECONDS ANSWER-OR-MESSAGE.
 *
 * For guests, where there is no Python. One thread, one connection, no limits on time: who runs it sets them.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "csi.pb-c.h"
#include "grpc/frame.h"
#include "grpc/status.h"
#include "json_pb.h"

#define CALLS_MAX   1024
#define ANSWER_MAX  (16U << 20)
#define MESSAGE_MAX 1024
#define LOST        (-1) /* of a call whose connection ended first */

static const ProtobufCServiceDescriptor *const services[] = {
	&csi__v1__identity__descriptor,          &csi__v1__controller__descriptor,
	&csi__v1__group_controller__descriptor,  &csi__v1__node__descriptor,
	&csi__v1__snapshot_metadata__descriptor,
};

struct call {
	const ProtobufCMethodDescriptor *method;
	char path[160];
	uint8_t *out; /* frame head and message */
	size_t out_len, out_sent;
	struct grpc_frame in;
	json_t *answers; /* array */
	int code;
	char message[MESSAGE_MAX];
	struct timespec begun, ended;
};

static struct call calls[CALLS_MAX];
static size_t n_calls, n_ended;
static int fd;

static int find_method(struct call *call, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		call->method = protobuf_c_service_descriptor_get_method_by_name(services[i], name);
		if (!call->method)
			continue;
		(void)snprintf(call->path, sizeof(call->path), "/%s/%s", services[i]->name, name);
		return 0;
	}
	return -ENOENT;
}

static int add_call(const char *name, const char *text)
{
	struct call *call = &calls[n_calls];
	_cleanup_json_ json_t *json = json_loads(text, 0, NULL);
	_cleanup_free_ uint8_t *message = NULL;
	struct err err = {.text = "this is no JSON"};
	size_t len = 0;

	if (n_calls == CALLS_MAX || find_method(call, name) < 0) {
		fprintf(stderr, "lp-csi: %s is no method of CSI, or one call too many\n", name);
		return -EINVAL;
	}
	if (!json || json_pb_pack(json, call->method->input, &message, &len, &err) < 0) {
		fprintf(stderr, "lp-csi: %s %s: %s\n", name, text, err.text);
		return -EINVAL;
	}
	call->out = malloc(len + GRPC_FRAME_HEAD);
	call->answers = json_array();
	if (!call->out || !call->answers)
		return -ENOMEM;
	grpc_frame_put_head(call->out, len);
	if (len)
		memcpy(call->out + GRPC_FRAME_HEAD, message, len);
	call->out_len = len + GRPC_FRAME_HEAD;
	call->code = LOST;
	grpc_frame_init(&call->in, ANSWER_MAX);
	n_calls++;
	return 0;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
		       void *ctx)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	return n < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : n;
}

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t size,
		       uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct call *call = source->ptr;
	size_t n = call->out_len - call->out_sent;

	n = n < size ? n : size;
	memcpy(buf, call->out + call->out_sent, n);
	call->out_sent += n;
	if (call->out_sent == call->out_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	uint64_t code;

	if (call && strcmp((const char *)name, "grpc-status") == 0 &&
	    str_to_u64((const char *)value, 0, 16, &code))
		call->code = (int)code;
	if (call && strcmp((const char *)name, "grpc-message") == 0)
		grpc_percent_decode((const char *)value, len, call->message, MESSAGE_MAX);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t len, void *ctx)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	size_t taken;

	for (; call && len; data += taken, len -= taken) {
		enum grpc_frame_result result = grpc_frame_feed(&call->in, data, len, &taken);

		if (result == GRPC_FRAME_MORE)
			continue;
		if (result != GRPC_FRAME_MESSAGE)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		(void)json_array_append_new(
			call->answers,
			json_pb_unpack(call->method->output, call->in.data, call->in.data_len));
		grpc_frame_reset(&call->in);
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *ctx)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call) {
		(void)clock_gettime(CLOCK_MONOTONIC, &call->ended);
		n_ended++;
	}
	return 0;
}

#define NV(n, v)                                                                                   \
	{.name = (uint8_t *)(uintptr_t)(n),                                                        \
	 .value = (uint8_t *)(uintptr_t)(v),                                                       \
	 .namelen = sizeof(n) - 1,                                                                 \
	 .valuelen = strlen(v)}

static int submit(nghttp2_session *session, struct call *call)
{
	const nghttp2_nv head[] = {NV(":method", "POST"),   NV(":scheme", "http"),
				   NV(":path", call->path), NV(":authority", "localhost"),
				   NV("te", "trailers"),    NV("content-type", "application/grpc")};
	const nghttp2_data_provider body = {.source.ptr = call, .read_callback = on_body};

	(void)clock_gettime(CLOCK_MONOTONIC, &call->begun);
	return nghttp2_submit_request(session, NULL, head, ARRAY_LEN(head), &body, call) < 0 ? -EIO
											     : 0;
}

/* Until all calls have ended, or the connection has. */
static int run(nghttp2_session *session)
{
	static uint8_t buf[65536];
	int rc = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);

	for (size_t i = 0; i < n_calls && !rc; i++)
		rc = submit(session, &calls[i]);
	while (!rc && n_ended < n_calls) {
		ssize_t n;

		if (nghttp2_session_send(session) < 0)
			return -EIO;
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		if (nghttp2_session_mem_recv(session, buf, (size_t)n) < 0)
			return -EPROTO;
	}
	return rc;
}

static int talk(void)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_session *session = NULL;
	int rc;

	if (nghttp2_session_callbacks_new(&callbacks) < 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	rc = nghttp2_session_client_new(&session, callbacks, NULL) < 0 ? -ENOMEM : run(session);
	nghttp2_session_del(session);
	nghttp2_session_callbacks_del(callbacks);
	return rc;
}

static int dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (!str_copy(to.sun_path, sizeof(to.sun_path), path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static const char *name_of(const struct call *call)
{
	return call->code == LOST ? "LOST" : grpc_code_name((enum grpc_code)call->code);
}

static void print(const json_t *value)
{
	char *text = json_is_string(value)
			     ? NULL
			     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

	(void)puts(text ? text : json_string_value(value) ? json_string_value(value) : "");
	free(text);
}

/* "a.b.0.c" */
static const json_t *at(const json_t *json, const char *path)
{
	char key[128];

	while (path && *path && json) {
		size_t len = strcspn(path, ".");
		uint64_t i;

		(void)snprintf(key, sizeof(key), "%.*s", (int)len, path);
		if (json_is_array(json))
			json = str_to_u64(key, 0, UINT32_MAX, &i) ? json_array_get(json, i) : NULL;
		else
			json = json_object_get(json, key);
		path += len + (path[len] == '.');
	}
	return json;
}

static int show_one(const struct call *call, const char *path)
{
	const json_t *answer;
	size_t i;

	json_array_foreach (call->answers, i, answer)
		print(at(answer, path));
	if (call->code)
		fprintf(stderr, "%s: %s\n", name_of(call), call->message);
	return call->code == LOST ? 100 : call->code;
}

static int show_all(void)
{
	int worst = 0;

	for (size_t i = 0; i < n_calls; i++) {
		const struct call *call = &calls[i];
		int64_t ms =
			call->code == LOST
				? 0
				: (call->ended.tv_sec - call->begun.tv_sec) * 1000 +
					  (call->ended.tv_nsec - call->begun.tv_nsec) / 1000000;

		printf("%s %lld ", name_of(call), (long long)ms);
		if (call->code)
			(void)puts(call->message);
		else
			print(json_array_get(call->answers, 0));
		worst = call->code ? 1 : worst;
	}
	return worst;
}

static int read_calls(void)
{
	char line[8192];
	int rc = 0;

	while (!rc && fgets(line, sizeof(line), stdin)) {
		char *blank = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (blank)
			*blank = '\0';
		rc = add_call(line, blank ? blank + 1 : "{}");
	}
	return rc;
}

int main(int argc, char **argv)
{
	bool batch = argc == 3 && strcmp(argv[2], "-") == 0;
	int rc;

	if (argc < 3 || argc > 5) {
		fputs("usage: lp-csi SOCKET METHOD [JSON [PATH]] | lp-csi SOCKET -\n", stderr);
		return 101;
	}
	rc = batch ? read_calls() : add_call(argv[2], argc > 3 ? argv[3] : "{}");
	if (rc)
		return 101;
	rc = dial(argv[1]);
	if (rc) {
		fprintf(stderr, "lp-csi: cannot connect to %s: %s\n", argv[1], strerror(-rc));
		return 102;
	}
	rc = talk();
	if (rc)
		fprintf(stderr, "lp-csi: the connection ended: %s\n", strerror(-rc));
	rc = batch ? show_all() : show_one(&calls[0], argc > 4 ? argv[4] : "");
	for (size_t i = 0; i < n_calls; i++) {
		free(calls[i].out);
		grpc_frame_fini(&calls[i].in);
		json_decref(calls[i].answers);
	}
	return rc;
}
