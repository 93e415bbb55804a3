/* SPDX-License-Identifier: Apache-2.0 */
/* TLV records of any bytes: read to the end or refused; what is read and written again reads the same. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/tlv.h"

#include "fuzz.h"

/* Every getter on every record, nests to a bound. */
static void look(struct tlv_reader *r, unsigned depth)
{
	struct tlv rec;
	char text[16];
	uint64_t v;

	while (tlv_next(r, &rec) > 0) {
		struct tlv_reader nest;
		struct err err = {0};

		ASSERT(rec.value + rec.len <= r->end);
		(void)tlv_get_uint(&rec, 100, &v, NULL);
		(void)tlv_get_bytes(&rec, text, sizeof(text), NULL);
		if (tlv_get_str(&rec, text, sizeof(text), &err) == 0)
			ASSERT(strlen(text) == rec.len);
		ASSERT((tlv_unknown(&rec, NULL) < 0) == ((rec.flags & TLV_MANDATORY) != 0));
		tlv_enter(&rec, &nest);
		if (depth < 4)
			look(&nest, depth + 1);
	}
}

static void write_again(const uint8_t *data, size_t size)
{
	struct tlv_reader r;
	struct tlv_writer w;
	struct tlv rec;
	int rc;

	tlv_writer_init(&w);
	tlv_reader_init(&r, data, size);
	while ((rc = tlv_next(&r, &rec)) > 0)
		tlv_put(&w, rec.type, rec.flags, rec.value, rec.len);
	ASSERT(w.error == 0);
	ASSERT(rc < 0 || w.len == size);
	if (w.len)
		ASSERT(memcmp(w.buf, data, w.len) == 0);
	tlv_writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tlv_reader r;
	struct tlv_blob blob;
	struct err err = {0};

	if (tlv_blob_open(data, size, &blob, &r, &err) == 0)
		look(&r, 0);
	else
		ASSERT(err.code < 0);
	tlv_reader_init(&r, data, size);
	look(&r, 0);
	write_again(data, size);
	return 0;
}
