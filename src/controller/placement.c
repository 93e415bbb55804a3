/* SPDX-License-Identifier: Apache-2.0 */
/* A new configuration is read, checked and its plugins loaded before anything of the old one goes. */
#include "controller/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "controller/extender_call.h"
#include "place/plugin.h"
#include "rt/fs.h"

/* What is in force. */
struct placement_set {
	struct place_config config;
	struct place_plugins plugins;
};

/* What tells one file from another without reading it. */
struct file_mark {
	uint64_t inode, size, changed_ns;
};

struct placement {
	char *path;
	struct placement_stats stats;
	struct file_mark mark; /* of what was read last, good or bad */
	struct placement_set set;
	struct placer *placer;
};

static struct file_mark mark_of(const char *path)
{
	struct file_mark mark = {0};
	struct stat st;

	if (path && stat(path, &st) == 0)
		mark = (struct file_mark){st.st_ino, (uint64_t)st.st_size,
					  (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC +
						  (uint64_t)st.st_mtim.tv_nsec};
	return mark;
}

static int counted_call(void *ctx, const struct place_extender_config *extender, const char *body,
			size_t len, char **ret_body, size_t *ret_len, struct err *err)
{
	const struct placement *p = ctx;
	int rc = extender_call(NULL, extender, body, len, ret_body, ret_len, err);

	if (p->stats.calls)
		(*p->stats.calls)++;
	if (rc && p->stats.failures)
		(*p->stats.failures)++;
	return rc;
}

static void set_fini(struct placement_set *set)
{
	place_plugins_close(&set->plugins);
	place_config_fini(&set->config);
}

static int set_read(const char *path, struct placement_set *ret, struct err *err)
{
	struct placement_set set = {0};
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int rc = 0;

	if (path) {
		rc = fs_read(path, PLACE_CONFIG_MAX, &text, &len, err);
		if (rc == -ENOENT)
			return err_set(err, rc, "%s: there is no such file", path);
		if (!rc)
			rc = place_config_parse(path, text, len, &set.config, err);
	} else {
		place_config_default(&set.config);
	}
	if (!rc)
		rc = place_plugins_open(&set.config, &set.plugins, err);
	if (rc) {
		place_config_fini(&set.config);
		return rc;
	}
	*ret = set;
	return 0;
}

int placement_check(const char *path, struct err *err)
{
	struct placement_set set;
	int rc = set_read(path, &set, err);

	if (!rc)
		set_fini(&set);
	return rc;
}

bool placement_changed(const struct placement *p)
{
	struct file_mark now = mark_of(p->path);

	return p->path && (now.inode != p->mark.inode || now.size != p->mark.size ||
			   now.changed_ns != p->mark.changed_ns);
}

int placement_load(struct placement *p, struct err *err)
{
	struct placement_set set;
	int rc;

	/* The mark first: a file that changes while it is read is read again. */
	p->mark = mark_of(p->path);
	rc = set_read(p->path, &set, err);
	if (rc)
		return rc;
	placer_use(p->placer, NULL);
	set_fini(&p->set);
	p->set = set;
	p->set.plugins.hooks.call = counted_call;
	p->set.plugins.hooks.call_ctx = p;
	placer_use(p->placer, &p->set.plugins.hooks);
	return 0;
}

int placement_decide(struct placement *p, const struct place_inventory *inv,
		     const struct place_request *request, struct place_decision *ret,
		     struct err *err)
{
	return place_decide(p->placer, inv, &p->set.config, request, 0, ret, err);
}

int placement_new(const char *path, const struct placement_stats *stats, struct placement **ret,
		  struct err *err)
{
	struct placement *p = calloc(1, sizeof(*p));
	int rc;

	if (p) {
		p->placer = placer_new();
		p->path = path ? strdup(path) : NULL;
	}
	if (!p || !p->placer || (path && !p->path)) {
		placement_free(p);
		return err_set(err, -ENOMEM, "no memory for placement");
	}
	p->stats = *stats;
	rc = placement_load(p, err);
	if (rc) {
		placement_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void placement_free(struct placement *p)
{
	if (!p)
		return;
	placer_free(p->placer);
	set_fini(&p->set);
	free(p->path);
	free(p);
}
