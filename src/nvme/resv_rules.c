/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: what each command does to the state, and what the state does to other commands.
 *
 * Invariants of struct resv, checked after each change:
 *  1. Without a reservation holder is -1. With types 1 to 4 holder names a registrant. With types 5 and 6 holder is -1 and every
 *     registrant holds; there is at least one.
 *  2. No host is registered twice.
 */
#include "nvme/resv.h"

#include <string.h>

#include "base/check.h"

#define DNR NVME_STATUS_DNR

static bool of_all(unsigned type)
{
	return type == NVME_RESV_WRITE_EXCL_ALL || type == NVME_RESV_EXCL_ACCESS_ALL;
}

/* Types that let every registrant in: when such a reservation goes, the registrants are told. */
static bool of_registrants(unsigned type)
{
	return type >= NVME_RESV_WRITE_EXCL_REG;
}

static bool excludes_reads(unsigned type)
{
	return type == NVME_RESV_EXCL_ACCESS || type == NVME_RESV_EXCL_ACCESS_REG ||
	       type == NVME_RESV_EXCL_ACCESS_ALL;
}

int resv_find(const struct resv *r, const uint8_t hostid[16])
{
	for (unsigned i = 0; i < r->n; i++) {
		if (memcmp(r->reg[i].hostid, hostid, 16) == 0)
			return (int)i;
	}
	return -1;
}

bool resv_holds(const struct resv *r, int i)
{
	if (i < 0 || r->type == NVME_RESV_NONE)
		return false;
	return of_all(r->type) || r->holder == i;
}

static void check_state(const struct resv *r)
{
	ASSERT(r->n <= RESV_HOSTS_MAX);
	if (r->type == NVME_RESV_NONE)
		ASSERT(r->holder == -1);
	else if (of_all(r->type))
		ASSERT(r->holder == -1 && r->n > 0);
	else
		ASSERT(r->holder >= 0 && (unsigned)r->holder < r->n);
}

static void note(struct resv_notes *notes, const uint8_t hostid[16], enum resv_note type)
{
	ASSERT(notes->n < RESV_HOSTS_MAX);
	memcpy(notes->note[notes->n].hostid, hostid, 16);
	notes->note[notes->n++].type = (uint8_t)type;
}

/* Tells every registrant but the one that commanded. */
static void note_others(const struct resv *r, const struct resv_cmd *cmd, struct resv_notes *notes,
			enum resv_note type)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (memcmp(r->reg[i].hostid, cmd->hostid, 16) != 0)
			note(notes, r->reg[i].hostid, type);
	}
}

static void drop_reservation(struct resv *r)
{
	r->type = NVME_RESV_NONE;
	r->holder = -1;
}

static void take_reservation(struct resv *r, int me, uint8_t type)
{
	r->type = type;
	r->holder = of_all(type) ? -1 : me;
}

/* Order is kept; indexes behind i move by one, the holder's too. A holder must have been dropped before. */
static void remove_registrant(struct resv *r, int i)
{
	const unsigned rest = r->n - (unsigned)i - 1;

	ASSERT(r->holder != i);
	memmove(&r->reg[i], &r->reg[i + 1], rest * sizeof(r->reg[0]));
	r->n--;
	if (r->holder > i)
		r->holder--;
}

static uint16_t add_registrant(struct resv *r, const struct resv_cmd *cmd)
{
	if (r->n == RESV_HOSTS_MAX)
		return NVME_SC_INTERNAL | DNR; /* Identify cannot tell a limit; 64 hosts is ours */
	memcpy(r->reg[r->n].hostid, cmd->hostid, 16);
	r->reg[r->n++].key = cmd->other_key;
	return NVME_SC_SUCCESS;
}

static uint16_t do_register(struct resv *r, const struct resv_cmd *cmd, int me)
{
	if (me < 0)
		return add_registrant(r, cmd);
	return r->reg[me].key == cmd->other_key ? NVME_SC_SUCCESS
						: NVME_SC_RESERVATION_CONFLICT | DNR;
}

static uint16_t do_unregister(struct resv *r, const struct resv_cmd *cmd, int me,
			      struct resv_notes *notes)
{
	const unsigned type = r->type;

	if (me < 0 || (!cmd->ignore_key && r->reg[me].key != cmd->key))
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	if (r->holder == me || (of_all(type) && r->n == 1)) {
		drop_reservation(r);
		if (of_registrants(type))
			note_others(r, cmd, notes, RESV_NOTE_RELEASED);
	}
	remove_registrant(r, me);
	return NVME_SC_SUCCESS;
}

static uint16_t do_replace(struct resv *r, const struct resv_cmd *cmd, int me)
{
	if (me < 0)
		return cmd->ignore_key ? add_registrant(r, cmd)
				       : NVME_SC_RESERVATION_CONFLICT | DNR;
	if (!cmd->ignore_key && r->reg[me].key != cmd->key)
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	r->reg[me].key = cmd->other_key;
	return NVME_SC_SUCCESS;
}

static uint16_t do_acquire(struct resv *r, const struct resv_cmd *cmd, int me)
{
	if (r->type == NVME_RESV_NONE)
		take_reservation(r, me, cmd->type);
	else if (!resv_holds(r, me) || r->type != cmd->type)
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	return NVME_SC_SUCCESS;
}

/* Everybody's registration with that key goes, but never that of the host that commands. Returns how many went. */
static unsigned preempt_registrants(struct resv *r, const struct resv_cmd *cmd, bool any_key,
				    struct resv_notes *notes)
{
	unsigned gone = 0;

	for (int i = (int)r->n - 1; i >= 0; i--) {
		if (memcmp(r->reg[i].hostid, cmd->hostid, 16) == 0)
			continue;
		if (!any_key && r->reg[i].key != cmd->other_key)
			continue;
		note(notes, r->reg[i].hostid, RESV_NOTE_REGISTRATION_PREEMPTED);
		remove_registrant(r, i);
		gone++;
	}
	return gone;
}

/* The reservation changes hands, or its type. */
static void preempt_reservation(struct resv *r, const struct resv_cmd *cmd, bool any_key,
				struct resv_notes *notes)
{
	const unsigned old_type = r->type;

	drop_reservation(r);
	(void)preempt_registrants(r, cmd, any_key, notes);
	take_reservation(r, resv_find(r, cmd->hostid), cmd->type);
	if (of_registrants(old_type) && old_type != cmd->type)
		note_others(r, cmd, notes, RESV_NOTE_RELEASED);
}

static uint16_t do_preempt(struct resv *r, const struct resv_cmd *cmd, int me,
			   struct resv_notes *notes)
{
	const bool self = r->reg[me].key == cmd->other_key;

	if (of_all(r->type) && cmd->other_key == 0) {
		preempt_reservation(r, cmd, true, notes);
		return NVME_SC_SUCCESS;
	}
	if (r->holder >= 0 && r->reg[r->holder].key == cmd->other_key) {
		preempt_reservation(r, cmd, false, notes);
		return NVME_SC_SUCCESS;
	}
	/* A reservation stays as it is; registrations go. */
	if (r->holder >= 0 && cmd->other_key == 0)
		return NVME_SC_INVALID_FIELD | DNR;
	if (!preempt_registrants(r, cmd, false, notes) && !self)
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	return NVME_SC_SUCCESS;
}

static uint16_t do_release(struct resv *r, const struct resv_cmd *cmd, int me,
			   struct resv_notes *notes)
{
	const unsigned type = r->type;

	if (!resv_holds(r, me))
		return NVME_SC_SUCCESS; /* nothing of this host's to release */
	if (type != cmd->type)
		return NVME_SC_INVALID_FIELD | DNR;
	drop_reservation(r);
	if (of_registrants(type))
		note_others(r, cmd, notes, RESV_NOTE_RELEASED);
	return NVME_SC_SUCCESS;
}

static uint16_t do_clear(struct resv *r, const struct resv_cmd *cmd, struct resv_notes *notes)
{
	note_others(r, cmd, notes, RESV_NOTE_PREEMPTED);
	drop_reservation(r);
	r->n = 0;
	return NVME_SC_SUCCESS;
}

static uint16_t apply_action(struct resv *r, const struct resv_cmd *cmd, struct resv_notes *notes)
{
	const int me = resv_find(r, cmd->hostid);

	switch (cmd->action) {
	case RESV_REGISTER:
		return do_register(r, cmd, me);
	case RESV_UNREGISTER:
		return do_unregister(r, cmd, me, notes);
	case RESV_REPLACE:
		return do_replace(r, cmd, me);
	case RESV_ACQUIRE:
	case RESV_PREEMPT:
	case RESV_RELEASE:
	case RESV_CLEAR:
		break;
	}
	if (me < 0 || r->reg[me].key != cmd->key)
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	switch (cmd->action) {
	case RESV_ACQUIRE:
		return do_acquire(r, cmd, me);
	case RESV_PREEMPT:
		return do_preempt(r, cmd, me, notes);
	case RESV_RELEASE:
		return do_release(r, cmd, me, notes);
	case RESV_CLEAR:
		return do_clear(r, cmd, notes);
	case RESV_REGISTER:
	case RESV_UNREGISTER:
	case RESV_REPLACE:
		break;
	}
	UNREACHABLE();
}

uint16_t resv_apply(struct resv *r, const struct resv_cmd *cmd, struct resv_notes *notes)
{
	notes->n = 0;
	if (r->type == NVME_RESV_NONE)
		r->holder = -1; /* fresh memory says 0 */
	check_state(r);

	const uint16_t status = apply_action(r, cmd, notes);

	if (status)
		return status;
	if (cmd->cptpl != RESV_CPTPL_KEEP)
		r->ptpl = cmd->cptpl == RESV_CPTPL_SET;
	if (cmd->action != RESV_ACQUIRE && cmd->action != RESV_RELEASE)
		r->generation++;
	check_state(r);
	return NVME_SC_SUCCESS;
}

void nvme_resv_to_view(const struct resv *resv, struct resv_view *view)
{
	memset(view, 0, sizeof(*view));
	view->type = (uint8_t)resv->type;
	view->n_hosts = (uint8_t)resv->n;
	view->holder = (int8_t)(resv->type == NVME_RESV_NONE ? -1 : resv->holder);
	for (unsigned i = 0; i < resv->n; i++)
		memcpy(view->host[i], resv->reg[i].hostid, 16);
}

static bool in_view(const struct resv_view *resv, const uint8_t hostid[16])
{
	for (unsigned i = 0; i < resv->n_hosts; i++) {
		if (memcmp(resv->host[i], hostid, 16) == 0)
			return true;
	}
	return false;
}

bool nvme_resv_conflict(const struct resv_view *resv, const uint8_t hostid[16], bool write,
			bool read)
{
	if (resv->type == NVME_RESV_NONE)
		return false;
	if (!write && !(read && excludes_reads(resv->type)))
		return false;
	if (of_registrants(resv->type))
		return !in_view(resv, hostid);
	return memcmp(resv->host[resv->holder], hostid, 16) != 0;
}
