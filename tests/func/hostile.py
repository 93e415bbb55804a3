# SPDX-License-Identifier: Apache-2.0
"""Clients that behave badly, all at once, on the RPC socket named by the first argument. Fails when one of them is answered wrongly."""
import json
import random
import select
import socket
import sys
import time

PATH = sys.argv[1]
ROUNDS = 20
rng = random.Random(7)


def client(timeout=20):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(PATH)
    return s


def patient_client(limit=20):
    """While the line at the socket is full the kernel refuses at once; the server lets it go as it finds the closed ones."""
    end = time.monotonic() + limit
    while True:
        try:
            return client()
        except BlockingIOError:
            expect(time.monotonic() < end, "the line at the socket stays full")
            select.select([], [], [], 0.02)


def answer(s):
    data = b""
    while True:
        chunk = s.recv(65536)
        if not chunk:
            return None
        data += chunk
        try:
            return json.loads(data)
        except json.JSONDecodeError:
            continue


def request(method, params=None, ident=1):
    body = {"jsonrpc": "2.0", "id": ident, "method": method}
    if params is not None:
        body["params"] = params
    return json.dumps(body).encode()


def send(s, data):
    """All of it, or as much as the other side takes before it closes."""
    try:
        s.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def expect(condition, text):
    if not condition:
        sys.exit(text)


# Slow ones: half a request each, left open until the end.
slow = []
for _ in range(10):
    s = client()
    s.sendall(request("bdev_get_bdevs")[: rng.randrange(1, 40)])
    slow.append(s)

for _ in range(ROUNDS):
    # Malformed: an error, then closed or answered on.
    for text in (b"}", b"[", b"\xff\xfe", b'{"jsonrpc":"1.0","id":1,"method":"x"}', b'{"id":1}', b"[]", b'"text"', b"nul", b"\0" * 64):
        s = client()
        send(s, text)
        s.shutdown(socket.SHUT_WR)
        try:
            answer(s)
        except ConnectionResetError:
            pass
        s.close()
    # Gone before the answer.
    s = client()
    send(s, request("litepool_metrics"))
    s.close()
    # Half closed: still answered.
    s = client()
    s.sendall(request("bdev_get_bdevs", {"name": "ram0"}))
    s.shutdown(socket.SHUT_WR)
    got = answer(s)
    expect(got and got["result"][0]["name"] == "ram0", f"half closed: {got}")
    s.close()

# Huge: refused at the limit, not stored.
s = client()
send(s, b'{"jsonrpc":"2.0","id":1,"method":"bdev_get_bdevs","params":{"name":"')
block = b"x" * 65536
for _ in range(1024):
    try:
        s.sendall(block)
    except (BrokenPipeError, ConnectionResetError):
        break
else:
    sys.exit("64 MiB of one request were taken")
s.close()

# Deep nesting.
s = client()
send(s, b'{"jsonrpc":"2.0","id":1,"method":"load_config","params":{"subsystems":' + b"[" * 100000 + b"]" * 100000 + b"}}")
try:
    got = answer(s)
    expect(got is None or "error" in got, f"deep nesting: {str(got)[:100]}")
except ConnectionResetError:
    pass
s.close()

# Asks for much and never reads: closed, or not read from any more; either way it is alone with that.
s = client(timeout=1)
try:
    for i in range(20000):
        s.sendall(request("litepool_metrics", ident=i))
except (BrokenPipeError, ConnectionResetError, TimeoutError):
    pass
fresh = client()
fresh.sendall(request("spdk_get_version"))
expect("result" in answer(fresh), "a client that does not read keeps another from being answered")
fresh.close()
s.close()

# More than there is room for: those within the limit are answered.
for s in slow:
    s.close()
many = []
for _ in range(200):
    try:
        many.append(client(timeout=5))
    except OSError:
        break
for s in many:
    s.close()
s = patient_client()
s.sendall(request("spdk_get_version"))
expect("result" in answer(s), "no answer after many clients")
s.close()
