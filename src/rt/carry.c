/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a state that is handed over, see carry.h. */
#include "rt/carry.h"

#include <errno.h>
#include <unistd.h>

void carry_out_init(struct carry_out *out, void *buf, size_t size, int *fds, unsigned fds_max,
		    const char *version)
{
	*out = (struct carry_out){.fds = fds, .fds_max = fds_max};
	tlv_writer_fixed(&out->w, buf, size);
	tlv_blob_begin(&out->w, version);
}

void carry_out_fd(struct carry_out *out, uint16_t type, uint16_t flags, int fd)
{
	if (out->n_fds == out->fds_max) {
		if (!out->w.error)
			out->w.error = -ENOSPC;
		return;
	}
	tlv_put_u64(&out->w, type, flags, out->n_fds);
	out->fds[out->n_fds++] = fd;
}

int carry_out_end(struct carry_out *out, size_t *ret_len)
{
	int rc = tlv_blob_end(&out->w);

	if (rc == 0)
		*ret_len = out->w.len;
	return rc;
}

int carry_in_init(struct carry_in *in, const void *buf, size_t len, int *fds, unsigned n_fds,
		  struct err *err)
{
	int rc;

	*in = (struct carry_in){.fds = fds, .n_fds = n_fds};
	rc = tlv_blob_open(buf, len, &in->blob, &in->r, err);
	if (rc < 0)
		carry_in_fini(in);
	return rc;
}

int carry_in_fd(struct carry_in *in, const struct tlv *rec, int *ret_fd, struct err *err)
{
	uint32_t i;
	int rc = tlv_get_u32(rec, UINT32_MAX, &i, err);

	if (rc < 0)
		return rc;
	if (i >= in->n_fds || in->fds[i] < 0)
		return err_set(err, -EBADMSG,
			       "record %u names descriptor %u, which did not come or is taken",
			       rec->type, i);
	*ret_fd = in->fds[i];
	in->fds[i] = -1;
	return 0;
}

void carry_in_fini(struct carry_in *in)
{
	for (unsigned i = 0; i < in->n_fds; i++) {
		if (in->fds[i] >= 0 && in->close_fd)
			in->close_fd(in->close_ctx, in->fds[i]);
		else if (in->fds[i] >= 0)
			(void)close(in->fds[i]);
		in->fds[i] = -1;
	}
	in->n_fds = 0;
}
