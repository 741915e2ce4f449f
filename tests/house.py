"""A full house on this one machine, as the measuring programs bring it: the kernel's bounds for it, and what is seen on the way."""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from throng import BINARY

# Less, and the kernel would choose whom to end.
MEMORY_LEFT_MIN_BYTES = 2_000_000_000
# So many in ten seconds, of those who listen, and the house is overfull.
GAPS_MAX_SHARE = 0.01
# Nobody came for so long although more were due.
STALLED_SECONDS = 30
# The limit of open files bounds the table of a ring.
OPEN_FILES = 1_048_576
# Rings of 16,000, and some more, because the kernel deals connections out by chance.
RING_LISTENERS = 14_000
# The crowd leaves at this rate at least.
LEAVING_PER_SECOND = 50_000

LIBC = ctypes.CDLL(None, use_errno=True)
# unshare(2), setns(2).
CLONE_NEWNET = 0x40000000

PAGES = os.sysconf("SC_PHYS_PAGES")
KERNEL = {
    # Each socket reckons with a page that it may never use.
    "net/ipv4/tcp_mem": f"{PAGES * 6 // 10} {PAGES * 7 // 10} {PAGES * 8 // 10}",
    "net/core/netdev_max_backlog": "100000",
    # The table in which a packet finds its connection; the system's own has long chains by a million.
    "net/ipv4/tcp_child_ehash_entries": str(1 << 22),
    "fs/file-max": "8000000",
    "fs/nr_open": str(OPEN_FILES),
}
# Of the network namespace in which all of it happens.
NETWORK = {
    "net/core/somaxconn": "65535",
    "net/ipv4/tcp_max_syn_backlog": "65535",
    # The crowd acknowledges at once: 40 ms later everything about a connection has left the processor's cache.
    "net/ipv4/tcp_pingpong_thresh": "255",
    # Nothing is lost on the loopback, nothing needs to be paced, and no buffer to grow.
    "net/ipv4/tcp_congestion_control": "reno",
    "net/ipv4/tcp_early_retrans": "0",
    "net/ipv4/tcp_moderate_rcvbuf": "0",
}


@contextlib.contextmanager
def full():
    """Bounds of the kernel for a full house, and a network of its own; as they were again afterwards."""
    if os.geteuid() != 0:
        sys.exit("this sets bounds of the kernel for its time, and puts them back: it needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("called off"))
    with bounds(KERNEL), own_network(), bounds(NETWORK):
        with contextlib.suppress(ValueError):  # Where it may not be raised there are more rings.
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        yield


@contextlib.contextmanager
def bounds(wanted):
    before = {}
    try:
        for name, value in wanted.items():
            path = pathlib.Path("/proc/sys", name)
            if path.exists():
                before[path] = path.read_text().strip()
                path.write_text(value)
        yield
    finally:
        for path, value in before.items():
            path.write_text(value)


@contextlib.contextmanager
def own_network():
    """A network namespace with a loopback and nothing else."""
    with open("/proc/self/ns/net", "rb") as outside:
        assert LIBC.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert LIBC.setns(outside.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def flags(listeners, rung):
    """For a node that is to hold so many."""
    threads = min(255, max(16, listeners // RING_LISTENERS + 1))
    return ["--rung", str(rung), "--air-workers", "1", "--air-threads", str(threads), "--listeners-max", str(listeners)]


def memory_left_bytes():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def busy_seconds():
    """What all cores have worked so far."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


NOTHING = "nothing: all who were asked for came and stayed"


@dataclass
class Night:
    """What was seen."""

    asked: int
    ramp_seconds: float
    hold_seconds: float
    seconds: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    stopped_by: str = NOTHING
    left_before_bytes: int = field(default_factory=memory_left_bytes)
    left_bytes: int = field(default_factory=memory_left_bytes)
    left_min_bytes: int = field(default_factory=memory_left_bytes)

    def ten_seconds_ago(self):
        return self.seconds[max(0, len(self.seconds) - 11)]

    def trouble(self):
        """What ends it now, if anything does."""
        now, before = self.seconds[-1], self.ten_seconds_ago()
        if self.stopped_by != NOTHING or now["at_ms"] > (self.ramp_seconds + self.hold_seconds) * 1000:
            return None
        if self.left_bytes < MEMORY_LEFT_MIN_BYTES:
            return f"memory: {self.left_bytes / 1e9:.1f} GB left"
        if now["gaps"] - before["gaps"] + now["lost"] - before["lost"] > GAPS_MAX_SHARE * max(now["listening"], 10_000):
            return f"gaps, with {self.bottleneck(now)}"
        stalled = self.seconds[-STALLED_SECONDS:]
        missing = now["begun"] - now["joined"]
        if len(stalled) == STALLED_SECONDS and stalled[0]["joined"] == now["joined"] and missing:
            return f"{missing} who did not get in, with {self.bottleneck(now)}"
        return None

    def bottleneck(self, now):
        server, crowd = (now["server_cpu_millicores"] or 0) / 1000, now["client_cpu_millicores"] / 1000
        return f"{busy_cores(self.ten_seconds_ago(), now):.2f} of {os.cpu_count()} cores busy (server {server:.2f}, crowd {crowd:.2f})"

    def most(self):
        """The second with the most listeners."""
        return max(self.seconds, key=lambda second: second["listening"])

    def most_well(self):
        """How many there were until somebody was left without."""
        well = itertools.takewhile(lambda second: not left_without(second), self.seconds)
        return max((second["listening"] for second in well), default=0)

    def is_well(self):
        """Whether all were there, and nobody was left without while the house was full."""
        full = [second for second in self.seconds if second["listening"] == self.asked]
        return self.stopped_by == NOTHING and bool(full) and not left_without(full[-1])


def left_without(second):
    return second["gaps"] + second["lost"] + second["failed"] + second["refused"]


def busy_cores(before, now):
    """How many cores were busy between two looks."""
    return (now["busy_s"] - before["busy_s"]) / max(now["looked_s"] - before["looked_s"], 0.1)


def words(second):
    """What a second was like."""
    server, crowd = (second["server_cpu_millicores"] or 0) / 1000, second["client_cpu_millicores"] / 1000
    return (
        f"{second['joins']} joins/s; {second['busy_cores']:.2f} cores busy, server {server:.2f}, crowd {crowd:.2f}; "
        f"sockets {(second['socket_memory_bytes'] or 0) / 1e9:.1f} GB; {second['gaps']} gaps; "
        f"worst wait {second['wait_ms']} ms"
    )


def watch(night, process, ends):
    """Follows the crowd, and calls it back when there is trouble."""
    for line in process.stdout:
        second = json.loads(line)
        if "asked" in second:
            night.summary = second
            return
        second["looked_s"], second["busy_s"] = time.monotonic(), busy_seconds()
        night.left_bytes = memory_left_bytes()
        night.left_min_bytes = min(night.left_min_bytes, night.left_bytes)
        night.seconds.append(second)
        second["busy_cores"] = busy_cores(night.ten_seconds_ago(), second)
        if len(night.seconds) % 5 == 0:
            print(
                f"{second['at_ms'] // 1000:4} s  {second['listening']:8} hear; {words(second)}; "
                f"crowd late {second['client_lag_ms']} ms; memory left {night.left_bytes / 1e9:.1f} GB",
                file=sys.stderr,
            )
        trouble = night.trouble() or ("its time" if time.monotonic() > ends else None)
        if trouble:
            night.stopped_by, ends = trouble, float("inf")
            process.send_signal(signal.SIGINT)


def rehearse(url, listeners, arrive, ramp_seconds, hold_seconds, time_max_seconds):
    """Brings a crowd, and watches until it has left or must."""
    night, leaving = Night(listeners, ramp_seconds, hold_seconds), max(5, listeners // LEAVING_PER_SECOND)
    words = ["rehearse", url, "--listeners", listeners, "--arrive", arrive]
    words += ["--stay", f"{hold_seconds}s", "--leave", f"ramp:{leaving}s", "--json"]
    process = subprocess.Popen([BINARY, *map(str, words)], stdout=subprocess.PIPE, text=True)
    # Few threads among the many of the server: what was sent is to be read before more is sent.
    os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
    try:
        watch(night, process, time.monotonic() + time_max_seconds)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait()
    return night
