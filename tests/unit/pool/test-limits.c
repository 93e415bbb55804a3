/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that nobody has counted up to, with right checksums: refused with a reason, and neither the end of the program nor work for ever. */
#include <errno.h>
#include <stdio.h>

#include "unit/pool/pool_rig.h"

#define SIZE (32 * MIB)

static uint8_t image[SIZE];
static struct superblock sb;
static struct pool_rig rig;

static void put_super(void)
{
	uint8_t page[LAYOUT_PAGE];

	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		superblock_encode(&sb, i, page);
		rig_write(&rig, SUPERBLOCK_COPY_OFFSET(i), page, sizeof(page));
	}
}

/* A closed pool with a volume. */
static int setup(void **state)
{
	rig_init(&rig, 5, SIZE);
	assert_int_equal(rig_create(&rig), 0);
	assert_int_equal(rig_open(&rig), 0);
	rig_map(&rig, rig_add_volume(&rig, "v0", GIB), 0, 20, NULL);
	assert_int_equal(rig_close(&rig), 0);
	rig_read(&rig, 0, image, SIZE);
	assert_int_equal(superblock_decode(image, 0, &sb, NULL), SUPERBLOCK_GOOD);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	return 0;
}

/* The page of layers, changed by edit; the same place. */
static void edit_layers(void (*edit)(uint8_t *page, struct page_info *info))
{
	struct layout_rules rules;
	unsigned n = 0;

	superblock_rules(&sb, &rules);
	for (uint64_t place = LAYOUT_HEAD / LAYOUT_PAGE; place < SIZE / LAYOUT_PAGE; place++) {
		uint8_t *page = image + place * LAYOUT_PAGE;
		struct page_info info;

		if (page_open(page, &rules, place, &info, NULL) != PAGE_GOOD ||
		    info.id.kind != PAGE_LAYER)
			continue;
		edit(page, &info);
		page_seal(page, &rules, &info, place);
		rig_write(&rig, place * LAYOUT_PAGE, page, LAYOUT_PAGE);
		n++;
	}
	assert_true(n);
}

static char first[256];

static void take_problem(void *ctx, const struct pool_problem *p)
{
	if (p->severity == POOL_DAMAGE && !first[0])
		snprintf(first, sizeof(first), "%s", p->text);
}

/* Opening refuses, and who asks for all problems hears it and may look at the rest. */
static void expect_damage(const char *what)
{
	assert_int_equal(rig_open(&rig), -EUCLEAN);
	assert_non_null(strstr(rig.err.text, what));
	first[0] = '\0';
	rig.open.problem = take_problem;
	assert_int_equal(rig_open(&rig), 0);
	assert_non_null(strstr(first, what));
	assert_int_equal(rig_close(&rig), 0);
}

static void last_id(uint8_t *page, struct page_info *info)
{
	struct layer layer = {.id = UINT64_MAX};

	page_set_layer(page, 5, &layer);
}

static void ids_at_their_end_are_refused(void **state)
{
	edit_layers(last_id);
	expect_damage("nobody can have made so many");
}

static void a_next_id_at_its_end_is_refused(void **state)
{
	sb.next_id = UINT64_MAX;
	put_super();
	expect_damage("nobody can have made so many");
}

static void far_away(uint8_t *page, struct page_info *info)
{
	info->id.index = UINT32_MAX;
}

static void a_page_of_layers_far_away_is_named(void **state)
{
	edit_layers(far_away);
	expect_damage("layer page 4294967295");
}

static void the_last_epoch_is_for_reading(void **state)
{
	sb.epoch = LAYOUT_COUNT_MAX;
	sb.epoch_lsn = sb.tail_lsn; /* else its pages are of an engine that has lost the pool */
	put_super();
	assert_int_equal(rig_open(&rig), -EUCLEAN);
	assert_non_null(strstr(rig.err.text, "read-only"));
	rig.open.read_only = true;
	assert_int_equal(rig_open(&rig), 0);
	assert_non_null(pool_object_by_name(rig.pool, "v0"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ids_at_their_end_are_refused),
		T(a_next_id_at_its_end_is_refused),
		T(a_page_of_layers_far_away_is_named),
		T(the_last_epoch_is_for_reading),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
