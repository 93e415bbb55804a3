/* SPDX-License-Identifier: Apache-2.0 */
/* One sample of every structure of the format, the same at each call: for golden images, unit tests and fuzz corpora. */
#ifndef LITEPOOL_TESTS_GOLDEN_SAMPLES_H
#define LITEPOOL_TESTS_GOLDEN_SAMPLES_H

#include "layout/journal.h"
#include "layout/page.h"
#include "layout/props.h"
#include "layout/superblock.h"

#define SAMPLE_DEVICE         (2 * GIB)
#define SAMPLE_JOURNAL_BLOCKS 16
#define SAMPLE_RECORDS        13

void sample_superblock(struct superblock *ret);
void sample_rules(struct layout_rules *ret);
/* Number i of SAMPLE_RECORDS, at least one of each type. */
void sample_record(unsigned i, struct record *ret);
/* Three small transactions, one over several blocks, one more; how many blocks. Uses SAMPLE_JOURNAL_BLOCKS. */
uint32_t sample_journal(uint8_t *blocks);
#define SAMPLE_PAGES 5u
extern const enum page_kind sample_pages[SAMPLE_PAGES]; /* all kinds */
/* A sealed page of the kind, for the place returned. */
uint64_t sample_page(enum page_kind kind, uint64_t lsn, uint8_t page[LAYOUT_PAGE]);
const struct props *sample_props(void);
/* The same with every limit reached. */
const struct props *sample_props_full(void);

#endif
