/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every USDT probe of the project, named once. With <sys/sdt.h> each is one nop and an ELF note; list
 * them with: perf list sdt, bpftrace -l 'usdt:./litepool-engine:*'. Arguments are plain integers.
 */
#ifndef LITEPOOL_BASE_PROBES_H
#define LITEPOOL_BASE_PROBES_H

#include "config.h"

#if HAVE_SDT
#include <sys/sdt.h>
#define PROBE2(name, a, b)       DTRACE_PROBE2(litepool, name, a, b)
#define PROBE3(name, a, b, c)    DTRACE_PROBE3(litepool, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(litepool, name, a, b, c, d)
#else
#define PROBE2(name, a, b)       ((void)(a), (void)(b))
#define PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

/* An NVMe command entered state. req is an address that names it until it is released. */
#define probe_req_state(req, opcode, state)       PROBE3(req_state, (uintptr_t)(req), opcode, state)
#define probe_req_complete(req, cid, status)      PROBE3(req_complete, (uintptr_t)(req), cid, status)
#define probe_qpair_connect(cntlid, qid, reactor) PROBE3(qpair_connect, cntlid, qid, reactor)
#define probe_qpair_close(cntlid, qid)            PROBE2(qpair_close, cntlid, qid)
#define probe_blk_submit(io, op, offset, length)                                                   \
	PROBE4(blk_submit, (uintptr_t)(io), op, offset, length)
#define probe_blk_complete(io, op, result) PROBE3(blk_complete, (uintptr_t)(io), op, result)
#define probe_reactor_sleep(id, wait_ns)   PROBE2(reactor_sleep, id, wait_ns)
#define probe_reactor_wake(id, slept_ns)   PROBE2(reactor_wake, id, slept_ns)

#endif
