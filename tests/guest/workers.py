# SPDX-License-Identifier: Apache-2.0
"""Scenarios side by side: a process of tests/guest/run for each, which has a network namespace, a folder and a guest of its own. What one says is printed when it has ended."""
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Worker:
    """One process; its output is in a file without a name."""

    def __init__(self, words):
        self.said = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT,
                                        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))  # it cleans up also when we are killed

    def ended(self):
        return self.process.poll() is not None

    def counts(self):
        """Prints what it said but its last line, which is the counts: (passed, failed)."""
        self.said.seek(0)
        text = self.said.read()
        found = re.search(r"^guest: (\d+) passed, (\d+) failed\n\Z", text, re.M)
        print(text[:found.start()] if found else text, end="")
        if not found:
            print(f"not ok - tests/guest/run ended with {self.process.returncode}: {' '.join(self.process.args)}")
        sys.stdout.flush()
        return (int(found.group(1)), int(found.group(2))) if found else (0, 1)

    def end(self):
        if not self.ended():
            self.process.terminate()
        self.process.wait()


def run_all(commands, jobs):
    """Runs each command (words that make one scenario), jobs at a time. Returns (passed, failed) of all; told to end by an exception, it ends those that run."""
    waiting, running, passed, failed = list(commands), [], 0, 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Worker(waiting.pop(0)))
            for worker in [w for w in running if w.ended()]:
                running.remove(worker)
                p, f = worker.counts()
                passed, failed = passed + p, failed + f
            time.sleep(0.1)
    finally:
        for worker in running:
            worker.end()
    return passed, failed
