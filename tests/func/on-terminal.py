#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a terminal of its own and prints all that it wrote there, raw; its exit status.

  on-terminal.py [--columns N] [--interrupt TEXT] [--limit SECONDS] COMMAND...

--interrupt: types ctrl-C when TEXT has come for the second time. Past the limit the command is killed, and the status is 124.
"""
import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--interrupt")
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    end, seen, typed = time.monotonic() + args.limit, b"", False
    ready, go = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        os.read(ready, 1)  # until the terminal has its width
        os.execvp(args.command[0], args.command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, args.columns, 0, 0))
    os.write(go, b"x")
    while True:
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sys.stdout.buffer.write(seen)
            return 124
        try:
            data = os.read(fd, 65536)
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        if not data:
            break
        seen += data
        if args.interrupt and not typed and seen.count(args.interrupt.encode()) >= 2:
            os.write(fd, b"\x03")
            typed = True
    sys.stdout.buffer.write(seen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


sys.exit(main())
