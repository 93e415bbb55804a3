/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 requests and responses. As SPDK does, "jsonrpc" may be missing but must be "2.0" when it is there. Other
 * members than the specification's are ignored. Member names are unique and strings hold no NUL: the parser sees to it.
 */
#include "rpc/request.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "rpc/rpc.h"

json_t *rpc_request_parse(const char *text, size_t len, struct err *err)
{
	json_error_t why;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	if (!json)
		(void)err_set(err, RPC_ERR_PARSE, "Parse error: %s (line %d, byte %d)", why.text,
			      why.line, why.position);
	return json;
}

int rpc_request_decode(const json_t *json, struct rpc_request *ret, struct err *err)
{
	const json_t *version = json_object_get(json, "jsonrpc");
	const json_t *method = json_object_get(json, "method");
	const json_t *params = json_object_get(json, "params");
	json_t *id = json_object_get(json, "id");

	*ret = (struct rpc_request){.id = json_null()};
	if (!json_is_object(json))
		return err_set(err, RPC_ERR_INVALID_REQUEST, "Invalid request: expected an object");
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return err_set(err, RPC_ERR_INVALID_REQUEST,
			       "Invalid request: id must be a string, a number or null");
	ret->id = id ? id : json_null();
	if (version && (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0))
		return err_set(err, RPC_ERR_INVALID_REQUEST,
			       "Invalid request: jsonrpc must be \"2.0\"");
	if (!json_is_string(method))
		return err_set(err, RPC_ERR_INVALID_REQUEST,
			       "Invalid request: method must be a string");
	if (params && !json_is_object(params) && !json_is_array(params) && !json_is_null(params))
		return err_set(err, RPC_ERR_INVALID_REQUEST,
			       "Invalid request: params must be an object or an array");
	ret->id = id;
	ret->method = json_string_value(method);
	ret->params = json_is_null(params) ? NULL : params;
	return 0;
}

/* jansson gives NULL when any part is NULL, and drops the other parts. */
json_t *rpc_response_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), "result",
			 result);
}

/* A text that quotes foreign bytes, or was cut inside a character, need not be UTF-8: then it is sent as ASCII. */
static json_t *message_json(const char *message)
{
	json_t *json = json_string(message);
	char text[sizeof(((struct err *)NULL)->text)];
	size_t i = 0;

	if (json)
		return json;
	for (; i < sizeof(text) - 1 && message[i]; i++)
		text[i] = (char)((unsigned char)message[i] < 0x7f ? message[i] : '?');
	text[i] = '\0';
	return json_string(text);
}

json_t *rpc_response_error(json_t *id, int code, const char *message)
{
	return json_pack("{s:s, s:O, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id ? id : json_null(),
			 "error", "code", code, "message", message_json(message));
}

const json_t *rpc_response_decode(const json_t *json, struct err *err)
{
	const json_t *error = json_object_get(json, "error");
	const json_t *result = json_object_get(json, "result");
	const char *message = json_string_value(json_object_get(error, "message"));
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	if (result && !error)
		return result;
	if (!message || code >= 0 || code < INT32_MIN)
		(void)err_set(err, -EPROTO, "the server sent an answer that is not JSON-RPC 2.0");
	else
		(void)err_set(err, (int)code, "%s", message);
	return NULL;
}
