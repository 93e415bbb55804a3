/* SPDX-License-Identifier: Apache-2.0 */
/* Plain values that differ in every byte where they can, so that a swapped field is seen. */
#include "samples.h"

#include <stdio.h>

#include "base/check.h"
#include "base/str.h"

static struct uuid uuid_of(uint8_t first)
{
	struct uuid u;

	for (uint8_t i = 0; i < sizeof(u.b); i++)
		u.b[i] = (uint8_t)(first + i);
	return u;
}

void sample_superblock(struct superblock *ret)
{
	memset(ret, 0, sizeof(*ret));
	ASSERT(superblock_geometry(SAMPLE_DEVICE, ret, NULL) == 0);
	ret->incompat = LAYOUT_INCOMPAT_SUMS;
	ret->pool = uuid_of(0x10);
	ret->writer = uuid_of(0x30);
	ret->epoch = 7;
	ret->generation = 42;
	ret->block_bytes = 512;
	ret->tail_lsn = 100;
	ret->tail_prev_epoch = 6;
	ret->tail_prev_crc = 0x01020304;
	ret->state = SUPERBLOCK_OPEN;
	ret->epoch_lsn = 100;
	ret->next_id = 0x1122;
	ret->reserved_clusters = 5;
	ret->created_s = 1700000000;
	ret->scrub_cluster = 77;
	ret->pages_lsn = 99;
	ret->commit_percent = 250;
	ret->watermark[0] = 80;
	ret->watermark[1] = 90;
	ret->watermark[2] = 95;
	ASSERT(str_copy(ret->name, sizeof(ret->name), "golden"));
}

void sample_rules(struct layout_rules *ret)
{
	struct superblock sb;

	sample_superblock(&sb);
	superblock_rules(&sb, ret);
}

static const uint8_t bytes[PROPS_CHUNK] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t places[16] = {0x00, 0x20, 0, 0, 0, 0, 0, 0, 0x81, 0x20};

static struct layer a_layer(void)
{
	return (struct layer){.id = 0x51,
			      .parent = 0x50,
			      .object = 0x52,
			      .size_bytes = 100 * MIB,
			      .created_s = 1700000001,
			      .cursor = 9,
			      .peer = 0x53,
			      .flags = LAYER_READ_ONLY | LAYER_MERGING};
}

static struct record map_set(uint32_t cluster, uint64_t entry)
{
	struct record r = {.type = RECORD_MAP_SET};

	r.map_set.layer = 0x51;
	r.map_set.cluster = cluster;
	r.map_set.entry = entry;
	if (entry & MAP_PARTIAL)
		r.map_set.mask.word[1] = 0xf0f1f2f3f4f5f6f7;
	return r;
}

static struct record props_set(void)
{
	struct record r = {.type = RECORD_PROPS_SET};

	r.props_set.object = 0x52;
	ASSERT(props_cut(bytes, 1001, 3, 0, &r.props_set.chunk));
	return r;
}

static struct record sums_set(void)
{
	struct record r = {.type = RECORD_SUMS_SET};

	r.sums_set.phys = 0x55;
	r.sums_set.first = 253;
	r.sums_set.count = 3;
	r.sums_set.close = true;
	r.sums_set.sums = bytes;
	return r;
}

void sample_record(unsigned i, struct record *ret)
{
	const struct record all[SAMPLE_RECORDS] = {
		map_set(1, 0),
		map_set(2, 0x60),
		map_set(3, 0x61 | MAP_PARTIAL | MAP_HIDE),
		{.type = RECORD_MAP_RUN, .map_run = {0x51, 0x70, 4, 16}},
		{.type = RECORD_LAYER_SET, .layer_set = a_layer()},
		{.type = RECORD_LAYER_DELETE, .layer_delete = {0x54}},
		{.type = RECORD_SNAPSHOT, .snapshot = {0x52, 0x56, 0x51, 0x57, 1700000002}},
		props_set(),
		{.type = RECORD_PROPS_DELETE, .props_delete = {0x58}},
		{.type = RECORD_SEGMENT_SET, .segment_set = {600, 0x59}},
		{.type = RECORD_PAGES, .pages = {2, places}},
		{.type = RECORD_SUMS_OPEN, .sums_open = {0x55}},
		sums_set(),
	};

	ASSERT(i < SAMPLE_RECORDS);
	*ret = all[i];
}

static void txn(struct journal_builder *b, unsigned from, unsigned to, unsigned times)
{
	struct record r;

	journal_txn_begin(b);
	while (times--) {
		for (unsigned i = from; i < to; i++) {
			sample_record(i, &r);
			ASSERT(journal_add(b, &r) == 0);
		}
	}
	journal_txn_end(b);
}

uint32_t sample_journal(uint8_t *blocks)
{
	struct journal_builder b;
	struct layout_rules rules;
	struct journal_link link;

	sample_rules(&rules);
	link = (struct journal_link){rules.tail_lsn, rules.tail_prev_epoch, rules.tail_prev_crc};
	journal_builder_init(&b, &rules, &link, blocks, SAMPLE_JOURNAL_BLOCKS);
	txn(&b, 0, 4, 1);
	txn(&b, 4, 7, 1);
	txn(&b, 0, SAMPLE_RECORDS, 1);
	txn(&b, 7, SAMPLE_RECORDS, 8);
	txn(&b, 0, 1, 1);
	return journal_finish(&b, rules.tail_lsn - 1);
}

static void fill_page(enum page_kind kind, uint8_t *page)
{
	struct block_mask mask = {{1, 2, 3, 0x8000000000000000}};
	struct props_chunk chunk;
	struct layer layer = a_layer();

	switch (kind) {
	case PAGE_MAP:
		page_set_entry(page, 0, 0x60);
		page_set_entry(page, 1, MAP_HIDE);
		page_set_entry(page, PAGE_ENTRIES - 1, 0x61 | MAP_PARTIAL);
		break;
	case PAGE_MASK:
		page_set_mask(page, 0, &mask);
		page_set_mask(page, PAGE_MASKS - 1, &mask);
		break;
	case PAGE_LAYER:
		page_set_layer(page, 2, &layer);
		page_set_layer(page, PAGE_LAYERS - 1, &layer);
		break;
	case PAGE_PROPS:
		ASSERT(props_cut(bytes, 1001, 3, 0, &chunk));
		page_set_props(page, &chunk);
		break;
	case PAGE_SEGMENTS:
		page_set_entry(page, 0, 0x20);
		page_set_entry(page, 503, 0x21);
		break;
	case PAGE_KINDS:
	default:
		UNREACHABLE();
	}
}

const enum page_kind sample_pages[SAMPLE_PAGES] = {PAGE_MAP, PAGE_MASK, PAGE_LAYER, PAGE_PROPS,
						   PAGE_SEGMENTS};

uint64_t sample_page(enum page_kind kind, uint64_t lsn, uint8_t page[LAYOUT_PAGE])
{
	bool owned = kind == PAGE_MAP || kind == PAGE_MASK || kind == PAGE_PROPS;
	uint64_t place = kind == PAGE_SEGMENTS ? segtab_place(1, 0) : segment_place(0x20, kind, 0);
	struct page_info info = {{kind, owned ? 0x52 : 0, kind == PAGE_PROPS ? 0 : 1}, lsn, 7};
	struct layout_rules rules;

	sample_rules(&rules);
	page_clear(page);
	fill_page(kind, page);
	page_seal(page, &rules, &info, place);
	return place;
}

static void fill_reservation(struct props_reservation *r, unsigned n)
{
	*r = (struct props_reservation){
		.type = 1, .holder = n - 1, .generation = 0x01020304, .n = n};
	for (unsigned i = 0; i < n; i++) {
		put_le32(r->reg[i].hostid, 0x40414243 + i);
		r->reg[i].key = 0x5051525354555657 + i;
	}
}

static void fill_own(struct props *p)
{
	memset(p, 0, sizeof(*p)); /* too large for a literal on the stack */
	ASSERT(str_copy(p->name, sizeof(p->name), "orders-db"));
	ASSERT(str_copy(p->serial, sizeof(p->serial), "LP0123456789"));
	p->uuid = uuid_of(0x80);
	p->flags = PROPS_F_FORMATTED;
	p->block_size = 4096;
	p->created_s = 1700000003;
	p->qos = (struct props_qos){1, 2, 3, 4, 5, 6};
	memcpy(p->nguid, uuid_of(0x90).b, sizeof(p->nguid));
	memcpy(p->eui64, uuid_of(0xa0).b, sizeof(p->eui64));
}

const struct props *sample_props(void)
{
	static struct props p;

	fill_own(&p);
	p.n_exports = 2;
	p.export[0] = (struct props_export){
		.nqn = "nqn.2024-01.io.litepool:orders", .nsid = 1, .anagrpid = 1};
	p.export[0].has_reservation = true;
	fill_reservation(&p.export[0].reservation, 2);
	p.export[1] = (struct props_export){.nqn = "nqn.2024-01.io.litepool:backup",
					    .nsid = 9,
					    .anagrpid = 3,
					    .flags = PROPS_EXPORT_ANY_HOST};
	p.n_hosts = 1;
	p.host[0] = (struct props_host){0, "nqn.2014-08.org.nvmexpress:uuid:1"};
	p.n_listeners = 2;
	p.listener[0] = (struct props_listener){0, 1, 3, 1, "192.0.2.1", "4420"};
	p.listener[1] = (struct props_listener){1, 3, 3, 2, "2001:db8::1", "4421"};
	p.n_labels = 1;
	p.label[0] = (struct props_label){"app.kubernetes.io/name", "orders"};
	return &p;
}

static void fill_text(char *text, size_t len, unsigned i)
{
	memset(text, 'x', len);
	text[len] = '\0';
	text[0] = (char)('A' + i % 26);
	text[1] = (char)('A' + i / 26);
}

const struct props *sample_props_full(void)
{
	static struct props p;

	fill_own(&p);
	fill_text(p.name, LAYOUT_NAME_MAX, 0);
	fill_text(p.serial, PROPS_SERIAL_MAX, 0);
	p.snapshot_of = uuid_of(0xb0);
	p.n_exports = PROPS_EXPORTS_MAX;
	for (unsigned i = 0; i < PROPS_EXPORTS_MAX; i++) {
		p.export[i] =
			(struct props_export){.nsid = 1, .anagrpid = 1, .has_reservation = true};
		fill_text(p.export[i].nqn, PROPS_NQN_MAX, i);
		fill_reservation(&p.export[i].reservation, PROPS_REGISTRANTS_MAX);
	}
	p.n_hosts = PROPS_HOSTS_MAX;
	for (unsigned i = 0; i < PROPS_HOSTS_MAX; i++)
		fill_text(p.host[i].nqn, PROPS_NQN_MAX, i);
	p.n_listeners = PROPS_LISTENERS_MAX;
	for (unsigned i = 0; i < PROPS_LISTENERS_MAX; i++) {
		p.listener[i] = (struct props_listener){(uint8_t)(i % 4), 4, 3, 2, "", ""};
		fill_text(p.listener[i].traddr, PROPS_ADDR_MAX, i);
		fill_text(p.listener[i].trsvcid, PROPS_PORT_MAX, i);
	}
	p.n_labels = PROPS_LABELS_MAX;
	for (unsigned i = 0; i < PROPS_LABELS_MAX; i++) {
		fill_text(p.label[i].key, PROPS_KEY_MAX, i);
		fill_text(p.label[i].value, PROPS_VALUE_MAX, i);
	}
	p.unknown_len = PROPS_UNKNOWN_MAX;
	put_le16(p.unknown, PROPS_OPTIONAL | 0x777);
	put_le16(p.unknown + 2, PROPS_UNKNOWN_MAX - 4);
	memset(p.unknown + 4, 0x5a, PROPS_UNKNOWN_MAX - 4);
	return &p;
}
