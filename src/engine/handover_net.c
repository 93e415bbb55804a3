/* SPDX-License-Identifier: Apache-2.0 */
/* Without a transport there is nothing to stop and nothing to write. */
#include "engine/handover_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/engine.h"
#include "handover/peer.h"

void handover_net_init(struct handover_net *net)
{
	net->fd = -1;
}

void handover_net_fini(struct handover_net *net)
{
	for (unsigned i = 0; i < net->n_parts; i++)
		free(net->part[i].out.fds);
	net->n_parts = 0;
	if (net->map)
		(void)munmap(net->map, net->map_size);
	net->map = NULL;
	cleanup_closep(&net->fd);
	net->fd = -1;
	for (unsigned i = 0; i < net->n_listeners; i++)
		cleanup_closep(&net->listener_fd[i]);
	free(net->listener_fd);
	net->listener_fd = NULL;
	net->n_listeners = 0;
	json_decref(net->listeners);
	net->listeners = NULL;
}

size_t handover_net_types(uint16_t *ret, size_t max)
{
	return 0;
}

unsigned handover_net_conns(struct engine *e)
{
	return 0;
}

unsigned handover_net_listeners_max(struct engine *e)
{
	return 0;
}

json_t *handover_net_listeners(struct engine *e, int *fds, unsigned *at)
{
	return json_array();
}

static int memory_new(struct handover_net *net, size_t size, struct err *err)
{
	net->fd = memfd_create("lp-state", MFD_CLOEXEC);
	if (net->fd < 0 || ftruncate(net->fd, (off_t)size) < 0)
		return err_set(err, -errno, "no memory file for the state: %s", strerror(errno));
	net->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, net->fd, 0);
	if (net->map == MAP_FAILED) {
		net->map = NULL;
		return err_set(err, -errno, "no memory for the state: %s", strerror(errno));
	}
	net->map_size = size;
	return 0;
}

int handover_net_prepare(struct engine *e, struct err *err)
{
	handover_net_fini(&e->net);
	if (e->tcp)
		return err_set(err, -EOPNOTSUPP, "this engine does not hand connections over yet");
	return memory_new(&e->net, 4096, err);
}

static void told(struct task *task)
{
	struct engine *e = container_of(task, struct engine, net_task);

	e->net.done(e, 0, NULL);
}

void handover_net_freeze(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	e->net_task.run = told;
	reactor_defer(e->control, &e->net_task);
}

void handover_net_thaw(struct engine *e)
{
	task_cancel(&e->net_task);
}

void handover_net_save(struct engine *e, handover_net_fn done)
{
	e->net.done = done;
	e->net_task.run = told;
	reactor_defer(e->control, &e->net_task);
}

int handover_net_adopt(struct engine *e, const json_t *listeners, struct handover_bag *bag,
		       struct err *err)
{
	return 0;
}

int handover_net_restore(struct engine *e, unsigned i, const void *data, size_t len, int *fds,
			 unsigned n_fds, struct err *err)
{
	for (unsigned k = 0; k < n_fds; k++)
		cleanup_closep(&fds[k]);
	return err_set(err, -EOPNOTSUPP, "this engine does not take connections over yet");
}

int handover_net_check(struct engine *e, struct err *err)
{
	return 0;
}

void handover_net_serve(struct engine *e)
{
}
