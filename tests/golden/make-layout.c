/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden images of the on-disk format: make-layout FOLDER writes them, make-layout --check FOLDER compares what
 * this program would write with the files, byte for byte. make-layout --corpus FOLDER writes fuzz seeds. A changed
 * image is a changed format: it needs a new version or feature flag and new files, never new bytes in old ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#include "samples.h"

#define IMAGE_MAX (SAMPLE_JOURNAL_BLOCKS * LAYOUT_PAGE + 1)

static const char *folder;
static bool checking;
static unsigned wrong, images;

static void check(const char *path, const uint8_t *data, size_t size)
{
	static uint8_t there[IMAGE_MAX + 1];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(there, 1, sizeof(there), f) : 0;

	if (f)
		(void)fclose(f);
	for (size_t i = 0; i < MAX(n, size); i++) {
		if (i >= n || i >= size || there[i] != data[i]) {
			printf("%s: differs at byte %zu (%zu bytes there, %zu wanted)\n", path, i,
			       n, size);
			wrong++;
			return;
		}
	}
}

static void image(const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *f;

	ASSERT(size <= IMAGE_MAX);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	images++;
	if (checking) {
		check(path, data, size);
		return;
	}
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void golden(void)
{
	static uint8_t buf[SAMPLE_JOURNAL_BLOCKS * LAYOUT_PAGE];
	struct superblock sb;
	char name[64];

	sample_superblock(&sb);
	for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
		superblock_encode(&sb, i, buf);
		(void)snprintf(name, sizeof(name), "superblock-%u.bin", i);
		image(name, buf, LAYOUT_PAGE);
	}
	image("journal.bin", buf, (size_t)sample_journal(buf) * LAYOUT_PAGE);
	for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
		enum page_kind kind = sample_pages[i];

		(void)sample_page(kind, 90, buf);
		(void)snprintf(name, sizeof(name), "page-%s.bin", page_kind_name(kind));
		image(name, buf, LAYOUT_PAGE);
	}
	image("props.bin", buf, props_encode(sample_props(), buf));
}

/* Byte 0 of a seed: 1: the target repairs checksums. */
static void corpus(void)
{
	static uint8_t buf[IMAGE_MAX];
	struct superblock sb;
	char name[64];

	for (unsigned fix = 0; fix < 2; fix++) {
		buf[0] = (uint8_t)fix;
		sample_superblock(&sb);
		for (unsigned i = 0; i < SUPERBLOCK_COPIES; i++) {
			sb.generation += i / 2;
			superblock_encode(&sb, i, buf + 1 + (size_t)i * LAYOUT_PAGE);
		}
		(void)snprintf(name, sizeof(name), "superblock/four-%u", fix);
		image(name, buf, 1 + SUPERBLOCK_COPIES * LAYOUT_PAGE);
		(void)snprintf(name, sizeof(name), "journal/all-%u", fix);
		image(name, buf, 1 + (size_t)sample_journal(buf + 1) * LAYOUT_PAGE);
		for (unsigned i = 0; i < SAMPLE_PAGES; i++) {
			enum page_kind kind = sample_pages[i];

			(void)sample_page(kind, 90, buf + 1);
			(void)sample_page(kind, 91, buf + 1 + LAYOUT_PAGE);
			(void)snprintf(name, sizeof(name), "page/%s-%u", page_kind_name(kind), fix);
			image(name, buf, 1 + 2 * LAYOUT_PAGE);
		}
	}
	buf[0] = 2;
	image("page/blob", buf, 1 + props_encode(sample_props(), buf + 1));
}

int main(int argc, char **argv)
{
	checking = argc == 3 && strcmp(argv[1], "--check") == 0;
	folder = argv[argc - 1];
	if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
		corpus();
	} else if (argc == 2 || checking) {
		golden();
	} else {
		(void)fprintf(stderr, "usage: make-layout [--check | --corpus] FOLDER\n");
		return 2;
	}
	printf("%u images, %u wrong\n", images, wrong);
	return wrong ? 1 : 0;
}
