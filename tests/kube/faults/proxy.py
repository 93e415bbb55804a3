#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""proxy.py LISTEN UPSTREAM CERT KEY CA RULES SEED: stands between Kubernetes' clients and its API server and fails by rule.

LISTEN and UPSTREAM are ADDR:PORT (port 0: any), TLS on both sides; prints "port N". HTTP/1.1. A line of the file RULES, read again at SIGHUP, at which all connections are cut:

    NAME EVERY METHODS PATH ACTION [ARGUMENT]

METHODS with commas; WATCH is a GET with watch=. PATH is a regular expression that the path begins with. On the average every EVERYth request that a rule is about is hit; how many are spared in
between is drawn by SEED and NAME, so it does not depend on time. The first rule that hits has the request. Actions: "status N": an answer with that code, and the server is not asked (429 and 503 with
Retry-After: 1); "delay MS": late, and then as the server answers; "cut": no answer, the server is not asked; "lose": carried out, and no answer; "gone": a watch that begins, and says 410 in its stream;
"snip MS": a watch that is cut then. Each hit is a line on stdout: "hit NAME METHOD PATH".
"""
import asyncio
import json
import random
import re
import signal
import ssl
import sys

REASONS = {409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
PIECE = 65536


class Rule:
    def __init__(self, line, seed):
        self.name, every, methods, path, self.action, *argument = line.split()
        self.every, self.methods, self.path = int(every), methods.split(","), re.compile(path)
        self.argument = int(argument[0]) if argument else 0
        self.draw = random.Random(seed + " " + self.name)
        self.spare = self.gap()

    def gap(self):
        return self.draw.randint(0, 2 * (self.every - 1))

    def hits(self, method, path):
        if method not in self.methods or not self.path.match(path):
            return False
        self.spare -= 1
        if self.spare >= 0:
            return False
        self.spare = self.gap()
        return True


class Cut(Exception):
    """The client's connection ends here."""


def answer(code, body, headers=()):
    head = ["HTTP/1.1 %d %s" % (code, REASONS.get(code, "OK")), "Content-Type: application/json", "Content-Length: %d" % len(body), *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def status(code):
    return json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": REASONS[code], "code": code,
                       "message": "the test's proxy says %d" % code, "details": {"retryAfterSeconds": 1} if code in (429, 503) else {}}).encode()


async def head_of(reader):
    """First line and headers, as they came; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None, {}
    fields = (line.split(b":", 1) for line in head.split(b"\r\n")[1:-2])
    return head, {k.strip().lower(): v.strip() for k, v in fields}


async def pieces(reader, fields, no_body=False):
    """The body, piece by piece, as it is on the wire."""
    if no_body:
        return
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
            if size == 0:
                return
    left = int(fields.get(b"content-length", b"0"))
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise Cut
        left -= len(piece)
        yield piece


class Proxy:
    def __init__(self, upstream, ca, rules, seed):
        self.host, self.port = upstream.rsplit(":", 1)
        self.ca = ssl.create_default_context(cafile=ca)
        self.file, self.seed, self.rules, self.clients = rules, seed, [], set()

    def load(self):
        with open(self.file) as f:
            self.rules = [Rule(line, self.seed) for line in f if line.strip() and not line.startswith("#")]
        for task in list(self.clients):
            task.cancel()

    def rule_for(self, method, path):
        for rule in self.rules:
            if rule.hits(method, path):
                print("hit", rule.name, method, path, flush=True)
                return rule
        return None

    async def ask(self, head, body, server):
        """The request goes on; the answer's head and fields."""
        if server is None or server[1].is_closing() or server[0].at_eof():
            server = await asyncio.open_connection(self.host, int(self.port), ssl=self.ca, limit=1 << 20)
        server[1].write(head + body)
        await server[1].drain()
        return server, *await head_of(server[0])

    async def one(self, reader, writer, server):
        """One request and its answer; the connection to the server for the next."""
        head, fields = await head_of(reader)
        if head is None:
            raise Cut
        body = b"".join([piece async for piece in pieces(reader, fields)])
        method, path = head.split(b" ", 2)[:2]
        method, path = method.decode(), path.decode()
        watch = method == "GET" and re.search(r"[?&]watch=(1|true)", path)
        rule = self.rule_for("WATCH" if watch else method, path)
        action = rule.action if rule else ""
        if action == "cut":
            raise Cut
        if action == "status":
            writer.write(answer(rule.argument, status(rule.argument), ["Retry-After: 1"] if rule.argument in (429, 503) else []))
        elif action == "gone":
            event = json.dumps({"type": "ERROR", "object": json.loads(status(410))}).encode() + b"\n"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
        else:
            if action == "delay":
                await asyncio.sleep(rule.argument / 1000)
            server, head, fields = await self.ask(head, body, server)
            if head is None or action == "lose":
                raise Cut
            writer.write(head)
            async with asyncio.timeout(rule.argument / 1000 if action == "snip" else None):
                async for piece in pieces(server[0], fields, method == "HEAD" or b" 204 " in head[:13]):
                    writer.write(piece)
                    await writer.drain()
        await writer.drain()
        return server

    async def serve(self, reader, writer):
        task, server = asyncio.current_task(), None
        self.clients.add(task)
        try:
            while True:
                server = await self.one(reader, writer, server)
        except (Cut, OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.clients.discard(task)
            for end in [writer] + ([server[1]] if server else []):
                end.transport.abort()


async def main():
    listen, upstream, cert, key, ca, rules, seed = sys.argv[1:]
    proxy = Proxy(upstream, ca, rules, seed)
    proxy.load()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, proxy.load)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(cert, key)
    host, port = listen.rsplit(":", 1)
    server = await asyncio.start_server(proxy.serve, host, int(port), ssl=ours, limit=1 << 20)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
