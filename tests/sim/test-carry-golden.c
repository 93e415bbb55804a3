/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States that an engine of format 1 wrote (SIM_DUMP=DIR sim-nvme --seed N) are taken by this one, for ever: they are what an older engine sends in a hot upgrade. Without arguments only
 * what must be refused is tried.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/tlv.h"
#include "sim/carry_world.h"

#define STATE_MAX ((size_t)MIB)

static void fail(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

static void taken(const char *path)
{
	uint8_t *data = malloc(STATE_MAX);
	FILE *f = fopen(path, "re");
	struct err err = {0};
	size_t len;

	ASSERT(data);
	if (!f) {
		perror(path);
		exit(1);
	}
	len = fread(data, 1, STATE_MAX, f);
	(void)fclose(f);
	for (int serve = 0; serve < 2; serve++)
		if (carry_world_run(data + 1, len - 1, serve, &err))
			fail(path, &err);
	free(data);
}

/* One part with one record of that type. */
static int one_record(uint16_t type, uint16_t flags, struct err *err)
{
	uint8_t buf[64] = {0};
	struct tlv_writer w;

	tlv_writer_fixed(&w, buf + 4, sizeof(buf) - 4);
	tlv_put_u64(&w, type, flags, 1);
	put_le32(buf, (uint32_t)w.len);
	return carry_world_run(buf, 4 + w.len, 1, err);
}

int main(int argc, char **argv)
{
	struct err err = {0};

	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 1; i < argc; i++)
		taken(argv[i]);
	if (one_record(0x12ff, 0, &err)) /* of a newer engine */
		fail("an optional record that is unknown", &err);
	if (one_record(0x12ff, TLV_MANDATORY, &err) == 0 || !strstr(err.text, "type 4863"))
		fail("a mandatory record that is unknown was not refused by its number", &err);
	printf("%d states taken\n", argc - 1);
	return 0;
}
