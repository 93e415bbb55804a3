/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile controller may say to a queue. Each lie costs the connection and nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "one.h"

enum lie {
	LIE_CID_UNKNOWN,
	LIE_CID_HUGE,
	LIE_RESP_TWICE,
	LIE_DATA_FOR_WRITE,
	LIE_DATA_CID_UNKNOWN,
	LIE_DATA_TOO_LONG,
	LIE_DATA_OFFSET_AHEAD,
	LIE_DATA_OFFSET_HUGE,
	LIE_DATA_REPEATED,
	LIE_DATA_AFTER_LAST,
	LIE_SUCCESS_WITHOUT_LAST,
	LIE_DATA_FOR_FLUSH,
	LIE_R2T_FOR_READ,
	LIE_R2T_FOR_FLUSH,
	LIE_R2T_BEYOND,
	LIE_R2T_WRAPS,
	LIE_R2T_EMPTY,
	LIE_R2T_OUT_OF_ORDER,
	LIE_R2T_TWICE,
	LIE_R2T_IN_CAPSULE,
	LIE_SUCCESS_BEFORE_DATA,
	LIE_ICRESP_AGAIN,
	LIE_HOST_PDU,
	LIE_TYPE,
	LIE_HLEN,
	LIE_PLEN,
	LIES
};

struct liar {
	struct one o;
	uint16_t read, write, flush, small; /* command ids */
	uint8_t data[32768];
};

static void lie_data(struct liar *l, uint16_t cid, uint32_t off, uint32_t len, uint8_t flags)
{
	fake_c2h(
		l->o.c,
		&(struct pdu_data_fields){.cccid = cid, .datao = off, .datal = len, .flags = flags},
		l->data);
}

static void lie_raw(struct liar *l, uint8_t type, uint8_t hlen, uint32_t plen)
{
	uint8_t pdu[72] = {type, 0, hlen, 0};

	put_le32(pdu + 4, plen);
	fake_send(l->o.c, pdu, sizeof(pdu));
}

static void lie_tell(struct liar *l, enum lie lie)
{
	struct fake_conn *c = l->o.c;

	switch (lie) {
	case LIE_CID_UNKNOWN:
		return fake_resp(c, (uint16_t)(6 - l->read - l->write - l->flush - l->small + 4), 0,
				 0);
	case LIE_CID_HUGE:
		return fake_resp(c, 0xffff, 0, 0);
	case LIE_RESP_TWICE:
		fake_resp(c, l->flush, 0, 0);
		return fake_resp(c, l->flush, 0, 0);
	case LIE_DATA_FOR_WRITE:
		return lie_data(l, l->write, 0, 512, 0);
	case LIE_DATA_CID_UNKNOWN:
		return lie_data(l, 4711, 0, 512, 0);
	case LIE_DATA_TOO_LONG:
		return lie_data(l, l->read, 0, 4096 + 512, PDU_F_LAST);
	case LIE_DATA_OFFSET_AHEAD:
		return lie_data(l, l->read, 512, 512, 0);
	case LIE_DATA_OFFSET_HUGE:
		return lie_data(l, l->read, 0xfffffe00, 1024, 0);
	case LIE_DATA_REPEATED:
		lie_data(l, l->read, 0, 512, 0);
		return lie_data(l, l->read, 0, 512, 0);
	case LIE_DATA_AFTER_LAST:
		lie_data(l, l->read, 0, 512, PDU_F_LAST);
		return lie_data(l, l->read, 512, 512, 0);
	case LIE_SUCCESS_WITHOUT_LAST:
		return lie_data(l, l->read, 0, 4096, PDU_F_SUCCESS);
	case LIE_DATA_FOR_FLUSH:
		return lie_data(l, l->flush, 0, 512, 0);
	case LIE_R2T_FOR_READ:
		return fake_r2t(c, l->read, 0, 0, 512);
	case LIE_R2T_FOR_FLUSH:
		return fake_r2t(c, l->flush, 0, 0, 512);
	case LIE_R2T_BEYOND:
		return fake_r2t(c, l->write, 0, 0, sizeof(l->data) + 4);
	case LIE_R2T_WRAPS:
		return fake_r2t(c, l->write, 0, 0, 0xfffffffc);
	case LIE_R2T_EMPTY:
		return fake_r2t(c, l->write, 0, 0, 0);
	case LIE_R2T_OUT_OF_ORDER:
		return fake_r2t(c, l->write, 0, 4096, 4096);
	case LIE_R2T_TWICE: {
		struct pdu_format fmt = fake_format(c);
		uint8_t two[48];

		/* In one piece, so that the host sees both before it has sent anything. */
		(void)pdu_build_r2t(two, &fmt, l->write, 1, 0, sizeof(l->data));
		(void)pdu_build_r2t(two + 24, &fmt, l->write, 2, 0, 4096);
		return fake_send(c, two, sizeof(two));
	}
	case LIE_R2T_IN_CAPSULE:
		return fake_r2t(c, l->small, 0, 0, 512);
	case LIE_SUCCESS_BEFORE_DATA: {
		struct pdu_format fmt = fake_format(c);
		struct nvme_cqe cqe = {0};
		uint8_t two[48];

		put_le16(&cqe.cid, l->write);
		(void)pdu_build_r2t(two, &fmt, l->write, 1, 0, sizeof(l->data));
		(void)pdu_build_resp(two + 24, &fmt, &cqe);
		return fake_send(c, two, sizeof(two));
	}
	case LIE_ICRESP_AGAIN:
		return fake_icresp(c, 4096);
	case LIE_HOST_PDU:
		return lie_raw(l, PDU_CAPSULE_CMD, 72, 72);
	case LIE_TYPE:
		return lie_raw(l, 0x42, 24, 24);
	case LIE_HLEN:
		return lie_raw(l, PDU_CAPSULE_RESP, 16, 24);
	case LIE_PLEN:
		return lie_raw(l, PDU_CAPSULE_RESP, 24, 0xfffffff0);
	case LIES:
		break;
	}
}

static uint16_t last_cid(struct one *o)
{
	return get_le16(&o->c->pdu[o->c->n_pdus - 1].cmd.sqe.cid);
}

static void lie_once(enum lie lie, size_t split)
{
	struct liar *l = calloc(1, sizeof(*l));
	struct cmd *read = cmd_new(), *write = cmd_new(), *flush = cmd_new(), *small = cmd_new();
	struct cmd *all[] = {read, write, flush, small};
	/* A guard behind the read's buffer. */
	uint8_t buf[4096 + 4096], before[4096];

	one_ready(&l->o, false, false, 0);
	memset(buf, 0x77, sizeof(buf));
	memcpy(before, buf + 4096, sizeof(before));
	submit_rw(&l->o, read, false, buf, 4096);
	l->read = last_cid(&l->o);
	submit_rw(&l->o, write, true, l->data, sizeof(l->data));
	l->write = last_cid(&l->o);
	submit_rw(&l->o, small, true, l->data, 512);
	l->small = last_cid(&l->o);
	nvme_hostcmd_flush(&flush->cmd, 1);
	nvme_hostq_submit(l->o.q, &flush->cmd);
	run_until(l->o.f, l->o.c->n_pdus == 5);
	l->flush = last_cid(&l->o);

	l->o.f->split = split;
	lie_tell(l, lie);
	run_until(l->o.f, l->o.state < 0);
	assert_int_equal(l->o.state, -EPROTO);
	assert_memory_equal(buf + 4096, before, sizeof(before));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(all[i]->done, 1);
		if (all[i] != flush || lie != LIE_RESP_TWICE)
			assert_int_equal(all[i]->status, -ECONNRESET);
		free(all[i]);
	}
	one_free(&l->o);
	free(l);
}

static void every_lie_costs_the_connection_alone(void **state)
{
	for (int lie = 0; lie < LIES; lie++) {
		lie_once((enum lie)lie, 0);
		if (lie != LIE_R2T_TWICE && lie != LIE_SUCCESS_BEFORE_DATA)
			lie_once((enum lie)lie, 5);
	}
}

/* --- ICResp --- */

static void icresp_lie(size_t offset, uint8_t value, int expect)
{
	struct one o = one_begin();
	uint8_t head[128 + 4];

	one_open(&o, false, false, 0);
	(void)pdu_build_icresp(head, 0, 0, 4096);
	head[offset] = value;
	fake_send(o.c, head, 128);
	run_until(o.f, o.state <= 0);
	assert_int_equal(o.state, expect);
	one_free(&o);
}

static void bad_icresp_is_refused(void **state)
{
	icresp_lie(0, PDU_CAPSULE_RESP, -EPROTO); /* another PDU first */
	icresp_lie(offsetof(struct pdu_icresp, pfv), 1, -EPROTO);
	icresp_lie(offsetof(struct pdu_icresp, cpda), 32, -EPROTO);
	icresp_lie(offsetof(struct pdu_icresp, maxh2cdata) + 1, 0, -EPROTO); /* 0 bytes */
	icresp_lie(offsetof(struct pdu_icresp, maxh2cdata), 2, -EPROTO); /* not a multiple of 4 */
	icresp_lie(offsetof(struct pdu_icresp, dgst), PDU_DGST_DATA, -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_lie_costs_the_connection_alone),
		cmocka_unit_test(bad_icresp_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
