"""kill -9 at fifty moments of a live space: what the recording lacks, and whether any number ran backwards.

Two measures. What a listener was given and the recording does not have, part by part: the journal's hash says so. And
programme that had been made when the process died: from the last recorded part to the playhead at the kill. The time
in which nothing ran is no loss of the recording: it is silence in it, marked as a gap.
"""

import datetime
import hashlib
import http.client
import random
import struct
import threading
import time
import urllib.parse

from figures import VOICES, Clock, figure, node, percentile
from fragments import chunks
from throng import wait_until

KILLS, SEED = 50, 2026
# Between a restart and the next kill.
LIFE_SECONDS_MAX = 6.0
# One restart in so many is itself killed before it is done.
EARLY_KILL_EVERY = 5
PART_SECONDS = 0.32
# 1 s of a recording, the most that a kill may take.
LOSS_PARTS_MAX = 3.125


class Ear(threading.Thread):
    """A listener that comes back, and keeps the hash of every part it was given."""

    def __init__(self, listen_url):
        super().__init__(daemon=True)
        self.url = urllib.parse.urlsplit(f"{listen_url}/live.mp4?l=ear")
        self.given = {}
        self.newest = -1
        self.over = False

    def run(self):
        while not self.over:
            try:
                self.listen()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)

    def listen(self):
        line = http.client.HTTPConnection(self.url.netloc, timeout=5)
        line.request("GET", f"{self.url.path}?{self.url.query}")
        answer = line.getresponse()
        if answer.status != 200:
            return
        for part, chunk in chunks(answer):
            self.given.setdefault(part, set()).add(hashlib.sha256(chunk).digest())
            self.newest = max(self.newest, part)
            if self.over:
                return


def journal(folder):
    """Part, whether it is a gap, and the hash of its o48 chunk, in order."""
    renditions = 5
    header, record = 24 + renditions * 44 + 4, 20 + renditions * 44 + 4
    kept = (folder / "journal").read_bytes()
    for at in range(header, len(kept) - record + 1, record):
        part, _, flags, _, _, sha256 = struct.unpack_from("<QqIQI32s", kept, at)
        yield part, bool(flags & 1), sha256


class Witness:
    """Numbers that must never run backwards, as anybody can read them."""

    def __init__(self, space):
        self.space = space
        self.epoch = space.state()["epoch"]
        self.seen = {}
        self.backwards = []

    def look(self):
        state = self.space.state()
        if state["epoch"] != self.epoch:
            self.backwards.append(f"epoch {self.epoch} -> {state['epoch']}")
        playlist = self.space.get("hls/o48/media.m3u8").body.decode()
        first = int(playlist.partition("#EXT-X-MEDIA-SEQUENCE:")[2].split()[0])
        newest = state["newest_segment"]
        self.note("newest segment", -1 if newest is None else newest)
        self.note("media sequence", first)
        self.note("recorded seconds", state["recording"]["seconds"])

    def note(self, what, number):
        if number < self.seen.get(what, number):
            self.backwards.append(f"{what} {self.seen[what]} -> {number}")
        self.seen[what] = number


def playhead_parts(space):
    epoch = datetime.datetime.fromisoformat(space.state()["epoch"].replace("Z", "+00:00")).timestamp()
    return lambda: (time.time() - epoch) / PART_SECONDS


def kill(serving, chance, playhead):
    """Kills at a random moment; says where the playhead was."""
    time.sleep(chance.uniform(0, LIFE_SECONDS_MAX))
    at = playhead()
    serving.kill()
    return at


def killed_while_starting(serving, chance):
    """A restart that does not come to its end."""
    timer = threading.Timer(chance.uniform(0, 0.4), lambda: serving.process.kill())
    timer.start()
    try:
        serving.start()
        serving.kill()
    except AssertionError:
        serving.process.wait()
    timer.join()


def run(serving, space, ear, witness):
    chance, playhead = random.Random(SEED), playhead_parts(space)
    kills, outages_ms = [], []
    for number in range(KILLS):
        kills.append(kill(serving, chance, playhead))
        clock, newest = Clock(), ear.newest
        if number % EARLY_KILL_EVERY == 0:
            killed_while_starting(serving, chance)
        serving.start()
        witness.look()
        # A part that nobody can have been given before the kill.
        wait_until(lambda: ear.newest > max(newest, kills[-1]), "the listener hears on")
        outages_ms.append(clock.ms())
        witness.look()
    return kills, outages_ms


def losses(recorded, kills):
    """Programme that was made before each kill and is not in the recording, in parts. A kill that came before the first
    part of its life was whole is left out: there was less than that part to lose."""
    for begin, end in zip([0.0, *kills], kills):
        alive = [part for part in recorded if begin < part + 1 <= end]
        if alive:
            yield end - (max(alive) + 1)


with node() as serving:
    space = serving.live()
    speaker = space.speak(1, VOICES / "01-ada.flac")
    ear, witness = Ear(space.listen_url), Witness(space)
    ear.start()
    wait_until(lambda: ear.newest > 0, "the listener hears")
    kills, outages_ms = run(serving, space, ear, witness)
    wait_until(lambda: space.is_talking(1), "the speaker is back", 60)
    space.step("end")
    ear.over = True
    speaker.leave()
    rows = list(journal(serving.data / "archive" / space.show()["id"]))

parts = [part for part, _, _ in rows]
recorded = {part: sha256 for part, gap, sha256 in rows if not gap}
in_recording = {part: sha256 for part, _, sha256 in rows}
missing = [
    part for part, hashes in ear.given.items() if part in in_recording and not hashes <= {in_recording[part]}
]
given_and_lost = [sum(begin <= part < end for part in missing) for begin, end in zip([0.0, *kills], kills)]
made_and_lost = list(losses(recorded, kills))

figure("kills of a live space", len(kills))
figure("of these, with parts recorded since the last", len(made_and_lost))
figure("parts given to a listener and not in the recording, worst kill", max(given_and_lost), f"<= {LOSS_PARTS_MAX}")
figure("programme made and not recorded, worst kill", f"{max(made_and_lost):.2f} parts", f"<= {LOSS_PARTS_MAX} parts")
figure("the same, median", f"{percentile(made_and_lost, 50):.2f} parts")
figure("parts out of order in the journal", sum(b != a + 1 for a, b in zip(parts, parts[1:])), "<= 0")
figure("numbers that ran backwards", len(witness.backwards), "<= 0")
print(*witness.backwards, sep="\n", end="")
figure("from the kill to new sound at the listener, median", f"{percentile(outages_ms, 50):.0f} ms")
figure("from the kill to new sound at the listener, longest", f"{max(outages_ms):.0f} ms")
