"""Disks that fail under a live space.

Full, stuck and powerless disks are real ones: ext4 on a loop device, filled, frozen, and shut down beneath its journal.
Where the kernel of a common machine has no such fault (a flush that fails or takes 5 s, torn and short writes, a slow
disk) a library stands between the node and its files (`faulty_disk.c`).
"""

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import time

import signal_kit
from disks import (
    LOST_PARTS_MAX,
    PART_SECONDS,
    Ear,
    Journal,
    ended,
    event,
    faulty,
    heard,
    metric,
    raised,
    recorded,
    silences,
    titles,
    try_create,
)
from figures import VOICES, folder
from throng import rest, wait_until

ALARM_SECONDS_MAX = 5
DISK_BYTES = 96 << 20
# Longer than parts wait for a disk: what is beyond is a gap in the recording.
FULL_SECONDS = 180
# What waits in memory for the disk.
WAITING_SECONDS = 80
FAULT_SECONDS = 20
GAP_PARTS = "throng_archive_gap_parts_total"
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


def kept(journal, ear, gap_parts_max=0):
    """What became of the recording."""
    lacks = journal.lacks(ear.given)
    yield "parts heard and not recorded, marked as a gap", len(lacks & journal.gaps), f"<= {gap_parts_max}"
    yield "parts heard and not recorded, unmarked", len(lacks - journal.gaps), "<= 0"
    yield "parts recorded otherwise than heard", len(journal.otherwise(ear.given)), "<= 0"
    yield "parts spoilt in the files", len(journal.spoilt()), "<= 0"


def suffer(node, space, ear, fault, seconds=FAULT_SECONDS, gap_parts_max=0, is_told=True):
    """A disk that fails for so long, and is well again."""
    suffered = silences(node)
    with fault:
        if is_told:
            _, after = raised(space, "recording")
            yield "the host is told after", f"{after:.1f} s", f"<= {ALARM_SECONDS_MAX} s"
        rest(seconds)
    began = time.monotonic()
    ended(space, "recording", 120)
    yield "from a disk that is well to a recording that keeps up", f"{time.monotonic() - began:.1f} s", "-"
    yield from heard(ear, suffered, node)
    yield from kept(recorded(node, space, ear.newest()), ear, gap_parts_max)


def replayed(node, space):
    """What a gap is for those who listen later: silence as long as what was lost, and nothing else is missing."""
    space.step("end")
    journal = Journal(node, space)
    playlist = space.get("hls/o48/replay.m3u8").body.decode()
    listed = sum(map(float, re.findall(r"#EXTINF:([0-9.]+)", playlist)))
    segments = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    absent = [segment for segment in segments if space.get(f"hls/o48/{segment}").status != 200]
    sound = space.recording()
    # Sound fades into the first part of a gap, and out of the last.
    inner = [part - journal.parts[0] for part in journal.gaps if {part - 1, part + 1} <= journal.gaps]
    part_samples = round(PART_SECONDS * signal_kit.RATE_HZ)
    levels = [signal_kit.level_dbfs(sound[part * part_samples :][:part_samples]) for part in inner]
    seconds = len(journal.parts) * PART_SECONDS
    yield "parts of the gap that are not silence", sum(level > signal_kit.SILENCE_DBFS for level in levels), "<= 0"
    yield "parts of the gap that the metric lacks", len(journal.gaps) - metric(node, GAP_PARTS), "<= 0"
    yield "segments that the replay lists and has not", len(absent), "<= 0"
    yield "the replay is shorter than the programme by", f"{seconds - listed:.2f} s", f"<= {PART_SECONDS} s"
    yield "so is the recording", f"{seconds - len(sound) / signal_kit.RATE_HZ:.2f} s", f"<= {PART_SECONDS} s"


def disk_full():
    # The log is on the full disk, too.
    with loop() as disk, event(disk.path / "data") as (node, space, ear):
        gap_parts_max = (FULL_SECONDS - WAITING_SECONDS) / PART_SECONDS
        with space.speak(1, VOICES / "01-ada.flac"):
            yield from suffer(node, space, ear, disk.full(), FULL_SECONDS, gap_parts_max)
        yield from replayed(node, space)


def disk_stuck():
    with loop() as disk, event(disk.path) as (node, space, ear):
        yield from suffer(node, space, ear, disk.stuck())


def shim(kind, number, is_told=True):
    def run():
        with faulty() as (disk, node, space, ear):
            yield from suffer(node, space, ear, disk.failing(kind, number), is_told=is_told)

    return run


def power_cut():
    lost, gone, spoilt, unheard, alarms = [], 0, 0, 0, []
    with loop() as disk, event(disk.path) as (node, space, ear):
        for cut in range(CUTS):
            assert try_create(node, f"Before cut {cut}").status == 201
            rest(4 + cut * 0.13)
            first = Journal(node, space).parts[0]
            readable = first + round(space.show()["recording"]["seconds"] / PART_SECONDS)
            disk.cut_power()
            alarms.append(raised(space, "recording")[1])
            ear.hears_on()
            unheard += len(ear.gaps()) + ear.connections - 1
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
    yield "cuts", CUTS, "-"
    yield "gaps heard until the machine itself was off", unheard, "<= 0"
    yield "a disk that takes nothing more is told after", f"{max(alarms):.1f} s", f"<= {ALARM_SECONDS_MAX} s"
    yield "parts that could be read and were lost, worst cut", max(lost), f"<= {LOST_PARTS_MAX}"
    yield "changes acknowledged and lost", gone, "<= 0"
    yield "parts spoilt in the files", spoilt, "<= 0"


CASES = {
    "disk-full": disk_full,
    "disk-stuck": disk_stuck,
    "disk-sync-fails": shim("sync-fails", 0),
    "disk-sync-slow": shim("sync-slow", 5_000),
    "disk-slow": shim("rate", 256_000, is_told=False),
    "disk-torn": shim("torn", 60),
    "disk-short": shim("short", 90, is_told=False),
    "power-cut": power_cut,
}
