/* SPDX-License-Identifier: Apache-2.0 */
/* The rule of each kind of page body, for page.c. */
#ifndef LITEPOOL_LAYOUT_PAGE_BODY_H
#define LITEPOOL_LAYOUT_PAGE_BODY_H

#include "layout/page.h"

/* What is wrong with the body, or NULL. id is possible. */
const char *page_body_fault(const uint8_t page[LAYOUT_PAGE], const struct page_id *id,
			    const struct layout_rules *rules);

#endif
