"""Listeners by the hundred, and the processes that serve them."""

import collections
import contextlib
import fcntl
import functools
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import threading
import time
import urllib.parse

from fragments import chunks
from throng import BINARY, next_after_makers, request, wait_until

PARTS_PER_SEGMENT = 12


class Seat(threading.Thread):
    """One progressive listener: every part that it is given on each of its lines, in the order in which it came."""

    def __init__(self, listen_url, comes_back=False):
        super().__init__(daemon=True)
        self.url = urllib.parse.urlsplit(f"{listen_url}/live.mp4")
        self.comes_back = comes_back
        self.lines = [[]]
        self.lost = False
        self.left = False
        self.start()

    def run(self):
        while not self.left:
            with contextlib.suppress(OSError, EOFError, http.client.HTTPException):
                self.listen()
            self.lost = self.lost or not self.left
            if self.lost and not self.comes_back:
                return
            if self.lines[-1]:
                self.lines.append([])
            time.sleep(0.02)

    def listen(self):
        line = http.client.HTTPConnection(self.url.netloc, timeout=30)
        with contextlib.closing(line):
            line.request("GET", self.url.path)
            with line.getresponse() as answer:
                if answer.status != 200:
                    return
                for heard in chunks(answer):
                    self.lines[-1].append(heard)
                    if self.left:
                        return

    @property
    def heard(self):
        """All that it was given."""
        return [heard for line in list(self.lines) for heard in list(line)]

    def numbers(self):
        return [part for part, _ in self.heard]

    def newest(self):
        return max(self.numbers(), default=-1)

    def leave(self):
        self.left = True


class Crowd:
    """So many listeners of one space, who have begun to hear it."""

    def __init__(self, listen_url, size, comes_back=False):
        self.seats = [Seat(listen_url, comes_back) for _ in range(size)]
        self.hear_on()

    def newest(self):
        """The newest part that everybody has who is there still."""
        return min(seat.newest() for seat in self.seats if seat.comes_back or not seat.lost)

    def hear_on(self, parts=4):
        """Waits until everybody has heard so many parts more."""
        goal = max(seat.newest() for seat in self.seats) + parts
        self.hear_until(goal)

    def hear_until(self, part, seconds=60):
        wait_until(lambda: self.newest() >= part, f"everybody has heard part {part}", seconds)

    def leave(self):
        for seat in self.seats:
            seat.leave()
        for seat in self.seats:
            seat.join()


class Thousands(threading.Thread):
    """So many listeners more, of whom each has its connection and nobody is looked at closely: `throng rehearse`."""

    def __init__(self, listen_url, size):
        super().__init__(daemon=True)
        words = ("--listeners", size, "--arrive", "ramp:5s", "--stay", "600s", "--json")
        command = [BINARY, "rehearse", listen_url, *map(str, words)]
        with next_after_makers():
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.second = {}
        self.start()
        wait_until(lambda: self.second.get("listening") == size, f"{size} listen", 120)

    def run(self):
        for line in self.process.stdout:
            self.second = json.loads(line)

    def leave(self):
        """What they have to say about it all."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.join()
        return self.second


def packets(chunk):
    """The packets of a chunk (ISO/IEC 14496-12, `trun` with the size of each sample)."""
    run = chunk.index(b"trun") + 8
    count = struct.unpack_from(">I", chunk, run)[0]
    sizes = struct.unpack_from(f">{count}I", chunk, run + 8)
    at = chunk.index(b"mdat") + 4
    for size in sizes:
        yield chunk[at : at + size]
        at += size


class Hold:
    """The hold loop as the node keeps it."""

    def __init__(self, node):
        path = node.data / "hold" / "loop.bin"
        wait_until(path.exists, "the hold programme is encoded", 180)
        loop = path.read_bytes()
        # All seats are given the same chunks.
        self.has = functools.lru_cache(4096)(lambda chunk: all(packet in loop for packet in packets(chunk)))


def missing(numbers):
    """The numbers that are left out between the first and the last."""
    return sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))


def assert_whole(seat):
    """On each line every number once, in its order; from line to line none is left out."""
    lines = [[part for part, _ in line] for line in seat.lines if line]
    for numbers in lines:
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), missing(numbers)
    for before, after in itertools.pairwise(lines):
        assert after[0] <= before[-1] + 1, (before[-1], after[0])


def part_path(part):
    """Where one part is, by its number."""
    return f"hls/o48/{part // PARTS_PER_SEGMENT}.{part % PARTS_PER_SEGMENT}.m4s"


def refused_by_reason(node):
    """Connections that the engine refused, in all of a node's processes."""
    text = request("GET", f"{node.links['internal']}/metrics").body.decode()
    counts = collections.Counter()
    for reason, count in re.findall(r'throng_air_refused_total\{.*reason="(\w+)".*\} (\d+)', text):
        counts[reason] += int(count)
    return counts


def processes(node, command):
    """The living processes of a node that do this, by their number."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue
            if parent == node.process.pid and command.encode() in words:
                found.append(int(entry.name))
    return found


class Outage:
    """The origin of the node is killed, and while it lasts another finds the data folder taken."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self.lock = open(self.node.data / "lock", "rb")
        while not self.has_folder():
            for origin in processes(self.node, "origin"):
                kill(origin)

    def has_folder(self):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def __exit__(self, *_):
        self.lock.close()


def kill(pid):
    """As a bug or the kernel's memory killer would."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
