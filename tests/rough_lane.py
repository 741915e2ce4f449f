"""A lane whose frames are carried by a program: it loses, delays, overtakes, doubles and squeezes them, and each frame's
fate is drawn from a seed. What the kernel of a common machine cannot do (it has no `netem`) is done here.

Frames that carry no IPv4 (ARP) pass always: a network loses packets, not its own order.
"""

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import threading
import time
from dataclasses import dataclass

from lane import Lane, ip
from throng import prefer

# linux/if_tun.h
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES_MAX = 65_536
# Far more than a link holds whose queue is bounded; full, frames are lost.
UNDER_WAY_MAX = 10_000
# A frame that is overtaken waits for one packet of speech and a half.
OVERTAKEN_SECONDS = 0.03
DOUBLED_AFTER_SECONDS = 0.001
# What waits before a narrow place, as routers have it.
QUEUE_SECONDS = 0.5
# How soon the carrier sees that it is to end.
LOOK_SECONDS = 0.05
ETHERNET_BYTES = 14
UDP = 17


@dataclass(frozen=True)
class Weather:
    """What happens to packets, in each direction alike."""

    loss: float = 0
    """The share that is lost."""
    burst: int = 1
    """So many are lost together."""
    delay_seconds: float = 0.04
    jitter_seconds: float = 0
    """Most that is added to the delay, each packet by itself."""
    overtaken: float = 0
    doubled: float = 0
    bits_per_second: int = 0
    """0: as much as comes."""
    carries: bool = True
    carries_udp: bool = True


class RoughLane(Lane):
    """A lane under a sky."""

    def __init__(self, number=0, seed=1):
        self.weather = Weather()
        self.chance = random.Random(seed)
        self.counts = dict.fromkeys(("came", "lost", "overtaken", "doubled", "squeezed"), 0)
        self.ends, self.under_way, self.numbers = [], [], itertools.count()
        self.burst_left, self.free = {}, {}
        super().__init__(number)
        self.address = f"{self.net}.2"
        self.closing = threading.Event()
        self.carrier = threading.Thread(target=self.carry_frames, daemon=True)
        self.carrier.start()

    def join(self):
        far = f"{self.name}w"
        self.ends = [tap(self.name), tap(far)]
        ip("link", "set", far, "netns", self.name)
        ip("-n", self.name, "link", "set", far, "name", "wire")

    def moves(self):
        """The far end has another address from now on; packets to and from the old one are lost."""
        before, self.address = self.address, f"{self.net}.3" if self.address.endswith(".2") else f"{self.net}.2"
        self.move(before, self.address)

    def move(self, before, address):
        """Whatever is not on the wire is beyond its near end, as with a real one."""
        super().move(before, address)
        ip("-n", self.name, "route", "replace", "default", "via", self.node)

    def carry_frames(self):
        # A wire keeps time whatever the machine is busy with.
        prefer(threading.get_native_id(), -20)
        other = dict(zip(self.ends, reversed(self.ends)))
        while not self.closing.is_set():
            wait = min(LOOK_SECONDS, max(0, self.under_way[0][0] - time.monotonic())) if self.under_way else LOOK_SECONDS
            for end in select.select(self.ends, [], [], wait)[0]:
                frame = os.read(end, FRAME_BYTES_MAX)
                for due in self.fate(end, frame, time.monotonic()):
                    if len(self.under_way) < UNDER_WAY_MAX:
                        heapq.heappush(self.under_way, (due, next(self.numbers), other[end], frame))
            now = time.monotonic()
            while self.under_way and self.under_way[0][0] <= now:
                _, _, end, frame = heapq.heappop(self.under_way)
                os.write(end, frame)

    def fate(self, end, frame, now):
        """When the frame arrives: never, once or twice."""
        if frame[12:14] != b"\x08\x00":
            return [now]
        weather, chance = self.weather, self.chance.random
        self.counts["came"] += 1
        if not weather.carries or (frame[23] == UDP and not weather.carries_udp) or self.is_lost(end, weather):
            self.counts["lost"] += 1
            return []
        due = now + weather.delay_seconds + chance() * weather.jitter_seconds
        if weather.bits_per_second:
            through = max(now, self.free.get(end, now))
            if through - now > QUEUE_SECONDS:
                self.counts["squeezed"] += 1
                return []
            through += (len(frame) - ETHERNET_BYTES) * 8 / weather.bits_per_second
            self.free[end] = through
            due += through - now
        if chance() < weather.overtaken:
            self.counts["overtaken"] += 1
            due += OVERTAKEN_SECONDS
        if chance() < weather.doubled:
            self.counts["doubled"] += 1
            return [due, due + DOUBLED_AFTER_SECONDS]
        return [due]

    def is_lost(self, end, weather):
        left = self.burst_left.get(end, 0)
        if left == 0 and self.chance.random() * weather.burst < weather.loss:
            left = weather.burst
        self.burst_left[end] = max(0, left - 1)
        return left > 0

    def close(self):
        self.closing.set()
        self.carrier.join()
        for end in self.ends:
            os.close(end)
        super().close()


def tap(name):
    """A new device of that name, by what leaves and enters it."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return end
