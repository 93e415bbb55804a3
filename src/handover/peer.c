/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Every descriptor that came is in a bag or closed.
 * 2. What the other process claims (counts, lengths) is checked before memory is taken for it.
 */
#include "handover/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "rt/fdpass.h"

#define DOCUMENT_MAX ((uint64_t)256 << 20)

int handover_send(int fd, const struct handover_message *msg, const int *fds, unsigned n_fds)
{
	uint8_t packet[HANDOVER_MESSAGE_MAX];
	int len = handover_encode(msg, packet, sizeof(packet));

	return len < 0 ? len : fdpass_send(fd, packet, (size_t)len, fds, n_fds);
}

int handover_send_bag(int fd, unsigned bag, const int *fds, unsigned total, unsigned *at)
{
	while (*at < total) {
		unsigned n = MIN(total - *at, (unsigned)FDPASS_FDS_MAX);
		struct handover_message *msg = calloc(1, sizeof(*msg));
		int res;

		if (!msg)
			return -ENOMEM;
		msg->type = HANDOVER_FDS;
		msg->bag = bag;
		msg->bag_first = *at;
		msg->bag_total = total;
		res = handover_send(fd, msg, fds + *at, n);
		free(msg);
		/* Too many are under way: the peer has only to read. */
		if (res < 0)
			return res == -ETOOMANYREFS ? -EAGAIN : res;
		*at += n;
	}
	return 0;
}

static int bag_put(const struct handover_message *msg, struct handover_bag bags[HANDOVER_BAGS],
		   const int *fds, unsigned n, struct err *err)
{
	struct handover_bag *bag = msg->bag < HANDOVER_BAGS ? &bags[msg->bag] : NULL;

	if (!bag || bag->complete || n == 0 || msg->bag_total > HANDOVER_FD_MAX ||
	    (bag->total && bag->total != msg->bag_total) || msg->bag_first != bag->n ||
	    n > msg->bag_total - bag->n)
		return err_set(err, -EBADMSG, "descriptors %u to %u of %u do not follow %u of %u",
			       msg->bag_first, msg->bag_first + n, msg->bag_total, bag ? bag->n : 0,
			       bag ? bag->total : 0);
	if (!bag->fd)
		bag->fd = calloc(msg->bag_total, sizeof(*bag->fd));
	if (!bag->fd)
		return err_set(err, -ENOMEM, "out of memory");
	bag->total = msg->bag_total;
	memcpy(bag->fd + bag->n, fds, n * sizeof(*fds));
	bag->n += n;
	bag->complete = bag->n == bag->total;
	return 0;
}

int handover_recv(int fd, struct handover_message *ret, struct handover_bag bags[HANDOVER_BAGS],
		  struct err *err)
{
	uint8_t packet[HANDOVER_MESSAGE_MAX];
	int fds[FDPASS_FDS_MAX];
	unsigned n = 0;
	ssize_t len = fdpass_recv(fd, packet, sizeof(packet), fds, &n);
	int res;

	if (len == 0 || len == -EAGAIN)
		return (int)len;
	if (len < 0)
		return err_set(err, (int)len,
			       "a message could not be received (%s); see the limit of open files "
			       "(ulimit -n)",
			       strerror((int)-len));
	res = handover_decode(packet, (size_t)len, ret, err);
	if (res == 0 && ret->type == HANDOVER_FDS)
		res = bag_put(ret, bags, fds, n, err);
	else if (res == 0 && n)
		res = err_set(err, -EBADMSG, "a %s message came with descriptors",
			      handover_type_name[ret->type]);
	if (res == 0 && ret->type == HANDOVER_FDS)
		return 1;
	while (n && (res < 0))
		(void)close(fds[--n]);
	return res < 0 ? res : 1;
}

int handover_bag_take(struct handover_bag *bag, unsigned i)
{
	return i < bag->n ? TAKE_FD(bag->fd[i]) : -1;
}

void handover_bag_fini(struct handover_bag *bag)
{
	for (unsigned i = 0; i < bag->n; i++)
		cleanup_closep(&bag->fd[i]);
	free(bag->fd);
	*bag = (struct handover_bag){0};
}

int handover_document_new(const void *data, size_t len, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = memfd_create("lp-handover", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "no memory file: %s", strerror(errno));
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);

		if (n <= 0)
			return err_set(err, n < 0 ? -errno : -EIO,
				       "the memory file could not be written: %s", strerror(errno));
		at += (size_t)n;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int handover_document_read(int fd, uint64_t len, char **ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || len > DOCUMENT_MAX || (uint64_t)st.st_size != len)
		return err_set(err, -EBADMSG,
			       "the document should have %llu bytes and does not, or is missing",
			       (unsigned long long)len);
	text = malloc(len + 1);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory for a document of %llu bytes",
			       (unsigned long long)len);
	for (uint64_t at = 0; at < len;) {
		ssize_t n = pread(fd, text + at, len - at, (off_t)at);

		if (n <= 0)
			return err_set(err, -EBADMSG, "the document could not be read");
		at += (uint64_t)n;
	}
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}
