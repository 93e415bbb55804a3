/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a fault disk: checked, changed by the control thread while reactors read them,
 * counted, listed.
 *
 * Invariants:
 *   1. Reactors see one whole array, old or new, never a mixture.
 *   2. An array is freed when it is not current and no hazard slot names it; a rule with the last
 *      array that holds it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "disk/fault.h"

const char *const disk_fault_kind_name[DISK_FAULT_KINDS] = {
	[DISK_FAULT_ERROR] = "error", [DISK_FAULT_DELAY] = "delay",
	[DISK_FAULT_DROP] = "drop",   [DISK_FAULT_TEAR] = "tear",
	[DISK_FAULT_HANG] = "hang",   [DISK_FAULT_CORRUPT] = "corrupt",
};

#define OP(op)    (1u << BLK_##op)
#define OPS_ALL   ((1u << BLK_OPS) - 1)
#define RULES_MAX 1024
#define ERRNO_MAX 4095

/* What each kind can act on. A dropped read would hand out what the buffer held before. */
static const unsigned kind_ops[DISK_FAULT_KINDS] = {
	[DISK_FAULT_ERROR] = OPS_ALL,
	[DISK_FAULT_DELAY] = OPS_ALL,
	[DISK_FAULT_DROP] = OPS_ALL & ~OP(READ),
	[DISK_FAULT_TEAR] = OP(WRITE) | OP(WRITE_ZEROES),
	[DISK_FAULT_HANG] = OPS_ALL,
	[DISK_FAULT_CORRUPT] = OP(READ),
};

struct fault_rules *fault_rules_none(void)
{
	return calloc(1, sizeof(struct fault_rules));
}

const struct fault_rules *fault_rules_enter(struct disk_fault *disk, struct fault_slot *slot)
{
	const struct fault_rules *rules;

	ASSERT(!atomic_load_explicit(&slot->hazard, memory_order_relaxed));
	do {
		rules = atomic_load(&disk->rules);
		atomic_store(&slot->hazard, rules);
		/* Still current after it was named: from here on the control thread sees the name
		 * before it frees. */
	} while (rules != atomic_load(&disk->rules));
	return rules;
}

void fault_rules_leave(struct fault_slot *slot)
{
	atomic_store_explicit(&slot->hazard, NULL, memory_order_release);
}

static bool spec_covers(const struct disk_fault_rule *spec, const struct blk_io *io)
{
	if (!(spec->ops >> io->op & 1))
		return false;
	return spec->length == 0 || (io->length > 0 && io->offset < spec->offset + spec->length &&
				     spec->offset < io->offset + io->length);
}

/* Whether it is this rule's turn: past skip, chosen by probability, within count. */
static bool rule_takes(struct fault_rule *rule, struct rng *rng)
{
	const struct disk_fault_rule *spec = &rule->spec;

	if (atomic_fetch_add(&rule->matched, 1) < spec->skip)
		return false;
	if (spec->probability < 1 && !rng_chance(rng, spec->probability))
		return false;
	if (spec->count && atomic_load(&rule->acted) >= spec->count)
		return false;
	if (atomic_fetch_add(&rule->acted, 1) < spec->count || spec->count == 0)
		return true;
	atomic_fetch_sub(&rule->acted, 1); /* another reactor took the last one */
	return false;
}

const struct fault_rule *fault_rules_match(const struct fault_rules *rules, const struct blk_io *io,
					   struct rng *rng)
{
	for (unsigned i = 0; i < rules->n; i++)
		if (spec_covers(&rules->rule[i]->spec, io) && rule_takes(rules->rule[i], rng))
			return rules->rule[i];
	return NULL;
}

const struct fault_rule *fault_rules_find(const struct fault_rules *rules, uint32_t id)
{
	for (unsigned i = 0; i < rules->n; i++)
		if (rules->rule[i]->id == id)
			return rules->rule[i];
	return NULL;
}

static void rules_free(struct fault_rules *rules)
{
	for (unsigned i = 0; i < rules->n; i++)
		if (--rules->rule[i]->refs == 0)
			free(rules->rule[i]);
	free(rules);
}

static bool rules_read(struct disk_fault *disk, const struct fault_rules *rules)
{
	for (unsigned i = 0; i < ARRAY_LEN(disk->slot); i++)
		if (atomic_load(&disk->slot[i].hazard) == rules)
			return true;
	return false;
}

/* Makes next (takes it) the current array and frees what nobody reads any more: at most one array
 * per reactor stays. */
static void rules_publish(struct disk_fault *disk, struct fault_rules *next)
{
	struct fault_rules *old = atomic_exchange(&disk->rules, next);
	struct fault_rules **link = &disk->retired;

	old->next_retired = disk->retired;
	disk->retired = old;
	while (*link) {
		struct fault_rules *rules = *link;

		if (rules_read(disk, rules)) {
			link = &rules->next_retired;
			continue;
		}
		*link = rules->next_retired;
		rules_free(rules);
	}
}

void fault_rules_free_all(struct disk_fault *disk)
{
	struct fault_rules *rules = disk->retired;

	while (rules) {
		struct fault_rules *next = rules->next_retired;

		rules_free(rules);
		rules = next;
	}
	rules_free(atomic_load(&disk->rules));
}

/* A new array with all rules of from but the one of id without (0: none is left out), and room for
 * one more. */
static struct fault_rules *rules_copy(const struct fault_rules *from, uint32_t without)
{
	struct fault_rules *to = calloc(1, sizeof(*to) + (from->n + 1) * sizeof(to->rule[0]));

	if (!to)
		return NULL;
	for (unsigned i = 0; i < from->n; i++) {
		if (from->rule[i]->id == without)
			continue;
		from->rule[i]->refs++;
		to->rule[to->n++] = from->rule[i];
	}
	return to;
}

static int spec_check_kind(const struct blk_dev *dev, const struct disk_fault_rule *spec,
			   struct err *err)
{
	const char *kind = disk_fault_kind_name[spec->kind];

	if (spec->ops & ~kind_ops[spec->kind])
		return err_set(err, -EINVAL,
			       "fault %s: it cannot act on all of these operations; %s", kind,
			       spec->kind == DISK_FAULT_DROP ? "a read cannot be dropped"
			       : spec->kind == DISK_FAULT_TEAR
				       ? "only write and write_zeroes can be torn"
			       : spec->kind == DISK_FAULT_CORRUPT ? "only reads can be corrupted"
								  : "there is no such operation");
	if (spec->kind == DISK_FAULT_ERROR && spec->error == 0)
		return err_set(err, -EINVAL, "fault error: give the errno to end with");
	if (spec->kind == DISK_FAULT_DELAY && spec->delay_ns == 0)
		return err_set(err, -EINVAL, "fault delay: give a delay of more than 0");
	if (spec->kind == DISK_FAULT_TEAR && spec->tear_bytes % dev->block_size)
		return err_set(err, -EINVAL,
			       "fault tear: tear_bytes must be a multiple of the block size of %u",
			       dev->block_size);
	return 0;
}

static int spec_check(const struct blk_dev *dev, const struct disk_fault_rule *spec,
		      struct err *err)
{
	if ((unsigned)spec->kind >= DISK_FAULT_KINDS)
		return err_set(err, -EINVAL, "fault rule: there is no kind number %d",
			       (int)spec->kind);
	/* Written so that NaN is refused too. */
	if (!(spec->probability > 0 && spec->probability <= 1))
		return err_set(err, -EINVAL,
			       "fault rule: the probability must be above 0 and at most 1");
	if (spec->error > 0 || spec->error < -ERRNO_MAX)
		return err_set(err, -EINVAL,
			       "fault rule: error must be a negative errno of at least -%d, or 0",
			       ERRNO_MAX);
	if (spec->length && spec->offset > UINT64_MAX - spec->length)
		return err_set(err, -EINVAL, "fault rule: offset + length is beyond 64 bits");
	return spec_check_kind(dev, spec, err);
}

static struct disk_fault *fault_of(struct blk_dev *dev)
{
	return dev->ops == &disk_fault_ops ? container_of(dev, struct disk_fault, dev) : NULL;
}

int disk_fault_add(struct blk_dev *dev, const struct disk_fault_rule *spec, uint32_t *ret_id,
		   struct err *err)
{
	struct disk_fault *disk = fault_of(dev);
	struct fault_rules *next;
	struct fault_rule *rule;
	int rc;

	if (!disk)
		return err_set(err, -ENODEV, "%s is not a fault disk; put one over it first",
			       dev->name);
	rc = spec_check(dev, spec, err);
	if (rc)
		return rc;
	if (atomic_load(&disk->rules)->n >= RULES_MAX)
		return err_set(err, -ENOSPC, "%s has %d fault rules already; remove some",
			       dev->name, RULES_MAX);
	next = rules_copy(atomic_load(&disk->rules), 0);
	rule = calloc(1, sizeof(*rule));
	if (!next || !rule) {
		if (next)
			rules_free(next);
		free(rule);
		return err_set(err, -ENOMEM, "no memory for a fault rule");
	}
	rule->spec = *spec;
	if (rule->spec.ops == 0)
		rule->spec.ops = kind_ops[spec->kind];
	rule->id = ++disk->last_id;
	rule->refs = 1;
	next->rule[next->n++] = rule;
	rules_publish(disk, next);
	*ret_id = rule->id;
	return 0;
}

int disk_fault_remove(struct blk_dev *dev, uint32_t id, struct err *err)
{
	struct disk_fault *disk = fault_of(dev);
	struct fault_rules *next;

	if (!disk)
		return err_set(err, -ENODEV, "%s is not a fault disk", dev->name);
	if (id && !fault_rules_find(atomic_load(&disk->rules), id))
		return err_set(err, -ENOENT, "%s has no fault rule %" PRIu32, dev->name, id);
	next = id ? rules_copy(atomic_load(&disk->rules), id) : fault_rules_none();
	if (!next)
		return err_set(err, -ENOMEM, "no memory to change the fault rules");
	rules_publish(disk, next);
	fault_kick_all(disk);
	return 0;
}

static uint64_t number_at(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* Index of the name in names; n: it is not there. */
static unsigned index_of(const char *const *names, unsigned n, const json_t *name)
{
	const char *text = json_string_value(name);
	unsigned i = 0;

	while (i < n && (!text || strcmp(names[i], text) != 0))
		i++;
	return i;
}

static int restore_one(struct disk_fault *disk, const json_t *one, struct err *err)
{
	const json_t *ops = json_object_get(one, "ops");
	struct disk_fault_rule spec = {
		.kind = (enum disk_fault_kind)index_of(disk_fault_kind_name, DISK_FAULT_KINDS,
						       json_object_get(one, "kind")),
		.offset = number_at(one, "offset"),
		.length = number_at(one, "length"),
		.probability = json_number_value(json_object_get(one, "probability")),
		.skip = number_at(one, "skip"),
		.count = number_at(one, "count"),
		.error = (int)json_integer_value(json_object_get(one, "error")),
		.delay_ns = number_at(one, "delay_us") * NSEC_PER_USEC,
		.tear_bytes = number_at(one, "tear_bytes"),
	};
	const struct fault_rules *rules;
	struct fault_rule *rule;
	uint32_t id;
	int rc;

	for (size_t i = 0; i < json_array_size(ops); i++)
		spec.ops |= 1u << index_of(blk_op_name, BLK_OPS, json_array_get(ops, i));
	rc = disk_fault_add(&disk->dev, &spec, &id, err);
	if (rc)
		return rc;
	rules = atomic_load(&disk->rules);
	rule = rules->rule[rules->n - 1];
	rule->id = (uint32_t)number_at(one, "id");
	atomic_store(&rule->matched, number_at(one, "matched"));
	atomic_store(&rule->acted, number_at(one, "acted"));
	disk->last_id = MAX(disk->last_id, rule->id);
	return 0;
}

int disk_fault_restore(struct blk_dev *dev, const json_t *list, struct err *err)
{
	struct disk_fault *disk = fault_of(dev);
	int rc = disk ? 0 : err_set(err, -EINVAL, "%s is not a fault disk", dev->name);

	for (size_t i = 0; i < json_array_size(list) && !rc; i++)
		rc = restore_one(disk, json_array_get(list, i), err);
	return rc;
}

static json_t *ops_json(unsigned ops)
{
	json_t *array = json_array();

	for (unsigned op = 0; op < BLK_OPS; op++)
		if (ops >> op & 1)
			(void)json_array_append_new(array, json_string(blk_op_name[op]));
	return array;
}

json_t *disk_fault_list(const struct blk_dev *dev)
{
	json_t *array = json_array();
	const struct disk_fault *disk;
	const struct fault_rules *rules;

	if (dev->ops != &disk_fault_ops)
		return array;
	disk = (const void *)dev;          /* dev is its first member */
	rules = atomic_load(&disk->rules); /* the control thread alone replaces it */
	for (unsigned i = 0; i < rules->n; i++) {
		const struct fault_rule *rule = rules->rule[i];
		const struct disk_fault_rule *spec = &rule->spec;

		(void)json_array_append_new(
			array,
			json_pack("{s:I s:s s:o s:I s:I s:f s:I s:I s:i s:I s:I s:I s:I}", "id",
				  (json_int_t)rule->id, "kind", disk_fault_kind_name[spec->kind],
				  "ops", ops_json(spec->ops), "offset", (json_int_t)spec->offset,
				  "length", (json_int_t)spec->length, "probability",
				  spec->probability, "skip", (json_int_t)spec->skip, "count",
				  (json_int_t)spec->count, "error", spec->error, "delay_us",
				  (json_int_t)(spec->delay_ns / NSEC_PER_USEC), "tear_bytes",
				  (json_int_t)spec->tear_bytes, "matched",
				  (json_int_t)atomic_load(&rule->matched), "acted",
				  (json_int_t)atomic_load(&rule->acted)));
	}
	return array;
}
