"""Disks and databases that fail under a live space, one case after the other; or those that are named.

Full, stuck and powerless disks are real ones: ext4 on a loop device, filled, frozen, and shut down beneath its journal.
Where the kernel of a common machine has no such fault (a flush that fails or takes 5 s, torn and short writes, a slow
disk, one that takes no writes for a while) a library stands between the node and its files (`faulty_disk.c`). The lock
on the database is that of another program.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import threading
import time

from disks import (
    CUSHION_SECONDS,
    LOST_PARTS_MAX,
    PART_SECONDS,
    STORE,
    Ear,
    FaultyDisk,
    Journal,
    ended,
    live,
    locked,
    node_on,
    raised,
    recorded,
    refused,
    silences,
    titles,
    try_create,
)
from figures import VOICES, at_rest, figure, folder
from throng import wait_until

ALARM_SECONDS_MAX = 5
DISK_BYTES = 96 << 20
# Longer than parts wait for a disk: what is beyond is a gap in the recording.
FULL_SECONDS = 180
FAULT_SECONDS = 20
STORE_SECONDS = 60
CUTS = 5
# `EXT4_IOC_SHUTDOWN` without flushing the journal (linux/fs/ext4/ext4.h): what is not on the disk is gone.
EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


class Loop:
    """An ext4 file system of its own."""

    def __init__(self, place):
        self.image, self.path = place / "disk.img", place / "disk"
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)

    def unmount(self):
        # The processes of a killed node end one after the other.
        wait_until(lambda: subprocess.run(["umount", self.path], check=False).returncode == 0, "the disk is free")

    @contextlib.contextmanager
    def full(self):
        ballast = self.path / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            for block in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(block)):
                        pass
        try:
            yield
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def stuck(self):
        subprocess.run(["fsfreeze", "-f", self.path], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "-u", self.path], check=True)

    def cut_power(self):
        here = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(here, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(here)


@contextlib.contextmanager
def loop():
    with folder() as place:
        disk = Loop(place)
        try:
            yield disk
        finally:
            disk.unmount()


@contextlib.contextmanager
def event(data, disk=None):
    """A live space on a node of its own, with a listener. What the node logs lies beside its data folder."""
    node = node_on(data, disk)
    try:
        at_rest(node)
        space, ear = live(node)
        yield node, space, ear
        ear.stop()
    finally:
        node.close()


@contextlib.contextmanager
def faulty():
    with folder() as place:
        disk = FaultyDisk(place)
        try:
            with event(place / "data", disk) as (node, space, ear):
                yield disk, node, space, ear
        finally:
            disk.well()


def rest(seconds):
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= over, "the time is over", seconds + 30)


def told(case, ear, suffered, node):
    """What listeners noticed."""
    figure(f"{case}: gaps heard", len(ear.gaps()) + ear.connections - 1, "<= 0")
    figure(f"{case}: latest part, against a player's cushion", f"{ear.late_seconds:.2f} s", f"<= {CUSHION_SECONDS} s")
    figure(f"{case}: frames of the programme that were lost", silences(node) - suffered, "<= 0")


def kept(case, journal, ear, gap_parts_max=0):
    """What became of the recording."""
    lacks = journal.lacks(ear.given)
    figure(f"{case}: parts heard and not recorded, marked as a gap", len(lacks & journal.gaps), f"<= {gap_parts_max}")
    figure(f"{case}: parts heard and not recorded, unmarked", len(lacks - journal.gaps), "<= 0")
    figure(f"{case}: parts recorded otherwise than heard", len(journal.otherwise(ear.given)), "<= 0")
    figure(f"{case}: parts spoilt in the files", len(journal.spoilt()), "<= 0")


def suffer(case, node, space, ear, fault, seconds, gap_parts_max=0, is_told=True):
    """A disk that fails for so long, and is well again."""
    suffered = silences(node)
    with fault:
        if is_told:
            _, after = raised(space, "recording")
            figure(f"{case}: the host is told after", f"{after:.1f} s", f"<= {ALARM_SECONDS_MAX} s")
        rest(seconds)
    began = time.monotonic()
    ended(space, "recording", 120)
    figure(f"{case}: from a disk that is well to a recording that keeps up", f"{time.monotonic() - began:.1f} s")
    told(case, ear, suffered, node)
    kept(case, recorded(node, space, ear.newest()), ear, gap_parts_max)


def disk_full(case):
    # The log is on the full disk, too.
    with loop() as disk, event(disk.path / "data") as (node, space, ear):
        suffer(case, node, space, ear, disk.full(), FULL_SECONDS, (FULL_SECONDS - 80) / PART_SECONDS)


def disk_stuck(case):
    with loop() as disk, event(disk.path) as (node, space, ear):
        suffer(case, node, space, ear, disk.stuck(), FAULT_SECONDS)


def shim(kind, number, is_told=True):
    def run(case):
        with faulty() as (disk, node, space, ear):
            suffer(case, node, space, ear, disk.failing(kind, number), FAULT_SECONDS, is_told=is_told)

    return run


def power_cut(case):
    lost, gone, spoilt, heard, alarms = [], 0, 0, 0, []
    with loop() as disk, event(disk.path) as (node, space, ear):
        for cut in range(CUTS):
            assert try_create(node, f"Before cut {cut}").status == 201
            rest(4 + cut * 0.13)
            first = Journal(node, space).parts[0]
            readable = first + round(space.show()["recording"]["seconds"] / PART_SECONDS)
            disk.cut_power()
            alarms.append(raised(space, "recording")[1])
            ear.hears_on()
            heard += len(ear.gaps()) + ear.connections - 1
            ear.stop()
            node.kill()
            disk.unmount()
            disk.mount()
            node.start()
            ear = Ear(space)
            ended(space, "recording")
            journal = recorded(node, space, ear.newest())
            # Silence takes the place of what was lost.
            lost.append(sum(part in journal.gaps for part in range(readable - 10, readable)))
            gone += len({f"Before cut {cut}"} - titles(node))
            spoilt += len(journal.spoilt())
        ear.stop()
    figure(f"{case}: cuts", CUTS)
    figure(f"{case}: gaps heard until the machine itself was off", heard, "<= 0")
    figure(f"{case}: a disk that takes nothing more is told after", f"{max(alarms):.1f} s", f"<= {ALARM_SECONDS_MAX} s")
    figure(f"{case}: parts that could be read and were lost, worst cut", max(lost), f"<= {LOST_PARTS_MAX}")
    figure(f"{case}: changes acknowledged and lost", gone, "<= 0")
    figure(f"{case}: parts spoilt in the files", spoilt, "<= 0")


def store(case, node, space, ear, fault):
    """Nothing can be kept for a minute."""
    suffered, answers = silences(node), []
    assert try_create(node, "Before").status == 201
    with fault:
        over = time.monotonic() + STORE_SECONDS
        ask = threading.Thread(target=lambda: answers.extend(asking(node, space, over)))
        ask.start()
        raised(space, "store")
        began = time.monotonic()
        with space.speak(1, VOICES / "01-ada.flac"):
            figure(f"{case}: a speaker who is known is on stage after", f"{time.monotonic() - began:.1f} s", "<= 5 s")
            ask.join()
    ended(space, "store")
    figure(f"{case}: changes refused with a reason", sum(map(refused, answers)), ">= 5")
    figure(f"{case}: answers of another kind", sum(not refused(answer) for answer in answers), "<= 0")
    told(case, ear, suffered, node)
    assert try_create(node, "After").status == 201
    node.kill()
    node.start()
    figure(f"{case}: changes acknowledged and lost", len({"Before", "After"} - titles(node)), "<= 0")
    figure(f"{case}: changes refused and made", int("Meanwhile" in titles(node)), "<= 0")
    figure(f"{case}: steps refused and made", int(space.state()["state"] != "live"), "<= 0")


def asking(node, space, over):
    while time.monotonic() < over:
        yield try_create(node, "Meanwhile")
        yield space.try_step("end")


def store_locked(case):
    with faulty() as (_, node, space, ear):
        store(case, node, space, ear, locked(node))


def store_read_only(case):
    with faulty() as (disk, node, space, ear):
        store(case, node, space, ear, disk.failing("read-only", 0, STORE))


CASES = {
    "disk-full": disk_full,
    "disk-stuck": disk_stuck,
    "disk-sync-fails": shim("sync-fails", 0),
    "disk-sync-slow": shim("sync-slow", 5_000),
    "disk-slow": shim("rate", 256_000, is_told=False),
    "disk-torn": shim("torn", 60),
    "disk-short": shim("short", 90, is_told=False),
    "power-cut": power_cut,
    "store-locked": store_locked,
    "store-read-only": store_read_only,
}

if os.geteuid() != 0:
    sys.exit("this makes disks of its own, and mounts them: it needs root")
for asked in sys.argv[1:] or CASES:
    if asked not in CASES:
        sys.exit(f"`{asked}` is not among: {', '.join(CASES)}")
for asked in sys.argv[1:] or CASES:
    CASES[asked](asked)
