/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every write of the loop goes through write_call(): it looks at our Lease, counts, learns what the server stored, and remembers the keys about which
 * nobody can say whether a write was made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/client.h"
#include "kube/leader.h"
#include "kube/meta.h"
#include "kube/text.h"

/* Less than what is left of a Lease when a leader stops: leader.h's lease_ms minus renew_ms. */
#define WRITE_TIMEOUT_MS 4000

enum write_verb { VERB_STATUS, VERB_UPDATE, VERB_MERGE };

struct write {
	enum object_kind kind;
	enum write_verb verb;
	const char *name;
	const json_t *body;
};

static enum write_result classify(int rc, const struct kube_error *error)
{
	if (!rc)
		return WRITE_DONE;
	if (rc == -EBUSY)
		return WRITE_CONFLICT;
	if (rc == -ENOENT)
		return WRITE_GONE;
	return error->unknown ? WRITE_UNKNOWN : WRITE_REFUSED;
}

static int call(struct control *c, const struct write *w, json_t **ret, struct kube_error *error)
{
	struct kube_ref ref = {.res = object_resource(w->kind),
			       .name = w->name,
			       .sub = w->verb == VERB_STATUS ? "status" : NULL,
			       .timeout_ms = WRITE_TIMEOUT_MS};

	if (w->verb == VERB_MERGE)
		return kube_merge(c->config.client, &ref, w->body, ret, error);
	return kube_update(c->config.client, &ref, w->body, ret, error);
}

static void learn_answer(struct control *c, const struct write *w, json_t *stored)
{
	/* The last finalizer went, and so did the object. */
	if (kube_deleting(stored) && !kube_finalizer_count(stored))
		control_learn_gone(c, w->kind, w->name, kube_uid(stored));
	else
		control_learn(c, w->kind, stored, true);
}

static void note(struct control *c, const struct write *w, enum write_result result,
		 const struct kube_error *error)
{
	char key[CONTROL_KEY_SIZE];

	switch (result) {
	case WRITE_DONE:
		return;
	case WRITE_CONFLICT:
		c->stats.conflicts++;
		return;
	case WRITE_GONE:
		control_learn_gone(c, w->kind, w->name, NULL);
		return;
	case WRITE_UNKNOWN:
		c->stats.unknown++;
		/* Without memory it is as a refusal; the takeover of the next leader makes it miss. */
		if (w->kind >= OBJECT_VOLUME)
			(void)strmap_set(&c->unsure, control_key(w->kind, w->name, key), c, NULL);
		break;
	case WRITE_REFUSED:
		c->stats.refused++;
		break;
	}
	log_limited(LOG_LEVEL_WARN, "controller.write.failed", "kind=%s name=%s reason=\"%s\"",
		    object_resource(w->kind)->kind, w->name, error->err.text);
}

static enum write_result write_call(struct control *c, const struct write *w)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *stored = NULL;
	enum write_result result;

	if (!control_leads(c))
		return WRITE_REFUSED;
	c->stats.writes++;
	result = classify(call(c, w, &stored, &error), &error);
	note(c, w, result, &error);
	if (result == WRITE_DONE)
		learn_answer(c, w, stored);
	return result;
}

enum write_result write_status(struct control *c, enum object_kind kind, const json_t *obj)
{
	struct write w = {kind, VERB_STATUS, kube_name(obj), obj};

	return write_call(c, &w);
}

enum write_result write_meta(struct control *c, enum object_kind kind, const json_t *obj)
{
	struct write w = {kind, VERB_UPDATE, kube_name(obj), obj};

	return write_call(c, &w);
}

enum write_result write_touch(struct control *c, enum object_kind kind, const char *name)
{
	char mark[80], key[CONTROL_KEY_SIZE];
	_cleanup_json_ json_t *body = NULL;
	struct write w = {kind, VERB_MERGE, name, NULL};
	enum write_result result;

	/* Never the same twice: what changes nothing gets no new version. */
	(void)snprintf(mark, sizeof(mark), "%" PRIu64 ".%" PRIu64 ".%" PRIu64,
		       leader_epoch(c->leader), c->born_ns, ++c->touches);
	body = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", ANNOTATION_FENCE, mark);
	if (!body)
		return WRITE_REFUSED;
	w.body = body;
	result = write_call(c, &w);
	c->stats.touched += result == WRITE_DONE;
	if (result == WRITE_DONE || result == WRITE_GONE)
		(void)strmap_remove(&c->unsure, control_key(kind, name, key));
	return result;
}

int control_read(struct control *c, enum object_kind kind, const char *name)
{
	struct kube_ref ref = {
		.res = object_resource(kind), .name = name, .timeout_ms = WRITE_TIMEOUT_MS};
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *obj = NULL;
	int rc = kube_get(c->config.client, &ref, &obj, &error);

	if (!rc)
		control_learn(c, kind, obj, true);
	else if (rc == -ENOENT)
		control_learn_gone(c, kind, name, NULL);
	return rc;
}

enum verdict write_verdict(enum write_result result)
{
	switch (result) {
	case WRITE_DONE:
		return VERDICT_AGAIN;
	case WRITE_GONE:
		return VERDICT_DONE;
	case WRITE_CONFLICT:
	case WRITE_REFUSED:
	case WRITE_UNKNOWN:
		break;
	}
	return VERDICT_RETRY;
}

enum verdict add_finalizer(struct control *c, enum object_kind kind, const json_t *obj,
			   const char *name)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);

	kube_finalizer_add(copy, name);
	return write_verdict(write_meta(c, kind, copy));
}

enum verdict remove_finalizer(struct control *c, enum object_kind kind, const json_t *obj,
			      const char *name)
{
	_cleanup_json_ json_t *copy = json_deep_copy(obj);

	kube_finalizer_remove(copy, name);
	return write_verdict(write_meta(c, kind, copy));
}
