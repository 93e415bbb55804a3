/* SPDX-License-Identifier: Apache-2.0 */
/* --wait: looks at one object until it is as it shall be. It looks again and again rather than watching: one object is cheap, and a look cannot be missed. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/api.h"
#include "cli/progress.h"
#include "kube/text.h"
#include "rt/blocking.h"
#include "rt/process.h"

#define LOOK_MS_MIN 50
#define LOOK_MS_MAX 1000

int api_wait_prepare(struct cli *cli, int *ret_cancel_fd)
{
	int fd = blocking_signal_fd(&cli->err);

	if (fd < 0)
		return fd;
	*ret_cancel_fd = fd;
	return api_open(cli);
}

bool api_pause(int cancel_fd, int ms)
{
	return blocking_wait_readable(cancel_fd, -1, blocking_deadline(ms)) == -ETIMEDOUT;
}

/* One look: as api_wait.look, with a lost connection as "not yet". */
static int look(struct cli *cli, const struct api_wait *wait, json_t **ret, const char **why)
{
	int res = api_get(cli, wait->kind, wait->name, ret);

	if (res < 0 && res != -ENOENT) {
		*why = "the API server does not answer";
		return 0;
	}
	cli->err = (struct err){0};
	return wait->look(cli, *ret, wait->ctx, why);
}

int api_wait(struct cli *cli, const struct api_wait *wait, json_t **ret)
{
	uint64_t begin = process_boot_ms(), now = begin;
	int pause_ms = LOOK_MS_MIN, res = 0, cancel_fd;
	json_t *obj = NULL;
	const char *why = NULL;
	struct progress progress;

	cancel_fd = blocking_signal_fd(&cli->err);
	if (cancel_fd < 0)
		return cancel_fd;
	progress_begin(&progress, cli);
	for (;;) {
		json_decref(obj);
		obj = NULL;
		why = NULL;
		res = look(cli, wait, &obj, &why);
		now = process_boot_ms();
		if (res != 0 || now - begin >= (uint64_t)cli->timeout_ms)
			break;
		progress_show(&progress, wait->what, why, 0, 0);
		if (!api_pause(cancel_fd, pause_ms)) {
			res = err_set(&cli->err, -ECANCELED,
				      "interrupted; it goes on without this");
			break;
		}
		pause_ms = pause_ms * 2 > LOOK_MS_MAX ? LOOK_MS_MAX : pause_ms * 2;
	}
	progress_end(&progress);
	if (res == 0)
		res = err_set(&cli->err, -ETIMEDOUT,
			      "waited %d s for %s%s%s. It goes on without this; see: litepool "
			      "%s show %s",
			      cli->timeout_ms / 1000, wait->what, why && why[0] ? ": " : "",
			      why ? why : "", api_noun_of_kind(wait->kind)->word, wait->name);
	if (ret && res > 0)
		*ret = json_incref(obj);
	json_decref(obj);
	(void)close(cancel_fd);
	return res < 0 ? res : 0;
}

int api_look_gone(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	if (!obj)
		return 1;
	*why = api_reason(obj);
	return 0;
}

/* A volume in phase Ready, a snapshot ready to use, a pool that is healthy, a reservation that is made. */
int api_look_ready(struct cli *cli, const json_t *obj, void *ctx, const char **why)
{
	const char *phase = kube_str(obj, "status.phase");

	if (!obj)
		return err_set(&cli->err, -ENOENT, "it was deleted meanwhile");
	*why = api_reason(obj);
	if (!strcmp(phase, "Failed"))
		return err_set(&cli->err, -EIO, "it failed: %s", api_reason(obj));
	return !strcmp(phase, "Ready") || !strcmp(phase, "Reserved") ||
	       !strcmp(kube_str(obj, "status.health"), "Healthy") ||
	       json_is_true(kube_at(obj, "status.readyToUse"));
}
