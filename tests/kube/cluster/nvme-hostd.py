#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nvme-hostd.py NVME_FILE SOCKET FOLDER: stands for the kernel's nvme-tcp on a test machine that has none.

One line a connection: "attach NQN ADDR:PORT[,...]", "find NQN", "detach NQN", "reserve NQN OPCODE CDW10 KEY KEY" (a reservation command, as nvme-file.c has it); answers "ok DEVICE" or "CODE words" (CODE as in gRPC). A volume is an nvme-file (our own NVMe/TCP
host, as a file by FUSE) under a loop device. It outlives the CSI driver, as the kernel does; ending it is the end of the node's kernel. Host NQN and ID: /etc/nvme, as the kernel's.
"""
import fcntl
import os
import queue
import socket
import struct
import subprocess
import sys
import threading

GET_STATUS64, SET_STATUS64, FLAGS_AT, AUTOCLEAR = 0x4C05, 0x4C04, 52, 4  # linux/loop.h
NVME_FILE, SOCKET, FOLDER = sys.argv[1:4]
FAILED_PRECONDITION, NOT_FOUND, INVALID, UNAVAILABLE = 9, 5, 3, 14


class Failed(Exception):
    pass


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.strip()


class Volume:
    """One attached namespace."""

    def __init__(self, nqn, addr, port):
        self.nqn = nqn
        self.path = os.path.join(FOLDER, nqn.rsplit(":", 1)[1])
        open(self.path, "a").close()
        self.log = open(self.path + ".log", "a+")
        identity = [open("/etc/nvme/" + f).read().strip() for f in ("hostnqn", "hostid")]
        self.process = subprocess.Popen([NVME_FILE, "--addr", addr, "--port", port, "--nqn", nqn, "--hostnqn", identity[0], "--hostid", identity[1], self.path],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        self.answers = queue.Queue()
        self.device = None
        first = self.process.stdout.readline().split()
        if not first:
            self.end()
            self.log.seek(0)
            raise Failed(UNAVAILABLE, "nvme-file: " + self.log.read().strip()[-300:])
        rc, out = run("losetup", "--find", "--show", "--sector-size", first[2], "--direct-io=on", self.path)
        if rc:
            self.end()
            raise Failed(UNAVAILABLE, "losetup: " + out)
        self.device = out
        run("blockdev", "--setrw", out)  # "read-only" outlives a loop device's last user
        # Ours as long as this process or a mount has it open, so that a node that dies leaves none.
        self.fd = os.open(out, os.O_RDWR | os.O_CLOEXEC)
        status = bytearray(232)
        fcntl.ioctl(self.fd, GET_STATUS64, status)
        struct.pack_into("=I", status, FLAGS_AT, struct.unpack_from("=I", status, FLAGS_AT)[0] | AUTOCLEAR)
        fcntl.ioctl(self.fd, SET_STATUS64, bytes(status))
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            if line.startswith("answer "):
                self.answers.put(line[7:].strip())
                continue
            os.stat(self.path)  # "size N": the device follows
            run("losetup", "-c", self.device)

    def busy(self):
        with open("/proc/self/mountinfo") as f:
            return any(line.split(" - ")[1].split()[1] == self.device for line in f)

    def end(self):
        if self.device:
            os.close(self.fd)
        run("umount", "-l", self.path)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.unlink(self.path)


volumes = {}
locks = {}
lock = threading.Lock()


def attach(nqn, targets):
    if nqn not in volumes:
        addr, port = targets.split(",")[0].rsplit(":", 1)
        volumes[nqn] = Volume(nqn, addr, port)
    return volumes[nqn].device


def find(nqn):
    if nqn not in volumes:
        raise Failed(NOT_FOUND, "it is not attached")
    return volumes[nqn].device


def detach(nqn):
    volume = volumes.get(nqn)
    if volume:
        if volume.busy():
            raise Failed(FAILED_PRECONDITION, "%s is mounted" % volume.device)
        volume.end()
        del volumes[nqn]
    return ""


def reserve(nqn, *words):
    volumes[nqn].process.stdin.write(" ".join(words) + "\n")
    return volumes[nqn].answers.get(timeout=60)


def serve(connection):
    with connection:
        try:
            words = connection.makefile().readline().split()
            call = {"attach": attach, "find": find, "detach": detach, "reserve": reserve}[words[0]]
            with lock:
                mine = locks.setdefault(words[1], threading.Lock())
            with mine:
                answer = "ok " + call(*words[1:])
        except Failed as failed:
            answer = "%d %s" % failed.args
        except Exception as error:  # whatever it is, the driver is to say it
            answer = "%d %r" % (INVALID, error)
        print(words, answer, flush=True)
        try:
            connection.sendall(answer.encode() + b"\n")
        except OSError:
            pass


os.makedirs(FOLDER, exist_ok=True)
os.makedirs(os.path.dirname(SOCKET), exist_ok=True)
if os.path.exists(SOCKET):
    os.unlink(SOCKET)
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
    server.bind(SOCKET)
    server.listen(64)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
