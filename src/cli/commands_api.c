/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on objects of the API, and of the whole system. Columns are in nouns.c. */
#include "cli/api.h"

#define ARGS(...)                                                                                  \
	(const struct cli_arg[])                                                                   \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			.name = NULL                                                               \
		}                                                                                  \
	}

#define API             .offline = true, .api = true

#define ARG_NAME(what)  {"NAME", CLI_TEXT, NULL, "name of the " what, false}
#define ARG_NEW(what)   {"NAME", CLI_TEXT, "metadata.name", "name of the new " what, false}
#define ARG_LABELS_NEW  {"labels", CLI_LIST, NULL, "KEY=VALUE,...", false}
#define ARG_WAIT(until) {"wait", CLI_FLAG, NULL, "end when it " until, false}
#define ARG_IMPACT      {"show-impact", CLI_FLAG, NULL, "only say what would happen", false}
#define ARG_ACCEPT                                                                                 \
	{"accept-volume-loss", CLI_TEXT, NULL, "NAME again: consent to the loss of what it holds", \
	 false}

#define LIST(noun)                                                                                 \
	{.words = noun " list",                                                                    \
	 .summary = "Lists " noun "s.",                                                            \
	 .example = "litepool " noun " list -o wide --watch",                                      \
	 .args = ARGS({"selector", CLI_TEXT, NULL, "only those with these labels, KEY=VALUE,...",  \
		       false},                                                                     \
		      {"field-selector", CLI_TEXT, NULL,                                           \
		       "only those with these members, such as metadata.name=a", false},           \
		      {"watch", CLI_FLAG, NULL, "then each change, until interrupted", false}),    \
	 .run = cli_cmd_object_list,                                                               \
	 API}
#define SHOW(noun)                                                                                 \
	{.words = noun " show",                                                                    \
	 .summary = "Shows one " noun ": what is wanted, what is, conditions and events.",         \
	 .example = "litepool " noun " show a",                                                    \
	 .args = ARGS(ARG_NAME(noun)),                                                             \
	 .run = cli_cmd_object_show,                                                               \
	 API}
#define LABEL(noun)                                                                                \
	{.words = noun " label",                                                                   \
	 .summary = "Sets labels of a " noun ", or takes them away.",                              \
	 .example = "litepool " noun " label a tier=fast,old-",                                    \
	 .args = ARGS(ARG_NAME(noun), {"LABELS", CLI_LIST, NULL,                                   \
				       "KEY=VALUE sets, KEY- takes away; with commas", false}),    \
	 .run = cli_cmd_object_label,                                                              \
	 API}
#define DELETE(noun, what)                                                                         \
	{.words = noun " delete",                                                                  \
	 .summary = what,                                                                          \
	 .example = "litepool " noun " delete a --show-impact",                                    \
	 .args = ARGS(ARG_NAME(noun), ARG_IMPACT, ARG_ACCEPT, ARG_WAIT("is gone")),                \
	 .run = cli_cmd_object_delete,                                                             \
	 API}
#define MAINTAIN(noun, verb, what)                                                                 \
	{.words = noun " " verb,                                                                   \
	 .summary = what,                                                                          \
	 .example = "litepool " noun " " verb " a",                                                \
	 .args = ARGS(ARG_NAME(noun), ARG_IMPACT),                                                 \
	 .run = cli_cmd_maintenance,                                                               \
	 API}
#define DRAIN(noun, what)                                                                          \
	{.words = noun " drain",                                                                   \
	 .summary = what,                                                                          \
	 .example = "litepool " noun " drain a --wait --timeout 3600",                             \
	 .args = ARGS(ARG_NAME(noun), ARG_IMPACT, ARG_WAIT("holds no volumes any more")),          \
	 .run = cli_cmd_maintenance,                                                               \
	 API}

#define ARGS_QOS                                                                                   \
	{"iops", CLI_U64, "spec.qos.iops", "reads and writes per second; 0: no limit", false},     \
		{"bytes", CLI_SIZE, "spec.qos.bytesPerSecond", "per second, both ways", false},    \
		{"read-bytes", CLI_SIZE, "spec.qos.readBytesPerSecond", "read per second", false}, \
	{                                                                                          \
		"write-bytes", CLI_SIZE, "spec.qos.writeBytesPerSecond", "written per second",     \
			false                                                                      \
	}

#define ARG_DIR                                                                                    \
	{"no-systemd", CLI_FILE, NULL, "plain processes, all under this folder, instead of units", \
	 false}

const struct cli_cmd cli_api_commands[] = {
	{.words = "up",
	 .summary = "Starts LitePool on this machine: API, controller, engine, agent, and a pool.",
	 .example = "litepool up --file 20G",
	 .args = ARGS(
		 {"file", CLI_SIZE, NULL, "make a pool of a file of this size", false},
		 {"device", CLI_TEXT, NULL,
		  "or of a disk, its name under /dev/disk/by-id; see: litepool preflight", false},
		 {"pool", CLI_TEXT, NULL, "name of the pool [NODE-file or NODE-disk]", false},
		 {"node", CLI_TEXT, NULL, "name of this node [the host's]", false},
		 {"addresses", CLI_TEXT, NULL,
		  "where volumes can be reached, with commas [as the agent finds them; without "
		  "systemd 127.0.0.1]",
		  false},
		 {"port", CLI_TEXT, NULL,
		  "of the volumes [4420; without systemd the kernel chooses]", false},
		 ARG_DIR,
		 {"foreground", CLI_FLAG, NULL,
		  "with --no-systemd: stay, start again what ends, end all at Ctrl-C", false}),
	 .run = cli_cmd_up,
	 API},
	{.words = "down",
	 .summary = "Ends what up has started; state and data stay.",
	 .example = "litepool down",
	 .args = ARGS(ARG_DIR, {"force", CLI_FLAG, NULL,
				"also while volumes are attached: their I/O waits", false}),
	 .run = cli_cmd_down,
	 API},
	{.words = "status",
	 .summary = "Shows whether LitePool runs on this machine; status 1 when not all does.",
	 .example = "litepool status",
	 .args = ARGS(ARG_DIR),
	 .run = cli_cmd_up_status,
	 API},
	LIST("node"),
	SHOW("node"),
	{.words = "node set",
	 .summary = "Sets where a node is and how it is reached.",
	 .example = "litepool node set node-1 --rack r7 --addresses 192.0.2.1",
	 .args = ARGS(ARG_NAME("node"),
		      {"addresses", CLI_LIST, "spec.addresses", "where its targets listen", false},
		      {"rack", CLI_TEXT, "spec.topology.rack", "its rack", false},
		      {"access-point", CLI_TEXT, "spec.topology.accessPoint", "its switch", false},
		      {"zone", CLI_TEXT, "spec.topology.zone", "its zone", false},
		      {"max-attached", CLI_U64, "spec.maxAttachedVolumes",
		       "volumes that it may have attached", false}),
	 .run = cli_cmd_object_set,
	 API},
	LABEL("node"),
	MAINTAIN("node", "cordon", "Lets no new volumes onto the pools of a node."),
	MAINTAIN("node", "uncordon", "Lets new volumes onto the pools of a node again."),
	DRAIN("node", "Has all volumes leave the pools of a node."),
	DELETE("node", "Deletes a node that does not come back, with its pools."),
	LIST("pool"),
	SHOW("pool"),
	{.words = "pool create",
	 .summary = "Makes a pool of a free disk or of a file on a node.",
	 .example = "litepool pool create fast-1 --node node-1 --device "
		    "nvme-eui.0025385b71b0a1c2 --wait",
	 .args = ARGS(
		 ARG_NEW("pool"),
		 {"node", CLI_TEXT, "spec.nodeName", "the node that has the disk", false},
		 {"device", CLI_TEXT, "spec.device.id",
		  "its name under /dev/disk/by-id; see: litepool preflight", false},
		 {"file", CLI_TEXT, "spec.device.file", "or a file there, absolute", false},
		 {"size", CLI_SIZE, "spec.size", "of a file that is made", false},
		 {"engine", CLI_TEXT, "spec.engine", "native or lvm [native]", false},
		 {"commit-limit", CLI_U64, "spec.commitLimitPercent",
		  "promise at most so many percent of the space [100]", false},
		 {"warn", CLI_U64, "spec.watermarks.warnPercent", "warn when so full [80]", false},
		 {"full", CLI_U64, "spec.watermarks.fullPercent", "full when so full [95]", false},
		 ARG_LABELS_NEW, ARG_WAIT("is healthy")),
	 .run = cli_cmd_object_create,
	 API},
	{.words = "pool set",
	 .summary = "Sets limits of a pool.",
	 .example = "litepool pool set fast-1 --commit-limit 150",
	 .args = ARGS(ARG_NAME("pool"),
		      {"commit-limit", CLI_U64, "spec.commitLimitPercent",
		       "promise at most so many percent of the space", false},
		      {"warn", CLI_U64, "spec.watermarks.warnPercent", "warn when so full", false},
		      {"full", CLI_U64, "spec.watermarks.fullPercent", "full when so full", false}),
	 .run = cli_cmd_object_set,
	 API},
	{.words = "pool expand",
	 .summary = "Makes the file of a pool larger.",
	 .example = "litepool pool expand fast-1 200G",
	 .args = ARGS(ARG_NAME("pool"),
		      {"SIZE", CLI_SIZE, "spec.size", "the whole new size", false}),
	 .run = cli_cmd_object_expand,
	 API},
	{.words = "pool move",
	 .summary = "Says that the disk of a pool is in another node now.",
	 .example = "litepool pool move fast-1 node-2",
	 .args = ARGS(ARG_NAME("pool"),
		      {"NODE", CLI_TEXT, "spec.nodeName", "the node that has the disk now", false}),
	 .run = cli_cmd_object_set,
	 API},
	LABEL("pool"),
	MAINTAIN("pool", "cordon", "Lets no new volumes onto a pool."),
	MAINTAIN("pool", "uncordon", "Lets new volumes onto a pool again."),
	DRAIN("pool", "Has all volumes leave a pool."),
	DELETE("pool", "Deletes a pool; what it holds is lost."),
	LIST("volume"),
	SHOW("volume"),
	{.words = "volume create",
	 .summary = "Makes a volume, empty or out of a snapshot or another volume.",
	 .example = "litepool volume create db-0 10G --wait",
	 .args = ARGS(
		 ARG_NEW("volume"), {"SIZE", CLI_SIZE, "spec.size", "such as 10G", false},
		 {"from-snapshot", CLI_TEXT, "spec.source.snapshotName",
		  "with the data of a snapshot", false},
		 {"from-volume", CLI_TEXT, "spec.source.volumeName",
		  "with the data that a volume has now", false},
		 {"thick", CLI_FLAG, NULL, "take all of its space at once", false},
		 {"engine", CLI_TEXT, "spec.engine", "native or lvm [native]", false},
		 {"node", CLI_TEXT, "spec.nodeName", "the node that will use it", false},
		 {"position", CLI_TEXT, "spec.position",
		  "relative to --node: Any, PreferLocal, PreferRemote, MustLocal, MustRemote [Any]",
		  false},
		 {"node-selector", CLI_LIST, NULL, "on nodes with these labels, KEY=VALUE,...",
		  false},
		 {"pool-selector", CLI_LIST, NULL, "on pools with these labels, KEY=VALUE,...",
		  false},
		 {"anti-affinity", CLI_TEXT, "spec.antiAffinityGroup",
		  "not together with others of this group", false},
		 {"reservation", CLI_TEXT, "spec.reservationName",
		  "take the space out of this reservation", false},
		 {"allow", CLI_LIST, "spec.allowedNodes", "nodes that may attach it [any]", false},
		 ARGS_QOS, ARG_LABELS_NEW, ARG_WAIT("is ready")),
	 .run = cli_cmd_object_create,
	 API},
	{.words = "volume expand",
	 .summary = "Makes a volume larger, while it is in use.",
	 .example = "litepool volume expand db-0 20G --wait",
	 .args = ARGS(ARG_NAME("volume"),
		      {"SIZE", CLI_SIZE, "spec.size", "the whole new size", false},
		      ARG_WAIT("has that size")),
	 .run = cli_cmd_object_expand,
	 API},
	{.words = "volume set",
	 .summary = "Sets limits of a volume and who may attach it, at once.",
	 .example = "litepool volume set db-0 --iops 10000 --bytes 200M",
	 .args = ARGS(ARG_NAME("volume"), ARGS_QOS,
		      {"allow", CLI_LIST, "spec.allowedNodes", "nodes that may attach it", false}),
	 .run = cli_cmd_object_set,
	 API},
	LABEL("volume"),
	DELETE("volume", "Deletes a volume and its data."),
	LIST("snapshot"),
	SHOW("snapshot"),
	{.words = "snapshot create",
	 .summary = "Keeps what a volume holds at this moment.",
	 .example = "litepool snapshot create db-0-monday db-0 --wait",
	 .args = ARGS(ARG_NEW("snapshot"),
		      {"VOLUME", CLI_TEXT, "spec.volumeName", "of this volume", false},
		      ARG_LABELS_NEW, ARG_WAIT("is cut")),
	 .run = cli_cmd_object_create,
	 API},
	LABEL("snapshot"),
	DELETE("snapshot", "Deletes a snapshot; volumes made of it stay."),
	LIST("reservation"),
	SHOW("reservation"),
	{.words = "reservation create",
	 .summary = "Sets space aside for volumes that name it.",
	 .example = "litepool reservation create friday 500G --node node-1",
	 .args = ARGS(ARG_NEW("reservation"),
		      {"SIZE", CLI_SIZE, "spec.size", "such as 500G", false},
		      {"pool", CLI_TEXT, "spec.poolName", "on this pool", false},
		      {"node", CLI_TEXT, "spec.nodeName", "or on this node", false},
		      {"pool-selector", CLI_LIST, NULL,
		       "or on a pool with these labels, KEY=VALUE,...", false},
		      {"expires", CLI_TEXT, "spec.expirationTime", "such as 2026-12-31T23:59:59Z",
		       false},
		      ARG_WAIT("is made")),
	 .run = cli_cmd_object_create,
	 API},
	DELETE("reservation", "Gives reserved space free."),
	{.words = "attach",
	 .summary = "Lets this machine use a volume; prints the device.",
	 .example = "litepool attach db-0",
	 .args = ARGS({"VOLUME", CLI_TEXT, NULL, "name of the volume", false},
		      {"node", CLI_TEXT, NULL, "for this node instead of the one of this machine",
		       false},
		      {"move", CLI_FLAG, NULL,
		       "take it from where it is attached: I/O there is cut", false},
		      {"shared", CLI_FLAG, NULL,
		       "let the others go on, too: for cluster file systems", false},
		      {"no-device", CLI_FLAG, NULL, "only allow it, connect nothing", false}),
	 .run = cli_cmd_attach,
	 API},
	{.words = "detach",
	 .summary = "Disconnects this machine from a volume, and lets it use it no more.",
	 .example = "litepool detach db-0",
	 .args = ARGS({"VOLUME", CLI_TEXT, NULL, "name of the volume", false},
		      {"node", CLI_TEXT, NULL,
		       "from this node instead of the one of this machine: its I/O is cut", false}),
	 .run = cli_cmd_detach,
	 API},
	{.words = "events",
	 .summary = "Shows what happened, the latest last.",
	 .example = "litepool events --for volume/db-0",
	 .args = ARGS({"for", CLI_TEXT, NULL, "only of this object, such as volume/db-0", false},
		      {"warnings", CLI_FLAG, NULL, "only warnings", false},
		      {"watch", CLI_FLAG, NULL, "then each new one, until interrupted", false}),
	 .run = cli_cmd_events,
	 API},
	{.words = "top",
	 .summary = "Shows nodes, pools and the fullest volumes, again and again.",
	 .example = "litepool top",
	 .args = ARGS(
		 {"batch", CLI_FLAG, NULL, "do not clear the screen; once unless --count", false},
		 {"count", CLI_U64, NULL, "so many times", false},
		 {"interval", CLI_U64, NULL, "seconds between [2]", false}),
	 .run = cli_cmd_top,
	 API},
	{.words = "dump",
	 .summary = "Writes one file for support: objects, events, versions, the engine here; no "
		    "secrets.",
	 .example = "litepool dump litepool-dump.json",
	 .args = ARGS({"FILE", CLI_FILE, NULL, "the file, which must not exist", false},
		      {"log", CLI_LIST, NULL, "log files to put in, their last 1 MiB", false}),
	 .run = cli_cmd_dump,
	 API},
	{.words = NULL},
};
