/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and bags of descriptors over a socket of rt/fdpass.h. Nothing blocks. One thread at a time. */
#ifndef LITEPOOL_HANDOVER_PEER_H
#define LITEPOOL_HANDOVER_PEER_H

#include "base/err.h"
#include "handover/message.h"

enum { HANDOVER_BAG_PLAN, HANDOVER_BAG_STATE, HANDOVER_BAG_STATS, HANDOVER_BAGS };

#define HANDOVER_FD_MAX 131072u /* descriptors of one bag */

struct handover_bag { /* zeroed: nothing has come */
	int *fd;      /* owned; -1: taken out */
	unsigned n, total;
	bool complete;
};

/* 0; -EAGAIN: the peer does not read, try again; else it is gone. fds stay the caller's. */
int handover_send(int fd, const struct handover_message *msg, const int *fds, unsigned n_fds);
/* Sends fds[*at .. total - 1], as far as the peer takes them; *at goes on. 0: all are sent (also when there are none). -EAGAIN; else it is gone. */
int handover_send_bag(int fd, unsigned bag, const int *fds, unsigned total, unsigned *at);

/*
 * The next message: 1; 0: the peer is gone; -EAGAIN: none yet; else it does not keep to the protocol, and err says how. Descriptors go into the bags and must come in order;
 * every other message comes without any.
 */
int handover_recv(int fd, struct handover_message *ret, struct handover_bag bags[HANDOVER_BAGS],
		  struct err *err);

/* Takes descriptor i out of the bag; -1: there is none, or it was taken. */
int handover_bag_take(struct handover_bag *bag, unsigned i);
/* Closes what is still inside. */
void handover_bag_fini(struct handover_bag *bag);

/* A document (JSON, TLV) in a memfd, for descriptor 0 of a bag. */
int handover_document_new(const void *data, size_t len, int *ret_fd, struct err *err);
/* Reads it whole into malloc'ed memory with a NUL behind. -EBADMSG: it does not have len bytes. */
int handover_document_read(int fd, uint64_t len, char **ret, struct err *err);

#endif
