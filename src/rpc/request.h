/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC 2.0 messages as JSON: from text to requests, and from answers to JSON. Pure. */
#ifndef LITEPOOL_RPC_REQUEST_H
#define LITEPOOL_RPC_REQUEST_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

#define RPC_BATCH_MAX 1024 /* requests in one array */

struct rpc_request {
	const char *method;
	const json_t *params; /* object or array; NULL when absent or null */
	json_t *id;           /* NULL: a notification, which has no answer */
};

/* An object or array, the caller's; NULL with err saying where the text is no JSON. */
json_t *rpc_request_parse(const char *text, size_t len, struct err *err);
/*
 * Fills ret with what it borrows from json. Else RPC_ERR_INVALID_REQUEST, err's text saying why, and ret->id the id to answer
 * with (never NULL: JSON null when there is none that is valid).
 */
int rpc_request_decode(const json_t *json, struct rpc_request *ret, struct err *err);

/* Answers. id is borrowed (NULL: null); result is taken. NULL without memory. */
json_t *rpc_response_result(json_t *id, json_t *result);
json_t *rpc_response_error(json_t *id, int code, const char *message);

/* For clients: an answer's result (borrowed), or NULL with its code and message in err. */
const json_t *rpc_response_decode(const json_t *json, struct err *err);

#endif
