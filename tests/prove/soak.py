"""Two hours with 5,000 listeners and a speaker while others come and go: nothing grows, and nobody misses anything."""

import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from figures import VOICES, family, figure, node, status_bytes
from throng import BINARY, ahead_of_others

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "5000"))
SECONDS = int(os.environ.get("THRONG_BENCH_SECONDS", "7200"))
# What the site sees: most on our page, some on players of playlists, few on others.
MIX = "progressive=80,hls=15,plain=5"
# They come, hear for a moment and go, all the time: five a second.
PASSERS, PASSING_SECONDS = 300, 60
# Windows, tables and the allocator fill up until then.
WARM_SHARE = 0.25
LOOK_SECONDS = 20
TELL_SECONDS = 300
GROWTH_MAX_BYTES_PER_HOUR = 1_000_000


def crowd(space, listeners, *more):
    words = ["rehearse", space.listen_url, "--listeners", listeners, "--via", MIX, "--json", *more]
    return ahead_of_others(subprocess.Popen([BINARY, *map(str, words)], stdout=subprocess.PIPE, text=True))


class House:
    """Those who stay from the beginning to the end, and the last that they said."""

    def __init__(self, space):
        self.process = crowd(space, LISTENERS, "--arrive", "ramp:20s", "--stay", f"{SECONDS + 2 * PASSING_SECONDS}s")
        self.seconds = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            second = json.loads(line)
            if "asked" not in second:
                self.seconds.append(second)

    def leave(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.reader.join()


class Passers:
    """Crowd after crowd."""

    def __init__(self, space):
        self.space, self.over, self.gaps, self.lost, self.heard = space, False, 0, 0, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        shape = f"ramp:{PASSING_SECONDS // 2}s"
        while not self.over:
            process = crowd(self.space, PASSERS, "--arrive", shape, "--stay", "5s", "--leave", shape)
            *_, last = [line for line in map(json.loads, process.stdout) if "asked" not in line]
            process.wait()
            self.heard += last["joined"]
            self.gaps += last["gaps"]
            self.lost += last["lost"] + last["refused"] + last["failed"]

    def leave(self):
        self.over = True
        self.thread.join()


class Process:
    """One process of the node: what it holds, looked at now and then."""

    def __init__(self, number, pid):
        self.pid, self.looks = pid, []
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        self.name = f"process {number} ({words[1].decode()})"

    def look(self, at):
        held = [status_bytes(self.pid, name) for name in ("VmRSS", "RssAnon")]
        descriptors = len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir()))
        self.looks.append((at, *held, descriptors))

    def warm(self):
        return [look for look in self.looks if look[0] >= SECONDS * WARM_SHARE]

    def growth(self, column):
        """Bytes per hour: the slope of the line with the least squares."""
        looks = self.warm()
        middle = sum(look[0] for look in looks) / len(looks)
        spread = sum((look[0] - middle) ** 2 for look in looks)
        return 3600 * sum((look[0] - middle) * look[column] for look in looks) / spread

    def tell(self):
        looks = self.warm()
        figure(f"{self.name}: memory at the end", f"{looks[-1][1] / 1e6:.1f} MB")
        figure(f"{self.name}: growth of memory in an hour", f"{self.growth(1):.0f} bytes", f"<= {GROWTH_MAX_BYTES_PER_HOUR} bytes")
        figure(f"{self.name}: of that, memory of its own", f"{self.growth(2):.0f} bytes")
        # Those who are just coming or going hold one each.
        figure(f"{self.name}: descriptors, fewest to most", f"{min(look[3] for look in looks)} to {max(look[3] for look in looks)}")
        quarter = max(1, len(looks) // 4)
        grown = min(look[3] for look in looks[-quarter:]) - min(look[3] for look in looks[:quarter])
        figure(f"{self.name}: descriptors more than at first", grown, "<= 0")


with node() as serving:
    space = serving.live()
    with space.speak(1, VOICES / "01-ada.flac"):
        processes = [Process(number, pid) for number, pid in enumerate(family(serving.process), 1)]
        house, passers = House(space), Passers(space)
        began = time.monotonic()
        while (at := time.monotonic() - began) < SECONDS:
            for process in processes:
                process.look(at)
            if int(at) % TELL_SECONDS < LOOK_SECONDS:
                print(f"{at:.0f} s: {[f'{process.looks[-1][1] / 1e6:.1f} MB' for process in processes]}, {house.seconds[-1:]}", flush=True)
            time.sleep(LOOK_SECONDS)
        passers.leave()
        last = house.seconds[-1]
        house.leave()
        recorded = space.recorded_seconds()

figure("listened for", f"{last['at_ms'] / 1000:.0f} s")
figure("listeners all the time", last["listening"], f">= {LISTENERS}")
figure("gaps of theirs", last["gaps"], "<= 0")
figure("connections lost, refused or failed", last["lost"] + last["refused"] + last["failed"], "<= 0")
figure("listeners who came and went meanwhile", passers.heard)
figure("gaps of theirs, and connections lost", passers.gaps + passers.lost, "<= 0")
figure("programme recorded", f"{recorded:.0f} s")
for process in processes:
    process.tell()
