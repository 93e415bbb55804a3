#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""interop.py ECHO-SERVE: gRPC's own client (python3-grpcio) against src/grpc, under valgrind with WITH_VALGRIND=1. TAP; skipped without that client."""
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

try:
    import grpc
except ImportError:
    print("1..0 # SKIP python3-grpcio is not installed")
    sys.exit(0)


# make valgrind-grpc: an error or a leak is the server's exit status, which is looked at in the end.
WRAP = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=all", "--error-exitcode=99"] if os.environ.get("WITH_VALGRIND") else []


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def request(text="", count=0, code=0, size=0):
    raw = text.encode()
    out = b"\x0a" + varint(len(raw)) + raw if raw else b""
    for field, value in ((0x10, count), (0x18, code), (0x20, size)):
        if value:
            out += bytes([field]) + varint(value)
    return out


def text_of(answer):
    return answer[2:2 + answer[1]].decode() if answer[:1] == b"\x0a" else ""


class Rig:
    def __init__(self, binary):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "s")
        self.proc = subprocess.Popen([*WRAP, binary, self.path], stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b"ready\n"
        self.channel = self.new_channel()

    def new_channel(self, options=()):
        return grpc.insecure_channel("unix://" + self.path, options=[("grpc.max_receive_message_length", -1), *options])

    def call(self, method, channel=None):
        return (channel or self.channel).unary_unary("/echo.Echo/" + method)

    def stream(self, method):
        return self.channel.unary_stream("/echo.Echo/" + method)

    def state(self, release=False):
        held, cancelled = text_of(self.call("State")(request(count=int(release)))).split()
        return int(held), int(cancelled)

    def wait(self, what):
        for _ in range(2000):
            if what(*self.state()):
                return
            time.sleep(0.01)
        raise AssertionError("the state did not come")


def status_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code(), e.details()
    return grpc.StatusCode.OK, ""


def unary(rig):
    assert text_of(rig.call("Say")(request("hello"))) == "hello"
    assert text_of(rig.call("Quick")(request("inline"))) == "inline"


def large_both_ways(rig):
    answer = rig.call("Say")(request("x" * 3_000_000, size=3_000_000))
    assert len(answer) > 6_000_000


def empty_message(rig):
    assert text_of(rig.call("Say")(b"")) == ""


def stream_in_order(rig):
    n = 0
    for answer in rig.stream("Stream")(request("s", count=500)):
        assert (answer[4] if len(answer) > 4 and answer[3] == 0x10 else 0) == n % 128 or n > 127
        n += 1
    assert n == 500


def stream_then_error(rig):
    got, call = 0, rig.stream("Stream")(request("s", count=3, code=9))
    try:
        for _ in call:
            got += 1
        raise AssertionError("no error")
    except grpc.RpcError as e:
        assert (got, e.code(), e.details()) == (3, grpc.StatusCode.FAILED_PRECONDITION, "after 3")


def slow_reader_bounds_the_server(rig):
    call = rig.stream("Stream")(request("s", count=300, size=100_000))
    next(call)
    with open(f"/proc/{rig.proc.pid}/statm", encoding="ascii") as f:
        rss = int(f.read().split()[1]) * 4096
    with open(sys.argv[1], "rb") as f:
        sanitized = b"san_init" in f.read()
    assert sanitized or WRAP or rss < 28_000_000, rss
    assert sum(1 for _ in call) == 299


def errors_with_any_text(rig):
    text = "Größe 100% \n tab\t"
    for code in range(1, 17):
        got, details = status_of(lambda: rig.call("Fail")(request(text, code=code)))
        assert got.value[0] == code and details == text, (code, got, details)


def unknown_method(rig):
    assert status_of(lambda: rig.call("Nope")(b""))[0] == grpc.StatusCode.UNIMPLEMENTED


def handler_without_answer(rig):
    assert status_of(lambda: rig.call("Silent")(b""))[0] == grpc.StatusCode.INTERNAL


def garbage_is_refused(rig):
    assert status_of(lambda: rig.call("Say")(b"\x0a\xff\xff"))[0] == grpc.StatusCode.INTERNAL


def too_long_is_refused(rig):
    assert status_of(lambda: rig.call("Say")(request("x" * (4 << 20))))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def unpacks_to_too_much(rig):
    assert status_of(lambda: rig.call("Say")(b"\x2a\x00" * 2_000_000))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def compressed_is_refused(rig):
    channel = rig.new_channel([("grpc.default_compression_algorithm", 2)])
    got = status_of(lambda: rig.call("Say", channel)(request("x" * 10000)))[0]
    assert got == grpc.StatusCode.UNIMPLEMENTED, got
    channel.close()


def deadline(rig):
    _, before = rig.state()
    assert status_of(lambda: rig.call("Hold")(b"", timeout=0.2))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    rig.wait(lambda held, cancelled: cancelled == before + 1)


def cancel(rig):
    _, before = rig.state()
    held = rig.state()[0]
    future = rig.call("Hold").future(b"")
    rig.wait(lambda h, _: h == held + 1)
    future.cancel()
    rig.wait(lambda _, cancelled: cancelled == before + 1)


def connection_lost(rig):
    held, before = rig.state()
    channel = rig.new_channel()
    future = rig.call("Hold", channel).future(b"")
    rig.wait(lambda h, _: h == held + 1)
    channel.close()
    rig.wait(lambda _, cancelled: cancelled == before + 1)
    assert future.done()


def many_at_once(rig):
    """As many blocked handlers as there are workers; inline methods go on, the rest waits its turn."""
    held, _ = rig.state()
    futures = [rig.call("Hold").future(request(str(i))) for i in range(40)]
    rig.wait(lambda h, _: h == held + 16)
    assert text_of(rig.call("Quick")(request("alive"))) == "alive"
    rig.state(release=True)
    assert [text_of(f.result()) for f in futures] == [str(i) for i in range(40)]


def hammer(rig):
    bad = []

    def run(n):
        try:
            for i in range(100):
                assert text_of(rig.call("Say")(request(f"{n}-{i}"))) == f"{n}-{i}"
        except Exception as e:  # noqa: BLE001
            bad.append(e)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad, bad


def raw_frames(rig, authority, byte_by_byte=False):
    """A call made by hand: HPACK literals without indexing."""
    def literal(name, value):
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    headers = b"".join(literal(k, v) for k, v in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/echo.Echo/Quick"), (b":authority", authority),
        (b"content-type", b"application/grpc"), (b"te", b"trailers")) if v is not None)
    body = b"\x00" + struct.pack(">I", 4) + request("ab")

    def frame(kind, flags, stream, data):
        return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data
    out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, headers)
    padded = b"\x05" + body + b"\0" * 5
    out += frame(0, 9, 1, padded)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.path)
        for i in range(0, len(out), 1 if byte_by_byte else len(out)):
            s.sendall(out[i:i + (1 if byte_by_byte else len(out))])
        s.settimeout(20)
        got = b""
        while b"grpc-status" not in got and b"ab" not in got:
            data = s.recv(65536)
            assert data, got
            got += data
    assert b"ab" in got, got


def any_authority(rig):
    for authority in (b"localhost", b"/tmp/some.sock", b"%2Ftmp%2Fs", b"", None):
        raw_frames(rig, authority)


def split_byte_by_byte(rig):
    raw_frames(rig, b"localhost", byte_by_byte=True)


def not_http2_is_closed(rig):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.path)
        s.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        s.settimeout(20)
        while s.recv(4096):
            pass


def drain_lets_calls_end(rig):
    """Last: the server ends. A stream whose client has read little goes on to its end; the process ends with 0."""
    call = rig.stream("Stream")(request("s", count=200, size=100_000))
    next(call)
    rig.proc.send_signal(signal.SIGTERM)
    assert sum(1 for _ in call) == 199
    rig.channel.close()
    assert rig.proc.wait(90) == 0
    assert not os.path.exists(rig.path)


TESTS = [unary, large_both_ways, empty_message, stream_in_order, stream_then_error, slow_reader_bounds_the_server,
         errors_with_any_text, unknown_method, handler_without_answer, garbage_is_refused, too_long_is_refused,
         unpacks_to_too_much, compressed_is_refused, deadline, cancel, connection_lost, many_at_once, hammer, any_authority,
         split_byte_by_byte, not_http2_is_closed, drain_lets_calls_end]


def main():
    rig = Rig(sys.argv[1])
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    try:
        for i, test in enumerate(TESTS, 1):
            try:
                test(rig)
                print(f"ok {i} - {test.__name__}", flush=True)
            except Exception as e:  # noqa: BLE001
                failed += 1
                print(f"not ok {i} - {test.__name__}: {type(e).__name__} {e}", flush=True)
    finally:
        if rig.proc.poll() is None:
            rig.proc.kill()
            rig.proc.wait()
    return 1 if failed else 0


sys.exit(main())
