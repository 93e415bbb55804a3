/* SPDX-License-Identifier: Apache-2.0 */
/* From a gRPC call to the function that answers it; for src/csi alone. */
#ifndef LITEPOOL_CSI_DISPATCH_H
#define LITEPOOL_CSI_DISPATCH_H

#include "csi/convert.h"
#include "csi/service.h"

struct csi_request {
	struct csi_service *service;
	const struct csi_backend *backend; /* not NULL for a method with needs_backend */
	struct grpc_call *call;
	struct csi_op op;
	struct arena *arena;
	const void *message;
};

typedef enum grpc_code (*csi_handler_fn)(struct csi_request *req);

struct csi_method {
	const char *path;
	const ProtobufCMessageDescriptor *request;
	csi_handler_fn handler;
	unsigned services;    /* in which it is there: enum csi_services; 0: always */
	const char *required; /* fields, separated by blanks */
	const char *hold;     /* the field whose value excludes a second operation; NULL: none */
	const char *kind;     /* what that value names: the same name of two kinds is two things */
	size_t backend_at;    /* offset of the backend's function that must be there; 0: none */
	bool inline_call, streaming;
};

extern const struct csi_method csi_method_table[];
extern const size_t csi_n_methods;

/* Sends the response; for unary and streaming methods. */
enum grpc_code csi_reply(struct csi_request *req, const void *message);
enum grpc_code csi_no_memory(struct csi_request *req);

/* The handlers, by file. */
enum grpc_code csi_get_plugin_info(struct csi_request *req);
enum grpc_code csi_get_plugin_capabilities(struct csi_request *req);
enum grpc_code csi_probe(struct csi_request *req);
enum grpc_code csi_controller_get_capabilities(struct csi_request *req);
enum grpc_code csi_group_get_capabilities(struct csi_request *req);

enum grpc_code csi_create_volume(struct csi_request *req);
enum grpc_code csi_delete_volume(struct csi_request *req);
enum grpc_code csi_validate_capabilities(struct csi_request *req);
enum grpc_code csi_list_volumes(struct csi_request *req);
enum grpc_code csi_get_volume(struct csi_request *req);
enum grpc_code csi_list_volume_health(struct csi_request *req);
enum grpc_code csi_get_volume_health(struct csi_request *req);
enum grpc_code csi_get_capacity(struct csi_request *req);
enum grpc_code csi_expand_volume(struct csi_request *req);
enum grpc_code csi_modify_volume(struct csi_request *req);
enum grpc_code csi_publish_volume(struct csi_request *req);
enum grpc_code csi_unpublish_volume(struct csi_request *req);

enum grpc_code csi_create_snapshot(struct csi_request *req);
enum grpc_code csi_delete_snapshot(struct csi_request *req);
enum grpc_code csi_list_snapshots(struct csi_request *req);
enum grpc_code csi_get_snapshot(struct csi_request *req);
enum grpc_code csi_create_group(struct csi_request *req);
enum grpc_code csi_delete_group(struct csi_request *req);
enum grpc_code csi_get_group(struct csi_request *req);
enum grpc_code csi_metadata_allocated(struct csi_request *req);
enum grpc_code csi_metadata_delta(struct csi_request *req);

enum grpc_code csi_node_get_info(struct csi_request *req);
enum grpc_code csi_node_get_capabilities(struct csi_request *req);
enum grpc_code csi_node_stage_volume(struct csi_request *req);
enum grpc_code csi_node_unstage_volume(struct csi_request *req);
enum grpc_code csi_node_publish_volume(struct csi_request *req);
enum grpc_code csi_node_unpublish_volume(struct csi_request *req);
enum grpc_code csi_node_get_stats(struct csi_request *req);
enum grpc_code csi_node_get_health(struct csi_request *req);
enum grpc_code csi_node_get_storage_health(struct csi_request *req);
enum grpc_code csi_node_expand_volume(struct csi_request *req);

#endif
