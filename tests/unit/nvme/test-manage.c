/* SPDX-License-Identifier: Apache-2.0 */
/* What the control plane does to a target: namespaces, listeners, ANA, discovery, JSON. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "lab.h"
#include "nvme/control.h"

static const struct nvme_port_addr second_addr = {"TCP", "IPv6", "fd00::1", "4420"};

static void namespace_comes_and_goes_under_a_host(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	struct lab_dev *d = lab_dev_new("disk1", 512, 1 << 20);
	struct cmd *aer = aer_start(admin), *log;
	unsigned done = 0;
	struct err err;
	uint32_t v;

	assert_int_equal(set_feature(admin, NVME_FEAT_ASYNC_EVENT, NVME_AEN_NS_ATTRIBUTE, &v), 0);
	lab_add_ns(lab, lab->ss, d, 0);
	assert_int_equal(aer->done, 1);
	log = get_log(admin, NVME_LOG_CHANGED_NS, 4096, 0, 0);
	assert_int_equal(get_le32(log->data), 2);
	cmd_free(log);
	assert_int_equal(nvme_subsystem_remove_ns(lab->ss, 9, lab_done, &done, &err), -ENOENT);
	assert_int_equal(nvme_subsystem_remove_ns(lab->ss, 2, lab_done, &done, &err), 0);
	assert_int_equal(d->dev.claims, 1);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_int_equal(d->dev.claims, 0);
	d->dev.ops->destroy(&d->dev);
	cmd_free(aer);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

static void removal_waits_for_the_disk(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0),
		    *io = host_add_queue(admin, 1);
	struct cmd *read = cmd_new(io, NVME_IO_READ);
	unsigned done = 0;
	struct err err;

	lab->dev->hold = true;
	read->req.sqe.nsid = htole32(1);
	read->req.xfer_len = 4096;
	cmd_start(read);
	assert_int_equal(nvme_subsystem_remove_ns(lab->ss, 1, lab_done, &done, &err), 0);
	lab_pump(lab);
	assert_int_equal(done, 0);
	lab_dev_release(lab->dev);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_int_equal(read->status, 0);
	cmd_free(read);
	conn_drop(admin);
	conn_free(admin);
	conn_free(io);
	lab_free(lab);
}

static void bad_namespaces_are_refused_with_a_reason(void **state)
{
	struct lab *lab = lab_new();
	struct lab_dev *d = lab_dev_new("other0", 4096, 1 << 20); /* the UUID of disk0 */
	struct nvme_ns_opts opts = {.dev = &lab->dev->dev};
	struct err err;

	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), -EBUSY);
	opts.dev = &d->dev;
	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), -EEXIST);
	opts.nsid = 65;
	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), -EINVAL);
	opts.nsid = 1;
	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), -EEXIST);
	assert_int_equal(d->dev.claims, 0);
	d->dev.ops->destroy(&d->dev);
	lab_free(lab);
}

/* A reservation that was kept for one disk is not the next one's, when the first cannot be added. */
static void reservation_of_a_refused_namespace_is_nobodys(void **state)
{
	static const char text[] =
		"{\"type\": 2, \"ptpl\": true, \"holder\": \"00112233445566778899aabbccddeeff\", "
		"\"registrants\": [{\"hostid\": \"00112233445566778899aabbccddeeff\", "
		"\"key\": \"0x1\"}]}";
	struct lab *lab = lab_new();
	struct lab_dev *d = lab_dev_new("other0", 4096, 1 << 20);
	struct nvme_ns_opts opts = {.dev = &d->dev, .nsid = 2, .anagrpid = 65};
	json_t *resv = json_loads(text, 0, NULL);
	struct err err;

	d->dev.uuid.b[0] ^= 1; /* not the UUID of disk0 */
	assert_non_null(resv);
	assert_int_equal(nvme_subsystem_restore_resv(lab->ss, 2, resv, &err), 0);
	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), -EINVAL);
	opts.anagrpid = 0;
	assert_int_equal(nvme_subsystem_add_ns(lab->ss, &opts, NULL, NULL, NULL, &err), 0);
	lab_pump(lab);
	assert_int_equal(nvme_ns_find(lab->ss, 2)->resv.n, 0);
	assert_int_equal(nvme_ns_find(lab->ss, 2)->resv.type, NVME_RESV_NONE);
	json_decref(resv);
	lab_free(lab);
	d->dev.ops->destroy(&d->dev);
}

static void bad_subsystems_are_refused_with_a_reason(void **state)
{
	static const struct {
		struct nvme_subsystem_opts opts;
		int res;
	} cases[] = {
		{{.nqn = LAB_NQN}, -EEXIST},
		{{.nqn = NVME_DISCOVERY_NQN}, -EEXIST},
		{{.nqn = "volume"}, -EINVAL},
		{{.nqn = "nqn.2025-01.io.litepool:a b"}, -EINVAL},
		{{.nqn = "nqn.2025-01.io.litepool:a", .serial = "123456789012345678901"}, -EINVAL},
		{{.nqn = "nqn.2025-01.io.litepool:a", .max_namespaces = 1025}, -EINVAL},
		{{.nqn = "nqn.2025-01.io.litepool:a", .min_cntlid = 9, .max_cntlid = 8}, -EINVAL},
	};
	struct lab *lab = lab_new();
	struct nvme_subsystem *ss;
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		err.text[0] = 0;
		assert_int_equal(nvme_subsystem_new(lab->t, &cases[i].opts, &ss, &err),
				 cases[i].res);
		assert_true(strlen(err.text) > 10);
	}
	lab_free(lab);
}

static void ana_change_is_told_logged_and_counted(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	struct cmd *aer = aer_start(admin), *log;
	const struct nvme_log_ana *head;
	const struct nvme_log_ana_group *group;
	uint64_t before;
	unsigned done = 0;
	struct err err;
	uint32_t v;

	assert_int_equal(set_feature(admin, NVME_FEAT_ASYNC_EVENT, NVME_AEN_ANA, &v), 0);
	log = get_log(admin, NVME_LOG_ANA, 4096, 0, 0);
	head = (const void *)log->data;
	group = (const void *)(log->data + 16);
	before = le64toh(head->change_count);
	assert_int_equal(le16toh(head->n_groups), 1);
	assert_int_equal(group->state, NVME_ANA_OPTIMIZED);
	assert_int_equal(le32toh(group->n_nsids), 1);
	assert_int_equal(get_le32(log->data + 48), 1);
	cmd_free(log);
	assert_int_equal(nvme_subsystem_set_ana_state(lab->ss, lab->port, 0, NVME_ANA_INACCESSIBLE,
						      lab_done, &done, &err),
			 0);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_int_equal(aer->done, 1);
	log = get_log(admin, NVME_LOG_ANA, 4096, 0, NVME_LOG_ANA_RGO << 8);
	head = (const void *)log->data;
	group = (const void *)(log->data + 16);
	assert_int_equal(le64toh(head->change_count), before + 1);
	assert_int_equal(group->state, NVME_ANA_INACCESSIBLE);
	assert_int_equal(le32toh(group->n_nsids), 0); /* groups only */
	assert_int_equal(get_le32(log->data + 48), 0);
	cmd_free(log);
	assert_int_equal(nvme_subsystem_set_ana_state(lab->ss, lab->port, 99, NVME_ANA_OPTIMIZED,
						      NULL, NULL, &err),
			 -EINVAL);
	cmd_free(aer);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

static void listener_takes_its_hosts_with_it(void **state)
{
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	unsigned done = 0;
	struct err err;

	assert_int_equal(nvme_subsystem_remove_listener(lab->ss, lab->port, lab_done, &done, &err),
			 0);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_true(admin->gone);
	conn_free(admin);
	admin = conn_new(lab);
	assert_int_equal(cmd_finish(connect_new(admin, 0, NVME_CNTLID_DYNAMIC), NULL),
			 NVME_SC_CONNECT_INVALID_PARAM);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

static uint64_t log_u64(struct conn *conn, uint64_t offset)
{
	struct cmd *cmd = get_log(conn, NVME_LOG_DISCOVERY, 8, offset, 1u << 15);
	uint64_t v = get_le64(cmd->data);

	assert_int_equal(cmd->status, 0);
	cmd_free(cmd);
	return v;
}

static void discovery_shows_each_host_its_own(void **state)
{
	struct lab *lab = lab_new();
	struct conn *mine = host_connect(lab, NVME_DISCOVERY_NQN, LAB_HOST, 0);
	struct conn *other = host_connect(lab, NVME_DISCOVERY_NQN, LAB_OTHER_HOST, 0);
	struct cmd *log = get_log(mine, NVME_LOG_DISCOVERY, 3 * 1024, 0, 1u << 15);
	const struct nvme_log_discovery_entry *e = (const void *)(log->data + 1024);

	assert_int_equal(log_u64(mine, 8), 2);
	assert_int_equal(log_u64(other, 8), 1);
	assert_int_equal(e[0].subtype, NVME_SUBTYPE_DISCOVERY_CURRENT);
	assert_int_equal(e[1].subtype, NVME_SUBTYPE_NVM);
	assert_int_equal(e[1].trtype, NVME_TRTYPE_TCP);
	assert_int_equal(e[1].adrfam, NVME_ADRFAM_IPV4);
	assert_string_equal(e[1].subnqn, LAB_NQN);
	assert_memory_equal(e[1].traddr, "10.0.0.1  ", 10);
	assert_memory_equal(e[1].trsvcid, "4420  ", 6);
	assert_int_equal(e[1].traddr[255], ' ');
	assert_int_equal(e[1].trsvcid[31], ' ');
	assert_int_equal(le16toh(e[1].portid), 1);
	assert_int_equal(le16toh(e[1].cntlid), 0xffff);
	assert_int_equal(le16toh(e[1].asqsz), 128);
	assert_int_equal(e[1].treq, NVME_TREQ_SQFC_DISABLE);
	cmd_free(log);
	log = get_log(mine, NVME_LOG_SMART, 512, 0, 0);
	assert_int_equal(log->status, LAB_DNR(NVME_SC_INVALID_LOG_PAGE));
	cmd_free(log);
	conn_drop(mine);
	conn_drop(other);
	conn_free(mine);
	conn_free(other);
	lab_free(lab);
}

static void wildcard_listener_is_told_by_the_address_in_use(void **state)
{
	static const struct nvme_port_addr any = {"TCP", "IPv4", "0.0.0.0", "4420"};
	struct lab *lab = lab_new();
	struct nvme_port *port = nvme_port_get(lab->t, &any);
	struct conn *disc = host_connect(lab, NVME_DISCOVERY_NQN, LAB_HOST, 0);
	const struct nvme_log_discovery_entry *e;
	struct cmd *log;
	struct err err;

	assert_int_equal(nvme_subsystem_add_listener(lab->ss, port, NULL, NULL, &err), 0);
	(void)str_copy(disc->qp.local, sizeof(disc->qp.local), "192.0.2.7");
	log = get_log(disc, NVME_LOG_DISCOVERY, 4 * 1024, 0, 0);
	e = (const void *)(log->data + 1024);
	assert_memory_equal(e[1].traddr, "10.0.0.1 ", 9);
	assert_memory_equal(e[2].traddr, "192.0.2.7 ", 10);
	cmd_free(log);
	(void)str_copy(disc->qp.local, sizeof(disc->qp.local), "2001:db8::7");
	log = get_log(disc, NVME_LOG_DISCOVERY, 4 * 1024, 0, 0);
	e = (const void *)(log->data + 1024);
	assert_memory_equal(e[2].traddr, "0.0.0.0 ", 8);
	cmd_free(log);
	nvme_port_put(port);
	conn_drop(disc);
	conn_free(disc);
	lab_free(lab);
}

static void long_discovery_log_is_whole_over_many_reads(void **state)
{
	struct lab *lab = lab_new();
	struct conn *disc = host_connect(lab, NVME_DISCOVERY_NQN, LAB_HOST, 0);
	uint64_t gen, n, seen = 0;
	unsigned done = 0;
	char nqn[64];
	struct cmd *aer, *log;
	uint32_t v;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.2025-01.io.litepool:many%u", i);
		(void)lab_subsystem(lab, nqn, true);
	}
	gen = log_u64(disc, 0);
	n = log_u64(disc, 8);
	assert_int_equal(n, 102);
	for (uint64_t off = 1024; off < 1024 * (n + 1); off += 4096) {
		log = get_log(disc, NVME_LOG_DISCOVERY, 4096, off, 1u << 15);
		for (unsigned i = 0; i < 4; i++)
			seen += log->data[i * 1024 + 256] == 'n';
		cmd_free(log);
	}
	assert_int_equal(seen, n);
	assert_int_equal(log_u64(disc, 0), gen);
	assert_int_equal(set_feature(disc, NVME_FEAT_ASYNC_EVENT, NVME_AEN_DISCOVERY, &v), 0);
	aer = aer_start(disc);
	nvme_subsystem_delete(nvme_subsystem_find(lab->t, nqn), lab_done, &done);
	lab_pump(lab);
	assert_int_equal(done, 1);
	assert_int_equal(aer->dw0, 2 | 0xf0 << 8 | NVME_LOG_DISCOVERY << 16);
	assert_true(log_u64(disc, 0) > gen);
	assert_int_equal(log_u64(disc, 8), n - 1);
	cmd_free(aer);
	conn_drop(disc);
	conn_free(disc);
	lab_free(lab);
}

static void two_listeners_are_two_ports(void **state)
{
	struct lab *lab = lab_new();
	struct nvme_port *port = nvme_port_get(lab->t, &second_addr),
			 *again = nvme_port_get(lab->t, &second_addr);
	struct err err;
	json_t *json;

	assert_ptr_equal(port, again);
	nvme_port_put(again);
	assert_int_equal(nvme_subsystem_add_listener(lab->ss, port, NULL, NULL, &err), 0);
	assert_int_equal(nvme_subsystem_add_listener(lab->ss, port, NULL, NULL, &err), -EEXIST);
	assert_int_equal(nvme_subsystem_set_ana_state(lab->ss, port, 2, NVME_ANA_NON_OPTIMIZED,
						      NULL, NULL, &err),
			 0);
	lab_pump(lab);
	json = nvme_subsystem_listeners_json(lab->ss);
	assert_int_equal(json_array_size(json), 2);
	json_decref(json);
	nvme_port_put(port);
	lab_free(lab);
}

static void configuration_makes_the_same_target(void **state)
{
	static const char *const methods[] = {"nvmf_create_subsystem", "nvmf_subsystem_add_host",
					      "nvmf_subsystem_add_ns",
					      "nvmf_subsystem_add_listener"};
	struct lab *lab = lab_new();
	struct conn *admin = host_connect(lab, LAB_NQN, LAB_HOST, 0);
	json_t *config = nvme_target_config_json(lab->t), *list;

	assert_int_equal(json_array_size(config), ARRAY_LEN(methods));
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(config, i), "method")),
			methods[i]);
	json_decref(config);
	list = nvme_target_subsystems_json(lab->t, NULL);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	list = nvme_target_subsystems_json(lab->t, LAB_NQN);
	assert_int_equal(json_array_size(json_object_get(json_array_get(list, 0), "namespaces")),
			 1);
	json_decref(list);
	list = nvme_subsystem_controllers_json(lab->ss);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "hostnqn")),
			    LAB_HOST);
	json_decref(list);
	list = nvme_subsystem_qpairs_json(lab->ss);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	list = nvme_target_stats_json(lab->t);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	conn_drop(admin);
	conn_free(admin);
	lab_free(lab);
}

/* While a configuration is carried out hosts come back: none may find a path open that was closed. */
static void configuration_opens_no_path_that_was_closed(void **state)
{
	struct lab *lab = lab_new();
	struct nvme_port *port = nvme_port_get(lab->t, &second_addr);
	json_t *config, *last;
	struct err err;

	assert_int_equal(nvme_subsystem_add_listener_as(lab->ss, port, NVME_ANA_INACCESSIBLE, NULL,
							NULL, &err),
			 0);
	assert_int_equal(nvme_ana_state(lab->ss, port, 1), NVME_ANA_INACCESSIBLE);
	lab_pump(lab);
	config = nvme_target_config_json(lab->t);
	last = json_array_get(config, json_array_size(config) - 1);
	assert_string_equal(json_string_value(json_object_get(last, "method")),
			    "nvmf_subsystem_add_listener");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(last, "params"), "ana_state")),
		"inaccessible");
	json_decref(config);
	assert_int_equal(nvme_subsystem_set_ana_state(lab->ss, port, 1, NVME_ANA_OPTIMIZED, NULL,
						      NULL, &err),
			 0);
	lab_pump(lab);
	config = nvme_target_config_json(lab->t);
	last = json_array_get(config, json_array_size(config) - 2);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(last, "params"), "ana_state")),
		"inaccessible");
	last = json_array_get(config, json_array_size(config) - 1);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(last, "params"), "ana_state")),
		"optimized");
	json_decref(config);
	nvme_port_put(port);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespace_comes_and_goes_under_a_host),
		cmocka_unit_test(removal_waits_for_the_disk),
		cmocka_unit_test(bad_namespaces_are_refused_with_a_reason),
		cmocka_unit_test(reservation_of_a_refused_namespace_is_nobodys),
		cmocka_unit_test(bad_subsystems_are_refused_with_a_reason),
		cmocka_unit_test(ana_change_is_told_logged_and_counted),
		cmocka_unit_test(listener_takes_its_hosts_with_it),
		cmocka_unit_test(discovery_shows_each_host_its_own),
		cmocka_unit_test(wildcard_listener_is_told_by_the_address_in_use),
		cmocka_unit_test(long_discovery_log_is_whole_over_many_reads),
		cmocka_unit_test(two_listeners_are_two_ports),
		cmocka_unit_test(configuration_makes_the_same_target),
		cmocka_unit_test(configuration_opens_no_path_that_was_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
