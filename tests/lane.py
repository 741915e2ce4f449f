"""A network namespace for listeners, joined to this machine by a wire of its own on which real packets are lost or
queued, and real addresses change. Laying it takes root."""

import contextlib
import os
import shutil
import subprocess

import browser


# Where all lanes are.
NEAR_ENDS = "10.192.0.0/10"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Lane:
    """One namespace and its wire; the near end is here, where the node is."""

    def __init__(self, number=0):
        # Others may test on this machine at the same time.
        own = (8 * os.getpid() + number) % 16_384
        self.name = f"throng{own}"
        self.net = f"10.{192 + own // 256}.{own % 256}"
        self.node = f"{self.net}.1"
        self.inside = ["ip", "netns", "exec", self.name]
        ip("netns", "add", self.name)
        self.join()
        ip("addr", "add", f"{self.node}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", "wire", "up")
        self.move(None, f"{self.net}.2")

    def join(self):
        """The wire: its near end has the lane's name."""
        ip("link", "add", self.name, "type", "veth", "peer", "name", "wire", "netns", self.name)

    def move(self, before, address):
        """Gives the far end another address, as a telephone gets one that leaves a house."""
        if before:
            ip("-n", self.name, "addr", "del", f"{before}/24", "dev", "wire")
        ip("-n", self.name, "addr", "add", f"{address}/24", "dev", "wire")
        # The node may be at the near end of another lane.
        ip("-n", self.name, "route", "replace", NEAR_ENDS, "via", self.node)

    def queue(self, *words):
        """How packets leave, at both ends."""
        for ends, device in (([], self.name), (self.inside, "wire")):
            subprocess.run([*ends, "tc", "qdisc", "replace", "dev", device, "root", *words], check=True)

    def vanish(self):
        """Every packet is lost, and nobody is told."""
        self.queue("blackhole")

    def carry(self):
        self.queue("pfifo")

    def slow(self, rate):
        """Two seconds of queue before the narrow place, as routers have it."""
        self.queue("tbf", "rate", rate, "burst", "2kb", "latency", "2s")

    def chromium(self, playwright, folder, node_url, microphone=None):
        """A browser in there, which takes the node's address for a safe one: so it lets us speak, and tap the sound."""
        program = folder / "chromium-inside"
        program.write_text(f'#!/bin/sh\nexec {" ".join(self.inside)} {shutil.which(browser.CHROMIUM)} "$@"\n')
        program.chmod(0o755)
        safe = f"--unsafely-treat-insecure-origin-as-secure={node_url}"
        return browser.Browser(playwright, microphone, safe, program=program)

    def pids(self):
        """Everything that runs in there."""
        return list(map(int, subprocess.check_output(["ip", "netns", "pids", self.name]).split()))

    def close(self):
        # The wire would go with the namespace, but later: another lane may want its name before.
        subprocess.run(["ip", "link", "del", self.name], check=False, stderr=subprocess.DEVNULL)
        ip("netns", "del", self.name)


@contextlib.contextmanager
def laid(number=0):
    lane = Lane(number)
    try:
        yield lane
    finally:
        lane.close()
