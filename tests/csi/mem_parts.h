/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the tests' control plane; what the functions must do is in csi/backend.h. */
#ifndef LITEPOOL_TEST_CSI_MEM_PARTS_H
#define LITEPOOL_TEST_CSI_MEM_PARTS_H

#include "mem.h"

struct mem_snapshot *mem_snapshot_find(struct mem *mem, const char *id);
enum grpc_code mem_no_volume(struct csi_op *op, const char *id);
bool mem_page_start(struct csi_op *op, const struct csi_page *page, uint64_t *ret);

enum grpc_code mem_create_volume(void *ctx, struct csi_op *op, const struct csi_create_volume *req,
				 struct csi_volume *ret);
enum grpc_code mem_delete_volume(void *ctx, struct csi_op *op, const char *id);
enum grpc_code mem_get_volume(void *ctx, struct csi_op *op, const char *id, struct csi_volume *ret);
enum grpc_code mem_list_volumes(void *ctx, struct csi_op *op, const struct csi_page *page,
				struct csi_volumes *ret);
enum grpc_code mem_publish(void *ctx, struct csi_op *op, const struct csi_publish *req,
			   struct csi_map *ret_context);
enum grpc_code mem_unpublish(void *ctx, struct csi_op *op, const char *volume_id,
			     const char *node_id);
enum grpc_code mem_get_capacity(void *ctx, struct csi_op *op,
				const struct csi_capabilities *capabilities,
				const struct csi_map *parameters, const struct csi_map *segments,
				struct csi_capacity *ret);
enum grpc_code mem_expand_volume(void *ctx, struct csi_op *op, const char *id,
				 struct csi_range range, uint64_t *ret_capacity, bool *ret_node);
enum grpc_code mem_modify_volume(void *ctx, struct csi_op *op, const char *id,
				 const struct csi_map *parameters);

#endif
